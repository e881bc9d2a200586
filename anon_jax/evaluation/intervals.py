"""Confidence intervals."""

import numpy as np


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
