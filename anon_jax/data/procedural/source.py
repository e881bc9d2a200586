"""Procedural faces as a random-access data source."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from anon_jax.data.procedural.clips import render_clip
from anon_jax.data.procedural.parameters import check_draw, sample_parameters
from anon_jax.data.procedural.render import check_size, render

DEFAULT_CACHE_BYTES = 512 * 2**20


class ProceduralFaces:
  """`length` procedural crops; element i depends on (seed, i, size, identities) alone.

  Elements are rendered when first asked for and kept, as long as they fit, so that a second
  epoch costs nothing. Safe to read from several threads; pickling leaves the kept pictures
  behind.

  Attributes:
    size: side of the pictures in pixels.
    seed: names the collection.
    identities: number of people.
  """

  def __init__(
    self,
    length: int,
    size: int,
    seed: int = 0,
    identities: int = 64,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
  ):
    """Describes the collection; nothing is rendered yet.

    Args:
      length: number of pictures, 1 or more.
      size: side in pixels, 16 to 1024.
      seed: names the collection, 0 or more.
      identities: number of people, 1 or more.
      cache_bytes: memory for rendered pictures, 0 for none.

    Raises:
      ValueError: a number outside its range.
    """
    if length < 1:
      raise ValueError(f'length={length} is an empty collection: give 1 or more.')
    if cache_bytes < 0:
      raise ValueError(f'cache_bytes={cache_bytes} is negative: give 0 to keep no pictures.')
    check_draw(seed, 0, identities)
    check_size(size)
    self._length = length
    self.size = size
    self.seed = seed
    self.identities = identities
    self._cache_bytes = cache_bytes
    self._forget()

  def _forget(self) -> None:
    self._lock = threading.Lock()
    self._kept: dict[int, tuple[np.ndarray, np.ndarray, int]] = {}
    self._kept_bytes = 0

  def __len__(self) -> int:
    return self._length

  def __repr__(self) -> str:
    return (
      f'ProceduralFaces(length={self._length}, size={self.size}, seed={self.seed}, '
      f'identities={self.identities})'
    )

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Picture `index`.

    Args:
      index: 0 to length - 1.

    Returns:
      'image' uint8 [size, size, 3], 'map' uint8 [size, size] (semantic map), 'identity' int32
      scalar, 'name' str. The arrays are shared between calls and read-only.

    Raises:
      IndexError: an index outside the collection.
    """
    index = int(index)
    if not 0 <= index < self._length:
      raise IndexError(f'index={index} is not in 0..{self._length - 1} of {self!r}.')
    with self._lock:
      item = self._kept.get(index)
    if item is None:
      item = self._render(index)
    image, classes, identity = item
    return {
      'image': image,
      'map': classes,
      'identity': np.int32(identity),
      'name': f'procedural_{self.seed}_{index:07d}',
    }

  def identity_labels(self) -> np.ndarray:
    """Returns the identity of each picture, int64 [length], rendering none."""
    draws = (sample_parameters(self.seed, i, self.identities) for i in range(self._length))
    return np.array([parameters.identity for parameters in draws], np.int64)

  def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
    picture = render(sample_parameters(self.seed, index, self.identities), self.size)
    return picture.image, picture.map, picture.identity

  def _render(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
    item = image, classes, _ = self._draw(index)
    image.setflags(write=False)
    classes.setflags(write=False)
    cost = image.nbytes + classes.nbytes
    with self._lock:
      if index not in self._kept and self._kept_bytes + cost <= self._cache_bytes:
        self._kept[index] = item
        self._kept_bytes += cost
    return item

  def __getstate__(self) -> dict[str, Any]:
    return {k: v for k, v in vars(self).items() if k not in ('_lock', '_kept', '_kept_bytes')}

  def __setstate__(self, state: dict[str, Any]) -> None:
    vars(self).update(state)
    self._forget()


class ProceduralClips(ProceduralFaces):
  """`length` procedural clips; as `ProceduralFaces`, with `frames` frames an element.

  An element has 'image' uint8 [frames, size, size, 3] and 'map' uint8 [frames, size, size].

  Attributes:
    frames: of each clip.
  """

  def __init__(self, length: int, frames: int, size: int, seed: int = 0, identities: int = 64):
    """Describes the collection; see `ProceduralFaces`.

    Raises:
      ValueError: a number outside its range.
    """
    super().__init__(length, size, seed, identities)
    if frames < 1:
      raise ValueError(f'frames={frames} is an empty clip: give 1 or more.')
    self.frames = frames

  def __repr__(self) -> str:
    return f'{self.frames} frames of {super().__repr__()}'

  def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
    clip = render_clip(self.seed, index, self.frames, self.size, self.identities)
    return clip.frames, clip.maps, clip.parameters[0].identity
