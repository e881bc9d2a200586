"""SqueezeNet 1.1 features (Iandola et al. 2016), with Keras' or torchvision's ImageNet weights.

The two published sets of weights are different trainings with different conventions:

| | Keras | torchvision |
|---|---|---|
| names | `conv1.kernel`, `fire2.squeeze1x1.kernel` | `features.0.weight`, `.3.squeeze.weight` |
| kernels | HWIO | OIHW |
| input | BGR in [0, 255] minus the mean pixel | RGB in [0, 1] minus mean over deviation |
| max pools | windows inside the image only | a last, partial window is kept (ceil mode) |

The names in the file decide; where the file also records its preprocessing, both must agree.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import imagenet
from anon_jax.nets.frozen import WeightsError

# fire module -> (channels in, squeezed, expanded by each of 1x1 and 3x3)
_FIRES = {
  'fire2': (64, 16, 64),
  'fire3': (128, 16, 64),
  'fire4': (128, 32, 128),
  'fire5': (256, 32, 128),
  'fire6': (256, 48, 192),
  'fire7': (384, 48, 192),
  'fire8': (384, 64, 256),
  'fire9': (512, 64, 256),
}
_POOL_BEFORE = ('fire2', 'fire4', 'fire6')
# The last output before each pool, one in the middle of the 1/16 stage, and the end: one tap per
# scale and two for the deepest, which has four fire modules.
TAPS = ('conv1', 'fire3', 'fire5', 'fire7', 'fire9')
# Position of our modules in torchvision's `features` (pools and ReLU take the others).
_TORCHVISION_INDEX = {
  'conv1': 0, 'fire2': 3, 'fire3': 4, 'fire4': 6, 'fire5': 7,
  'fire6': 9, 'fire7': 10, 'fire8': 11, 'fire9': 12,
}  # fmt: skip
PREPROCESSING = {'keras': 'caffe_bgr', 'torchvision': 'imagenet_rgb_mean_std'}


def _kernels() -> dict[str, tuple[int, int, int, int]]:
  """Our name of every convolution -> kernel shape HWIO."""
  kernels = {'conv1': (3, 3, 3, 64)}
  for fire, (inputs, squeezed, expanded) in _FIRES.items():
    kernels[f'{fire}.squeeze1x1'] = (1, 1, inputs, squeezed)
    kernels[f'{fire}.expand1x1'] = (1, 1, squeezed, expanded)
    kernels[f'{fire}.expand3x3'] = (3, 3, squeezed, expanded)
  return kernels


_KERNELS = _kernels()


def _torchvision_name(name: str) -> str:
  module, _, part = name.partition('.')
  part = part.replace('squeeze1x1', 'squeeze')  # the one part that torchvision calls otherwise
  return '.'.join(filter(None, ('features', str(_TORCHVISION_INDEX[module]), part)))


# Layout -> names and shapes in a weight file of that layout.
TENSORS: dict[str, dict[str, tuple[int, ...]]] = {'keras': {}, 'torchvision': {}}
for _name, (_h, _w, _in, _out) in _KERNELS.items():
  TENSORS['keras'][f'{_name}.kernel'] = (_h, _w, _in, _out)
  TENSORS['keras'][f'{_name}.bias'] = (_out,)
  TENSORS['torchvision'][f'{_torchvision_name(_name)}.weight'] = (_out, _in, _h, _w)
  TENSORS['torchvision'][f'{_torchvision_name(_name)}.bias'] = (_out,)


class _Fire(nn.Module):
  """Squeezes by 1x1, expands by 1x1 and 3x3 side by side, each followed by ReLU."""

  squeezed: int
  expanded: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    s = nn.relu(nn.Conv(self.squeezed, (1, 1), dtype=self.dtype, name='squeeze1x1')(x))
    one = nn.Conv(self.expanded, (1, 1), dtype=self.dtype, name='expand1x1')(s)
    three = nn.Conv(self.expanded, (3, 3), padding=1, dtype=self.dtype, name='expand3x3')(s)
    return nn.relu(jnp.concatenate([one, three], axis=-1))  # [b h w 2*expanded]


class SqueezeNet(nn.Module):
  """Images [b, h, w, 3], RGB in [-1, 1], -> ReLU outputs, by default of conv1, fire3, 5, 7 and 9.

  The taps are about 1/2, 1/4, 1/8, 1/16 and 1/16 of the image's side, with 64, 128, 256, 384 and
  512 channels; at 32 x 32 pixels the last two are 1 x 1.

  Attributes:
    layout: 'keras' or 'torchvision'; decides preprocessing and the rule of the max pools.
    dtype: computation dtype; preprocessing is done in float32.
    taps: modules whose outputs are given, in their order; conv1 is always the first.
  """

  layout: str
  dtype: Any = jnp.float32
  taps: tuple[str, ...] = TAPS

  @nn.compact
  def __call__(self, images: jax.Array) -> tuple[jax.Array, ...]:
    x = imagenet.preprocess(images, PREPROCESSING[self.layout]).astype(self.dtype)
    x = nn.relu(nn.Conv(64, (3, 3), 2, padding='VALID', dtype=self.dtype, name='conv1')(x))
    taps = [x]
    for name, (_, squeezed, expanded) in _FIRES.items():
      if name in _POOL_BEFORE:
        x = self._pool(x)
      x = _Fire(squeezed, expanded, self.dtype, name=name)(x)
      if name in self.taps:
        taps.append(x)
    return tuple(taps)

  def _pool(self, x: jax.Array) -> jax.Array:
    """3x3 max pool of stride 2; in ceil mode a partial last window counts (padded by -inf)."""
    ceil = self.layout == 'torchvision'
    rows, columns = ((side - 3) % 2 if ceil else 0 for side in x.shape[1:3])
    return nn.max_pool(x, (3, 3), (2, 2), padding=((0, rows), (0, columns)))


def layout_of(names: Iterable[str], metadata: Mapping[str, str]) -> str:
  """Returns 'keras' or 'torchvision' for a weight file with these tensor names and metadata.

  Raises:
    WeightsError: names of neither layout, or a recorded preprocessing that is not the layout's.
  """
  names = set(names)
  fitting = [layout for layout, tensors in TENSORS.items() if names & tensors.keys()]
  if len(fitting) != 1:
    raise WeightsError(
      f'Tensors {sorted(names)[:3]} ... are neither the Keras layout (conv1.kernel) nor the '
      f'torchvision layout (features.0.weight) of SqueezeNet 1.1.'
    )
  recorded = metadata.get('preprocessing', PREPROCESSING[fitting[0]])
  if recorded != PREPROCESSING[fitting[0]]:
    raise WeightsError(
      f'SqueezeNet weights in the {fitting[0]} layout record the preprocessing {recorded!r} '
      f'instead of {PREPROCESSING[fitting[0]]!r}; convert them again.'
    )
  return fitting[0]


def params_from(tensors: dict[str, np.ndarray], layout: str) -> dict[str, dict]:
  """Turns tensors named and shaped as `TENSORS[layout]` into the parameters of `SqueezeNet`."""
  params: dict[str, dict] = {}
  for name in _KERNELS:
    if layout == 'keras':
      kernel, bias = tensors[f'{name}.kernel'], tensors[f'{name}.bias']
    else:
      prefix = _torchvision_name(name)
      kernel, bias = tensors[f'{prefix}.weight'].transpose(2, 3, 1, 0), tensors[f'{prefix}.bias']
    leaf = {
      'kernel': np.ascontiguousarray(kernel, np.float32),
      'bias': np.asarray(bias, np.float32),
    }
    module, _, part = name.partition('.')
    if part:
      params.setdefault(module, {})[part] = leaf
    else:
      params[module] = leaf
  return params
