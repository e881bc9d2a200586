"""How outputs look beside their originals: Frechet distance, landmarks, pose."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from anon_jax.evaluation import frechet, preservation
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.inference import crops
from anon_jax.protocols.study import Rendered, Study
from anon_jax.proxy import to_signed

_SIDE = 128  # of the crops
_BATCH = 16


class Looks:
  """Compares a system's pictures with the originals of a study.

  Args:
    study: with the pictures.
    network: features of crops for the Frechet distance, and its parameters; None leaves it out.
  """

  def __init__(self, study: Study, network: tuple[FeatureNetwork, Any] | None):
    self._study, self._network = study, network
    self._compiled: Callable[[np.ndarray], Any] | None = None
    if network is not None:
      placed = jax.device_put(network[1])
      run = jax.jit(lambda params, pixels: network[0].features(params, to_signed(pixels)))
      self._compiled = lambda pixels: run(placed, pixels)
    self._original: frechet.Statistics | None = None

  def compare(self, rendered: Rendered, clear: Rendered, people: Sequence[int]) -> dict[str, Any]:
    """Measures a system's pictures.

    Args:
      rendered: by the study, of all its pictures.
      clear: the originals, by the same.
      people: the person of each picture, for the intervals.

    Returns:
      `frechet`, of crops, as `evaluation.frechet.compare`, or None; `landmarks` and `pose`, as
      `evaluation.preservation`, of the landmarks that are found in both.
    """
    groups = np.asarray(people)
    sizes = preservation.interocular(clear.landmarks)
    return {
      'frechet': self._frechet(rendered.system.title),
      'landmarks': preservation.landmark_preservation(
        clear.landmarks, rendered.landmarks, sizes, groups
      ),
      'pose': preservation.pose_preservation(clear.landmarks, rendered.landmarks, groups=groups),
    }

  def _frechet(self, title: str) -> dict[str, Any] | None:
    if self._network is None:
      return None
    network, (original, *_) = self._network[0], self._study.readers
    if self._original is None:
      self._original = self._statistics(original)
    return frechet.compare(network.frechet, self._original, self._statistics(title))

  def _statistics(self, title: str) -> frechet.Statistics:
    assert self._network is not None and self._compiled is not None
    study, read = self._study, self._study.readers[title]
    moments = frechet.Moments.empty(self._network[0].dimensions)
    faces = [(name, study.face(name)) for name in study.names]
    known = [(name, crops.frame_of(face)) for name, face in faces if face is not None]
    for start in range(0, len(known), _BATCH):
      rows = [crops.cut(read(name), frame, _SIDE) for name, frame in known[start : start + _BATCH]]
      filled = np.pad(np.stack(rows), ((0, _BATCH - len(rows)), *[(0, 0)] * 3), mode='edge')
      moments.add(np.asarray(self._compiled(filled)), np.arange(_BATCH) < len(rows))
    return moments.statistics()
