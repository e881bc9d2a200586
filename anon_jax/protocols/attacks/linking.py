"""One attack's outcome: do probes find their people in a gallery more often than by chance?"""

from typing import Any, NamedTuple

import numpy as np

from anon_jax.evaluation import identification
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.evaluation.retrieval import block_distances, checked

_PERMUTATIONS = 1000


class Side(NamedTuple):
  """Probes, or a gallery.

  Attributes:
    vectors: float [n, d], of unit length.
    labels: int [n], who is shown.
    sources: int [n], which photograph each is, or was made from; a probe is never compared with
      its own source.
  """

  vectors: np.ndarray
  labels: np.ndarray
  sources: np.ndarray

  def kept(self, keep: np.ndarray) -> 'Side':
    """Returns those that a mask or indices choose."""
    return Side(*(values[keep] for values in self))

  def known(self) -> 'Side':
    """Returns those whose vectors are numbers."""
    return self.kept(np.isfinite(self.vectors).all(axis=1))


def mean_of(rows: np.ndarray) -> np.ndarray:
  """Returns the mean of the vectors [n, d] that are numbers, of unit length; NaN without one."""
  rows = rows[np.isfinite(rows).all(axis=1)]
  if not len(rows):
    return np.full(rows.shape[1], np.nan)
  mean = rows.mean(axis=0)
  found: np.ndarray = mean / np.linalg.norm(mean)
  return found


def link(probes: Side, gallery: Side, limit: float | None = None, seed: int = 0) -> dict[str, Any]:
  """Measures how well probes are linked to a gallery.

  Chance is what is left when the gallery's people are renamed at random: it knows how many pictures
  each has, and how they lie.

  Args:
    probes: whose people are looked for.
    gallery: where.
    limit: cosine from which two pictures count as one person, fixed on clear pictures of other
      people; None leaves the rate out.
    seed: of the permutations.

  Returns:
    `probes` and `people`, numbers; `recall`, the share of probes whose nearest picture is of the
    same person, with a 95 % interval, people drawn as wholes; `chance`, its mean under permutation,
    and `chance_95`, what one permutation in twenty exceeds; `lift`, recall over chance; `p`, the
    share of permutations that reach the recall, one added to both; `auc` over all pairs, sources
    left out; `accepted`, the share of genuine pairs above the limit, and `accepted_of_two`, that of
    pairs of two people.

  Raises:
    ValueError: no probe, an empty gallery, or vectors of two sizes.
  """
  vectors, labels = checked('probes', probes.vectors, probes.labels)
  others, names = checked('gallery', gallery.vectors, gallery.labels)
  nearest = np.zeros(len(labels), int)
  genuine, impostor = [], []
  for block, distances in block_distances(vectors, others, 512):
    allowed = probes.sources[block, None] != gallery.sources[None, :]
    nearest[block] = np.where(allowed, distances, np.inf).argmin(axis=1)
    same = labels[block, None] == names[None, :]
    genuine.append(1 - distances[allowed & same] / 2)
    impostor.append(1 - distances[allowed & ~same] / 2)
  right = names[nearest] == labels
  chance = _by_chance(names[nearest], labels, np.unique(names), seed)
  own, strangers = np.concatenate(genuine), np.concatenate(impostor)
  result: dict[str, Any] = {
    'probes': len(labels),
    'people': len(np.unique(labels)),
    'recall': bootstrap_mean(right, groups=labels),
    'chance': float(chance.mean()),
    'chance_95': float(np.quantile(chance, 0.95)),
    'lift': float(right.mean() / chance.mean()) if chance.mean() else None,
    'p': float((1 + np.sum(chance >= right.mean())) / (1 + len(chance))),
    'auc': identification.verification_of_scores(own, strangers)['auc'],
  }
  if limit is not None:
    result['accepted'] = float(np.mean(own > limit))
    result['accepted_of_two'] = float(np.mean(strangers > limit))
  return result


def _by_chance(found: np.ndarray, wanted: np.ndarray, people: np.ndarray, seed: int) -> np.ndarray:
  """Returns the share of probes that are right when the gallery's people are renamed."""
  rng = np.random.default_rng(seed)
  place = np.searchsorted(people, found)
  return np.array([np.mean(rng.permutation(people)[place] == wanted) for _ in range(_PERMUTATIONS)])
