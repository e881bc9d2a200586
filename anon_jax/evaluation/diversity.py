"""How different the outputs of one input are, by control identity (paper 4.1, metrics.md 2 and 5).

Two measures: how many training identities the outputs are taken for, and how far apart random
pairs of outputs lie in the eyes of an LPIPS distance, which is a distance although the paper calls
it similarity.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation.intervals import bootstrap_mean


def distinct_nearest(outputs: np.ndarray, people: np.ndarray) -> int:
  """Returns how many identities are nearest to one output or more.

  Args:
    outputs: float [n, d], embeddings of one input's outputs.
    people: float [m, d], one of each training identity, of unit length: the largest product is the
      nearest. Of equally near ones the first counts.
  """
  return len(np.unique(np.argmax(outputs @ people.T, axis=1)))


def reid_diversity(groups: Iterable[np.ndarray], people: np.ndarray) -> dict[str, Any]:
  """Distinct nearest training identities, as a mean over inputs.

  Args:
    groups: for each input the embeddings of its outputs, float [n, d]; n of each.
    people: float [m, d], one of each training identity, of unit length.

  Returns:
    `inputs`, `outputs` of each, `bound` (the most that can be reached: n or m), and mean and 95 %
    bootstrap interval over inputs.

  Raises:
    ValueError: inputs with other numbers of outputs, whose counts could not be averaged, or none.
  """
  counts, sizes = [], set()
  for outputs in groups:
    sizes.add(len(outputs))
    counts.append(distinct_nearest(outputs, people))
  if len(sizes) != 1:
    raise ValueError(f'The inputs have {sorted(sizes)} outputs; expected one number for all.')
  (size,) = sizes
  return {
    'inputs': len(counts),
    'outputs': size,
    'bound': min(size, len(people)),
    **bootstrap_mean(np.array(counts)),
  }


def random_pairs(count: int, pairs: int, rng: np.random.Generator) -> np.ndarray:
  """Draws different pairs of different outputs.

  Args:
    count: of outputs, at least 2.
    pairs: how many; all count * (count - 1) / 2 where there are no more.
    rng: of the draw.

  Returns:
    int [pairs, 2], the smaller number of a pair first.

  Raises:
    ValueError: fewer than two outputs, or no pair asked for.
  """
  if count < 2 or pairs < 1:
    raise ValueError(f'{pairs} pairs of {count} outputs; give 1 or more of 2 or more.')
  first, second = np.triu_indices(count, 1)
  chosen = rng.permutation(len(first))[:pairs]
  return np.stack([first[chosen], second[chosen]], axis=1)


def lpips_diversity(
  distances: Callable[[np.ndarray, np.ndarray], Any],
  groups: Iterable[Sequence[np.ndarray] | np.ndarray],
  *,
  pairs: int = 500,
  batch: int = 32,
  seed: int = 0,
) -> dict[str, Any]:
  """Mean distance of random pairs of outputs of the same input.

  Args:
    distances: of pictures [b, h, w, 3] and as many others, [b]; such as a compiled
      `Lpips.distances` with its parameters. It is always given `batch` of them.
    groups: for each input its outputs, [n, h, w, 3].
    pairs: for each input; all where it has fewer.
    batch: pairs compared at a time.
    seed: of the draws; each input has its own.

  Returns:
    `inputs`, `pairs` in all, `seed`, and mean and 95 % bootstrap interval over inputs of the mean
    over an input's pairs.

  Raises:
    ValueError: an input with fewer than two outputs.
  """
  means, total = [], 0
  for number, outputs in enumerate(groups):
    drawn = random_pairs(len(outputs), pairs, np.random.default_rng((seed, number)))
    means.append(float(np.mean(_distances(distances, np.asarray(outputs), drawn, batch))))
    total += len(drawn)
  return {'inputs': len(means), 'pairs': total, 'seed': seed, **bootstrap_mean(np.array(means))}


def _distances(
  distances: Callable[[np.ndarray, np.ndarray], Any],
  outputs: np.ndarray,
  drawn: np.ndarray,
  batch: int,
) -> np.ndarray:
  parts = []
  for start in range(0, len(drawn), batch):
    rows = drawn[start : start + batch]
    # filled up, so that one shape is compiled
    filled = np.pad(rows, ((0, batch - len(rows)), (0, 0)), mode='edge')
    found = distances(outputs[filled[:, 0]], outputs[filled[:, 1]])
    parts.append(np.asarray(found, np.float64)[: len(rows)])
  return np.concatenate(parts)
