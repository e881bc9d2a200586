"""InceptionResnetV1 (Szegedy et al. 2016), the FaceNet recogniser of facenet-pytorch.

Names, shapes and constants are those of github.com/timesler/facenet-pytorch: residual scales .17,
.10 and .20, a last block of scale 1 without ReLU, batch norms with epsilon 1e-3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import folding

DIMENSIONS = 512
_EPSILON = 1e-3
_FEATURES = 1792  # channels before the last linear layer
_SMALLEST_SIDE = 75  # below it Mixed_7a has nothing left to reduce


class Unit(NamedTuple):
  """Convolution, batch norm, ReLU; a kernel (h, w) that is not strided may be padded by half."""

  inputs: int
  outputs: int
  kernel: tuple[int, int] = (1, 1)
  stride: int = 1
  pad: bool = False


class _Residual(NamedTuple):
  """Branches beside each other, then a 1x1 convolution back to the input's width."""

  branches: tuple[tuple[Unit, ...], ...]
  width: int
  scale: float
  active: bool = True


def _stem() -> dict[str, Unit]:
  return {
    'conv2d_1a': Unit(3, 32, (3, 3), 2),
    'conv2d_2a': Unit(32, 32, (3, 3)),
    'conv2d_2b': Unit(32, 64, (3, 3), pad=True),
    'conv2d_3b': Unit(64, 80),
    'conv2d_4a': Unit(80, 192, (3, 3)),
    'conv2d_4b': Unit(192, 256, (3, 3), 2),
  }


def _block35() -> _Residual:
  narrow, three = Unit(256, 32), Unit(32, 32, (3, 3), pad=True)
  return _Residual(((narrow,), (narrow, three), (narrow, three, three)), 256, 0.17)


def _factored(width: int, inner: int, length: int, scale: float, active: bool) -> _Residual:
  """A 1x1 branch beside one that convolves along rows, then along columns."""
  narrow = Unit(width, inner)
  row = Unit(inner, inner, (1, length), pad=True)
  column = Unit(inner, inner, (length, 1), pad=True)
  return _Residual(((narrow,), (narrow, row, column)), width, scale, active)


_STEM = _stem()
_RESIDUALS: dict[str, _Residual] = {
  **{f'repeat_1.{i}': _block35() for i in range(5)},
  **{f'repeat_2.{i}': _factored(896, 128, 7, 0.10, True) for i in range(10)},
  **{f'repeat_3.{i}': _factored(1792, 192, 3, 0.20, True) for i in range(5)},
  'block8': _factored(1792, 192, 3, 1.0, False),
}
# Branches of the two reductions; a 3x3 max pool of stride 2 stands beside them.
_REDUCTIONS: dict[str, tuple[tuple[Unit, ...], ...]] = {
  'mixed_6a': (
    (Unit(256, 384, (3, 3), 2),),
    (Unit(256, 192), Unit(192, 192, (3, 3), pad=True), Unit(192, 256, (3, 3), 2)),
  ),
  'mixed_7a': (
    (Unit(896, 256), Unit(256, 384, (3, 3), 2)),
    (Unit(896, 256), Unit(256, 256, (3, 3), 2)),
    (Unit(896, 256), Unit(256, 256, (3, 3), pad=True), Unit(256, 256, (3, 3), 2)),
  ),
}


def _branch_names(name: str, branches: tuple[tuple[Unit, ...], ...]) -> dict[str, Unit]:
  """PyTorch's names: branch0 is a unit of its own where it is a single one, else a sequence."""
  named = {}
  for number, branch in enumerate(branches):
    for place, unit in enumerate(branch):
      suffix = '' if len(branch) == 1 else f'.{place}'
      named[f'{name}.branch{number}{suffix}'] = unit
  return named


def _units() -> dict[str, Unit]:
  units = dict(_STEM)
  for name, residual in _RESIDUALS.items():
    units |= _branch_names(name, residual.branches)
  for name, branches in _REDUCTIONS.items():
    units |= _branch_names(name, branches)
  return units


_UNITS = _units()


def _merged(residual: _Residual) -> int:
  """Channels of a residual block's branches side by side."""
  return sum(branch[-1].outputs for branch in residual.branches)


# Names and shapes in the weight file: those of facenet-pytorch, kernels OIHW.
TENSORS: dict[str, tuple[int, ...]] = {}
for _name, _unit in _UNITS.items():
  TENSORS[f'{_name}.conv.weight'] = (_unit.outputs, _unit.inputs, *_unit.kernel)
  TENSORS |= folding.norm_shapes(f'{_name}.bn', _unit.outputs)
for _name, _residual in _RESIDUALS.items():
  TENSORS[f'{_name}.conv2d.weight'] = (_residual.width, _merged(_residual), 1, 1)
  TENSORS[f'{_name}.conv2d.bias'] = (_residual.width,)
TENSORS['last_linear.weight'] = (DIMENSIONS, _FEATURES)
TENSORS |= folding.norm_shapes('last_bn', DIMENSIONS)


def skipped(name: str) -> bool:
  """True for what the published files hold besides: the classifier and counters of training."""
  return name.startswith('logits.') or name.endswith('.num_batches_tracked')


def _ours(name: str) -> str:
  return name.replace('.', '_')


class InceptionResnetV1(nn.Module):
  """Faces [b, h, w, 3], RGB in [-1, 1], 160 px in training, -> embeddings [b, 512], float32.

  The embeddings are not normalised.

  Attributes:
    dtype: computation dtype.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    if min(images.shape[1:3]) < _SMALLEST_SIDE:
      raise ValueError(
        f'Images have shape {images.shape}; expected sides of at least {_SMALLEST_SIDE}.'
      )
    x = (images * (127.5 / 128)).astype(self.dtype)  # (x - 127.5) / 128 on 0 ... 255
    for name, unit in _STEM.items():
      x = self._unit(name, unit, x)
      if name == 'conv2d_2b':
        x = nn.max_pool(x, (3, 3), (2, 2))
    for name, residual in _RESIDUALS.items():
      for reduction, first in (('mixed_6a', 'repeat_2.0'), ('mixed_7a', 'repeat_3.0')):
        if name == first:
          parts = self._branches(reduction, _REDUCTIONS[reduction], x)
          x = jnp.concatenate([*parts, nn.max_pool(x, (3, 3), (2, 2))], axis=-1)
      x = self._residual(name, residual, x)
    x = jnp.mean(x.astype(jnp.float32), axis=(1, 2)).astype(self.dtype)  # [b 1792]
    x = nn.Dense(DIMENSIONS, dtype=self.dtype, name='last_linear')(x)
    return x.astype(jnp.float32)

  def _unit(self, name: str, unit: Unit, x: jax.Array) -> jax.Array:
    padding = [(side // 2 * unit.pad,) * 2 for side in unit.kernel]
    conv = nn.Conv(
      unit.outputs, unit.kernel, unit.stride, padding=padding, dtype=self.dtype, name=_ours(name)
    )
    return nn.relu(conv(x))

  def _branches(
    self, name: str, branches: tuple[tuple[Unit, ...], ...], x: jax.Array
  ) -> list[jax.Array]:
    ends: dict[str, jax.Array] = {}
    for full, unit in _branch_names(name, branches).items():
      branch = full.removeprefix(f'{name}.').partition('.')[0]
      ends[branch] = self._unit(full, unit, ends.get(branch, x))
    return list(ends.values())

  def _residual(self, name: str, residual: _Residual, x: jax.Array) -> jax.Array:
    y = jnp.concatenate(self._branches(name, residual.branches, x), axis=-1)
    y = nn.Conv(residual.width, (1, 1), dtype=self.dtype, name=_ours(f'{name}.conv2d'))(y)
    x = x + residual.scale * y
    return nn.relu(x) if residual.active else x


def params_from(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
  """Turns tensors named as `TENSORS` into the float32 parameters of `InceptionResnetV1`."""
  params = {}
  for name in _UNITS:
    kernel = tensors[f'{name}.conv.weight']
    params[_ours(name)] = folding.fold(tensors, kernel, f'{name}.bn', _EPSILON)
  for name in _RESIDUALS:
    params[_ours(f'{name}.conv2d')] = {
      'kernel': folding.to_flax(tensors[f'{name}.conv2d.weight']),
      'bias': np.asarray(tensors[f'{name}.conv2d.bias'], np.float32),
    }
  last = tensors['last_linear.weight']
  params['last_linear'] = folding.fold(tensors, last, 'last_bn', _EPSILON)
  return params
