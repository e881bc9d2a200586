"""One picture painted again and again: how different are the faces (paper 4.1, 4.2)?"""

import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.evaluation import diversity, lpips
from anon_jax.evaluation.crop_recognition import usual_landmarks
from anon_jax.inference import crops
from anon_jax.inference.decisions import Request
from anon_jax.protocols.celeba import People
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.outputs import read
from anon_jax.protocols.study import Study
from anon_jax.protocols.systems import METHOD, System

_SIDE = 128  # of the crops that are compared
_TOGETHER = 16
# Height of the face box in CelebA's crops as they are stored, as a share of their side.
_FACE_SHARE = 0.5


def measure(
  study: Study,
  names: Sequence[str],
  count: int,
  centres: np.ndarray,
  embedder: Embedder,
  folders: Sequence[pathlib.Path],
  seed: int,
  system: System = METHOD,
) -> dict[str, Any]:
  """Paints some pictures many times, each with a control identity drawn anew.

  Args:
    study: with the pictures' faces.
    names: of the pictures; those without a face are left out.
    count: outputs of each.
    centres: of the people that A was trained on, by `centres_of`.
    embedder: the recogniser.
    folders: of published weights, for LPIPS.
    seed: of the draws of pairs.
    system: that paints.

  Returns:
    `reid`, distinct nearest training people among a picture's outputs, and `lpips` over pairs of
    them, as `evaluation.diversity` returns them; `distance`, the name of the distance network, or
    instead of `lpips` `lpips_missing`, why there is none; `filled`, outputs that were not painted.
  """
  anonymizer = system.anonymizer(study.weights, study.key)
  embeddings, pictures, filled = [], [], 0
  for name in tqdm(names, desc=f'painting again, {system.title}', file=sys.stderr, disable=None):
    face = study.face(name)
    if face is None or face.landmarks is None:
      continue
    image, cut = study.read(name), []
    requests = [Request(image, [face], name=f'{name} {number}') for number in range(count)]
    for start in range(0, count, _TOGETHER):
      for done in anonymizer.anonymize_many(requests[start : start + _TOGETHER]):
        filled += done.faces[0].action != 'synthesized'
        cut.append(done.image)
    aligned = (embedder.cut(output, face.landmarks) for output in cut)
    embeddings.append(embedder.embed(aligned, count, f'embedding {name}'))
    frame = crops.frame_of(face)
    pictures.append(np.stack([crops.cut(output, frame, _SIDE) for output in cut]))
  result: dict[str, Any] = {'filled': filled, 'training_people': len(centres)}
  result['reid'] = diversity.reid_diversity(embeddings, centres)
  loaded, missing = lpips.load_or_say(folders, _SIDE)
  if loaded is None:
    return result | {'lpips_missing': missing}
  distance, params = loaded
  result['distance'] = distance.title
  signed = [pixels.astype(np.float32) / 127.5 - 1 for pixels in pictures]
  result['lpips'] = diversity.lpips_diversity(_compiled(distance, params), signed, seed=seed)
  return result


def _compiled(distance: lpips.Lpips, params: Any) -> Callable[[np.ndarray, np.ndarray], Any]:
  placed = jax.device_put(params)
  run = compiling.jit(distance.distances)
  return lambda a, b: run(placed, a, b)


def centres_of(training: People, embedder: Embedder) -> np.ndarray:
  """Returns the mean embedding of each person, of unit length, float32 [people, d].

  Args:
    training: pictures as CelebA's crops are stored; faces are cut by their usual landmarks.
    embedder: the recogniser.
  """
  pictures = (read(training.folder / name) for name in training.names)
  faces = (embedder.cut(p, usual_landmarks(len(p), _FACE_SHARE)) for p in pictures)
  rows = embedder.embed(faces, len(training.names), 'training people')
  people = np.unique(training.labels)
  means = np.stack([rows[training.labels == person].mean(axis=0) for person in people])
  centres: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
  return centres
