"""The LPIPS distance (Zhang et al. 2018), version 0.1, on AlexNet, VGG-16 or SqueezeNet 1.1.

For each tap of the backbone: features are divided by their length over the channels, the squared
difference of two pictures is weighted by LPIPS' linear head of that tap and averaged over space;
the taps are added up (github.com/richzhang/PerceptualSimilarity, metrics.md 2).

The published heads were fitted to torchvision's backbones. On any others, such as Keras'
SqueezeNet, which is another training, the distance is of the same kind and has other values: its
name says so, and such numbers are never to be compared with published ones. A backbone that is not
there is never replaced by another one: whoever asks for it gets the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import alexnet, frozen, squeezenet, vgg

# SqueezeNet's taps; those of the others are their networks' own.
TAPS = ('conv1', 'fire3', 'fire5', 'fire6', 'fire7', 'fire8', 'fire9')
_LEAST_SIDE = 32
_EPSILON = 1e-10  # beside the length, not inside the root
_TITLES = {'keras': 'Keras SqueezeNet', 'torchvision': 'torchvision SqueezeNet'}


class Lpips(NamedTuple):
  """A distance without its weights; hashable.

  Attributes:
    title: what it has to be called in reports.
    module: the backbone, images -> the taps of LPIPS.
  """

  title: str
  module: nn.Module

  def features(self, params: Any, images: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the unit-length features of float images [b, h, w, 3] in [-1, 1]; sides >= 32."""
    # otherwise GPUs round to TF32, which alone may move a distance by more than metrics.md 7 allows
    with jax.default_matmul_precision('highest'):
      taps: Any = self.module.apply({'params': params['backbone']}, images)
    return tuple(unit(tap) for tap in taps)

  def distances(self, params: Any, a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the distances of pictures, float32 [b].

    Args:
      params: from `load_lpips`.
      a: [b, h, w, 3], RGB in [-1, 1], sides at least 32.
      b: the same.
    """
    return between(self.features(params, a), self.features(params, b), params['heads'])

  def consecutive(self, params: Any, clips: jax.Array) -> jax.Array:
    """Returns the distances of consecutive frames; each frame is looked at once.

    Args:
      params: from `load_lpips`.
      clips: [b, n, h, w, 3], RGB in [-1, 1].

    Returns:
      float32 [b, n - 1].
    """
    count = clips.shape[:2]
    taps = self.features(params, clips.reshape(-1, *clips.shape[2:]))
    rows = [tap.reshape(*count, *tap.shape[1:]) for tap in taps]
    before, after = ([_flat(part) for part in pair] for pair in _pairs(rows))
    return between(before, after, params['heads']).reshape(count[0], count[1] - 1)


def unit(features: jax.Array) -> jax.Array:
  """Divides [b, h, w, c] by its length over the channels, in float32; zeros stay zeros."""
  features = features.astype(jnp.float32)
  squares = jnp.sum(features**2, axis=-1, keepdims=True)
  # the root has no gradient at zero, and nobody needs one here
  return features / (jnp.sqrt(squares) + _EPSILON)


def between(a: Sequence[jax.Array], b: Sequence[jax.Array], heads: Sequence[Any]) -> jax.Array:
  """Adds up the taps' distances.

  Args:
    a: unit-length features, [b, h, w, c] for each tap.
    b: the same of the other pictures.
    heads: weights [c] for each tap, none below 0.

  Returns:
    float32 [b].
  """
  parts = [
    jnp.mean(jnp.sum((x - y) ** 2 * jnp.reshape(head, (1, 1, 1, -1)), -1), axis=(1, 2))
    for x, y, head in zip(a, b, heads, strict=True)
  ]
  return sum(parts[1:], parts[0])


def _pairs(rows: Sequence[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
  return [row[:, :-1] for row in rows], [row[:, 1:] for row in rows]


def _flat(clips: jax.Array) -> jax.Array:
  return clips.reshape(-1, *clips.shape[2:])


class _Backbone(NamedTuple):
  """What LPIPS needs to know of one backbone.

  Attributes:
    load: weight file -> what the backbone has to be called, the module, its parameters.
    weights: its key in `frozen.PUBLISHED`.
    channels: of its taps.
  """

  load: Callable[[Path], tuple[str, nn.Module, Any]]
  weights: str
  channels: tuple[int, ...]


def _load_alexnet(path: Path) -> tuple[str, nn.Module, Any]:
  params = alexnet.params_from(frozen.load_tensors(path, alexnet.TENSORS))
  return _named('AlexNet', 'alexnet', path), alexnet.AlexNet(), params


def _load_vgg16(path: Path) -> tuple[str, nn.Module, Any]:
  params = vgg.params_from(frozen.load_tensors(path, vgg.TENSORS_16), vgg.Vgg16)
  return _named('VGG-16', 'vgg16', path), vgg.Vgg16(), params


def _named(architecture: str, network: str, path: Path) -> str:
  """Gives torchvision's name to the file that was converted from torchvision's own only."""
  source = frozen.read_header(path).metadata.get('source_sha256', '')
  if source.startswith(frozen.published(network).sha256_prefix):
    return f'torchvision {architecture}'
  return f'{architecture} of other weights'


def _load_squeezenet(path: Path) -> tuple[str, nn.Module, Any]:
  header = frozen.read_header(path)
  layout = squeezenet.layout_of(header.tensors, header.metadata)
  tensors = frozen.load_tensors(path, squeezenet.TENSORS[layout])
  module = squeezenet.SqueezeNet(layout=layout, taps=TAPS)
  return _TITLES[layout], module, squeezenet.params_from(tensors, layout)


# LPIPS' own names of its backbones
BACKBONES: Mapping[str, _Backbone] = MappingProxyType(
  {
    'alex': _Backbone(_load_alexnet, 'alexnet', alexnet.CHANNELS),
    'vgg': _Backbone(_load_vgg16, 'vgg16', (64, 128, 256, 512, 512)),
    'squeeze': _Backbone(_load_squeezenet, 'squeezenet', (64, 128, 256, 384, 384, 512, 512)),
  }
)


def heads_file(network: str) -> str:
  """Returns the name of the file with the linear heads of a key of `BACKBONES`."""
  return f'lpips_linear_{network}.safetensors'


def load_or_say(
  folders: Sequence[str | Path], image_size: int, network: str = 'squeeze'
) -> tuple[tuple[Lpips, Any] | None, str]:
  """Loads a distance for pictures of `image_size`, or says why there is none.

  Args:
    folders: searched for the weights.
    image_size: shorter side in pixels.
    network: a key of `BACKBONES`.

  Returns:
    What `load_lpips` returns and '', or None and the reason, for the report.

  Raises:
    ValueError: unknown network.
  """
  _backbone(network)
  if image_size < _LEAST_SIDE:
    return None, f'pictures of {image_size} px are too small; it needs {_LEAST_SIDE}.'
  try:
    return load_lpips(folders, network), ''
  except frozen.WeightsError as error:
    return None, str(error)


def load_lpips(folders: Sequence[str | Path], network: str = 'squeeze') -> tuple[Lpips, Any]:
  """Finds, checks and loads backbone and linear heads.

  Args:
    folders: searched in this order for each of the two files.
    network: a key of `BACKBONES`.

  Returns:
    The distance, and its parameters, `backbone` and `heads`, as NumPy arrays.

  Raises:
    ValueError: unknown network.
    WeightsError: a file is missing or damaged.
  """
  backbone = _backbone(network)
  title, module, params = backbone.load(frozen.find_weights(backbone.weights, folders))
  way_out = (
    f'It holds lin0.weight to lin{len(backbone.channels) - 1}.weight, the float32 vectors '
    f'[channels] of lpips/weights/v0.1/{network}.pth of '
    'https://github.com/richzhang/PerceptualSimilarity.'
  )
  path = frozen.find_file("LPIPS' linear heads", heads_file(network), folders, way_out)
  names = {f'lin{tap}.weight': (count,) for tap, count in enumerate(backbone.channels)}
  heads = frozen.load_tensors(path, names)
  negative = [name for name, head in heads.items() if (head < 0).any()]
  if negative:
    raise frozen.WeightsError(f'{path} has negative weights in {negative}; copy it again.')
  ordered = tuple(np.asarray(heads[name], np.float32) for name in names)
  return Lpips(f'LPIPS distance, {title}', module), {'backbone': params, 'heads': ordered}


def _backbone(network: str) -> _Backbone:
  if network not in BACKBONES:
    raise ValueError(f'Unknown backbone {network!r} of LPIPS; choose one of {list(BACKBONES)}.')
  return BACKBONES[network]
