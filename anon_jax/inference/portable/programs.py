"""What is exported: each network by itself, and the chain from a crop to an anonymized crop."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax import proxy
from anon_jax.data import semantic
from anon_jax.inference import covering, painting, synthesis
from anon_jax.inference.crops import Frame
from anon_jax.inference.painting import Networks
from anon_jax.inference.weights import Network, Weights
from anon_jax.nets.single_stage import BESIDE

BATCH = 'batch'
CHAIN = 'chain'
MAP = 'map'
_SIGNED, _LEVELS = (-1.0, 1.0), (0.0, 255.0)
_CLASSES = (0, semantic.NUM_CLASSES - 1)


@dataclasses.dataclass(frozen=True)
class Array:
  """An input or an output of a program.

  Attributes:
    dtype: 'float32', 'uint8' or 'bool'.
    shape: BATCH, then numbers.
    range: smallest and largest value; None for numbers of any size.
    meaning: what it shows.
  """

  dtype: str
  shape: tuple[str | int, ...]
  range: tuple[float, float] | None
  meaning: str

  def spec(self, batch: Any) -> jax.ShapeDtypeStruct:
    """Returns shape and dtype for a batch of this size, which may be symbolic."""
    sizes = [batch if size == BATCH else size for size in self.shape]
    return jax.ShapeDtypeStruct(sizes, jnp.dtype(self.dtype))


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
  """A function to export.

  Attributes:
    name: of its file.
    about: one line.
    function: of arrays by position, in the order of `inputs`; returns a dict, keys as `outputs`.
    inputs: by name.
    outputs: by name.
  """

  name: str
  about: str
  function: Callable[..., dict[str, jax.Array]]
  inputs: Mapping[str, Array]
  outputs: Mapping[str, Array]


def programs(weights: Weights) -> list[Program]:
  """Lists the programs of trained networks; parameters are part of them, in float32.

  Raises:
    InferenceError: a network is missing.
  """
  networks = synthesis.chosen(weights)
  alone = [_ALONE[name](name, net) for name, net in networks.items()]
  return [*alone, chain(networks)]


def chain(networks: Networks) -> Program:
  """Returns the chain: what `Anonymizer` does to a picture that is nothing but the crop.

  S finds the map, A paints the control identity into it, H blends, I compares; drawing again and
  filling are left to the caller, who gets the numbers that they depend on.
  """
  blender = networks[painting.blender_of(networks)]
  painter = networks.get('anonymization', blender)
  side, size = (
    blender.input.image_size,
    blender.input.image_size * getattr(blender.module, 'upscale', 1),
  )
  recurrent = getattr(blender.module, 'recurrent', False)
  inputs = {
    'crops': Array(
      'uint8', (BATCH, side, side, 3), _LEVELS, 'RGB, upright; face box in the middle, 0.6 of side'
    ),
    'controls': Array(
      'float32',
      (BATCH, painter.module.identities),
      (0.0, 1.0),
      'control identity: one-hot, or a mixture whose parts sum to 1',
    ),
  }
  if recurrent:
    before = 'what `anonymized` was for the same face a frame before, rounded'
    inputs['previous'] = Array('uint8', (BATCH, side, side, 3), _LEVELS, before)
    inputs['known'] = Array('float32', (BATCH,), (0.0, 1.0), '1 where there is a frame before')
  picture = 'RGB, to be rounded to whole numbers; '
  outputs = {
    'anonymized': Array('float32', (BATCH, side, side, 3), _LEVELS, f'{picture}the crop, new face'),
    'painted': Array(
      'float32',
      (BATCH, size, size, 3),
      _LEVELS,
      f'{picture}new face and what it fades into, no pixel of the original',
    ),
    'mask': Array('bool', (BATCH, size, size), (0, 1), 'where `painted` replaces the original'),
    MAP: Array('uint8', (BATCH, side, side), _CLASSES, 'semantic map that S found'),
    'foreground': Array('float32', (BATCH,), (0.0, 1.0), 'share of the map that is replaced'),
    'similarity': Array('float32', (BATCH,), (-1.0, 1.0), 'cosine of I: original and new face'),
  }
  function = functools.partial(anonymized, networks)
  return Program(CHAIN, 'from a crop to an anonymized crop', function, inputs, outputs)


def anonymized(
  networks: Networks, crops: jax.Array, controls: jax.Array, *before: jax.Array, maps: Any = None
) -> dict[str, jax.Array]:
  """Computes the outputs of the chain.

  Args:
    networks: by name, with parameters.
    crops: uint8 [n, s, s, 3].
    controls: float32 [n, identities].
    before: for a recurrent H: the frames before, uint8 [n, s, s, 3], and which there are, [n].
    maps: uint8 [n, s, s] in place of those that S finds.
  """
  params = {name: net.params for name, net in networks.items()}
  if maps is None:
    maps = painting.semantic_maps(networks, params, crops)
  reach = _reach(crops.shape[1])
  window = (2 * reach + 1, 2 * reach + 1)
  replaced = nn.max_pool(proxy.foreground_mask(maps), window, padding='SAME')[..., 0] > 0
  sigma = networks[painting.blender_of(networks)].input.condition_sigma
  condition = proxy.appearance_condition(proxy.to_signed(crops), sigma)
  found = painting.paint_unrounded(
    networks, params, crops, maps, replaced, controls, condition, *before
  )
  # A picture's pixels that the mask touches in any way are replaced, too: see `crops.put_back`.
  touched = nn.max_pool(found['mask'][..., None].astype(jnp.float32), (3, 3), padding='SAME')
  side, step = crops.shape[1], found['mask'].shape[1] // crops.shape[1]
  hidden = nn.max_pool(touched, (step, step), (step, step)) > 0
  shown = jnp.where(hidden, painting.resized(found['painted'], side), crops.astype(jnp.float32))
  found |= {'mask': touched[..., 0] > 0}
  del found['shown']
  return {'anonymized': shown, MAP: maps, **found}


@functools.cache
def _reach(side: int) -> int:
  """Returns by how many pixels the foreground is grown in a picture that is the crop itself."""
  point, middle = np.zeros((side, side), bool), side // 2
  point[middle, middle] = True
  crop = Frame(np.full(2, side / 2), side, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
  found = np.argwhere(covering.replaced_by(point, crop, side, side))
  reach = int(middle - found.min())
  assert len(found) == (2 * reach + 1) ** 2, 'a point does not grow to a square'
  return reach


def _applied(net: Network[Any, Any], output: str) -> Callable[..., dict[str, jax.Array]]:
  return lambda *arrays: {output: net.module.apply({'params': net.params}, *arrays)}


def _segmentation(name: str, net: Network[Any, Any]) -> Program:
  side = net.input.image_size
  inputs = {'crops': Array('float32', (BATCH, side, side, 3), _SIGNED, 'RGB')}
  logits = Array('float32', (BATCH, side, side, net.module.classes), None, 'score of each class')
  return Program(name, 'S: semantic maps', _applied(net, 'logits'), inputs, {'logits': logits})


def _anonymization(name: str, net: Network[Any, Any]) -> Program:
  side = net.input.image_size
  inputs = {
    'controls': Array('float32', (BATCH, net.module.identities), (0.0, 1.0), 'control identity'),
    'maps': Array('uint8', (BATCH, side, side), _CLASSES, 'semantic map'),
  }
  if name == 'single_stage':
    beside = 'crop without its foreground, then its appearance condition'
    inputs['beside'] = Array('float32', (BATCH, side, side, BESIDE), _SIGNED, beside)
  faces = Array('float32', (BATCH, side, side, 3), _SIGNED, 'RGB, of use in the foreground only')
  about = 'A: a face of the control identity'
  return Program(name, about, _applied(net, 'faces'), inputs, {'faces': faces})


def _harmonization(name: str, net: Network[Any, Any]) -> Program:
  side = net.input.image_size
  meaning = 'mask (1 channel, 0 or 1), crop with the face of A (3), appearance condition (3)'
  if net.module.recurrent:
    meaning += ', output for the frame before (3), whether there is one (1)'
  inputs = {'inputs': Array('float32', (BATCH, side, side, net.module.channels), _SIGNED, meaning)}
  size = side * net.module.upscale
  outputs = {'pictures': Array('float32', (BATCH, size, size, 3), _SIGNED, 'RGB')}
  about = 'H: the face blended into its crop'
  return Program(name, about, _applied(net, 'pictures'), inputs, outputs)


def _identity(name: str, net: Network[Any, Any]) -> Program:
  side = net.input.image_size
  meaning = 'RGB, 0 outside the foreground' if net.input.foreground_only else 'RGB'
  inputs = {'crops': Array('float32', (BATCH, side, side, 3), _SIGNED, meaning)}
  found = Array('float32', (BATCH, net.module.dimensions), _SIGNED, 'embeddings of length 1')
  about = 'I: whose face it is'
  return Program(name, about, _applied(net, 'embeddings'), inputs, {'embeddings': found})


_ALONE = {
  'segmentation': _segmentation,
  'anonymization': _anonymization,
  'single_stage': _anonymization,
  'harmonization': _harmonization,
  'identity': _identity,
}
