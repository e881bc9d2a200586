"""Confidence intervals."""

import math

import numpy as np

_Z = 1.959963984540054  # two-sided 95 % of a normal distribution


def bootstrap_mean(
  values: np.ndarray, draws: int = 2000, seed: int = 0, groups: np.ndarray | None = None
) -> dict[str, float]:
  """Returns the mean of `values` [n] and its 95 % percentile bootstrap interval.

  Args:
    values: one number a sample unit.
    draws: resamplings.
    seed: of the resampling, so that a result can be repeated.
    groups: [n], what belongs together, such as the pictures of one person: groups are drawn as
      wholes then. None: each value for itself.

  Returns:
    `mean`, `low`, `high`; all NaN for no values.
  """
  values = np.asarray(values, np.float64)
  if not len(values):
    return {'mean': float('nan'), 'low': float('nan'), 'high': float('nan')}
  rng = np.random.default_rng(seed)
  if groups is None:
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)]
  else:
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, weights=values)
    drawn = rng.integers(0, len(counts), (draws, len(counts)))
    means = list(sums[drawn].sum(1) / counts[drawn].sum(1))
  low, high = np.percentile(means, (2.5, 97.5))
  return {'mean': float(values.mean()), 'low': float(low), 'high': float(high)}


def wilson(share: float, count: int) -> tuple[float, float]:
  """Returns Wilson's 95 % score interval of a share of `count` independent trials (Wilson 1927).

  Raises:
    ValueError: no trial, or no share.
  """
  if count < 1 or not 0 <= share <= 1:
    raise ValueError(f'share={share}, count={count}; expected a share in [0, 1] of 1 or more.')
  square = _Z**2 / count
  middle = (share + square / 2) / (1 + square)
  half = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
  # at 0 and 1 one end is exact, and rounding must not move it
  return (0.0 if share == 0 else middle - half, 1.0 if share == 1 else middle + half)


def share_of(hits: np.ndarray, groups: np.ndarray | None = None) -> dict[str, float]:
  """Returns the share of `hits`, bool [n], and a 95 % interval that few units do not collapse.

  It is that of `bootstrap_mean`. Where all hit, or none, every resampling is alike and says
  nothing: there it is Wilson's, of as many trials as there are groups, as if each group were one.

  Args:
    hits: one a sample unit.
    groups: [n], what belongs together; None: each for itself.

  Returns:
    `mean`, `low`, `high`; all NaN for no units.
  """
  hits = np.asarray(hits, bool)
  found = bootstrap_mean(hits, groups=groups)
  if len(hits) and hits.all() == hits.any():
    count = len(hits) if groups is None else len(np.unique(groups))
    found['low'], found['high'] = wilson(found['mean'], count)
  return found
