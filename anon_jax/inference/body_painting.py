"""What A and H of bodies make of a batch of crops, and where those crops lie.

Of a body's own pixels only two things get past this file: her outline, and the appearance condition
(a heavy blur). Of other bodies' pixels in her crop only their part in that blur does.
"""

import functools
import pathlib
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import compiling, proxy
from anon_jax.data import body_classes
from anon_jax.inference.body_weights import load_body_weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.painting import prolonged, to_uint8
from anon_jax.inference.synthesis import in_buckets
from anon_jax.nets import harmonization
from anon_jax.proxy import to_signed


class Networks(Protocol):
  """The networks of a folder, as `body_weights.load_body_weights` gives them."""

  @property
  def anonymization(self) -> Any:
    """A, or None."""

  @property
  def harmonization(self) -> Any:
    """H, or None."""


class BodyPainter:
  """Paints new people; its programs are compiled once for each size of batch.

  Attributes:
    height: of a crop in pixels; its width is half of it.
    share: of the crop's height that a person fills, or of its width if that is what she fills.
    upscale: side of what is painted over that of the crop.
    identities: number of A's control identities.

  Args:
    networks: with A and H.

  Raises:
    InferenceError: one is missing, or was trained on other crops or maps.
  """

  def __init__(self, networks: Networks):
    self._networks = networks
    painter, blender = networks.anonymization, networks.harmonization
    missing = [n for n in ('anonymization', 'harmonization') if getattr(networks, n) is None]
    if missing:
      raise InferenceError(
        f'the weights have no {" and no ".join(missing)} of bodies; it needs A and H: add it by '
        '`anon-jax weights export`, or choose another --method.'
      )
    _require_views(painter, blender)
    self._params = jax.device_put((painter.params, blender.params))  # once, not with each batch
    self.height: int = blender.input.image_size
    self.share: float = blender.input.person_share
    self.upscale: int = getattr(blender.module, 'upscale', 1)
    self.identities: int = painter.module.identities
    self._paint = compiling.jit(functools.partial(paint, networks))
    sigma = blender.input.condition_sigma
    self._blur = compiling.jit(lambda crops: proxy.appearance_condition(to_signed(crops), sigma))

  def conditions(self, crops: np.ndarray) -> np.ndarray:
    """Blurs uint8 crops [n, h, w, 3] to appearance conditions, float32 in [-1, 1]."""
    found: np.ndarray = in_buckets(self._blur, crops)
    return found

  def paint(
    self,
    crops: np.ndarray,
    replaced: np.ndarray,
    core: np.ndarray,
    hidden: np.ndarray,
    controls: np.ndarray,
    conditions: np.ndarray,
  ) -> np.ndarray:
    """Paints a new person into each crop.

    Args:
      crops: uint8 [n, h, w, 3].
      replaced: bool [n, h, w], all pixels that show some of the person: nothing of them is seen.
      core: bool [n, h, w], those that mostly show her: inside of it she fades in.
      hidden: bool [n, h, w], other pixels of which nothing is seen.
      controls: float32 [n, identities], mixtures of control identities.
      conditions: float32 [n, h, w, 3] in [-1, 1].

    Returns:
      uint8 [n, h * upscale, w * upscale, 3]; the new person, fading into the prolonged
      background at her rim and beyond. Nothing in it is a pixel of the original.
    """
    run = functools.partial(self._paint, self._params)
    found: np.ndarray = in_buckets(run, crops, replaced, core, hidden, controls, conditions)
    return found


def _require_views(painter: Any, blender: Any) -> None:
  shares = painter.input.person_share, blender.input.person_share
  if shares[0] != shares[1]:
    raise InferenceError(
      f'anonymization was trained on crops of which a person fills {shares[0]:g}, and '
      f'harmonization on such of {shares[1]:g}; export two that were trained alike.'
    )
  if painter.input.parts_share == 1:
    raise InferenceError(
      'anonymization was trained on maps with parts alone, and a mask tells none; export one that '
      'was trained with parts_share below 1.'
    )
  if getattr(blender.module, 'recurrent', False):
    raise InferenceError('harmonization is one for clips, which bodies have none of.')


def paint(
  networks: Networks,
  params: Any,
  crops: jax.Array,
  replaced: jax.Array,
  core: jax.Array,
  hidden: jax.Array,
  controls: jax.Array,
  condition: jax.Array,
) -> jax.Array:
  """Runs A, then H; `BodyPainter.paint` says what goes in and what comes."""
  painter, blender = networks.anonymization, networks.harmonization
  mask = replaced[..., None].astype(jnp.float32)
  gone = jnp.maximum(mask, hidden[..., None].astype(jnp.float32))
  images = to_signed(crops)
  around = prolonged(images, gone, condition)
  images = jnp.where(gone > 0, around, images)
  body = _resized(_painted(painter, params[0], mask, controls), images.shape[1:3])
  shown = jnp.where(mask > 0, body, images)
  inputs = harmonization.harmonizer_inputs(mask, shown, condition)
  rgb: Any = blender.module.apply({'params': params[1]}, inputs)
  inner = core[..., None].astype(jnp.float32)
  for axis in (1, 2):
    inner = jnp.repeat(inner, rgb.shape[1] // images.shape[1], axis)
  weight = harmonization.feather(inner, blender.input.feather)
  return to_uint8(weight * rgb + (1 - weight) * _resized(around, rgb.shape[1:3]))


def _painted(painter: Any, params: Any, mask: jax.Array, controls: jax.Array) -> jax.Array:
  """Runs A at its own size on a map that tells no parts, float32 [n, h, w, 3]."""
  count, height, width = len(mask), painter.input.image_size, painter.input.width
  small = jax.image.resize(mask, (count, height, width, 1), 'nearest')[..., 0] > 0
  maps = jnp.where(small, body_classes.PERSON, 0).astype(jnp.uint8)
  joints = painter.module.joints
  unknown = jnp.zeros((count, height, width, joints)) if joints else None
  rgb: Any = painter.module.apply({'params': params}, controls, maps, unknown)
  return rgb


def _resized(images: jax.Array, size: tuple[int, ...]) -> jax.Array:
  """Resizes [n, h, w, c], cubically as what bilinear enlargement blurs stays blurred."""
  shape = (images.shape[0], *size, images.shape[-1])
  if images.shape == shape:
    return images
  return jnp.clip(jax.image.resize(images, shape, 'cubic'), -1, 1)


def load(folder: pathlib.Path) -> BodyPainter:
  """Loads the networks of a folder.

  Raises:
    WeightsError: it is missing, damaged, of another version, or holds networks of faces.
    InferenceError: A or H is missing.
  """
  return BodyPainter(load_body_weights(folder))
