"""The kernel distance of two sets of pictures, on the features of any network (KID).

The squared maximum mean discrepancy under the kernel (x.y / d + 1)^3 of Binkowski et al. 2018
(arXiv 1801.01401). Unlike the Frechet distance its estimate is unbiased at any number of pictures,
so it may come out below 0, and equal sets of other pictures average to 0.
"""

from typing import Any

import numpy as np

_DEGREE = 3
_ROWS = 1024  # rows of a kernel matrix held at a time


def kernel_distance(real: np.ndarray, generated: np.ndarray, rows: int = _ROWS) -> float:
  """Returns the unbiased squared discrepancy over all pictures; may be below 0.

  Args:
    real: float [n, d] features, n at least 2.
    generated: float [m, d], m at least 2.
    rows: of a kernel matrix, held at a time.

  Raises:
    ValueError: other shapes, fewer than two pictures, NaN or infinity.
  """
  real, generated = _checked(real, generated)
  n, m = len(real), len(generated)
  return (
    (_total(real, real, rows) - _diagonal(real)) / (n * (n - 1))
    + (_total(generated, generated, rows) - _diagonal(generated)) / (m * (m - 1))
    - 2 * _total(real, generated, rows) / (n * m)
  )


def subset_distances(
  real: np.ndarray, generated: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> np.ndarray:
  """Returns the discrepancies of random subsets, float64 [subsets], as KID is published.

  Pictures are put in the order of their features before they are drawn, so the order of the files
  changes nothing.

  Args:
    real: float [n, d] features.
    generated: float [m, d].
    subsets: how many.
    size: pictures of each side in a subset, without repetition.
    seed: of the draws.

  Raises:
    ValueError: as `kernel_distance`, or subsets that are larger than a side.
  """
  real, generated = (_ordered(side) for side in _checked(real, generated))
  if not 2 <= size <= min(len(real), len(generated)) or subsets < 1:
    raise ValueError(
      f'{subsets} subsets of {size} cannot be drawn from {len(real)} and {len(generated)} '
      f'pictures; choose a size from 2 to {min(len(real), len(generated))}.'
    )
  rng = np.random.default_rng(seed)
  values = []
  for _ in range(subsets):
    a, b = (side[rng.choice(len(side), size, replace=False)] for side in (real, generated))
    values.append(kernel_distance(a, b))
  return np.array(values)


def compare(
  name: str,
  real: np.ndarray,
  generated: np.ndarray,
  *,
  subsets: int = 100,
  size: int = 1000,
  seed: int = 0,
) -> dict[str, Any]:
  """Returns both estimates with all that a table must say of them.

  Args:
    name: what it is called: `FeatureNetwork.kernel`.
    real: float [n, d] features.
    generated: float [m, d].
    subsets: how many.
    size: pictures of each side in a subset; lowered to the smaller side.
    seed: of the draws.

  Returns:
    `name`, `value` (over all pictures), `subset_mean` and `subset_std` (population, over subsets;
    no standard error of `value`, and 0 where subsets hold all pictures), `subsets`, `subset_size`,
    `seed`, `dimensions`, and numbers of pictures `real` and `generated`.
  """
  size = min(size, len(real), len(generated))
  drawn = subset_distances(real, generated, subsets=subsets, size=size, seed=seed)
  return {
    'name': name,
    'value': kernel_distance(real, generated),
    'subset_mean': float(drawn.mean()),
    'subset_std': float(drawn.std()),
    'subsets': subsets,
    'subset_size': size,
    'seed': seed,
    'dimensions': int(np.shape(real)[1]),
    'real': len(real),
    'generated': len(generated),
  }


def _kernel(products: np.ndarray, dimensions: int) -> np.ndarray:
  return (products / dimensions + 1) ** _DEGREE


def _total(a: np.ndarray, b: np.ndarray, rows: int) -> float:
  """Sums the kernel over all pairs."""
  starts = range(0, len(a), rows)
  return float(sum(_kernel(a[s : s + rows] @ b.T, a.shape[1]).sum() for s in starts))


def _diagonal(a: np.ndarray) -> float:
  return float(_kernel(np.sum(a**2, axis=1), a.shape[1]).sum())


def _ordered(features: np.ndarray) -> np.ndarray:
  return features[np.lexsort(features.T[::-1])]  # by the first dimension, then the second, ...


def _checked(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  a, b = np.asarray(real, np.float64), np.asarray(generated, np.float64)
  if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
    raise ValueError(
      f'Features have shapes {a.shape} and {b.shape}; expected [n, d] and [m, d] with at least two '
      f'pictures each.'
    )
  if not (np.isfinite(a).all() and np.isfinite(b).all()):
    raise ValueError('The features hold NaN or infinity.')
  return a, b
