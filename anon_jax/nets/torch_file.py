"""Reads the tensors of a PyTorch `.pth` file without PyTorch.

Both formats of `torch.save` are read: the zip archive (PyTorch 1.6 on) and the older one, which
torchvision's early weights use (five pickles, then the storages). `torch_pickle` keeps the file's
pickles from running anything; here each tensor is checked against the bytes that it points into.
"""

import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anon_jax.nets.frozen import WeightsError, mismatches
from anon_jax.nets.torch_pickle import MAX_PICKLE_BYTES, Storage, Tensor, is_size, scan, unpickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# All that zipfile has been seen to raise, or may, on a damaged archive.
_ZIP_ERRORS = (
  zipfile.BadZipFile,
  EOFError,
  LookupError,
  NotImplementedError,
  OSError,
  OverflowError,
  RuntimeError,
  ValueError,
  struct.error,
)
_DTYPES = {'f4': 'F32'}  # as safetensors writes it


def read_tensors(
  path: str | Path, expected: Mapping[str, tuple[int, ...]], skip: Callable[[str], bool]
) -> dict[str, np.ndarray]:
  """Returns the float32 tensors of the state dict in a `.pth` file.

  Args:
    path: a file written by `torch.save` from a state dict of tensors.
    expected: name -> shape of every tensor that the file must hold.
    skip: chooses the names that it may hold besides; they are not read.

  Raises:
    WeightsError: not such a file, truncated or damaged, one that names anything but tensors, or
      tensors other than `expected`, each of which is named.
  """
  path = Path(path)
  with _mapped(path) as raw:
    if raw[:4] == b'PK\x03\x04':
      return _read_zip(path, expected, skip)
    return _read_legacy(path, raw, expected, skip)


def _mapped(path: Path) -> mmap.mmap:
  try:
    with path.open('rb') as file:
      if not path.stat().st_size:
        raise WeightsError(f'{path} is empty; download it again.')
      return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  except OSError as error:
    raise WeightsError(f'Cannot read {path}: {error.strerror}.') from None


def _read_zip(path: Path, expected: Mapping, skip: Callable[[str], bool]) -> dict[str, np.ndarray]:
  try:
    with zipfile.ZipFile(path) as archive:
      entries = {info.filename: info for info in archive.infolist()}
      pickles = [name for name in entries if name.rpartition('/')[2] == 'data.pkl']
      if len(pickles) != 1:
        raise WeightsError(f'{path} is a zip archive but not one that torch.save writes.')
      root = pickles[0].removesuffix('data.pkl')

      def content(name: str, limit: int) -> bytes:
        info = entries.get(root + name)
        if info is None:
          raise WeightsError(f'{path} has no entry {root + name}.')
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
          raise WeightsError(f'{path}: the entry {root + name} is compressed or too large.')
        return archive.read(info)

      if root + 'byteorder' in entries and content('byteorder', 16) != b'little':
        raise WeightsError(f'{path} was written on a big-endian machine; save it on another.')
      program = content('data.pkl', MAX_PICKLE_BYTES)
      state, _ = unpickle(path, program[: scan(path, io.BytesIO(program))])
      described = _described(path, state, expected, skip)
      size = path.stat().st_size

      def storage_bytes(storage: Storage) -> bytes:
        return content(f'data/{storage.key}', size)

      return _tensors(path, described, storage_bytes)
  except WeightsError:
    raise
  except _ZIP_ERRORS as error:
    raise WeightsError(f'{path} is damaged or truncated: {error}.') from None


def _read_legacy(
  path: Path, raw: mmap.mmap, expected: Mapping, skip: Callable[[str], bool]
) -> dict[str, np.ndarray]:
  parts, storages, end = [], {}, 0
  for number in range(5):  # magic number, protocol, system, state dict, storage keys in file order
    raw.seek(end)
    start, end = end, scan(path, raw)
    part, found = unpickle(path, raw[start:end])
    storages.update(found)
    parts.append(part)
    if number == 0 and part != _LEGACY_MAGIC:
      raise WeightsError(f'{path} is a pickle, but not one that torch.save writes.')
  _, protocol, system, state, keys = parts
  if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
    raise WeightsError(f'{path} has the unknown torch.save protocol {protocol!r}.')
  if system.get('little_endian') is not True:
    raise WeightsError(f'{path} was written on a big-endian machine; save it on another.')
  described = _described(path, state, expected, skip)
  places = _legacy_places(path, raw, end, keys, storages)

  def storage_bytes(storage: Storage) -> bytes:
    start = places[storage.key]
    return raw[start : start + storage.numel * np.dtype(storage.dtype).itemsize]

  return _tensors(path, described, storage_bytes)


def _legacy_places(
  path: Path, raw: mmap.mmap, end: int, keys: Any, storages: dict[str, Storage]
) -> dict[str, int]:
  """Storage key -> byte offset; every storage is preceded by its number of elements."""
  if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
    raise WeightsError(f'{path} has no list of storages.')
  if len(keys) != len(set(keys)) or set(keys) != storages.keys():
    raise WeightsError(f'{path} lists other storages than its tensors use.')
  places = {}
  for key in keys:
    numel = int.from_bytes(raw[end : end + 8], 'little')
    places[key] = end + 8
    end += 8 + storages[key].numel * np.dtype(storages[key].dtype).itemsize
    if end > len(raw):
      raise WeightsError(f'{path} is truncated: {len(raw)} bytes, storage {key} ends at {end}.')
    if numel != storages[key].numel:
      raise WeightsError(f'{path} is damaged: storage {key} has two different lengths.')
  return places


def _described(
  path: Path, state: Any, expected: Mapping[str, tuple[int, ...]], skip: Callable[[str], bool]
) -> dict[str, Tensor]:
  """Compares the tensors as the file describes them with `expected`, before any is read."""
  if not isinstance(state, dict):
    raise WeightsError(f'{path} holds a {type(state).__name__}; expected a state dict.')
  tensors = {}
  for name, tensor in dict.items(state):  # not state.items(): BUILD may have set an attribute
    if not isinstance(name, str) or not isinstance(tensor, Tensor):
      kind = type(tensor).__name__
      raise WeightsError(f'{path} holds a {kind} under {name!r}; expected tensors under names.')
    if not skip(name):
      _check_form(path, name, tensor)
      tensors[name] = tensor
  found = {
    name: (_DTYPES.get(t.storage.dtype, t.storage.dtype), t.size) for name, t in tensors.items()
  }
  wrong = mismatches(found, expected)
  if wrong:
    raise WeightsError(f'{path} does not fit the network: {"; ".join(wrong)}.')
  return tensors


def _check_form(path: Path, name: str, tensor: Tensor) -> None:
  storage, offset, size, stride = tensor
  plain = isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)
  if not plain or len(size) != len(stride) or not all(map(is_size, (offset, *size, *stride))):
    raise WeightsError(f'{path} describes {name} in a form that is not known.')


def _tensors(
  path: Path, tensors: Mapping[str, Tensor], storage_bytes: Callable[[Storage], bytes]
) -> dict[str, np.ndarray]:
  return {name: _tensor(path, name, tensor, storage_bytes) for name, tensor in tensors.items()}


def _tensor(
  path: Path, name: str, tensor: Tensor, storage_bytes: Callable[[Storage], bytes]
) -> np.ndarray:
  storage, offset, size, stride = tensor
  count = math.prod(size)
  last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
  if count > storage.numel or (count and last >= storage.numel):
    raise WeightsError(
      f'{path} is damaged: {name} of shape {list(size)} reaches beyond its {storage.numel} numbers.'
    )
  raw = storage_bytes(storage)
  dtype = np.dtype(storage.dtype).newbyteorder('<')
  if len(raw) != storage.numel * dtype.itemsize:
    raise WeightsError(
      f'{path} is damaged: {name} needs {storage.numel * dtype.itemsize} bytes, has {len(raw)}.'
    )
  steps = tuple(step * dtype.itemsize for step in stride)
  return np.ndarray(size, dtype, raw, offset * dtype.itemsize if count else 0, steps).copy()
