"""Compiled functions over more rows than a batch has."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm


def in_batches(run: Callable[..., Any], size: int, title: str, *arrays: np.ndarray) -> np.ndarray:
  """Runs a function over rows, always as many at a time: the last batch is filled up.

  Args:
    run: arrays [size, ...] -> [size, ...]; compiled for one shape.
    size: rows in a batch.
    title: of the progress bar.
    arrays: [n, ...] each, n at least 1.

  Returns:
    [n, ...].
  """
  parts, count = [], len(arrays[0])
  for start in tqdm(range(0, count, size), desc=title, file=sys.stderr, disable=None):
    rows = [array[start : start + size] for array in arrays]
    lack = size - len(rows[0])
    filled = [np.pad(r, [(0, lack), *[(0, 0)] * (r.ndim - 1)], mode='edge') for r in rows]
    parts.append(np.asarray(run(*filled))[: len(rows[0])])
  return np.concatenate(parts)
