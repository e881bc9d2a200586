"""Confidence intervals."""

import numpy as np


def bootstrap_mean(values: np.ndarray, draws: int = 2000, seed: int = 0) -> dict[str, float]:
  """Returns the mean of `values` [n] and its 95 % percentile bootstrap interval.

  Args:
    values: one number a sample unit.
    draws: resamplings.
    seed: of the resampling, so that a result can be repeated.

  Returns:
    `mean`, `low`, `high`; all NaN for no values.
  """
  values = np.asarray(values, np.float64)
  if not len(values):
    return {'mean': float('nan'), 'low': float('nan'), 'high': float('nan')}
  rng = np.random.default_rng(seed)
  means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)]
  low, high = np.percentile(means, (2.5, 97.5))
  return {'mean': float(values.mean()), 'low': float(low), 'high': float(high)}
