"""What the evaluations share: each system's pictures, the faces in them, and their embeddings."""

import collections
import functools
import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from anon_jax.evaluation.detection_rate import Detections
from anon_jax.inference import detection
from anon_jax.inference.faces import Face, Points
from anon_jax.inference.looks import Look
from anon_jax.protocols import outputs
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.faces import FaceFile, Find, face_at, main_face
from anon_jax.protocols.systems import System

# For rates: the least score that any of them counts from, upright pictures, small faces as well.
_LEAST_SCORE = 0.05
_LOOK = Look(turned=False)
_NOWHERE = np.full((5, 2), np.nan)


class Rendered(NamedTuple):
  """A system's pictures.

  Attributes:
    system: which one.
    actions: what became of the main face of each picture, by its name.
    detections: what the detector finds in each picture from a score of .05 on.
    embeddings: float32 [n, d], unit length, of the main faces as they are found in the output; NaN
      where none is found there.
    in_place: the same, cut by the landmarks of the originals: for who knows where the faces were.
    landmarks: float64 [n, 5, 2], (x, y) of the main faces as they are found in the output, in its
      pixels; NaN where none is.
  """

  system: System
  actions: Mapping[str, str]
  detections: Sequence[Detections]
  embeddings: np.ndarray
  in_place: np.ndarray
  landmarks: np.ndarray

  def counts(self) -> dict[str, int]:
    """Returns how many main faces became what."""
    return dict(collections.Counter(self.actions.values()))


class Study:
  """Pictures of one main face each, and what systems make of them.

  Args:
    folder: of the pictures.
    names: of the pictures below it.
    workdir: where everything that takes time is kept.
    embedder: who is who.
    weights: folder of trained networks; '' for the package's own.
    seed: of the draws of control identities.

  Raises:
    InferenceError: the detector cannot be loaded.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    names: Sequence[str],
    workdir: pathlib.Path,
    embedder: Embedder,
    weights: str,
    seed: int,
  ):
    self._folder, self.names, self._workdir = folder, tuple(names), workdir
    self._embedder, self.weights = embedder, weights
    self.key = f'evaluation {seed}'.encode()
    self._find = detection.load_detector()
    self._find_all = detection.load_detector(threshold=_LEAST_SCORE).at(_LOOK)
    self._faces = self._found('pipeline', self.names, self.read, self._find)
    # what gives the pixels of a name, by the title of each system that was rendered
    self.readers: dict[str, Callable[[str], np.ndarray]] = {}
    self._again: dict[str, dict[str, float]] = {}

  @functools.cached_property
  def main(self) -> dict[str, int | None]:
    """The place of each picture's main face among its faces; None where it has none."""
    found: dict[str, int | None] = {}
    for name in self.names:
      faces = self._faces[name]
      height, width = self.read(name).shape[:2] if faces else (0, 0)
      face = main_face(faces, width, height)
      found[name] = None if face is None else faces.index(face)
    return found

  def read(self, name: str) -> np.ndarray:
    """Returns the original pixels of a picture."""
    return outputs.read(self._folder / name)

  def face(self, name: str) -> Face | None:
    """Returns the main face of an original."""
    place = self.main[name]
    return None if place is None else self._faces[name][place]

  def render(self, system: System, names: Sequence[str] = ()) -> Rendered:
    """Makes a system's pictures, finds the faces in them and embeds them.

    Args:
      system: which one.
      names: of the pictures, some of the study's; none: all of them.

    Raises:
      WeightsError: the trained networks cannot be loaded.
      DatasetError: a picture is missing or broken.
    """
    read: Callable[[str], np.ndarray] = self.read
    names = tuple(names) or self.names
    actions = dict.fromkeys(names, 'original')
    if system.method or system.folder:
      key = self.key + f' {system.name}'.encode()  # each system has draws of its own
      made = outputs.Outputs(system, self._workdir / system.name, self.weights, key)
      actions = made.make({name: self._faces[name] for name in names}, self.read, self.main.get)
      read = made.read
    self.readers[system.title] = read
    found = self._found(system.name, names, read, self._find_all, system.folder is not None)
    faces = [self.face(name) for name in names]
    again = [
      None if face is None else face_at(found[name], face.box)
      for name, face in zip(names, faces, strict=True)
    ]
    points, known = (
      [None if face is None else face.landmarks for face in side] for side in (again, faces)
    )
    self._again[system.title] = {
      name: 0.0 if face is None else face.score for name, face in zip(names, again, strict=True)
    }
    return Rendered(
      system,
      actions,
      [detections(found[name]) for name in names],
      self._embedded(names, points, read, system.title),
      self._embedded(names, known, read, f'{system.title}, in place'),
      np.array([_NOWHERE if each is None else each for each in points], np.float64),
    )

  def again(self, system: System) -> Mapping[str, float]:
    """Returns how sure the detector is of each main face in what was rendered, 0 without one."""
    return self._again[system.title]

  def worst(self, system: System, count: int) -> list[str]:
    """Returns the pictures whose main face the detector is least sure of in what was rendered."""
    scores = {name: s for name, s in self._again[system.title].items() if self.face(name)}
    return sorted(scores, key=lambda name: scores[name])[:count]

  def _found(
    self,
    title: str,
    names: Sequence[str],
    read: Callable[[str], np.ndarray],
    find: Find,
    fresh: bool = False,
  ) -> Mapping[str, Sequence[Face]]:
    where = self._workdir / title / 'faces.jsonl'
    if fresh:  # nobody knows whether the pictures of another system are still the same
      where.unlink(missing_ok=True)
    return FaceFile(where).find(names, read, find, f'finding faces, {title}')

  def _embedded(
    self,
    names: Sequence[str],
    points: Sequence[Points | None],
    read: Callable[[str], np.ndarray],
    title: str,
  ) -> np.ndarray:
    rows = np.full((len(names), self._embedder.dimensions), np.nan, np.float32)
    chosen = [(place, each) for place, each in enumerate(points) if each is not None]
    if chosen:
      crops = (self._embedder.cut(read(names[place]), each) for place, each in chosen)
      rows[[place for place, _ in chosen]] = self._embedder.embed(crops, len(chosen), title)
    return rows


def detections(faces: Sequence[Face]) -> Detections:
  """Returns faces as the rates want them."""
  boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
  return Detections(boxes, np.array([face.score for face in faces], np.float64))


def hash_of(names: Sequence[str]) -> str:
  """Returns the SHA-256 of a list of pictures: which they were, and in which order."""
  return hashlib.sha256('\n'.join(names).encode()).hexdigest()
