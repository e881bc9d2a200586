"""MobileFaceNet (Chen et al. 2018), a small face recogniser, with published PyTorch weights.

The weights are those of github.com/Xiaoccer/MobileFaceNet_Pytorch, trained on CASIA-WebFace.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import folding

HEIGHT, WIDTH = 112, 96
_EPSILON = 1e-5
# expansion, channels out, blocks, stride of the first block
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class _Layer(NamedTuple):
  """A convolution in the weight file: names of its tensors, kernel shape OIHW, what follows."""

  conv: str
  norm: str
  slope: str  # '' where no PReLU follows
  shape: tuple[int, int, int, int]


class _Block(NamedTuple):
  expanded: int
  width: int
  stride: int
  shortcut: bool


def _blocks() -> list[_Block]:
  blocks, inputs = [], 64
  for expansion, width, count, stride in _STAGES:
    for number in range(count):
      step = stride if number == 0 else 1
      blocks.append(_Block(expansion * inputs, width, step, step == 1 and inputs == width))
      inputs = width
  return blocks


_BLOCKS = _blocks()


def _layers() -> dict[str, _Layer]:
  """Our name of every convolution -> what it is in the weight file."""

  def plain(name: str, *shape: int) -> _Layer:
    slope = '' if name.startswith('linear') else f'{name}.prelu.weight'
    return _Layer(f'{name}.conv.weight', f'{name}.bn', slope, shape)  # type: ignore[arg-type]

  layers = {'conv1': plain('conv1', 64, 3, 3, 3), 'dw_conv1': plain('dw_conv1', 64, 1, 3, 3)}
  inputs = 64
  for index, (expanded, width, _, _) in enumerate(_BLOCKS):
    p = f'blocks.{index}.conv'
    ours = f'block{index}'
    layers[f'{ours}/expand'] = _Layer(
      f'{p}.0.weight', f'{p}.1', f'{p}.2.weight', (expanded, inputs, 1, 1)
    )
    layers[f'{ours}/depthwise'] = _Layer(
      f'{p}.3.weight', f'{p}.4', f'{p}.5.weight', (expanded, 1, 3, 3)
    )
    layers[f'{ours}/project'] = _Layer(f'{p}.6.weight', f'{p}.7', '', (width, expanded, 1, 1))
    inputs = width
  layers['conv2'] = plain('conv2', 512, 128, 1, 1)
  layers['linear7'] = plain('linear7', 512, 1, 7, 6)
  layers['linear1'] = plain('linear1', 128, 512, 1, 1)
  return layers


_LAYERS = _layers()

# Names and shapes in the weight file.
TENSORS: dict[str, tuple[int, ...]] = {}
for _layer in _LAYERS.values():
  TENSORS[_layer.conv] = _layer.shape
  TENSORS |= folding.norm_shapes(_layer.norm, _layer.shape[0])
  if _layer.slope:
    TENSORS[_layer.slope] = (_layer.shape[0],)


def _per_channel(values: jax.Array, dtype: Any) -> jax.Array:
  return values.astype(dtype).reshape(1, 1, 1, -1)


class _Depthwise(nn.Module):
  """A convolution of each channel by itself, as a sum of shifted pictures.

  On CPUs that is six times as fast as XLA's grouped convolution (64 x 28 x 24 x 256: 58 ms and
  350 ms on two cores).
  """

  sides: tuple[int, int]
  stride: int
  pad: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    rows, columns = self.sides
    kernel = self.param('kernel', nn.initializers.lecun_normal(), (rows, columns, 1, x.shape[-1]))
    bias = self.param('bias', nn.initializers.zeros, (x.shape[-1],))
    x = jnp.pad(x, ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0)))
    last = (x.shape[1] - rows + 1, x.shape[2] - columns + 1)
    y = _per_channel(bias, self.dtype)
    for i in range(rows):
      for j in range(columns):
        shifted = x[:, i : i + last[0] : self.stride, j : j + last[1] : self.stride]
        y = y + shifted * _per_channel(kernel[i, j], self.dtype)
    return y


class _Prelu(nn.Module):
  """x where positive, slope * x elsewhere, one slope a channel."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    slope = self.param('slope', nn.initializers.constant(0.25), (x.shape[-1],))
    return jnp.where(x > 0, x, _per_channel(slope, x.dtype) * x)


class _Bottleneck(nn.Module):
  """Widens by 1x1, convolves each channel by 3x3, narrows by 1x1; a shortcut where sizes agree."""

  block: _Block
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    block = self.block
    y = nn.Conv(block.expanded, (1, 1), dtype=self.dtype, name='expand')(x)
    y = _Prelu(name='expand_prelu')(y)
    y = _Depthwise((3, 3), block.stride, 1, self.dtype, name='depthwise')(y)
    y = _Prelu(name='depthwise_prelu')(y)
    y = nn.Conv(block.width, (1, 1), dtype=self.dtype, name='project')(y)
    return x + y if block.shortcut else y


class MobileFaceNet(nn.Module):
  """Aligned faces [b, 112, 96, 3], RGB in [-1, 1], -> embeddings [b, 128], float32.

  The embeddings are not normalised; they are compared by their cosine.

  Attributes:
    dtype: computation dtype.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    x = (images * (127.5 / 128)).astype(self.dtype)  # (x - 127.5) / 128 on 0 ... 255
    x = nn.Conv(64, (3, 3), 2, padding=1, dtype=self.dtype, name='conv1')(x)  # [b 56 48 64]
    x = _Prelu(name='conv1_prelu')(x)
    x = _Depthwise((3, 3), 1, 1, self.dtype, name='dw_conv1')(x)
    x = _Prelu(name='dw_conv1_prelu')(x)
    for index, block in enumerate(_BLOCKS):
      x = _Bottleneck(block, self.dtype, name=f'block{index}')(x)
    x = nn.Conv(512, (1, 1), dtype=self.dtype, name='conv2')(x)  # [b 7 6 512]
    x = _Prelu(name='conv2_prelu')(x)
    x = _Depthwise((7, 6), 1, 0, self.dtype, name='linear7')(x)  # [b 1 1 512]
    x = nn.Conv(128, (1, 1), dtype=self.dtype, name='linear1')(x)
    return x.reshape(x.shape[0], 128).astype(jnp.float32)


def params_from(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
  """Turns tensors named and shaped as `TENSORS` into the float32 parameters of `MobileFaceNet`."""
  params: dict[str, Any] = {}
  for name, layer in _LAYERS.items():
    block, _, part = name.rpartition('/')
    place = params.setdefault(block, {}) if block else params
    place[part] = folding.fold(tensors, tensors[layer.conv], layer.norm, _EPSILON)
    if layer.slope:
      place[f'{part}_prelu'] = {'slope': np.asarray(tensors[layer.slope], np.float32)}
  return params
