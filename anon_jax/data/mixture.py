"""Several data sets drawn from at once, each with a weight and a framing of its own.

The stream is a pure function of the seed: position -> (part, example), as in `pipeline`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from anon_jax.data import pictures, pipeline
from anon_jax.data.pipeline import Shard, View

# Examples keep this much around their crop, as a share of the crop's side: room to turn, to shift
# and to look from farther away. A `View` of a mixture takes CROP of them.
_ROOM = 1.5
CROP = 1 / _ROOM
_WHOLE = Shard()


class Framed:
  """Examples of one data set, cut to squares whose central `CROP` is the crop.

  Args:
    source: prepared examples.
    crop: side of the crop as a share of a picture's shorter side; above 1 it reaches beyond the
      picture. What lies beyond is the border repeated, labelled by nobody.
    origin: number of the data set in the mixture; each example carries it.
  """

  def __init__(self, source: pipeline.Source, crop: float, origin: int):
    self._source, self._crop, self._origin = source, crop, origin

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    example = self._source[index]
    height, width = example['map'].shape
    side = max(round(min(height, width) * self._crop * _ROOM), 1)
    left, top = (width - side) // 2, (height - side) // 2
    image, classes = pictures.cut_square(example['image'], example['map'], left, top, side)
    return {
      'image': image,
      'map': classes,
      'identity': example['identity'],
      'origin': self._origin,
    }

  def __repr__(self) -> str:
    return f'{self._source!r} at {self._crop:g}'


class Mixture:
  """Parts one after the other: a position says which part, and which of its examples.

  Args:
    parts: the data sets, in the order of their `origin`.

  Raises:
    ValueError: no part, or an empty one.
  """

  def __init__(self, parts: Sequence[pipeline.Source]):
    if not parts or not all(len(part) for part in parts):
      raise ValueError('a mixture needs examples in each of its parts.')
    self._parts = tuple(parts)
    self.ends = np.cumsum([len(part) for part in parts])

  def __len__(self) -> int:
    return int(self.ends[-1])

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    part = int(np.searchsorted(self.ends, index, 'right'))
    first = int(self.ends[part - 1]) if part else 0
    return self._parts[part][int(index) - first]


class _Offset:
  """Position in a part -> position in the mixture."""

  def __init__(self, first: int):
    self._first = first

  def __call__(self, index: int) -> int:
    return int(index) + self._first


def mixture_dataset(
  mixture: Mixture,
  weights: Sequence[float],
  view: View,
  *,
  batch_size: int,
  seed: int,
  shard: Shard = _WHOLE,
  workers: int = 0,
  threads: int = 4,
) -> grain.IterDataset:
  """Draws from each part by its weight, evenly spread; batches as `pipeline.train_dataset` does.

  Within a part, every example comes once before any comes again.

  Args:
    mixture: the parts.
    weights: one a part, > 0; only their ratios matter.
    view: crop size and augmentation.
    batch_size: examples a step over all hosts; a multiple of the hosts.
    seed: of the order and of the augmentation.
    shard: this process's share.
    workers: reading processes; 0 reads in threads of this process.
    threads: reading threads where `workers` is 0.

  Returns:
    An endless dataset of the batches of `pipeline.train_dataset`, with `origin` int32 [b].

  Raises:
    ValueError: as many weights as parts are needed, all above 0; or a batch that does not divide.
  """
  if len(weights) != len(mixture.ends) or min(weights) <= 0:
    raise ValueError(
      f'weights={list(weights)} for {len(mixture.ends)} parts; give one above 0 for each.'
    )
  firsts = [0, *mixture.ends[:-1].tolist()]
  parts = [
    # Each part has a seed of its own: parts of one size would be shuffled alike.
    grain.MapDataset.range(int(end) - first)
    .seed(seed + number)
    .shuffle()
    .repeat()
    .map(_Offset(first))
    for number, (first, end) in enumerate(zip(firsts, mixture.ends, strict=True))
  ]
  share = np.asarray(weights, np.float64) / np.sum(weights)
  positions = grain.MapDataset.mix(parts, weights=share.tolist()).seed(seed)
  return pipeline.batches_of(
    positions,
    mixture,
    view,
    batch_size=batch_size,
    shard=shard,
    workers=workers,
    threads=threads,
  )


class Spread:
  """A few examples of each part, evenly spread over it, taking turns; for sample grids.

  Args:
    parts: the data sets.
    count: examples in all.
  """

  def __init__(self, parts: Sequence[pipeline.Source], count: int):
    self._chosen = []
    for place in range(count):
      turn, part = divmod(place, len(parts))
      turns = -(-(count - part) // len(parts))
      self._chosen.append((parts[part], turn * len(parts[part]) // turns))

  def __len__(self) -> int:
    return len(self._chosen)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    part, position = self._chosen[index]
    return part[position]
