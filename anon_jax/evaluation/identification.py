"""Verification by AUC, TAR at FAR and EER, from embeddings and identities.

Statistics are float64. Squared Euclidean distances decide; for embeddings of unit length that is
the order of their cosines. Work goes row block by row block, so that memory stays bounded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation.retrieval import ROWS, block_distances, checked

FARS = (1e-2, 1e-3)


def verification(
  embeddings: np.ndarray,
  labels: np.ndarray,
  fars: Sequence[float] = FARS,
  rows: int = ROWS,
) -> dict[str, Any]:
  """AUC, EER and TAR at FAR over all pairs of pictures; every pair counts once.

  Memory: the scores of all genuine pairs, and `rows` x n scores at a time.

  Args:
    embeddings: float [n, d].
    labels: int [n], identities.
    fars: false accept rates.
    rows: pictures compared with all others at a time.

  Returns:
    As `verification_of_scores`.

  Raises:
    ValueError: shapes that do not fit, NaN or infinity, no genuine or no impostor pair.
  """
  embeddings, labels = checked('embeddings', embeddings, labels)

  def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for block, distances in block_distances(embeddings, embeddings, rows):
      once = np.arange(len(labels))[None, :] > np.arange(len(labels))[block, None]
      same = labels[block, None] == labels[None, :]
      yield -distances[once & same], -distances[once & ~same]

  genuine = np.sort(np.concatenate([scores for scores, _ in pairs()]))
  roc = _Roc(genuine)
  for _, impostor in pairs():
    roc.add(impostor)
  return roc.result(fars)


def verification_of_scores(
  genuine: np.ndarray, impostor: np.ndarray, fars: Sequence[float] = FARS
) -> dict[str, Any]:
  """AUC, EER and TAR at FAR of given similarity scores, the higher the more alike.

  Args:
    genuine: float [p], scores of pairs of one identity.
    impostor: float [m], scores of pairs of two identities.
    fars: false accept rates.

  Returns:
    `genuine` and `impostor`, numbers of pairs; `auc`, the probability that a genuine pair scores
    higher than an impostor pair, ties counting one half; `eer`, where the ROC curve (joined by
    straight lines) has as many false accepts as false rejects; `tar@FAR`, for example `tar@0.001`,
    the largest share of genuine pairs that a threshold accepts while its share of accepted
    impostor pairs is not above FAR. Below 1 / m that means that no impostor pair is accepted.

  Raises:
    ValueError: no genuine or no impostor score, NaN, or a FAR outside [0, 1].
  """
  roc = _Roc(np.sort(np.asarray(genuine, np.float64).ravel()))
  roc.add(np.asarray(impostor, np.float64).ravel())
  return roc.result(fars)


def accept_threshold(
  embeddings: np.ndarray, labels: np.ndarray, far: float, rows: int = ROWS
) -> float:
  """The smallest cosine that at most the share `far` of pairs of two identities lies above.

  Args:
    embeddings: float [n, d], of unit length.
    labels: int [n], identities.
    far: false accept rate, in (0, 1).
    rows: pictures compared with all others at a time.

  Returns:
    A cosine, in [-1, 1].

  Raises:
    ValueError: shapes that do not fit, NaN or infinity, or no pair of two identities.
  """
  embeddings, labels = checked('embeddings', embeddings, labels)
  kept, count = np.empty(0), 0
  for block, distances in block_distances(embeddings, embeddings, rows):
    once = np.arange(len(labels))[None, :] > np.arange(len(labels))[block, None]
    impostor = distances[once & (labels[block, None] != labels[None, :])]
    count += len(impostor)
    # never more than those that may lie above in the end, and the threshold itself
    most = int(far * len(labels) * (len(labels) - 1) / 2) + 1
    kept = np.sort(np.concatenate([kept, impostor]))[:most]
  if not count:
    raise ValueError('No pair of two identities; a false accept rate needs at least one.')
  return float(1 - kept[int(far * count)] / 2)


class _Roc:
  """The ROC curve of sorted genuine scores, while impostor scores arrive in parts.

  Each impostor score is only counted between which genuine scores it lies: the share of accepted
  genuine pairs changes nowhere else, so nothing about the curve's area, its EER or its best point
  under a FAR is lost.
  """

  def __init__(self, genuine: np.ndarray):
    if np.isnan(genuine).any():
      raise ValueError('The genuine scores hold NaN.')
    self._levels, self._repeats = np.unique(genuine, return_counts=True)
    self._between = np.zeros(len(self._levels) + 1, np.int64)  # [k]: above level k - 1, below k
    self._equal = np.zeros(len(self._levels), np.int64)

  def add(self, impostor: np.ndarray) -> None:
    if np.isnan(impostor).any():
      raise ValueError('The impostor scores hold NaN.')
    size = len(self._levels)
    left = np.searchsorted(self._levels, impostor, 'left')
    tied = np.searchsorted(self._levels, impostor, 'right') > left
    self._between += np.bincount(left[~tied], minlength=size + 1)
    self._equal += np.bincount(left[tied], minlength=size)[:size]

  def result(self, fars: Sequence[float]) -> dict[str, Any]:
    genuine, impostor = int(self._repeats.sum()), int(self._between.sum() + self._equal.sum())
    if not genuine or not impostor:
      raise ValueError(
        f'{genuine} genuine and {impostor} impostor pairs; verification needs both: at least two '
        f'pictures of one identity and one of another.'
      )
    if not all(0 <= far <= 1 for far in fars):
      raise ValueError(f'fars={list(fars)}; expected shares in [0, 1].')
    # Accepted at a threshold of each level, from the highest level down.
    accepted = np.cumsum(self._repeats[::-1])
    above = np.cumsum(self._between[:0:-1])  # impostors above the level, those at levels left out
    equal = self._equal[::-1]
    until = above + np.cumsum(equal)  # accepted impostors, those at the level included
    # A genuine pair beats the impostors that are below its level, and half of those at it.
    beaten = (impostor - until + equal / 2) * self._repeats[::-1]
    result: dict[str, Any] = {
      'genuine': genuine,
      'impostor': impostor,
      'auc': float(beaten.sum() / genuine / impostor),
      'eer': _equal_error(until, equal, accepted, genuine, impostor),
    }
    for far in fars:
      allowed = accepted[until / impostor <= far]
      result[f'tar@{far:g}'] = float(allowed[-1] / genuine) if len(allowed) else 0.0
    return result


def _equal_error(
  until: np.ndarray, equal: np.ndarray, accepted: np.ndarray, genuine: int, impostor: int
) -> float:
  """Where the ROC curve crosses false accepts = false rejects, both as shares."""
  # At each level: along the impostors above it, then one step by its own pairs of both kinds.
  before = np.concatenate([[0], accepted[:-1]])
  false_accepts = np.stack([until - equal, until], axis=1).ravel() / impostor
  false_rejects = 1 - np.stack([before, accepted], axis=1).ravel() / genuine
  far = np.concatenate([[0.0], false_accepts, [1.0]])
  gap = np.concatenate([[1.0], false_rejects, [0.0]]) - far
  after = int(np.argmax(gap <= 0))  # never 0, where the gap is 1
  share = gap[after - 1] / (gap[after - 1] - gap[after])
  return float(far[after - 1] + share * (far[after] - far[after - 1]))
