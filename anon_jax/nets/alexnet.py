"""AlexNet features (Krizhevsky 2014, "one weird trick") with torchvision's weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import imagenet

# Our name of a convolution -> (index in torchvision's `features`, inputs, outputs, kernel, stride,
# padding). A 3x3 max pool of stride 2 stands before conv2 and conv3.
_LAYERS = {
  'conv1': (0, 3, 64, 11, 4, 2),
  'conv2': (3, 64, 192, 5, 1, 2),
  'conv3': (6, 192, 384, 3, 1, 1),
  'conv4': (8, 384, 256, 3, 1, 1),
  'conv5': (10, 256, 256, 3, 1, 1),
}
_POOL_BEFORE = ('conv2', 'conv3')
TAPS = tuple(_LAYERS)
CHANNELS = tuple(layer[2] for layer in _LAYERS.values())

# Names and shapes in the weight file: torchvision's, kernels OIHW.
TENSORS: dict[str, tuple[int, ...]] = {}
for _index, _inputs, _outputs, _side, _, _ in _LAYERS.values():
  TENSORS[f'features.{_index}.weight'] = (_outputs, _inputs, _side, _side)
  TENSORS[f'features.{_index}.bias'] = (_outputs,)


class AlexNet(nn.Module):
  """Images [b, h, w, 3], RGB in [-1, 1], -> the ReLU outputs of all five convolutions.

  They have 64, 192, 384, 256 and 256 channels; at 32 x 32 pixels the last three are 1 x 1. All
  padding is written out: what 'SAME' would pad at stride 4 is not what torchvision pads, and the
  pools take windows inside the picture only.

  Attributes:
    dtype: computation dtype; preprocessing is done in float32.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> tuple[jax.Array, ...]:
    x = imagenet.preprocess(images, 'imagenet_rgb_mean_std').astype(self.dtype)
    taps = []
    for name, (_, _, width, side, stride, padding) in _LAYERS.items():
      if name in _POOL_BEFORE:
        x = nn.max_pool(x, (3, 3), (2, 2))
      conv = nn.Conv(width, (side, side), stride, padding=padding, dtype=self.dtype, name=name)
      x = nn.relu(conv(x))
      taps.append(x)
    return tuple(taps)


def params_from(tensors: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
  """Turns tensors named and shaped as `TENSORS` into the float32 parameters of `AlexNet` (HWIO)."""
  return {
    name: {
      'kernel': np.ascontiguousarray(
        tensors[f'features.{index}.weight'].transpose(2, 3, 1, 0), np.float32
      ),
      'bias': np.asarray(tensors[f'features.{index}.bias'], np.float32),
    }
    for name, (index, *_) in _LAYERS.items()
  }
