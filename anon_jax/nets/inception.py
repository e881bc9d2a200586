"""The Inception v3 of 2015 that the FID is defined on, up to its 2,048 pooled features.

Names and shapes are those of pt_inception-2015-12-05 (github.com/mseitzer/pytorch-fid), which has
the weights of TensorFlow's graph. It differs from torchvision's Inception v3 (metrics.md 1): 1,008
classes, and so other weights; average pools that do not count the border; a max pool in the last
block, Mixed_7c.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import folding
from anon_jax.nets.inception_resnet import Unit

DIMENSIONS = 2048
SIDE = 299
# How a picture becomes the network's input, by the name under which a figure must be quoted.
MODES = ('clean', 'legacy_pytorch')
_EPSILON = 1e-3


class _Block(NamedTuple):
  """Branches beside each other, joined by channels.

  Attributes:
    branches: each a sequence of units, or of tuples of units that stand side by side.
    pool: 'average', 'max' (both 3x3, same size, before a 1x1 unit) or 'reduce' (a 3x3 max pool of
      stride 2 and nothing else): the last branch.
    pooled: the 1x1 unit after the pool, by its name; None for 'reduce'.
  """

  branches: tuple[tuple[Mapping[str, Unit], ...], ...]
  pool: str
  pooled: Unit | None


def _one(
  name: str,
  inputs: int,
  outputs: int,
  kernel: tuple[int, int] = (1, 1),
  stride: int = 1,
  pad: bool = False,
) -> Mapping[str, Unit]:
  return MappingProxyType({name: Unit(inputs, outputs, kernel, stride, pad)})


def _block_a(width: int, pooled: int) -> _Block:
  return _Block(
    (
      (_one('branch1x1', width, 64),),
      (_one('branch5x5_1', width, 48), _one('branch5x5_2', 48, 64, (5, 5), pad=True)),
      (
        _one('branch3x3dbl_1', width, 64),
        _one('branch3x3dbl_2', 64, 96, (3, 3), pad=True),
        _one('branch3x3dbl_3', 96, 96, (3, 3), pad=True),
      ),
    ),
    'average',
    Unit(width, pooled),
  )


def _block_b(width: int) -> _Block:
  return _Block(
    (
      (_one('branch3x3', width, 384, (3, 3), 2),),
      (
        _one('branch3x3dbl_1', width, 64),
        _one('branch3x3dbl_2', 64, 96, (3, 3), pad=True),
        _one('branch3x3dbl_3', 96, 96, (3, 3), 2),
      ),
    ),
    'reduce',
    None,
  )


def _block_c(width: int, inner: int) -> _Block:
  row, column = (1, 7), (7, 1)
  return _Block(
    (
      (_one('branch1x1', width, 192),),
      (
        _one('branch7x7_1', width, inner),
        _one('branch7x7_2', inner, inner, row, pad=True),
        _one('branch7x7_3', inner, 192, column, pad=True),
      ),
      (
        _one('branch7x7dbl_1', width, inner),
        _one('branch7x7dbl_2', inner, inner, column, pad=True),
        _one('branch7x7dbl_3', inner, inner, row, pad=True),
        _one('branch7x7dbl_4', inner, inner, column, pad=True),
        _one('branch7x7dbl_5', inner, 192, row, pad=True),
      ),
    ),
    'average',
    Unit(width, 192),
  )


def _block_d(width: int) -> _Block:
  return _Block(
    (
      (_one('branch3x3_1', width, 192), _one('branch3x3_2', 192, 320, (3, 3), 2)),
      (
        _one('branch7x7x3_1', width, 192),
        _one('branch7x7x3_2', 192, 192, (1, 7), pad=True),
        _one('branch7x7x3_3', 192, 192, (7, 1), pad=True),
        _one('branch7x7x3_4', 192, 192, (3, 3), 2),
      ),
    ),
    'reduce',
    None,
  )


def _block_e(width: int, pool: str) -> _Block:
  def split(name: str) -> Mapping[str, Unit]:
    row, column = Unit(384, 384, (1, 3), pad=True), Unit(384, 384, (3, 1), pad=True)
    return MappingProxyType({f'{name}a': row, f'{name}b': column})

  return _Block(
    (
      (_one('branch1x1', width, 320),),
      (_one('branch3x3_1', width, 384), split('branch3x3_2')),
      (
        _one('branch3x3dbl_1', width, 448),
        _one('branch3x3dbl_2', 448, 384, (3, 3), pad=True),
        split('branch3x3dbl_3'),
      ),
    ),
    pool,
    Unit(width, 192),
  )


_STEM: dict[str, Unit] = {
  'Conv2d_1a_3x3': Unit(3, 32, (3, 3), 2),
  'Conv2d_2a_3x3': Unit(32, 32, (3, 3)),
  'Conv2d_2b_3x3': Unit(32, 64, (3, 3), pad=True),
  'Conv2d_3b_1x1': Unit(64, 80),
  'Conv2d_4a_3x3': Unit(80, 192, (3, 3)),
}
_POOL_AFTER = ('Conv2d_2b_3x3', 'Conv2d_4a_3x3')
_BLOCKS: dict[str, _Block] = {
  'Mixed_5b': _block_a(192, 32),
  'Mixed_5c': _block_a(256, 64),
  'Mixed_5d': _block_a(288, 64),
  'Mixed_6a': _block_b(288),
  'Mixed_6b': _block_c(768, 128),
  'Mixed_6c': _block_c(768, 160),
  'Mixed_6d': _block_c(768, 160),
  'Mixed_6e': _block_c(768, 192),
  'Mixed_7a': _block_d(768),
  'Mixed_7b': _block_e(1280, 'average'),
  'Mixed_7c': _block_e(2048, 'max'),
}


def _units() -> dict[str, Unit]:
  units = dict(_STEM)
  for name, block in _BLOCKS.items():
    for branch in block.branches:
      for step in branch:
        units |= {f'{name}.{part}': unit for part, unit in step.items()}
    if block.pooled is not None:
      units[f'{name}.branch_pool'] = block.pooled
  return units


_UNITS = _units()
# Names and shapes in the weight file, kernels OIHW.
TENSORS: dict[str, tuple[int, ...]] = {}
for _name, _unit in _UNITS.items():
  TENSORS[f'{_name}.conv.weight'] = (_unit.outputs, _unit.inputs, *_unit.kernel)
  TENSORS |= folding.norm_shapes(f'{_name}.bn', _unit.outputs)


def skipped(name: str) -> bool:
  """True for what the published file holds besides: the classifier and counters of training."""
  return name.startswith('fc.') or name.endswith('.num_batches_tracked')


def preprocess(images: jax.Array, mode: str) -> jax.Array:
  """Turns pictures into the network's input, float32 [b, 299, 299, 3]; traceable.

  They are rounded to 8 bits first, as the published tools read files.

  Args:
    images: [b, h, w, 3], RGB in [-1, 1].
    mode: 'clean' (clean-fid): Keys' bicubic with antialiasing, as Pillow resizes floats, clipped,
      then (x - 128) / 128; or 'legacy_pytorch' (pytorch-fid): bilinear without antialiasing, then
      2 x - 1 on 0 ... 1.

  Raises:
    ValueError: another shape, integers, or an unknown mode.
  """
  if images.ndim != 4 or images.shape[-1] != 3:
    raise ValueError(f'Images have shape {images.shape}; expected [b, h, w, 3].')
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(f'Images are {images.dtype}; expected floats in [-1, 1].')
  if mode not in MODES:
    raise ValueError(f'Unknown preprocessing {mode!r}; choose one of {list(MODES)}.')
  levels = jnp.clip(jnp.round((images.astype(jnp.float32) + 1) * 127.5), 0, 255)
  shape = (images.shape[0], SIDE, SIDE, 3)
  if mode == 'clean':
    rows, columns = (jnp.asarray(_cubic_weights(side)) for side in images.shape[1:3])
    best = jax.lax.Precision.HIGHEST
    resized = jnp.einsum('bhwc,Ww->bhWc', levels, columns, precision=best)
    resized = jnp.einsum('bhWc,Hh->bHWc', resized, rows, precision=best)
    # no rounding after it: that is what the mode is named for
    return (jnp.clip(resized, 0, 255) - 128) / 128
  return jax.image.resize(levels / 255, shape, 'linear', antialias=False) * 2 - 1


def _cubic_weights(side: int) -> np.ndarray:
  """Returns float32 [299, side]: how Pillow's bicubic weighs `side` pixels for each new one.

  The kernel of Keys (1981) with a = -1/2, widened where pictures shrink. Its places are in float64,
  as Pillow's are: `jax.image.resize` has them in float32, which is off by up to .005 levels, and
  moved the features by more than metrics.md 7 allows.
  """
  scale = side / SIDE
  centres = (np.arange(SIDE)[:, None] + 0.5) * scale
  away = np.abs(np.arange(side) + 0.5 - centres) / max(scale, 1.0)
  near = (1.5 * away - 2.5) * away**2 + 1
  far = ((-0.5 * away + 2.5) * away - 4) * away + 2
  weights = np.where(away < 1, near, np.where(away < 2, far, 0))
  weights /= weights.sum(axis=1, keepdims=True)
  return weights.astype(np.float32)


class Inception(nn.Module):
  """Input as `preprocess` gives it, [b, 299, 299, 3] -> features [b, 2048], float32.

  Convolutions are done in full float32 wherever they run: the TF32 of GPUs alone would move the
  features by more than metrics.md 7 allows.
  """

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    if images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
      raise ValueError(f'Images have shape {images.shape}; expected [b, {SIDE}, {SIDE}, 3].')
    x = images.astype(jnp.float32)
    for name, unit in _STEM.items():
      x = self._unit(name, unit, x)
      if name in _POOL_AFTER:
        x = nn.max_pool(x, (3, 3), (2, 2))
    for name, block in _BLOCKS.items():
      x = self._block(name, block, x)
    return jnp.mean(x, axis=(1, 2))

  def _unit(self, name: str, unit: Unit, x: jax.Array) -> jax.Array:
    conv = nn.Conv(
      unit.outputs,
      unit.kernel,
      unit.stride,
      padding=[(side // 2 * unit.pad,) * 2 for side in unit.kernel],
      precision=jax.lax.Precision.HIGHEST,
      name=name.replace('.', '_'),
    )
    return nn.relu(conv(x))

  def _block(self, name: str, block: _Block, x: jax.Array) -> jax.Array:
    ends = []
    for branch in block.branches:
      parts = [x]
      for step in branch:  # only a last step has two units, side by side
        parts = [self._unit(f'{name}.{part}', unit, parts[0]) for part, unit in step.items()]
      ends += parts
    if block.pooled is None:
      ends.append(nn.max_pool(x, (3, 3), (2, 2)))
    else:
      ends.append(self._unit(f'{name}.branch_pool', block.pooled, pool(x, block.pool)))
    return jnp.concatenate(ends, axis=-1)


def pool(x: jax.Array, kind: str) -> jax.Array:
  """Pools [b, h, w, c] by 3x3 windows of stride 1: 'average' of what is inside, or 'max'."""
  around = ((1, 1), (1, 1))
  if kind == 'max':
    return nn.max_pool(x, (3, 3), (1, 1), around)  # padded by -inf
  return nn.avg_pool(x, (3, 3), (1, 1), around, count_include_pad=False)


def params_from(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
  """Turns tensors named as `TENSORS` into the float32 parameters of `Inception`."""
  return {
    name.replace('.', '_'): folding.fold(
      tensors, tensors[f'{name}.conv.weight'], f'{name}.bn', _EPSILON
    )
    for name in _UNITS
  }
