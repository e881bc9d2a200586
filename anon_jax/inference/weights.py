"""A folder of trained networks: loaded, and checked to the last byte.

The folder has a model.json and one safetensors file a network. Each file is read once, and what is
hashed is what is parsed. Nothing in it is a pickle or code.
"""

import dataclasses
import functools
import hashlib
import math
import os
import pathlib
import types
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import linen as nn

from anon_jax.inference import model_json
from anon_jax.inference.inputs import (
  BodyInput,
  HarmonizationInput,
  IdentityInput,
  Input,
  PaintingInput,
  shown,
)
from anon_jax.inference.plain_file import read_plain
from anon_jax.inference.records import Entry
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.nets.single_stage import BESIDE, SingleStageNet

DESCRIPTION = 'model.json'
_MOST_DESCRIPTION_BYTES = 8_000_000  # the hair of the most identities has 5 MB
_MOST_HEADER_BYTES = 1_000_000  # the largest network's header has 20 kB

NetT = TypeVar('NetT', bound=nn.Module)
InputT = TypeVar('InputT', bound=Input | BodyInput)


@dataclasses.dataclass(frozen=True, eq=False)
class Network(Generic[NetT, InputT]):
  """A trained network.

  Attributes:
    module: the Flax module; it computes in float32 (`module.clone(dtype=...)` in another type).
    params: nested dict of float32 arrays in Flax's layout, for `module.apply({'params': params})`.
    input: what it is shown.
    entry: all that model.json says about it.
  """

  module: NetT
  params: dict[str, Any]
  input: InputT
  entry: Entry


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
  """The networks of a folder; None for those that it does not have."""

  segmentation: Network[SegmentationNet, Input] | None = None
  anonymization: Network[AnonymizationNet, PaintingInput] | None = None
  harmonization: Network[HarmonizationNet, HarmonizationInput] | None = None
  identity: Network[IdentityNet, IdentityInput] | None = None
  single_stage: Network[SingleStageNet, HarmonizationInput] | None = None


def load_weights(folder: str | pathlib.Path) -> Weights:
  """Loads the trained networks of a folder.

  Args:
    folder: written by `anon-jax weights export`.

  Raises:
    WeightsError: a missing, changed or damaged file, or one that describes what this version does
      not know; one line that names the file.
  """
  folder = pathlib.Path(folder)
  found = load_networks(folder)
  if any(isinstance(network.input, BodyInput) for network in found.values()):
    raise WeightsError(
      f'{folder} holds networks of bodies, and faces are asked for; give a folder of networks of '
      'faces.'
    )
  return Weights(**found)


def load_networks(folder: pathlib.Path) -> dict[str, Any]:
  """Loads the networks of a folder, of faces or of bodies, by name; raises as `load_weights`."""
  loaded: dict[str, Any] = {}
  for name, entry in read_description(folder).items():
    tensors = _tensors_of(folder / entry.file, entry)
    params = nested({name: np.array(value, np.float32) for name, value in tensors.items()})
    loaded[name] = Network(entry.architecture, params, entry.input, entry)
  return loaded


def verify(folder: str | pathlib.Path) -> list[str]:
  """Checks a folder as loading does; returns a line about each network.

  Raises:
    WeightsError: the folder would not be loaded.
  """
  lines = []
  for network in load_networks(pathlib.Path(folder)).values():
    entry, size = network.entry, str(network.input.image_size)
    if isinstance(network.input, BodyInput):
      size += f' x {network.input.width}'
    lines.append(
      f'{entry.file}: {type(network.module).__name__}, {size} px, {entry.parameters} parameters, '
      f'{entry.dtype}, {entry.bytes} bytes, sha256 {entry.sha256} ok'
    )
  return lines


def read_description(folder: pathlib.Path) -> dict[str, Entry]:
  """Reads what a folder says of its networks, by name; their files are not looked at.

  Raises:
    WeightsError: model.json is missing, too large, or says anything but what it should.
  """
  path = folder / DESCRIPTION
  if not os.path.lexists(path):
    raise WeightsError(
      f'{folder} holds no trained networks: {DESCRIPTION} is missing; give a folder that `anon-jax '
      'weights export` wrote.'
    )
  raw = read_plain(path, _MOST_DESCRIPTION_BYTES)
  return model_json.read(raw, str(path))


def read_file(folder: pathlib.Path, entry: Entry) -> bytes:
  """Reads one network's file and checks its size and hash.

  Raises:
    WeightsError: it cannot be read, or is not the one that `entry` describes.
  """
  path = folder / entry.file
  raw = read_plain(path, entry.bytes)
  if len(raw) != entry.bytes:
    raise WeightsError(
      f'{path} has {len(raw)} bytes but {DESCRIPTION} says {entry.bytes}; copy it again.'
    )
  found = hashlib.sha256(raw).hexdigest()
  if found != entry.sha256:
    raise WeightsError(
      f'{path} has SHA-256 {found} but {DESCRIPTION} says {entry.sha256}: it was changed or '
      'damaged; copy it again.'
    )
  return raw


@functools.lru_cache(maxsize=64)  # tracing a network takes longer than reading it
def shapes_of(
  module: nn.Module, image_size: int, width: int | None = None
) -> Mapping[str, tuple[int, ...]]:
  """Returns the shape of each parameter by dotted name; nothing is computed.

  Args:
    module: one of those of `records.KINDS`.
    image_size: side of its input in pixels, or its height.
    width: of an input that is no square.

  Raises:
    ValueError: a side that the network cannot take.
  """
  size = (1, image_size, width or image_size)
  if isinstance(module, AnonymizationNet):
    arguments = [
      jax.ShapeDtypeStruct((1, module.identities), jnp.float32),
      jax.ShapeDtypeStruct(size, jnp.uint8),
    ]
    beside = BESIDE if isinstance(module, SingleStageNet) else 0
    beside = module.joints if isinstance(module, BodyAnonymizationNet) else beside
    if beside:
      arguments.append(jax.ShapeDtypeStruct((*size, beside), jnp.float32))
  else:
    channels = module.channels if isinstance(module, HarmonizationNet) else 3
    arguments = [jax.ShapeDtypeStruct((*size, channels), jnp.float32)]
  variables = jax.eval_shape(module.init, jax.random.key(0), *arguments)
  leaves = dotted(variables['params'])
  return types.MappingProxyType({name: tuple(leaf.shape) for name, leaf in leaves.items()})


def dotted(params: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the leaves of a nested dict by dotted path, in alphabetical order.

  Raises:
    WeightsError: a name that is empty or holds a dot: its path could not be read back.
  """
  return dict(sorted(_leaves(params, '')))


def _leaves(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
  for name, value in params.items():
    if not name or '.' in name:
      raise WeightsError(f'the parameter {prefix + name!r} has an empty name or a dot in it.')
    if isinstance(value, Mapping):
      yield from _leaves(value, f'{prefix}{name}.')
    else:
      yield prefix + name, value


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the nested dict whose `dotted` is `leaves`."""
  params: dict[str, Any] = {}
  for path, value in leaves.items():
    *above, last = path.split('.')
    inner = params
    for name in above:
      inner = inner.setdefault(name, {})
    inner[last] = value
  return params


def pack(params: Mapping[str, Any], dtype: str) -> bytes:
  """Returns the bytes of the safetensors file of parameters; the same ones give the same bytes.

  Args:
    params: nested dict of float arrays.
    dtype: 'float16' or 'float32', in which they are written.

  Raises:
    WeightsError: NaN, infinity, or a number that the type cannot hold, with the parameter's name.
  """
  most = float(np.finfo(dtype).max)
  tensors = {}
  for name, value in dotted(params).items():
    value = np.asarray(value)
    if not np.isfinite(value).all():
      raise WeightsError(f'{name} holds NaN or infinity; take a checkpoint from before that.')
    if value.size and np.abs(value).max() > most:
      raise WeightsError(
        f'{name} reaches {np.abs(value).max():.6g}, and {dtype} ends at {most:g}; use float32.'
      )
    tensors[name] = np.ascontiguousarray(value, dtype).reshape(value.shape)
  # without metadata, whose order safetensors varies from run to run
  return safetensors.numpy.save(tensors)


def unpack(
  raw: bytes, expected: Mapping[str, tuple[int, ...]], dtype: str, where: str
) -> dict[str, np.ndarray]:
  """Returns the tensors of a safetensors file by name.

  Args:
    raw: its bytes.
    expected: shape by name of every tensor that it must hold, and of no others.
    dtype: of each.
    where: its path, for messages.

  Raises:
    WeightsError: damaged, other tensors than `expected`, or numbers that are not finite.
  """
  try:
    tensors = safetensors.numpy.load(raw)
  except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
    reason = ' '.join(str(error).split())[:100]
    raise WeightsError(f'{where} is damaged ({reason}); copy it again.') from None
  wrong = [f'{name} is missing' for name in expected if name not in tensors]
  wrong += [f'{shown(name)} is not expected' for name in tensors if name not in expected]
  for name in expected.keys() & tensors.keys():
    found = tensors[name]
    if found.shape != expected[name]:
      wrong.append(f'{name} has shape {found.shape} instead of {expected[name]}')
    elif found.dtype != dtype:
      wrong.append(f'{name} is {found.dtype} instead of {dtype}')
    elif not np.isfinite(found).all():
      wrong.append(f'{name} holds NaN or infinity')
  if wrong:
    more = f' (and {len(wrong) - 3} more)' if len(wrong) > 3 else ''
    raise WeightsError(f'{where} does not fit its network: {"; ".join(sorted(wrong)[:3])}{more}.')
  return tensors


def _tensors_of(path: pathlib.Path, entry: Entry) -> dict[str, np.ndarray]:
  try:
    width = getattr(entry.input, 'width', None)
    expected = shapes_of(entry.architecture, entry.input.image_size, width)
  except ValueError as error:
    raise WeightsError(f'{path.parent / DESCRIPTION}: {path.stem} cannot be: {error}') from None
  count = sum(math.prod(shape) for shape in expected.values())
  least = count * np.dtype(entry.dtype).itemsize
  if entry.parameters != count or not least < entry.bytes <= least + _MOST_HEADER_BYTES:
    raise WeightsError(
      f'{path.parent / DESCRIPTION}: {path.stem} has {entry.parameters} parameters in '
      f'{entry.bytes} bytes, and its architecture has {count} in {least} bytes and a header.'
    )
  return unpack(read_file(path.parent, entry), expected, entry.dtype, str(path))
