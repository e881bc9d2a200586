"""Identity-balanced batches for metric learning: P identities, K pictures of each (paper 3.4).

Batch n is a pure function of the seed and n, so the stream is the same on any number of hosts and
a restored iterator goes on where it stopped, as in `pipeline`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import grain
import numpy as np

from anon_jax.data import pipeline
from anon_jax.data.pipeline import Shard, View

# Streams of randomness beside those that Grain derives for the augmentation.
_ORDER_STREAM, _PICTURE_STREAM = 1, 2
_ENDLESS = 2**61
_ALONE = Shard()


class IdentitySource(pipeline.Source, Protocol):
  """Prepared examples that can tell their identities without reading pictures."""

  def identity_labels(self) -> np.ndarray:
    """int64 [n], -1 when unknown."""
    ...


class _Draw:
  """Position in the stream -> position in the source."""

  def __init__(self, groups: list[np.ndarray], identities: int, images: int, seed: int):
    self._groups, self._identities, self._images = groups, identities, images
    self._seed = seed
    self._order = (-1, np.empty(0, np.int64))  # the last epoch used and its order

  def __call__(self, place: int) -> int:
    batch, slot = divmod(int(place), self._identities * self._images)
    row, picture = divmod(slot, self._images)
    # An epoch ends where no whole batch is left: a batch across its border could hold one
    # identity twice. Who is left out differs from epoch to epoch.
    epoch, number = divmod(batch, len(self._groups) // self._identities)
    group = self._groups[self._epoch_order(epoch)[number * self._identities + row]]
    rng = np.random.default_rng((self._seed, _PICTURE_STREAM, batch, row))
    # Whoever has too few comes with the same picture in several crops.
    return int(rng.choice(group, self._images, replace=len(group) < self._images)[picture])

  def _epoch_order(self, epoch: int) -> np.ndarray:
    kept, order = self._order  # read at once: other threads may replace it meanwhile
    if kept != epoch:
      rng = np.random.default_rng((self._seed, _ORDER_STREAM, epoch))
      order = rng.permutation(len(self._groups))
      self._order = (epoch, order)
    return order


class _AddClass:
  """Numbers a batch's identities by their place among those that are trained on."""

  def __init__(self, numbers: np.ndarray):
    self._numbers = numbers

  def __call__(self, batch: pipeline.Example) -> pipeline.Example:
    classes = np.searchsorted(self._numbers, batch['identity'])
    return batch | {'identity_class': classes.astype(np.int32)}


def identity_numbers(source: IdentitySource, min_images: int = 1) -> np.ndarray:
  """Returns the identities that `identity_dataset` draws from, ascending, int64 [classes].

  Args:
    source: prepared examples.
    min_images: identities with fewer pictures are left out.

  Raises:
    ValueError: an example without identity, or nothing left.
  """
  return np.array(list(_groups(source, min_images)), np.int64)


def identity_dataset(
  source: IdentitySource,
  view: View,
  *,
  identities_per_batch: int,
  images_per_identity: int,
  seed: int,
  min_images: int = 1,
  repeat_images: bool = False,
  shard: Shard = _ALONE,
  workers: int = 0,
  threads: int = 4,
) -> grain.IterDataset:
  """Batches of `identities_per_batch` identities with `images_per_identity` pictures of each.

  Within an epoch no identity comes twice; which of its pictures come is drawn each time, without
  repetition within a batch. What step k sees depends on `seed` alone.

  Args:
    source: prepared examples.
    view: crop size and augmentation.
    identities_per_batch: P, different identities in a batch.
    images_per_identity: K, different pictures of each, side by side in the batch of one host.
    seed: of the order, of the pictures and of the augmentation.
    min_images: identities with fewer pictures are left out; at least K, or nobody may have fewer
      than K.
    repeat_images: an identity with fewer than K pictures comes with some of them repeated, each
      time cut anew.
    shard: this process's share; P x K is a multiple of the hosts.
    workers: reading processes, as in `pipeline.train_dataset`.
    threads: reading threads where `workers` is 0.

  Returns:
    An endless dataset of the dicts of `pipeline.train_dataset`, with P x K / hosts rows, and
    `identity_class` int32 [b]: place of the identity in `identity_numbers`.

  Raises:
    ValueError: an example without identity, an identity with fewer than K pictures that are not to
      be repeated, fewer than P identities, or a batch that does not divide over the hosts.
  """
  if identities_per_batch < 1 or images_per_identity < 1:
    raise ValueError(
      f'identities_per_batch={identities_per_batch} and images_per_identity={images_per_identity}; '
      f'expected 1 or more of both.'
    )
  groups = _groups(source, min_images)
  _check_counts(groups, identities_per_batch, 1 if repeat_images else images_per_identity)
  draw = _Draw(list(groups.values()), identities_per_batch, images_per_identity, seed)
  dataset = pipeline.batches_of(
    grain.MapDataset.range(_ENDLESS).seed(seed).map(draw),
    source,
    view,
    batch_size=identities_per_batch * images_per_identity,
    shard=shard,
    workers=workers,
    threads=threads,
  )
  return dataset.map(_AddClass(np.array(list(groups), np.int64)))


def _groups(source: Any, min_images: int) -> dict[int, np.ndarray]:
  """Identity -> positions of its pictures, for identities with enough of them, ascending."""
  labels = np.asarray(source.identity_labels())
  unknown = np.flatnonzero(labels < 0)
  if len(unknown):
    raise ValueError(
      f'{len(unknown)} of {len(labels)} examples have no identity (the first is number '
      f'{unknown[0]}); use a data set with identities.'
    )
  numbers, starts = np.unique(np.sort(labels), return_index=True)
  parts = np.split(np.argsort(labels, kind='stable'), starts[1:])
  pairs = zip(numbers.tolist(), parts, strict=True) if len(labels) else ()
  groups = {number: part for number, part in pairs if len(part) >= min_images}
  if not groups:
    raise ValueError(
      f'None of {len(numbers)} identities has min_images={min_images} pictures or more.'
    )
  return groups


def _check_counts(groups: Mapping[int, np.ndarray], identities: int, images: int) -> None:
  few = {number: len(part) for number, part in groups.items() if len(part) < images}
  if few:
    number, count = next(iter(few.items()))
    more = f' (and {len(few) - 1} more identities)' if len(few) > 1 else ''
    raise ValueError(
      f'Identity {number} has {count} picture(s){more}, but images_per_identity={images}; set '
      f'min_images={images} to leave such identities out, or repeat_images.'
    )
  if len(groups) < identities:
    raise ValueError(
      f'There are {len(groups)} identities with enough pictures, but '
      f'identities_per_batch={identities}; lower it, or min_images.'
    )
