"""Grain pipelines from prepared examples to batches (design 4).

Order matters: shuffle, repeat, crop and flip, *then* shard by process. So the n-th example and its
augmentation depend on the seed alone, on any number of hosts.
"""

import dataclasses
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import grain
import numpy as np
from absl import flags
from PIL import Image

Example = dict[str, Any]


class Source(Protocol):
  """Prepared examples by position: image uint8 [h, w, 3], map uint8 [h, w], identity int."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Mapping[str, Any]: ...


class Cut(Protocol):
  """How stored pictures become crops: a `View`, one for clips, or one that takes joints too."""

  def fixed(self, image: np.ndarray, semantic_map: np.ndarray) -> Example: ...

  def random(
    self, image: np.ndarray, semantic_map: np.ndarray, rng: np.random.Generator
  ) -> Example: ...


@dataclasses.dataclass(frozen=True)
class View:
  """How a stored picture becomes a crop of the network's size.

  Attributes:
    size: side of the result in pixels.
    fraction: side of the central square that is used, as a share of the picture's shorter side.
    jitter: largest change of the square's side, as a share of it; its place changes by up to half
      of that.
    flip: mirror half of the pictures.
  """

  size: int
  fraction: float = 1.0
  jitter: float = 0.0
  flip: bool = False

  def fixed(self, image: np.ndarray, semantic_map: np.ndarray) -> Example:
    """Cuts the central square, as evaluation does."""
    return self._cut(image, semantic_map, 1.0, 0.0, 0.0, mirrored=False)

  def random(
    self, image: np.ndarray, semantic_map: np.ndarray, rng: np.random.Generator
  ) -> Example:
    """Cuts a jittered square and mirrors it now and then, as training does."""
    scale, dx, dy = self.jitter * rng.uniform(-1, 1, 3)
    mirrored = self.flip and rng.random() < 0.5
    return self._cut(image, semantic_map, 1 + scale, dx / 2, dy / 2, mirrored=mirrored)

  def _cut(
    self,
    image: np.ndarray,
    semantic_map: np.ndarray,
    scale: float,
    dx: float,
    dy: float,
    *,
    mirrored: bool,
  ) -> Example:
    height, width = semantic_map.shape
    shorter = min(height, width)
    side = min(shorter * self.fraction * scale, shorter)
    left = np.clip((width - side) / 2 + dx * side, 0, width - side)
    top = np.clip((height - side) / 2 + dy * side, 0, height - side)
    box = (left, top, left + side, top + side)
    size = (self.size, self.size)
    pixels = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box))
    classes = np.asarray(Image.fromarray(semantic_map).resize(size, Image.Resampling.NEAREST, box))
    if mirrored:
      pixels, classes = pixels[:, ::-1], classes[:, ::-1]
    return {'image': np.ascontiguousarray(pixels), 'map': np.ascontiguousarray(classes)}


class _Read:
  """Reads one example and keeps where it came from."""

  def __init__(self, source: Source):
    self._source = source

  def __call__(self, index: int) -> Example:
    example = self._source[int(index)]
    read = {
      'image': example['image'],
      'map': example['map'],
      'identity': np.int32(example['identity']),
      'index': np.int32(index),
    }
    if 'origin' in example:  # which part of a mixture the example is from
      read['origin'] = np.int32(example['origin'])
    if 'joints' in example:
      read['joints'] = example['joints']
    return read


def _seen(example: Example) -> list[np.ndarray]:
  """Returns what a view cuts: picture and map, and joints where bodies have them."""
  return [example[name] for name in ('image', 'map', 'joints') if name in example]


class _RandomView:
  """Augments one example from the generator that Grain derives from seed and position."""

  def __init__(self, view: Cut):
    self._view: Any = view  # one that takes joints has an argument more

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    return example | self._view.random(*_seen(example), rng=rng)


class _FixedView:
  """Reads one evaluation example; positions past the end repeat the last and are masked."""

  def __init__(self, source: Source, view: Cut, count: int):
    self._read, self._view, self._count = _Read(source), view, count

  def __call__(self, index: int) -> Example:
    example = self._read(min(int(index), self._count - 1))
    cut = self._view.fixed(*_seen(example))
    return example | cut | {'_mask': np.float32(index < self._count)}


class _Subset:
  """Some positions of a source."""

  def __init__(self, source: Any, positions: np.ndarray):
    self._source, self._positions = source, positions

  def __len__(self) -> int:
    return len(self._positions)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    return self._source[int(self._positions[index])]

  def __repr__(self) -> str:
    return f'{len(self)} of {self._source!r}'

  def has_joints(self) -> np.ndarray:
    return self._source.has_joints()[self._positions]

  def identity_labels(self) -> np.ndarray:
    return self._source.identity_labels()[self._positions]

  def names(self) -> list[str]:
    names = self._source.names()
    return [names[i] for i in self._positions]


def with_maps(source: Any) -> Source:
  """Leaves out the examples without a semantic map, which most stages cannot learn from.

  Args:
    source: a source that also has `has_map()`, bool [n].
  """
  there = source.has_map()
  return source if there.all() else _Subset(source, np.flatnonzero(there))


@dataclasses.dataclass(frozen=True)
class Shard:
  """Which share of each batch this process reads."""

  host: int = 0
  hosts: int = 1


def train_dataset(
  source: Source,
  view: Cut,
  *,
  batch_size: int,
  seed: int,
  shard: Shard = Shard(),
  workers: int = 0,
  threads: int = 4,
) -> grain.IterDataset:
  """Shuffles, repeats, augments, shards and batches; what step k sees depends on `seed` alone.

  Args:
    source: prepared examples.
    view: crop size and augmentation.
    batch_size: examples a step over all hosts; a multiple of the hosts.
    seed: of the order and of the augmentation.
    shard: this process's share.
    workers: reading processes; 0 reads in threads of this process. Part of the iterator's state:
      a checkpoint is only restored with the same number.
    threads: reading threads where `workers` is 0.

  Returns:
    An endless dataset of dicts: image uint8 [b, s, s, 3], map uint8 [b, s, s], identity and index
    int32 [b], with b = batch_size / hosts.

  Raises:
    ValueError: an empty source, or a batch that does not divide over the hosts.
  """
  if not len(source):
    raise ValueError('the training split is empty; nothing can be learned from it.')
  positions = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
  return batches_of(
    positions,
    source,
    view,
    batch_size=batch_size,
    shard=shard,
    workers=workers,
    threads=threads,
  )


def _ignore_interrupt(*_: int) -> None:
  """Leaves Ctrl-C, which reaches every process of a terminal, to the process that trains."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)


def batches_of(
  positions: grain.MapDataset,
  source: Source,
  view: Cut,
  *,
  batch_size: int,
  shard: Shard,
  workers: int,
  threads: int,
) -> grain.IterDataset:
  """Reads, augments, shards and batches the examples at `positions`.

  Args:
    positions: a seeded dataset of positions in `source`, in the order of the stream.
    source: prepared examples.
    view: crop size and augmentation.
    batch_size: examples a step over all hosts; a multiple of the hosts.
    shard: this process's share.
    workers: reading processes, as in `train_dataset`.
    threads: reading threads where `workers` is 0.

  Returns:
    A dataset of the batches that `train_dataset` describes, as long as `positions`.

  Raises:
    ValueError: a batch that does not divide over the hosts.
  """
  if batch_size % shard.hosts:
    raise ValueError(
      f'batch_size={batch_size} does not divide over {shard.hosts} processes; '
      f'use a multiple of {shard.hosts}.'
    )
  dataset = positions.map(_Read(source)).random_map(_RandomView(view))
  # Batching before the iterator keeps batches the same for any number of workers, and before
  # sharding gives each host consecutive rows: together they are the very batch of one host.
  dataset = dataset.batch(batch_size // shard.hosts, drop_remainder=True)
  dataset = dataset[shard.host :: shard.hosts]  # after random_map: keys follow the global position
  if workers:
    if not flags.FLAGS.is_parsed():  # Grain reads absl flags, which notebooks never parse
      flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers)
    return dataset.to_iter_dataset(grain.ReadOptions(num_threads=1)).mp_prefetch(
      options, worker_init_fn=_ignore_interrupt
    )
  return dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=8))


def eval_dataset(
  source: Source, view: Cut, *, batch_size: int, count: int = 0, shard: Shard = Shard()
) -> Sequence[Example]:
  """Cuts the first `count` examples (0: all) into batches of one size, the last one padded.

  Padding repeats the last example and is marked by `_mask` float32 [b]: 1 real, 0 padding, so
  that no example is dropped and none counts twice.
  """
  count = min(count, len(source)) if count else len(source)
  if not count:
    raise ValueError('the evaluation split is empty; nothing can be measured on it.')
  batches = -(-count // batch_size)
  dataset = grain.MapDataset.range(batches * batch_size).map(_FixedView(source, view, count))
  dataset = dataset.batch(batch_size // shard.hosts)
  return dataset[shard.host :: shard.hosts]
