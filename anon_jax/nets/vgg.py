"""VGG-16 and VGG-19 features (Simonyan and Zisserman 2015, D and E) with torchvision's weights."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import imagenet

# Convolutions per block and their width; a 2x2 max pool stands before every block but the first.
_Blocks = tuple[tuple[int, int], ...]
_BLOCKS_16: _Blocks = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_BLOCKS_19: _Blocks = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
TAPS = ('relu1_1', 'relu2_1', 'relu3_1', 'relu4_1', 'relu5_1')
LPIPS_TAPS = ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3', 'relu5_3')  # of VGG-16


def _layers(blocks: _Blocks) -> dict[str, tuple[int, int, int]]:
  """Number of a convolution -> (index in torchvision's `features`, inputs, outputs)."""
  layers, index, inputs = {}, 0, 3
  for block, (count, width) in enumerate(blocks, 1):
    for number in range(1, count + 1):
      layers[f'{block}_{number}'] = (index, inputs, width)
      index, inputs = index + 2, width  # convolution, ReLU
    index += 1  # max pool
  return layers


def _tensors(blocks: _Blocks) -> dict[str, tuple[int, ...]]:
  """Names and shapes in the weight file: torchvision's, kernels OIHW."""
  tensors: dict[str, tuple[int, ...]] = {}
  for index, inputs, outputs in _layers(blocks).values():
    tensors[f'features.{index}.weight'] = (outputs, inputs, 3, 3)
    tensors[f'features.{index}.bias'] = (outputs,)
  return tensors


TENSORS = _tensors(_BLOCKS_19)
TENSORS_16 = _tensors(_BLOCKS_16)


class _Vgg(nn.Module):
  """The trunk of both networks, up to the last tap.

  Attributes:
    dtype: computation dtype; preprocessing is done in float32.
    blocks: of the network.
    taps: ReLU outputs that are given, in their order.
  """

  dtype: Any = jnp.float32

  blocks: ClassVar[_Blocks]
  taps: ClassVar[tuple[str, ...]]

  @nn.compact
  def __call__(self, images: jax.Array) -> tuple[jax.Array, ...]:
    x = imagenet.preprocess(images, 'imagenet_rgb_mean_std').astype(self.dtype)
    taps: list[jax.Array] = []
    for number, (index, _, width) in _layers(self.blocks).items():
      if len(taps) == len(self.taps):
        break  # what lies behind the last tap is in the file but never needed
      if number.endswith('_1') and index:
        x = nn.max_pool(x, (2, 2), (2, 2))
      x = nn.relu(nn.Conv(width, (3, 3), padding=1, dtype=self.dtype, name=f'conv{number}')(x))
      if f'relu{number}' in self.taps:
        taps.append(x)
    return tuple(taps)


class Vgg19(_Vgg):
  """Images [b, h, w, 3], RGB in [-1, 1], -> the five taps of SPADE and pix2pixHD.

  Tap k has shape [b, h // 2^k, w // 2^k, c] with c = 64, 128, 256, 512, 512 for k = 0 ... 4.
  """

  blocks = _BLOCKS_19
  taps = TAPS


class Vgg16(_Vgg):
  """Images [b, h, w, 3], RGB in [-1, 1], -> the five taps of LPIPS, the last of each block.

  Their shapes are those of `Vgg19`.
  """

  blocks = _BLOCKS_16
  taps = LPIPS_TAPS


def params_from(
  tensors: dict[str, np.ndarray], network: type[Vgg19] | type[Vgg16] = Vgg19
) -> dict[str, dict[str, np.ndarray]]:
  """Turns tensors of a weight file into float32 parameters (HWIO).

  Args:
    tensors: named and shaped as `TENSORS` or, for `Vgg16`, as `TENSORS_16`.
    network: whose parameters.
  """
  params, last = {}, network.taps[-1].removeprefix('relu')
  for number, (index, _, _) in _layers(network.blocks).items():
    kernel = tensors[f'features.{index}.weight'].transpose(2, 3, 1, 0)
    params[f'conv{number}'] = {
      'kernel': np.ascontiguousarray(kernel, np.float32),
      'bias': np.asarray(tensors[f'features.{index}.bias'], np.float32),
    }
    if number == last:
      break
  return params
