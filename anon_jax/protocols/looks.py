"""How outputs look beside their originals: distances of sets, landmarks, pose, expression."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation import expression, preservation
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.inference import crops
from anon_jax.inference.segmenting import Segmenter
from anon_jax.protocols.batches import in_batches
from anon_jax.protocols.distances import Distances
from anon_jax.protocols.study import Rendered, Study

_SIDE = 128  # of the crops
_TOGETHER = 16  # crops that S sees at a time


class Looks:
  """Compares a system's pictures with the originals of a study.

  Args:
    study: with the pictures.
    network: features of crops for the distances, and its parameters; None leaves them out.
    segmenter: S, for expressions; None leaves them out.
  """

  def __init__(
    self,
    study: Study,
    network: tuple[FeatureNetwork, Any] | None,
    segmenter: Segmenter | None = None,
  ):
    self._study, self._segmenter = study, segmenter
    self._maps: np.ndarray | None = None
    self._distances = None if network is None else Distances(*network)
    self._original: np.ndarray | None = None

  def compare(self, rendered: Rendered, clear: Rendered, people: Sequence[int]) -> dict[str, Any]:
    """Measures a system's pictures.

    Args:
      rendered: by the study, of all its pictures.
      clear: the originals, by the same.
      people: the person of each picture, for the intervals.

    Returns:
      `frechet` and `kernel`, of crops, as `Distances.compare`, or None for both; `landmarks` and
      `pose`, as `evaluation.preservation`, of the landmarks that are found in both; `expression`,
      as `evaluation.expression`, of S's maps where the originals' faces are, or None.
    """
    groups = np.asarray(people)
    sizes = preservation.interocular(clear.landmarks)
    return {
      **self._distant(rendered.system.title, clear.system.title, groups),
      'landmarks': preservation.landmark_preservation(
        clear.landmarks, rendered.landmarks, sizes, groups
      ),
      'pose': preservation.pose_preservation(clear.landmarks, rendered.landmarks, groups=groups),
      'expression': self._expression(rendered.system.title, clear.system.title, groups),
    }

  def _expression(self, title: str, original: str, people: np.ndarray) -> dict[str, Any] | None:
    there = [self._study.face(name) is not None for name in self._study.names]
    if self._segmenter is None or not any(there):
      return None
    if self._maps is None:
      self._maps = self._mapped(self._segmenter, original)
    maps = self._mapped(self._segmenter, title)
    return expression.expression_preservation(self._maps, maps, people[there])

  def _mapped(self, segmenter: Segmenter, title: str) -> np.ndarray:
    """Returns S's maps, uint8 [n, s, s], of crops where the originals' faces are."""
    pixels = np.stack(list(self._crops(title, segmenter.size)))

    def classes(rows: np.ndarray) -> np.ndarray:
      return segmenter.logits(rows).argmax(-1).astype(np.uint8)

    return in_batches(classes, _TOGETHER, f'maps, {title}', pixels)

  def _distant(self, title: str, original: str, people: np.ndarray) -> dict[str, Any]:
    there = [self._study.face(name) is not None for name in self._study.names]
    if self._distances is None or sum(there) < 2:
      return {'frechet': None, 'kernel': None}
    if self._original is None:
      self._original = self._features(original)
    return self._distances.compare(self._original, self._features(title), people[there].tolist())

  def _features(self, title: str) -> np.ndarray:
    assert self._distances is not None
    return self._distances.features(self._crops(title, _SIDE))

  def _crops(self, title: str, side: int) -> Iterator[np.ndarray]:
    study, read = self._study, self._study.readers[title]
    for name in study.names:
      face = study.face(name)
      if face is not None:
        yield crops.cut(read(name), crops.frame_of(face), side)
