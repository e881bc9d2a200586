"""The LPIPS distance (Zhang et al. 2018), on whichever SqueezeNet 1.1 there is.

For each of seven taps: features are divided by their length over the channels, the squared
difference of two pictures is weighted by LPIPS' linear head of that tap and averaged over space;
the taps are added up. The published heads (v0.1) were fitted to torchvision's SqueezeNet. On Keras'
weights, which are another training, the distance is of the same kind and has other values: its name
says so, and such numbers are never to be compared with published ones.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.nets import frozen, squeezenet

HEADS = 'lpips_linear_squeeze.safetensors'
TAPS = ('conv1', 'fire3', 'fire5', 'fire6', 'fire7', 'fire8', 'fire9')
_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
_LEAST_SIDE = 32
_EPSILON = 1e-10  # beside the length, not inside the root
_TITLES = {'keras': 'Keras SqueezeNet', 'torchvision': 'torchvision SqueezeNet'}


class Lpips(NamedTuple):
  """A distance without its weights; hashable.

  Attributes:
    title: what it has to be called in reports.
    module: the backbone, with the taps of LPIPS.
  """

  title: str
  module: squeezenet.SqueezeNet

  def features(self, params: Any, images: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the unit-length features of float images [b, h, w, 3] in [-1, 1]; sides >= 32."""
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


def load_or_say(
  folders: Sequence[str | Path], image_size: int
) -> tuple[tuple[Lpips, Any] | None, str]:
  """Loads a distance for pictures of `image_size`, or says why there is none.

  Returns:
    What `load_lpips` returns and '', or None and the reason, for the report.
  """
  if image_size < _LEAST_SIDE:
    return None, f'pictures of {image_size} px are too small; it needs {_LEAST_SIDE}.'
  try:
    return load_lpips(folders), ''
  except frozen.WeightsError as error:
    return None, str(error)


def load_lpips(folders: Sequence[str | Path]) -> tuple[Lpips, Any]:
  """Finds, checks and loads backbone and linear heads.

  Args:
    folders: searched in this order for each of the two files.

  Returns:
    The distance, and its parameters, `backbone` and `heads`, as NumPy arrays.

  Raises:
    WeightsError: a file is missing or damaged.
  """
  path = frozen.find_weights('squeezenet', folders)
  header = frozen.read_header(path)
  layout = squeezenet.layout_of(header.tensors, header.metadata)
  tensors = frozen.load_tensors(path, squeezenet.TENSORS[layout])
  way_out = (
    'It holds lin0.weight to lin6.weight, the float32 vectors [channels] of lpips/weights/v0.1/'
    'squeeze.pth of https://github.com/richzhang/PerceptualSimilarity.'
  )
  heads_path = frozen.find_file("LPIPS' linear heads", HEADS, folders, way_out)
  names = {f'lin{tap}.weight': (count,) for tap, count in enumerate(_CHANNELS)}
  heads = frozen.load_tensors(heads_path, names)
  negative = [name for name, head in heads.items() if (head < 0).any()]
  if negative:
    raise frozen.WeightsError(f'{heads_path} has negative weights in {negative}; copy it again.')
  params = {
    'backbone': squeezenet.params_from(tensors, layout),
    'heads': tuple(np.asarray(heads[name], np.float32) for name in names),
  }
  module = squeezenet.SqueezeNet(layout=layout, taps=TAPS)
  return Lpips(f'LPIPS distance, {_TITLES[layout]}', module), params
