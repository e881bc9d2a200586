"""The Frechet distance of two sets of pictures, on the features of any network (metrics.md 1).

Two normal distributions are fitted to the features, and the squared distance between them is::

  |m1 - m2|^2 + Tr(S1) + Tr(S2) - 2 Tr((S1^1/2 S2 S1^1/2)^1/2).

On the published Inception of 2015 this is the FID; on any other network it is a distance of the
same kind with other values, and has to be called by that network's name. It is too large for small
samples, by about 1/n: compare only numbers of equal counts.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

_NORMAL_95 = 1.959964  # standard errors on either side of a 95 % interval


@dataclasses.dataclass(frozen=True)
class Statistics:
  """The normal distribution that was fitted to features.

  Attributes:
    count: of pictures.
    mean: float64 [d].
    covariance: float64 [d, d], with n - 1 in the denominator.
  """

  count: int
  mean: np.ndarray
  covariance: np.ndarray


@dataclasses.dataclass
class Moments:
  """Sums over features, in float64; batch by batch, in any order and any partition.

  Its three fields are all of its state: saved and put back, they go on where they stopped.

  Attributes:
    count: of features so far.
    total: float64 [d], their sum.
    products: float64 [d, d], the sum of their outer products. Those of float32 numbers are exact.
  """

  count: int
  total: np.ndarray
  products: np.ndarray

  @classmethod
  def empty(cls, dimensions: int) -> 'Moments':
    """Returns the sums over nothing."""
    return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

  def add(self, features: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Takes a batch.

    Args:
      features: float [b, d].
      mask: [b], 0 for rows that only fill the batch up; None takes all.

    Raises:
      ValueError: another number of dimensions, a mask of another length, NaN or infinity.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[1] != len(self.total):
      raise ValueError(f'Features have shape {features.shape}; expected [b, {len(self.total)}].')
    if mask is not None:
      mask = np.asarray(mask)
      if mask.shape != features.shape[:1]:
        raise ValueError(f'The mask has shape {mask.shape}; expected [{len(features)}].')
      features = features[mask > 0]
    if not np.isfinite(features).all():
      raise ValueError('The features hold NaN or infinity.')
    self.count += len(features)
    self.total += features.sum(0)
    self.products += features.T @ features

  def without(self, part: 'Moments') -> 'Moments':
    """Returns the sums over all but `part` of what is summed here."""
    return Moments(self.count - part.count, self.total - part.total, self.products - part.products)

  def statistics(self) -> Statistics:
    """Returns the fitted distribution.

    Raises:
      ValueError: fewer than two features, which have no covariance.
    """
    if self.count < 2:
      raise ValueError(f'{self.count} features have no covariance; at least 2 are needed.')
    mean = self.total / self.count
    covariance = (self.products - np.outer(mean, self.total)) / (self.count - 1)
    return Statistics(self.count, mean, (covariance + covariance.T) / 2)


def summed(parts: Sequence[Moments]) -> Moments:
  """Returns the sums over all parts; they share no feature.

  Raises:
    ValueError: no part.
  """
  if not parts:
    raise ValueError('There is no part to sum up.')
  whole = Moments.empty(len(parts[0].total))
  for part in parts:
    whole.count += part.count
    whole.total += part.total
    whole.products += part.products
  return whole


def moments_of(
  features: Callable[[dict[str, Any]], Any],
  batches: Iterable[dict[str, Any]],
  dimensions: int,
  parts: int = 1,
) -> list[Moments]:
  """Sums up the features of padded batches.

  Args:
    features: batch -> float [b, d], such as a compiled `FeatureNetwork.features`.
    batches: with `_mask` [b], 0 where a batch is only filled up.
    dimensions: d.
    parts: how many sums to make; the k-th picture goes to part k modulo `parts`, whatever the
      batch size, so `interval` can leave out a part at a time.

  Returns:
    `parts` sums; `summed` joins them.
  """
  sums = [Moments.empty(dimensions) for _ in range(parts)]
  seen = 0
  for batch in batches:
    rows, mask = (np.asarray(x) for x in jax.device_get((features(batch), batch['_mask'])))
    rows = rows[mask > 0]
    for place, moments in enumerate(sums):
      moments.add(rows[(place - seen) % parts :: parts])
    seen += len(rows)
  return sums


def frechet_distance(a: Statistics, b: Statistics) -> float:
  """Returns the squared Frechet distance of two normal distributions, 0 or more.

  The trace of the root is the sum of the singular values of A^T B, where A A^T and B B^T are the
  covariances: it equals that of the product's root, needs no complex numbers, and its error stays
  near float64's own even where there are fewer samples than dimensions. There the usual root of
  S1 S2 takes roots of rounding errors: 1e-16 becomes 1e-8, for each missing dimension.

  Raises:
    ValueError: another number of dimensions.
  """
  if a.mean.shape != b.mean.shape:
    raise ValueError(f'{a.mean.shape} and {b.mean.shape} dimensions cannot be compared.')
  gap = a.mean - b.mean
  overlap = np.linalg.svd(_factor(a.covariance).T @ _factor(b.covariance), compute_uv=False)
  value = gap @ gap + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap.sum()
  return float(max(value, 0.0))  # below it only by rounding


def _factor(covariance: np.ndarray) -> np.ndarray:
  """Returns F [d, rank] with F F^T = covariance."""
  values, vectors = np.linalg.eigh(covariance)
  # smaller ones are rounding errors of zero
  kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
  return vectors[:, kept] * np.sqrt(values[kept])


def compare(name: str, real: Statistics, generated: Statistics) -> dict[str, Any]:
  """Returns the distance with all that a table must say of it.

  Args:
    name: what it is called: `FeatureNetwork.frechet`.
    real: of real pictures.
    generated: of the others.

  Returns:
    `name`, `value`, `dimensions`, numbers of pictures `real` and `generated`, and `note`: what
    keeps the number from being compared with others, or ''.
  """
  notes = []
  if real.count != generated.count:
    notes.append('the counts differ: the two sides are biased differently')
  if min(real.count, generated.count) <= len(real.mean):
    notes.append('no more pictures than dimensions: largely bias')
  return {
    'name': name,
    'value': frechet_distance(real, generated),
    'dimensions': len(real.mean),
    'real': real.count,
    'generated': generated.count,
    'note': '; '.join(notes),
  }


def interval(real: Sequence[Moments], generated: Sequence[Moments]) -> dict[str, float]:
  """Estimates standard error and bias by leaving out one part of both sides at a time.

  A bootstrap would repeat pictures, which shrinks the sample and so adds to the very bias that is
  asked for; the jackknife repeats none, and costs one distance a part.

  Args:
    real: sums over equal parts of the real pictures, from `moments_of`.
    generated: as many parts of the others.

  Returns:
    `mean` (the distance over everything), `low` and `high` (95 % of a normal distribution about
    it), `error` (its standard error) and `unbiased` (the distance without the bias of first order
    in 1/n; may be below 0). Where there are no more pictures than dimensions, `unbiased` still
    holds much of the bias.

  Raises:
    ValueError: another number of parts on one side, or fewer than two.
  """
  count = len(real)
  if count != len(generated) or count < 2:
    raise ValueError(f'{count} and {len(generated)} parts; expected as many, and at least 2.')
  all_real, all_generated = summed(real), summed(generated)
  whole = frechet_distance(all_real.statistics(), all_generated.statistics())
  rows = np.array(
    [
      frechet_distance(all_real.without(a).statistics(), all_generated.without(b).statistics())
      for a, b in zip(real, generated, strict=True)
    ]
  )
  error = float(np.sqrt((count - 1) / count * np.sum((rows - rows.mean()) ** 2)))
  return {
    'mean': whole,
    'low': max(whole - _NORMAL_95 * error, 0.0),
    'high': whole + _NORMAL_95 * error,
    'error': error,
    'unbiased': float(count * whole - (count - 1) * rows.mean()),
  }
