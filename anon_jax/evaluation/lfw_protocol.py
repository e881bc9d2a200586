"""Verification on LFW as its users do it: thresholds from all folds but one, used on that one.

The rules are those of github.com/davidsandberg/facenet, `src/lfw.py` (metrics.md 4): squared
Euclidean distances of unit vectors, a pair is accepted strictly below the threshold; accuracy with
thresholds from 0 to 4 in steps of .01, TAR at a FAR in steps of .001.
"""

from typing import Any

import numpy as np

_ACCURACY_STEPS = np.arange(0, 4, 0.01)
_RATE_STEPS = np.arange(0, 4, 0.001)


def by_folds(
  distances: np.ndarray,
  same: np.ndarray,
  fold: np.ndarray,
  *,
  far: float = 1e-3,
  threshold_distances: np.ndarray | None = None,
) -> dict[str, Any]:
  """Accuracy and TAR at FAR, by folds.

  Args:
    distances: float [n], squared distance of the two pictures of each pair, in [0, 4]; infinite
      where a picture shows no face that is found: such a pair is accepted at no threshold.
    same: bool [n], whether a pair shows one person.
    fold: int [n].
    far: false accept rate, in (0, 1).
    threshold_distances: of the same pairs, from which thresholds are taken; None: `distances`
      themselves. Distances of originals stand for whoever has set up a verifier without knowing of
      anonymization.

  Returns:
    `accuracy`, `tar` and `far`, each the mean over the folds, with `accuracy_std` and `tar_std`,
    the standard deviations of the folds as a population; `thresholds`, those for the FAR.

  Raises:
    ValueError: other shapes, NaN, or fewer than two folds.
  """
  distances, same, fold = (
    np.asarray(distances, np.float64),
    np.asarray(same, bool),
    np.asarray(fold),
  )
  known = distances if threshold_distances is None else np.asarray(threshold_distances, np.float64)
  if not (distances.ndim == 1 and distances.shape == same.shape == fold.shape == known.shape):
    raise ValueError(
      f'{distances.shape}, {same.shape}, {fold.shape} and {known.shape}: expected [n] of each.'
    )
  if np.isnan(distances).any() or np.isnan(known).any():
    raise ValueError('The distances hold NaN.')
  numbers = np.unique(fold)
  if len(numbers) < 2:
    raise ValueError('Thresholds come from the other folds: give two folds or more.')
  rows = []
  for number in numbers:
    others, own = fold != number, fold == number
    best = _best_threshold(known[others], same[others])
    limit = _threshold_at(known[others & ~same], far)
    accepted = distances[own] < limit
    rows.append(
      (
        np.mean((distances[own] < best) == same[own]),
        np.mean(accepted[same[own]]),
        np.mean(accepted[~same[own]]),
        limit,
      )
    )
  accuracy, tar, accepted_rate, limits = np.array(rows).T
  return {
    'accuracy': float(accuracy.mean()),
    'accuracy_std': float(accuracy.std()),
    'tar': float(tar.mean()),
    'tar_std': float(tar.std()),
    'far': float(accepted_rate.mean()),
    'thresholds': limits.tolist(),
  }


def _best_threshold(distances: np.ndarray, same: np.ndarray) -> float:
  """Returns the first of the thresholds with the most pairs told apart."""
  right = [np.mean((distances < step) == same) for step in _ACCURACY_STEPS]
  return float(_ACCURACY_STEPS[int(np.argmax(right))])


def _threshold_at(impostors: np.ndarray, far: float) -> float:
  """Returns the threshold at which a share `far` of pairs of two people is accepted.

  Between two thresholds it lies on a straight line; 0 where no threshold accepts so many.
  """
  rates = np.array([np.mean(impostors < step) for step in _RATE_STEPS])
  return float(np.interp(far, rates, _RATE_STEPS)) if rates.max() >= far else 0.0
