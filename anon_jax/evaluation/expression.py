"""What an anonymized face keeps of an expression, as far as a semantic map shows it.

How far the mouth and the eyes are open, read off the maps that S makes of the source and of the
output. S is the network that A is told the source's map by, so this measures whether A painted what
it was told; whoever wants another judge gives other maps.
"""

from typing import Any

import numpy as np

from anon_jax.data import semantic
from anon_jax.evaluation.intervals import bootstrap_mean

MEASURES = ('mouth', 'eyes', 'overlap')
_EYES, _MOUTH = semantic.CLASSES.index('eyes'), semantic.CLASSES.index('mouth')
_LEAST = 4  # pixels of a part, below which its form is not measured


def openness(maps: np.ndarray) -> np.ndarray:
  """Measures how far mouths and eyes are open.

  Args:
    maps: classes of crops, int [n, s, s].

  Returns:
    float64 [n, 2]: of the mouth, the ratio of its spreads down and across (a closed one is flat);
    of the eyes, the root of their area as a share of the root of the foreground's. NaN where a map
    has too few pixels of them.
  """
  found = np.full((len(maps), 2), np.nan)
  for row, classes in zip(found, np.asarray(maps), strict=True):
    down, across = np.nonzero(classes == _MOUTH)
    if len(down) >= _LEAST and np.ptp(across):
      row[0] = down.std() / across.std()
    eyes = np.count_nonzero(classes == _EYES)
    if eyes >= _LEAST:
      foreground = np.count_nonzero(np.isin(classes, semantic.FOREGROUND))
      row[1] = np.sqrt(eyes / foreground)
  return found


def expression_preservation(
  source: np.ndarray, output: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
  """Compares the expressions of sources and outputs.

  Args:
    source: maps, int [n, s, s].
    output: maps of the outputs, in the same frames.
    groups: [n], the person of each face, for the intervals; None: each face for itself.
    seed: of the draw for the chance level.

  Returns:
    For `mouth` and `eyes` the mean absolute difference of `openness` with a 95 % interval, its
    `chance` between a source and another source's output, and the `correlation` of both; for
    `overlap` the mean intersection over union of mouth and eyes, its interval and `chance`. NaN for
    what too few faces have.

  Raises:
    ValueError: other numbers or sizes of maps.
  """
  source, output = np.asarray(source), np.asarray(output)
  if source.ndim != 3 or source.shape != output.shape:
    raise ValueError(f'maps have shapes {source.shape} and {output.shape}; expected [n, s, s].')
  order = np.random.default_rng(seed).permutation(len(source))
  before, after = openness(source), openness(output)
  result: dict[str, Any] = {}
  for column, name in enumerate(MEASURES[:2]):
    pairs = np.stack([before[:, column], after[:, column]])
    both = np.isfinite(pairs).all(0)
    known, who = pairs[:, both], None if groups is None else np.asarray(groups)[both]
    shuffled = order[both[order]]  # each face with the next one of a random circle
    others = np.abs(before[shuffled, column] - after[np.roll(shuffled, 1), column])
    result[name] = {
      **bootstrap_mean(np.abs(known[0] - known[1]), groups=who),
      'chance': _mean(others) if len(others) > 1 else float('nan'),
      'correlation': _correlation(known),
    }
  parts = [np.isin(maps, (_MOUTH, _EYES)) for maps in (source, output)]
  shared = _overlaps(*parts)
  there = np.isfinite(shared)
  who = None if groups is None else np.asarray(groups)[there]
  others = _overlaps(parts[0][order], parts[1][np.roll(order, 1)])
  chance = _mean(others[np.isfinite(others)]) if len(others) > 1 else float('nan')
  result['overlap'] = {**bootstrap_mean(shared[there], groups=who), 'chance': chance}
  return result


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Returns intersections over unions of masks [n, s, s]; NaN where both are empty."""
  union = np.sum(a | b, axis=(1, 2))
  return np.where(union > 0, np.sum(a & b, axis=(1, 2)) / np.maximum(union, 1), np.nan)


def _correlation(pairs: np.ndarray) -> float:
  if pairs.shape[1] < 3 or not np.ptp(pairs, axis=1).all():
    return float('nan')
  return float(np.corrcoef(pairs)[0, 1])


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if len(values) else float('nan')
