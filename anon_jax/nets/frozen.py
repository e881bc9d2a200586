"""Weight files of the frozen feature networks: where they are, what they hold, their hashes."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from anon_jax.durable import settle
from anon_jax.nets.published import PUBLISHED, Published, published

__all__ = [
  'PUBLISHED', 'Header', 'Published', 'WeightsError', 'find_file', 'find_weights', 'load_tensors',
  'mismatches', 'published', 'read_header', 'serialize', 'sha256_of', 'write_pair',
]  # fmt: skip

# The limit that safetensors itself sets for a header.
_MAX_HEADER_BYTES = 100_000_000


class WeightsError(ValueError):
  """A weight file that is missing, damaged, or not the one that was asked for."""


class Header(NamedTuple):
  """What a safetensors file says about itself before its numbers.

  Attributes:
    tensors: name -> (dtype as safetensors writes it, such as 'F32'; shape).
    metadata: the free text fields of the file, empty where it has none.
  """

  tensors: dict[str, tuple[str, tuple[int, ...]]]
  metadata: dict[str, str]


def find_weights(network: str, folders: Sequence[str | Path]) -> Path:
  """Returns the first file of `network`'s weights in `folders`.

  Args:
    network: a key of `PUBLISHED`.
    folders: searched in this order.

  Raises:
    ValueError: unknown network.
    WeightsError: no folder has the file; the message says how to get it.
  """
  entry = published(network)
  unknown = '' if entry.sha256_prefix else ' --allow-unknown'
  way_out = (
    f'Download {entry.source} from {entry.url} and run '
    f'`anon-jax weights convert --network {network} {entry.source} -o FOLDER{unknown}`, '
    f'or {entry.instead}.'
  )
  return find_file(network, entry.file, folders, way_out)


def find_file(network: str, file: str, folders: Sequence[str | Path], way_out: str) -> Path:
  """Returns the first `file` in `folders`, or raises WeightsError that ends in `way_out`."""
  for folder in folders:
    path = Path(folder) / file
    if path.is_file():
      return path
  searched = ', '.join(repr(str(folder)) for folder in folders) or '(no folder given)'
  raise WeightsError(f'No weights of {network}: {file} is in none of {searched}. {way_out}')


def sha256_of(path: str | Path) -> str:
  """Returns the SHA-256 of a file as 64 lower-case hexadecimal digits."""
  with Path(path).open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read_header(path: str | Path) -> Header:
  """Reads names, dtypes, shapes and metadata of a safetensors file; WeightsError if damaged."""
  with _opened(Path(path)) as file:
    head = file.read(8)
    length = int.from_bytes(head, 'little')
    if len(head) < 8 or not 2 <= length <= _MAX_HEADER_BYTES:
      raise WeightsError(f'{path} is not a safetensors file: its header length is not plausible.')
    return _parse_header(path, file.read(length), length)


def load_tensors(
  path: str | Path, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
  """Reads the float32 tensors of a safetensors file and checks them.

  Where a JSON file of the same stem lies beside `path` and has a field `sha256`, the file must
  have that hash. Where none is known, log `sha256_of(path)` so that a run can be traced.

  Args:
    path: a safetensors file.
    expected: name -> shape of every tensor that the file must hold, and no others.

  Raises:
    WeightsError: unreadable or damaged file, another hash, or tensors other than `expected`; every
      missing, unexpected or differing tensor is named.
  """
  path = Path(path)
  header = read_header(path)
  _check_tensors(path, header, expected)
  with _opened(path) as file:
    raw = file.read()
  _check_hash(path, hashlib.sha256(raw).hexdigest())
  try:
    tensors = safetensors.numpy.load(raw)
  except safetensors.SafetensorError as error:
    raise WeightsError(f'{path} is damaged: {error}. Copy or convert it again.') from None
  broken = [name for name, value in tensors.items() if not np.isfinite(value).all()]
  if broken:
    raise WeightsError(f'{path} holds NaN or infinity in {sorted(broken)}; convert it again.')
  return tensors


def _opened(path: Path):
  try:
    return path.open('rb')
  except OSError as error:
    raise WeightsError(f'Cannot read the weights {path}: {error.strerror}.') from None


def _parse_header(path: str | Path, raw: bytes, length: int) -> Header:
  if len(raw) < length:
    raise WeightsError(f'{path} is truncated: its header ends after {len(raw)} of {length} bytes.')
  try:
    fields = json.loads(raw)
    metadata = fields.pop('__metadata__', {})
    tensors = {
      name: (str(field['dtype']), tuple(int(side) for side in field['shape']))
      for name, field in fields.items()
    }
    return Header(tensors, {str(key): str(value) for key, value in metadata.items()})
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise WeightsError(f'{path} is not a safetensors file: its header cannot be read.') from None


def mismatches(
  found: Mapping[str, tuple[str, tuple[int, ...]]], expected: Mapping[str, tuple[int, ...]]
) -> list[str]:
  """Names every tensor of `found` (name -> dtype, shape) that is not float32 as `expected`."""
  wrong = [f'{name} is missing' for name in sorted(expected.keys() - found.keys())]
  wrong += [f'{name} is not expected' for name in sorted(found.keys() - expected.keys())]
  for name in sorted(expected.keys() & found.keys()):
    dtype, shape = found[name]
    if shape != tuple(expected[name]):
      wrong.append(f'{name} has shape {shape} instead of {tuple(expected[name])}')
    if dtype != 'F32':
      wrong.append(f'{name} is {dtype} instead of F32')
  return wrong


def _check_tensors(path: Path, header: Header, expected: Mapping[str, tuple[int, ...]]) -> None:
  wrong = mismatches(header.tensors, expected)
  if wrong:
    raise WeightsError(f'{path} does not fit the network: {"; ".join(wrong)}.')
  size, needed = path.stat().st_size, sum(4 * math.prod(shape) for shape in expected.values())
  if size < needed:
    raise WeightsError(f'{path} is truncated: {size} bytes cannot hold {needed} bytes of tensors.')


def _check_hash(path: Path, found: str) -> None:
  beside = path.with_suffix('.json')
  if not beside.is_file():
    return
  try:
    fields = json.loads(beside.read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise WeightsError(f'{beside} cannot be read as JSON ({error}).') from None
  known = fields.get('sha256') if isinstance(fields, dict) else None
  if known is not None and known != found:
    raise WeightsError(
      f'{path} has SHA-256 {found} but {beside.name} says {known}: it was changed or damaged; '
      f'convert or copy it again.'
    )


def serialize(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
  """Returns the bytes of a safetensors file; the same arguments give the same bytes.

  The safetensors package writes the metadata in another order on every run (0.8.0), which would
  give every conversion of one file another hash.
  """
  fields: dict[str, object] = {'__metadata__': dict(sorted(metadata.items()))}
  blocks, end = [], 0
  for name, tensor in sorted(tensors.items()):
    blocks.append(np.ascontiguousarray(tensor, '<f4').tobytes())
    start, end = end, end + len(blocks[-1])
    fields[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': [start, end]}
  header = json.dumps(fields, separators=(',', ':')).encode()
  header += b' ' * (-len(header) % 8)  # the tensors start at a multiple of eight bytes
  return b''.join([len(header).to_bytes(8, 'little'), header, *blocks])


def write_pair(path: Path, content: bytes, beside: Path, description: bytes) -> None:
  """Writes a weight file and its JSON so that neither is ever seen half-written.

  Both are written and synced under temporary names in their folder before either is renamed. The
  JSON comes first: should the machine stop between the two, an older weight file no longer has
  the hash that stands beside it, and is refused.
  """
  parts = {file: file.with_name(f'.{file.name}.{os.getpid()}.part') for file in (beside, path)}
  try:
    for part, data in zip(parts.values(), (description, content), strict=True):
      with part.open('wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    for final, part in parts.items():
      part.replace(final)
    settle(path.parent)
  finally:
    for part in parts.values():
      part.unlink(missing_ok=True)
