"""S, A and H in a row: from crops of faces to crops of the faces of people who do not exist.

Of a crop's pixels only three things get past this file: the semantic map that S makes of it, the
appearance condition (a heavy blur), and the background that H looks at. The foreground's own pixels
do not, and the background ends before the first pixel that shows some of them.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import proxy
from anon_jax.data import semantic
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.records import FACE_SHARE
from anon_jax.inference.weights import Network, Weights
from anon_jax.nets import harmonization
from anon_jax.nets.anonymization import masked, resize_nearest
from anon_jax.nets.segmentation import segment
from anon_jax.proxy import to_signed

# A batch is filled up to one of these: a program is compiled for each, and kept on disk.
BUCKETS = (1, 4, 16)
_SKIN = semantic.CLASSES.index('skin')
# The new face fades into the background over so many times the feather that H was trained with:
# the rim of what is replaced shows the background's pixels that the foreground reaches.
_RIM = 2
# How far the background is prolonged into it: a standard deviation, as a share of the crop's side.
_REACH = 0.02
_LEAST_SHARE = 1e-3
_NEEDED = ('segmentation', 'anonymization', 'harmonization', 'identity')


@dataclasses.dataclass(frozen=True, eq=False)
class Synthesized:
  """New faces for n crops.

  Attributes:
    painted: uint8 [n, s, s, 3]; the new face inside the mask, fading into the appearance condition
      at its rim and beyond. Nothing in it is a pixel of the original.
    mask: bool [n, s, s], where it replaces the original: the foreground and what shows some of it.
    foreground: float32 [n], share of the crop that S calls foreground, before growing.
    similarity: float32 [n], cosine of I's embeddings of the original and the new face, in [-1, 1].
    shown: uint8 [n, size, size, 3], the crops with their new faces: what an H for clips is shown
      with the next frame.
  """

  painted: np.ndarray
  mask: np.ndarray
  foreground: np.ndarray
  similarity: np.ndarray
  shown: np.ndarray


class Synthesizer:
  """Paints new faces; its programs are compiled once for each size of batch.

  Args:
    weights: with all four networks.

  Raises:
    InferenceError: a network is missing.
  """

  def __init__(self, weights: Weights):
    missing = [name for name in _NEEDED if getattr(weights, name) is None]
    if missing:
      raise InferenceError(
        f'the weights have no {" and no ".join(missing)}; synthesis needs S, A, H and I: add it by '
        '`anon-jax weights export`, or choose another --method.'
      )
    self._networks: dict[str, Network[Any, Any]] = {n: getattr(weights, n) for n in _NEEDED}
    _require_views(self._networks)
    # once, not with each batch
    self._params = jax.device_put({name: net.params for name, net in self._networks.items()})
    self.size = self._networks['harmonization'].input.image_size
    self.identities: int = self._networks['anonymization'].module.identities
    self.threshold: float = self._networks['identity'].input.threshold
    self.recurrent: bool = self._networks['harmonization'].module.recurrent
    upscale = self._networks['harmonization'].module.upscale
    self.output_size = self.size * upscale
    self._segment = jax.jit(functools.partial(_maps, self._networks))
    self._paint = jax.jit(functools.partial(_paint, self._networks))
    sigma = self._networks['harmonization'].input.condition_sigma
    self._blur = jax.jit(lambda crops: proxy.appearance_condition(to_signed(crops), sigma))

  def maps(self, crops: np.ndarray) -> np.ndarray:
    """Finds semantic maps: uint8 crops [n, size, size, 3] -> uint8 [n, size, size]."""
    return self._in_buckets(lambda rows: self._segment(self._params, rows), crops)

  def conditions(self, crops: np.ndarray) -> np.ndarray:
    """Blurs uint8 crops [n, size, size, 3] to appearance conditions, float32 in [-1, 1]."""
    return self._in_buckets(self._blur, crops)

  def paint(
    self,
    crops: np.ndarray,
    maps: np.ndarray,
    controls: np.ndarray,
    *,
    replaced: np.ndarray,
    conditions: np.ndarray | None = None,
    previous: Sequence[np.ndarray | None] = (),
  ) -> Synthesized:
    """Paints a new face into each crop.

    Args:
      crops: uint8 [n, size, size, 3].
      maps: uint8 [n, size, size], semantic maps.
      controls: float32 [n, identities], mixtures of control identities.
      replaced: bool [n, size, size], all pixels that show some of the foreground (`crops.shows`):
        nothing of them is looked at. The foreground itself always belongs to them.
      conditions: float32 [n, size, size, 3] in [-1, 1]; None takes those of the crops.
      previous: for each crop what was `shown` of the same face a frame before, None where nothing
        was; () for none at all. An H that is not recurrent does not look at them.
    """
    if conditions is None:
      conditions = self.conditions(crops)
    inputs = [crops, maps, replaced, controls, conditions]
    if self.recurrent:
      frames = list(previous) or [None] * len(crops)
      inputs.append(np.stack([np.zeros_like(crops[0]) if f is None else f for f in frames]))
      inputs.append(np.array([f is not None for f in frames], np.float32))
    outputs = self._in_buckets(lambda *rows: self._paint(self._params, *rows), *inputs)
    return Synthesized(**outputs)

  def _in_buckets(self, run: Any, *arrays: np.ndarray) -> Any:
    """Runs a compiled function over rows, in portions of one of the buckets' sizes."""
    count, parts = len(arrays[0]), []
    for start, size in portions(count):
      rows = [array[start : start + size] for array in arrays]
      lack = size - len(rows[0])
      filled = [np.pad(r, [(0, lack)] + [(0, 0)] * (r.ndim - 1), mode='edge') for r in rows]
      result = jax.device_get(run(*filled))
      parts.append(jax.tree.map(functools.partial(_first, len(rows[0])), result))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _require_views(networks: dict[str, Network[Any, Any]]) -> None:
  for name, net in networks.items():
    share = net.input.face_share
    closer = name in ('anonymization', 'identity')
    if share != FACE_SHARE and not (closer and share > FACE_SHARE):
      raise InferenceError(
        f'{name} was trained on crops of which the face box has {share:g}; synthesis cuts '
        f'{FACE_SHARE:g}{", or less for this network" if closer else ""}: export one that was.'
      )


def portions(count: int) -> Sequence[tuple[int, int]]:
  """Divides rows among buckets: (first row, bucket's size); none is filled to half or less."""
  found, start = [], 0
  while start < count:
    left = count - start
    size = max(bucket for bucket in BUCKETS if bucket < 2 * left)
    found.append((start, size))
    start += size
  return found


def _first(count: int, rows: np.ndarray) -> np.ndarray:
  return rows[:count]


def _maps(networks: dict[str, Network[Any, Any]], params: Any, crops: jax.Array) -> jax.Array:
  """S at its own size; its scores are resized, so borders are smooth."""
  net, side = networks['segmentation'], crops.shape[1]
  own = net.input.image_size
  images = _resized(to_signed(crops), own)
  logits: Any = net.module.apply({'params': params['segmentation']}, images)
  return segment(_resized(logits, side))


def _resized(images: jax.Array, side: int) -> jax.Array:
  """Resizes [b, h, w, c] to squares, without aliasing."""
  shape = (images.shape[0], side, side, images.shape[-1])
  return images if images.shape == shape else jax.image.resize(images, shape, 'bilinear')


def _paint(
  networks: dict[str, Network[Any, Any]],
  params: Any,
  crops: jax.Array,
  maps: jax.Array,
  replaced: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
  *before: jax.Array,
) -> dict[str, jax.Array]:
  """A, then H, then I; `before`, for a recurrent H: the frames before, and which there are."""
  blend = networks['harmonization']
  foreground = proxy.foreground_mask(maps)
  replaced = jnp.maximum(replaced[..., None].astype(jnp.float32), foreground)
  maps = jnp.where((replaced > foreground)[..., 0], _SKIN, maps).astype(jnp.uint8)
  images = to_signed(crops)
  painter = networks['anonymization']
  small = resize_nearest(_closer(maps, painter), painter.input.image_size)
  face: Any = painter.module.apply({'params': params['anonymization']}, controls, small)
  face = _set_into(condition, face, painter)  # beyond what A paints, H gets the condition
  shown = jnp.where(replaced > 0, face, images)
  inputs = harmonization.harmonizer_inputs(replaced, shown, condition)
  if before:
    previous, known = before
    inputs = harmonization.recurrent_inputs(replaced, shown, condition, to_signed(previous), known)
  rgb: Any = blend.module.apply({'params': params['harmonization']}, inputs)
  side, mask = rgb.shape[1], replaced
  for axis in (1, 2):
    mask = jnp.repeat(mask, side // images.shape[1], axis)
  weight = harmonization.feather(mask, _RIM * blend.input.feather)
  around = _prolonged(images, replaced, condition)
  painted = weight * rgb + (1 - weight) * _resized(around, side)
  judge = networks['identity']
  pasted = jnp.where(replaced > 0, _resized(painted, images.shape[1]), images)
  return {
    'painted': _to_uint8(painted),
    'mask': mask[..., 0] > 0,
    'foreground': jnp.mean(foreground, axis=(1, 2, 3)),
    'similarity': _similarity(judge, params['identity'], images, pasted, replaced),
    'shown': _to_uint8(pasted),
  }


def _to_uint8(images: jax.Array) -> jax.Array:
  return jnp.round(jnp.clip(images * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)


def _prolonged(images: jax.Array, replaced: jax.Array, condition: jax.Array) -> jax.Array:
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
  return jax.lax.dynamic_update_slice(pictures, _resized(centre, seen), (0, start, start, 0))


def _similarity(
  judge: Network[Any, Any], params: Any, images: jax.Array, pasted: jax.Array, mask: jax.Array
) -> jax.Array:
  """Cosine of I's embeddings of the original and of the picture with the new face."""
  side = judge.input.image_size
  small_mask = resize_nearest(_closer(mask, judge)[..., 0] > 0, side)[..., None]

  def embed(pictures: jax.Array) -> jax.Array:
    seen = _resized(_closer(pictures, judge), side)
    if judge.input.foreground_only:
      seen = masked(seen, small_mask)
    found: Any = judge.module.apply({'params': params}, seen)
    return found

  return jnp.sum(embed(images) * embed(pasted), -1)
