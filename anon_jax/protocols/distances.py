"""How far a set of crops is from another: Frechet and kernel distance on one network's features."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from anon_jax import compiling
from anon_jax.evaluation import frechet, kernel_distance
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.protocols.report import interval
from anon_jax.proxy import to_signed

# Parts that are left out in turn for the interval of the Frechet distance.
_PARTS = 10
# Subsets of half of the pictures scatter about as the whole does; published KIDs have 1,000.
_SUBSETS, _MOST_IN_SUBSET = 100, 1000
HEAD = ('Frechet distance', 'kernel distance')


class Distances:
  """Compares sets of crops.

  Args:
    network: whose features are compared.
    params: of the same.
    batch: crops in a batch; results do not depend on it.
  """

  def __init__(self, network: FeatureNetwork, params: Any, batch: int = 16):
    self._network, self._batch = network, batch
    self._params = jax.device_put(params)
    self._run = compiling.jit(lambda params, pixels: network.features(params, to_signed(pixels)))

  def features(self, crops: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the features of crops as they come, uint8 [s, s, 3] each -> float32 [n, d]."""
    parts: list[np.ndarray] = [np.zeros((0, self._network.dimensions), np.float32)]
    waiting: list[np.ndarray] = []
    for crop in crops:
      waiting.append(crop)
      if len(waiting) == self._batch:
        parts.append(self._padded(waiting))
        waiting = []
    if waiting:
      parts.append(self._padded(waiting))
    return np.concatenate(parts)

  def compare(
    self, real: np.ndarray, generated: np.ndarray, groups: Sequence[int] | None = None
  ) -> dict[str, Any]:
    """Returns both distances.

    Args:
      real: float [n, d] features of originals.
      generated: float [n, d] of what was made of them, in the same order.
      groups: [n], what is left out together, such as the pictures of a person; None: each picture
        for itself.

    Returns:
      `frechet`: as `evaluation.frechet.compare`, with `low`, `high` and `error` of a jackknife
      over parts of the groups (NaN where there are too few); `kernel`: as
      `evaluation.kernel_distance.compare`, of subsets of half of the pictures.

    Raises:
      ValueError: fewer than two pictures, other shapes, NaN or infinity.
    """
    places = np.unique(np.arange(len(real)) if groups is None else groups, return_inverse=True)[1]
    parts = [np.flatnonzero(places % _PARTS == part) for part in range(_PARTS)]
    parts = [part for part in parts if len(part)]
    whole = frechet.compare(
      self._network.frechet, _moments(real).statistics(), _moments(generated).statistics()
    )
    spread = {'low': float('nan'), 'high': float('nan'), 'error': float('nan')}
    if len(parts) > 1 and len(real) - max(map(len, parts)) > 1:
      sides = ([_moments(side[part]) for part in parts] for side in (real, generated))
      found = frechet.interval(*sides)
      spread = {name: found[name] for name in spread}
    size = max(2, min(_MOST_IN_SUBSET, len(real) // 2))
    kernel = kernel_distance.compare(
      self._network.kernel, real, generated, subsets=_SUBSETS, size=size
    )
    return {'frechet': whole | spread, 'kernel': kernel}

  def _padded(self, crops: Sequence[np.ndarray]) -> np.ndarray:
    rows = np.stack(crops)
    lack = self._batch - len(rows)
    filled = np.pad(rows, ((0, lack), *[(0, 0)] * 3), mode='edge')
    return np.asarray(self._run(self._params, filled))[: len(crops)]


def cells(found: Mapping[str, Any]) -> list[str]:
  """Returns the cells under `HEAD` of what `compare` returned, or dashes for None in it."""
  frechet_found, kernel = found['frechet'], found['kernel']
  if frechet_found is None:
    return ['-'] * len(HEAD)
  return [
    interval({**frechet_found, 'mean': frechet_found['value']}, 1),
    f'{_shown(kernel["value"])} ± {_shown(kernel["subset_std"])}',
  ]


def _shown(value: float) -> str:
  """Three digits of a number that may have any size: networks have features of their own."""
  return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def _moments(features: np.ndarray) -> frechet.Moments:
  moments = frechet.Moments.empty(features.shape[1])
  moments.add(features)
  return moments
