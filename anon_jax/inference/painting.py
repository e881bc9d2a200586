"""What S, A, H and I make of a batch of crops: pure functions, traced once for each size of batch.

Of a crop's pixels only three things get past this file: the semantic map that S makes of it, the
appearance condition (a heavy blur), and the background that H looks at. The foreground's own pixels
do not, and the background ends before the first pixel that shows some of them.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from anon_jax import proxy
from anon_jax.data import semantic
from anon_jax.inference.inputs import FACE_SHARE
from anon_jax.inference.weights import Network
from anon_jax.nets import harmonization
from anon_jax.nets.anonymization import masked, resize_nearest
from anon_jax.nets.segmentation import segment
from anon_jax.proxy import to_signed

Networks: TypeAlias = Mapping[str, Network[Any, Any]]

_SKIN = semantic.CLASSES.index('skin')
# How far the background is prolonged into it: a standard deviation, as a share of the crop's side.
_REACH = 0.02
_LEAST_SHARE = 1e-3


def blender_of(networks: Networks) -> str:
  """Returns the name of the network that gives the final pixels: H, or the one for both tasks."""
  return 'single_stage' if 'single_stage' in networks else 'harmonization'


def semantic_maps(networks: Networks, params: Any, crops: jax.Array) -> jax.Array:
  """Runs S at its own size on crops, uint8 [n, s, s, 3] -> semantic maps, uint8 [n, s, s].

  Its scores are resized, so borders are smooth.
  """
  net, side = networks['segmentation'], crops.shape[1]
  own = net.input.image_size
  images = resized(to_signed(crops), own)
  logits: Any = net.module.apply({'params': params['segmentation']}, images)
  return segment(resized(logits, side))


def resized(images: jax.Array, side: int) -> jax.Array:
  """Resizes [b, h, w, c] to squares, without aliasing."""
  shape = (images.shape[0], side, side, images.shape[-1])
  return images if images.shape == shape else jax.image.resize(images, shape, 'bilinear')


def paint(
  networks: Networks,
  params: Any,
  crops: jax.Array,
  maps: jax.Array,
  replaced: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
  *before: jax.Array,
) -> dict[str, jax.Array]:
  """Runs A, then H, then I; or the network for both tasks, then I. `Synthesized` says what comes.

  The arguments are those of `paint_unrounded`.
  """
  found = paint_unrounded(networks, params, crops, maps, replaced, controls, condition, *before)
  rounded = {name: jnp.round(found[name]).astype(jnp.uint8) for name in ('painted', 'shown')}
  return found | rounded


def paint_unrounded(
  networks: Networks,
  params: Any,
  crops: jax.Array,
  maps: jax.Array,
  replaced: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
  *before: jax.Array,
) -> dict[str, jax.Array]:
  """Does what `paint` does; `painted` and `shown` are float32 in [0, 255], not whole numbers yet.

  Args:
    networks: by name.
    params: of the same, by name.
    crops: uint8 [n, s, s, 3].
    maps: uint8 [n, s, s].
    replaced: bool [n, s, s].
    controls: float32 [n, identities].
    condition: float32 [n, s, s, 3] in [-1, 1].
    before: for a recurrent H: the frames before, uint8 [n, s, s, 3], and which there are, [n].
  """
  blend = networks[blender_of(networks)]
  foreground = proxy.foreground_mask(maps)
  replaced = jnp.maximum(replaced[..., None].astype(jnp.float32), foreground)
  maps = jnp.where((replaced > foreground)[..., 0], _SKIN, maps).astype(jnp.uint8)
  images = to_signed(crops)
  run = _at_once if 'single_stage' in networks else _in_two_steps
  rgb = run(networks, params, images, maps, replaced, controls, condition, *before)
  side, mask = rgb.shape[1], replaced
  for axis in (1, 2):
    mask = jnp.repeat(mask, side // images.shape[1], axis)
  # The new face fades into the background over the feather that H was trained with, no more: over
  # twice as much, faces looked blurred all along their outline.
  weight = harmonization.feather(mask, blend.input.feather)
  around = prolonged(images, replaced, condition)
  painted = weight * rgb + (1 - weight) * resized(around, side)
  judge = networks['identity']
  pasted = jnp.where(replaced > 0, resized(painted, images.shape[1]), images)
  return {
    'painted': _to_levels(painted),
    'mask': mask[..., 0] > 0,
    'foreground': jnp.mean(foreground, axis=(1, 2, 3)),
    'similarity': _similarity(judge, params['identity'], images, pasted, replaced),
    'shown': _to_levels(pasted),
  }


def _in_two_steps(
  networks: Networks,
  params: Any,
  images: jax.Array,
  maps: jax.Array,
  replaced: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
  *before: jax.Array,
) -> jax.Array:
  """A paints a face, H blends it into the crop."""
  painter, blend = networks['anonymization'], networks['harmonization']
  small = resize_nearest(_closer(maps, painter), painter.input.image_size)
  face: Any = painter.module.apply({'params': params['anonymization']}, controls, small)
  face = _set_into(condition, face, painter)  # beyond what A paints, H gets the condition
  shown = jnp.where(replaced > 0, face, images)
  inputs = harmonization.harmonizer_inputs(replaced, shown, condition)
  if before:
    previous, known = before
    inputs = harmonization.recurrent_inputs(replaced, shown, condition, to_signed(previous), known)
  rgb: Any = blend.module.apply({'params': params['harmonization']}, inputs)
  return rgb


def _at_once(
  networks: Networks,
  params: Any,
  images: jax.Array,
  maps: jax.Array,
  replaced: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
) -> jax.Array:
  """One network reads the map, the crop without its foreground and the condition."""
  beside = jnp.concatenate([jnp.where(replaced > 0, 0.0, images), condition], axis=-1)
  net = networks['single_stage'].module
  rgb: Any = net.apply({'params': params['single_stage']}, controls, maps, beside)
  return rgb


def to_uint8(images: jax.Array) -> jax.Array:
  """Returns pictures in [-1, 1] as uint8."""
  return jnp.round(_to_levels(images)).astype(jnp.uint8)


def _to_levels(images: jax.Array) -> jax.Array:
  return jnp.clip(images * 127.5 + 127.5, 0, 255)


def prolonged(images: jax.Array, replaced: jax.Array, condition: jax.Array) -> jax.Array:
  """Prolongs the background of [b, s, s, 3] a little into what is replaced, for its rim.

  Skin that ends in hair by a rim of blurred skin shows as a bright line; hair that fades out does
  not. Each pixel is a mean of visible ones close by; where none is, the appearance condition.
  """
  sigma = _REACH * images.shape[1]
  visible = 1 - replaced
  # where, not a product: nothing of a hidden pixel, be it NaN, may pass
  colours = proxy.blur(jnp.where(visible > 0, images, 0.0), sigma)
  share = proxy.blur(visible, sigma)
  return jnp.where(share > _LEAST_SHARE, colours / jnp.maximum(share, _LEAST_SHARE), condition)


def _closer(pictures: jax.Array, net: Network[Any, Any]) -> jax.Array:
  """Cuts what a network looks at out of [b, s, s, ...]: a square about the same centre."""
  side = pictures.shape[1]
  margin = round(side * (1 - FACE_SHARE / net.input.face_share) / 2)
  return pictures[:, margin : side - margin, margin : side - margin]


def _set_into(pictures: jax.Array, centre: jax.Array, net: Network[Any, Any]) -> jax.Array:
  """Sets a network's output into [b, s, s, 3] where it looked."""
  seen = _closer(pictures, net).shape[1]
  start = (pictures.shape[1] - seen) // 2
  shape = (centre.shape[0], seen, seen, 3)
  # cubic: what bilinear enlargement blurs, H does not sharpen again
  enlarged = jnp.clip(jax.image.resize(centre, shape, 'cubic'), -1, 1)
  return jax.lax.dynamic_update_slice(pictures, enlarged, (0, start, start, 0))


def _similarity(
  judge: Network[Any, Any], params: Any, images: jax.Array, pasted: jax.Array, mask: jax.Array
) -> jax.Array:
  """Cosine of I's embeddings of the original and of the picture with the new face."""
  side = judge.input.image_size
  small_mask = resize_nearest(_closer(mask, judge)[..., 0] > 0, side)[..., None]

  def embed(pictures: jax.Array) -> jax.Array:
    seen = resized(_closer(pictures, judge), side)
    if judge.input.foreground_only:
      seen = masked(seen, small_mask)
    found: Any = judge.module.apply({'params': params}, seen)
    return found

  return jnp.sum(embed(images) * embed(pasted), -1)
