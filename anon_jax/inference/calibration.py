"""At which similarity a painted face is drawn again: measured on what the networks really paint.

A new face has its original's outline, pose and light. So I finds it more like the original than two
strangers are like each other, and a threshold from pairs of strangers would turn most faces down.
Painted faces are of other people by construction; the share of them that comes out most alike is
what is worth another draw.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from anon_jax.inference import export, listing, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Request, Trust
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import IdentityInput
from anon_jax.inference.reading import Reader

SHARE = 0.05
_LEAST = 20  # faces
_TOGETHER = 16  # pictures that are painted in shared batches
_ALL = 2.0  # above every cosine


def similarities(folder: pathlib.Path, photos: Sequence[pathlib.Path]) -> np.ndarray:
  """Paints every face of some photographs once; returns I's cosines, float64 [n].

  Args:
    folder: of trained networks.
    photos: pictures and folders of them; a picture that cannot be read is left out.

  Raises:
    WeightsError: the folder cannot be loaded.
    InferenceError: the detector failed.
  """
  anonymizer = Anonymizer.from_pretrained(folder, trust=Trust(similarity=_ALL))
  jobs = listing.plan(photos, None, in_place=True).jobs  # nothing is written
  found: list[float] = []
  with Reader() as reader:
    for start in tqdm(range(0, len(jobs), _TOGETHER), desc='painting', file=sys.stderr):
      requests = []
      for job in jobs[start : start + _TOGETHER]:
        try:
          pictures = reader.read(job.source).frames
        except InferenceError as error:
          tqdm.write(f'anon-jax: {error}', file=sys.stderr)
          continue
        requests += [Request(picture, anonymizer.detect(picture)) for picture in pictures]
      for done in anonymizer.anonymize_many(requests):
        found += [
          face.similarity
          for face in done.faces
          if face.action == 'synthesized' and face.similarity is not None
        ]
  return np.array(found)


def calibrate(
  folder: pathlib.Path, photos: Sequence[pathlib.Path], share: float = SHARE
) -> tuple[float, int]:
  """Measures the cosine that a share of painted faces exceeds, and writes it into model.json.

  Args:
    folder: of trained networks; it changes as a whole or not at all.
    photos: of people that no network was trained on.
    share: of the painted faces that is to be drawn again, in (0, 0.5].

  Returns:
    The threshold, and the number of painted faces.

  Raises:
    WeightsError: the folder cannot be loaded.
    InferenceError: too few faces could be painted.
  """
  found = similarities(folder, photos)
  if len(found) < _LEAST:
    raise InferenceError(
      f'{len(found)} faces could be painted; give photographs of {_LEAST} people or more.'
    )
  threshold = round(float(np.quantile(found, 1 - share)), 4)
  entry = weights.read_description(folder)['identity']
  assert isinstance(entry.input, IdentityInput)
  shown = dataclasses.replace(entry.input, threshold=threshold)
  export.describe_anew(folder, {'identity': dataclasses.replace(entry, input=shown)})
  return threshold, len(found)
