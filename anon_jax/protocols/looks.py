"""How outputs look beside their originals: Frechet and kernel distance, landmarks, pose."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation import preservation
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.inference import crops
from anon_jax.protocols.distances import Distances
from anon_jax.protocols.study import Rendered, Study

_SIDE = 128  # of the crops


class Looks:
  """Compares a system's pictures with the originals of a study.

  Args:
    study: with the pictures.
    network: features of crops for the distances, and its parameters; None leaves them out.
  """

  def __init__(self, study: Study, network: tuple[FeatureNetwork, Any] | None):
    self._study = study
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
      `pose`, as `evaluation.preservation`, of the landmarks that are found in both.
    """
    groups = np.asarray(people)
    sizes = preservation.interocular(clear.landmarks)
    return {
      **self._distant(rendered.system.title, clear.system.title, groups),
      'landmarks': preservation.landmark_preservation(
        clear.landmarks, rendered.landmarks, sizes, groups
      ),
      'pose': preservation.pose_preservation(clear.landmarks, rendered.landmarks, groups=groups),
    }

  def _distant(self, title: str, original: str, people: np.ndarray) -> dict[str, Any]:
    there = [self._study.face(name) is not None for name in self._study.names]
    if self._distances is None or sum(there) < 2:
      return {'frechet': None, 'kernel': None}
    if self._original is None:
      self._original = self._features(original)
    return self._distances.compare(self._original, self._features(title), people[there].tolist())

  def _features(self, title: str) -> np.ndarray:
    assert self._distances is not None
    study, read = self._study, self._study.readers[title]
    faces = ((name, study.face(name)) for name in study.names)
    return self._distances.features(
      crops.cut(read(name), crops.frame_of(face), _SIDE) for name, face in faces if face is not None
    )
