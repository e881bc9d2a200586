"""The pickles inside PyTorch's `.pth` files, read without running what they say.

A pickle is a program: unpickling one can run any function. Here every opcode is first read without
executing anything; a pickle that names anything but the few classes which PyTorch needs to
describe tensors is refused by that name. What is left is executed by an unpickler that knows
stand-ins only.
"""

import collections
import io
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any, NamedTuple

from anon_jax.nets.frozen import WeightsError

_STORAGES = {
  'DoubleStorage': 'f8',
  'FloatStorage': 'f4',
  'HalfStorage': 'f2',
  'LongStorage': 'i8',
  'IntStorage': 'i4',
  'ShortStorage': 'i2',
  'CharStorage': 'i1',
  'ByteStorage': 'u1',
  'BoolStorage': '?',
}
_REBUILDS = ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')
_ADMITTED = {
  'collections OrderedDict',
  *(f'torch {name}' for name in _STORAGES),
  *(f'torch._utils {name}' for name in _REBUILDS),
}
# What the pickler of protocol 2 writes for dicts, tuples, strings and numbers. Left out above all:
# everything that builds objects in another way (INST, OBJ, NEWOBJ, STACK_GLOBAL, EXT).
_OPCODES = frozenset((
  'PROTO', 'STOP', 'MARK', 'GLOBAL', 'REDUCE', 'BUILD', 'BINPERSID', 'BINPUT', 'LONG_BINPUT',
  'BINGET', 'LONG_BINGET', 'NONE', 'NEWTRUE', 'NEWFALSE', 'BININT', 'BININT1', 'BININT2', 'LONG1',
  'BINFLOAT', 'BINUNICODE', 'SHORT_BINSTRING', 'BINSTRING', 'EMPTY_DICT', 'EMPTY_LIST',
  'EMPTY_TUPLE', 'TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'APPEND', 'APPENDS', 'SETITEM', 'SETITEMS',
))  # fmt: skip
# A state dict takes about 30 opcodes and 200 bytes a tensor; these admit ten thousand tensors and
# keep a hostile file from filling the memory with its memo or its description.
_MAX_OPCODES = 1_000_000
MAX_PICKLE_BYTES = 64 << 20

# All that the unpickler and the stand-ins can raise on a damaged or hostile program.
_PICKLE_ERRORS = (
  pickle.UnpicklingError,
  ArithmeticError,
  AttributeError,
  EOFError,
  LookupError,
  MemoryError,
  RecursionError,
  TypeError,
  ValueError,
  struct.error,
)


class _StorageType(NamedTuple):
  dtype: str


class Storage(NamedTuple):
  """A block of numbers that tensors point into.

  Attributes:
    dtype: NumPy's name of the type of its elements, without byte order.
    key: its name within the file.
    numel: number of elements.
  """

  dtype: str
  key: str
  numel: int


class Tensor(NamedTuple):
  """A tensor as the pickle describes it, not yet checked: every field may be anything."""

  storage: Any
  offset: Any
  size: Any
  stride: Any


class _Rebuild(NamedTuple):
  """Stand-in for the functions of `torch._utils`; a tuple, so that BUILD cannot alter it."""

  name: str

  def __call__(self, *args: Any) -> Tensor:
    if self.name == '_rebuild_parameter':
      if not isinstance(args[0], Tensor):
        raise TypeError('a parameter that wraps no tensor')
      return args[0]
    return Tensor(*args[:4])


class _Unpickler(pickle.Unpickler):
  """Knows the admitted names only; collects the storages that tensors refer to."""

  def __init__(self, raw: bytes):
    super().__init__(io.BytesIO(raw), encoding='utf-8')
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if module == 'torch' and name in _STORAGES:
      return _StorageType(_STORAGES[name])
    if module == 'torch._utils' and name in _REBUILDS:
      return _Rebuild(name)
    raise pickle.UnpicklingError(f'{module}.{name} is not admitted')

  def persistent_load(self, pid: Any) -> Storage:
    # ('storage', type, key, location, elements), in the old format also a view, None for weights
    tag, kind, key, _, numel = pid[:5]
    plain = tag == 'storage' and isinstance(kind, _StorageType) and isinstance(key, str)
    if not plain or any(view is not None for view in pid[5:]) or not is_size(numel):
      raise pickle.UnpicklingError('a storage in a form that is not known')
    storage = Storage(kind.dtype, key, numel)
    if self.storages.setdefault(key, storage) != storage:
      raise pickle.UnpicklingError(f'storage {key} is described in two ways')
    return storage


def scan(path: Path, stream: Any) -> int:
  """Reads one pickle's opcodes without executing them.

  Args:
    path: named in errors.
    stream: a binary file at the pickle's first byte.

  Returns:
    The position behind the pickle's last byte.

  Raises:
    WeightsError: not a pickle, or one that does more than describe tensors.
  """
  start = stream.tell()
  try:
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
      if opcode.name not in _OPCODES:
        raise WeightsError(f'{path} is refused: its pickle has the opcode {opcode.name}.')
      if opcode.name == 'GLOBAL' and argument not in _ADMITTED:
        name = str(argument).replace(' ', '.')
        raise WeightsError(f'{path} is refused: it names {name!r}, which is no part of a tensor.')
      if opcode.name == 'LONG_BINPUT' and argument is not None and argument > _MAX_OPCODES:
        raise WeightsError(f'{path} is refused: its pickle asks for {argument} memo slots.')
      if count > _MAX_OPCODES or position is None or position - start > MAX_PICKLE_BYTES:
        raise WeightsError(f'{path} is refused: its pickle is too long for a state dict.')
  except WeightsError:
    raise
  except ValueError as error:
    reason = str(error).splitlines()[0]
    raise WeightsError(f'{path} is not a PyTorch file, or is truncated: {reason}.') from None
  return stream.tell()


def unpickle(path: Path, raw: bytes) -> tuple[Any, dict[str, Storage]]:
  """Executes a pickle that `scan` has passed; returns its object and its storages by key."""
  unpickler = _Unpickler(raw)
  try:
    return unpickler.load(), unpickler.storages
  except _PICKLE_ERRORS as error:
    raise WeightsError(f'{path} is damaged or refused: {error}.') from None


def is_size(value: Any) -> bool:
  """True for an int (not a bool) that is not negative."""
  return isinstance(value, int) and not isinstance(value, bool) and value >= 0
