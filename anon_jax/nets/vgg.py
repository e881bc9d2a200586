"""VGG-19 features (Simonyan and Zisserman 2015, configuration E) with torchvision's weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import imagenet

# Convolutions per block and their width; a 2x2 max pool stands before every block but the first.
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
TAPS = ('relu1_1', 'relu2_1', 'relu3_1', 'relu4_1', 'relu5_1')


def _layers() -> dict[str, tuple[int, int, int]]:
  """Our name of a convolution -> (index in torchvision's `features`, inputs, outputs)."""
  layers, index, inputs = {}, 0, 3
  for block, (count, width) in enumerate(_BLOCKS, 1):
    for number in range(1, count + 1):
      layers[f'conv{block}_{number}'] = (index, inputs, width)
      index, inputs = index + 2, width  # convolution, ReLU
    index += 1  # max pool
  return layers


_LAYERS = _layers()
_LAST = 'conv5_1'  # what lies behind the last tap is in the file but never needed

# Names and shapes in the weight file: torchvision's, kernels OIHW.
TENSORS: dict[str, tuple[int, ...]] = {}
for _index, _inputs, _outputs in _LAYERS.values():
  TENSORS[f'features.{_index}.weight'] = (_outputs, _inputs, 3, 3)
  TENSORS[f'features.{_index}.bias'] = (_outputs,)


class Vgg19(nn.Module):
  """Images [b, h, w, 3], RGB in [-1, 1], -> the five taps of SPADE and pix2pixHD.

  Tap k has shape [b, h // 2^k, w // 2^k, c] with c = 64, 128, 256, 512, 512 for k = 0 ... 4.

  Attributes:
    dtype: computation dtype; preprocessing is done in float32.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> tuple[jax.Array, ...]:
    x = imagenet.preprocess(images, 'imagenet_rgb_mean_std').astype(self.dtype)
    taps = []
    for block, (count, width) in enumerate(_BLOCKS, 1):
      if block > 1:
        x = nn.max_pool(x, (2, 2), (2, 2))
      for number in range(1, count + 1):
        name = f'conv{block}_{number}'
        x = nn.relu(nn.Conv(width, (3, 3), padding=1, dtype=self.dtype, name=name)(x))
        if number == 1:
          taps.append(x)
        if name == _LAST:
          break
    return tuple(taps)


def params_from(tensors: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
  """Turns tensors named and shaped as `TENSORS` into the float32 parameters of `Vgg19` (HWIO)."""
  params = {}
  for name, (index, _, _) in _LAYERS.items():
    kernel = tensors[f'features.{index}.weight'].transpose(2, 3, 1, 0)
    params[name] = {
      'kernel': np.ascontiguousarray(kernel, np.float32),
      'bias': np.asarray(tensors[f'features.{index}.bias'], np.float32),
    }
    if name == _LAST:
      break
  return params
