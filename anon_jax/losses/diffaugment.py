"""DiffAugment (Zhao et al. 2020): what D sees is augmented, real and generated images alike.

Changes are drawn once per example and then applied to as many pictures as need them, so that the
real image, the generated one and their conditions stay in register:

  changes = diffaugment.draw(keys, side, options)
  real, conditions = diffaugment.apply(changes, real, conditions)
  fake, _ = diffaugment.apply(changes, fake, conditions)
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class DiffAugment:
  """How strong each change is; 0 switches it off.

  Attributes:
    brightness: largest amount added to all channels, in units of [-1, 1].
    translation: largest shift in each direction, as a share of the side.
    cutout: side of the square that is blanked, as a share of the side; of a picture that is not
      square, both sides of a rectangle of its shape.
  """

  brightness: float = 0.0
  translation: float = 0.0
  cutout: float = 0.0


# The strengths of the paper.
ZHAO_2020 = DiffAugment(brightness=0.5, translation=0.125, cutout=0.5)


class Changes(NamedTuple):
  """What is done to each of b examples; None for a change that is switched off.

  Attributes:
    brightness: float32 [b], added to images.
    shift: int32 [b, 2], pixels down and to the right.
    hole: bool [b, 2, side], rows and columns of the blanked square; of narrow pictures the last
      columns mean nothing.
  """

  brightness: jax.Array | None
  shift: jax.Array | None
  hole: jax.Array | None


def draw(keys: jax.Array, side: int, options: DiffAugment, aspect: int = 1) -> Changes:
  """Draws the changes of a batch.

  Args:
    keys: [b] random keys, one an example.
    side: the pictures' height in pixels.
    options: strengths.
    aspect: height over width.

  Raises:
    ValueError: a strength that is negative, or a translation or cutout above 1.
  """
  strengths = dataclasses.asdict(options)
  for name, value in strengths.items():
    if value < 0 or (name != 'brightness' and value > 1):
      limit = 'at least 0' if name == 'brightness' else 'a share of the side, 0 to 1'
      raise ValueError(f'DiffAugment {name}={value}; expected {limit}.')
  sides = np.array([side, side // aspect], np.int32)
  reach, size = (
    np.round(sides * share).astype(np.int32) for share in (options.translation, options.cutout)
  )

  def one(key: jax.Array) -> Changes:
    colour, place, cut = jax.random.split(key, 3)
    brightness = jax.random.uniform(colour, minval=-options.brightness, maxval=options.brightness)
    shift = jax.random.randint(place, (2,), -reach, reach + 1)
    # The square's middle is anywhere in the picture; what reaches beyond the border is cut off.
    start = jax.random.randint(cut, (2, 1), 0, sides[:, None] + 1) - size[:, None] // 2
    place_in = jnp.arange(side)[None, :] - start  # [2 side]
    hole = (place_in >= 0) & (place_in < size[:, None])
    return Changes(brightness, shift, hole)

  changes = jax.vmap(one)(keys)
  return Changes(
    changes.brightness if options.brightness else None,
    changes.shift if reach.any() else None,
    changes.hole if size.any() else None,
  )


def apply(
  changes: Changes, images: jax.Array, conditions: Sequence[jax.Array] = ()
) -> tuple[jax.Array, list[jax.Array]]:
  """Applies brightness, translation and cut-out, in this order; differentiable in the pictures.

  Args:
    changes: from `draw` for this number of examples and this form.
    images: float32 [b, h, w, 3] in [-1, 1]; all three changes.
    conditions: float [b, h, w, .]; translation and cut-out only.

  Returns:
    The images, which brightness may take beyond [-1, 1], and the conditions. What is shifted in
    from outside and what is cut out is 0.
  """
  if changes.brightness is not None:
    images = images + changes.brightness[:, None, None, None]
  pictures = [images, *conditions]
  if changes.shift is not None:
    shift = changes.shift
    pictures = [_shifted(picture, shift) for picture in pictures]
  if changes.hole is not None:
    rows, columns = changes.hole[:, 0], changes.hole[:, 1, : images.shape[2]]
    hole = rows[:, :, None, None] & columns[:, None, :, None]  # [b h w 1]
    pictures = [jnp.where(hole, 0.0, picture) for picture in pictures]
  return pictures[0], pictures[1:]


def _shifted(pictures: jax.Array, shift: jax.Array) -> jax.Array:
  """Shifts each of [b, h, w, c] by [b, 2] pixels; zeros come in.

  Two products with matrices of zeros and ones: unlike a gather, their gradient is no scatter, which
  is slow on accelerators, and the batch stays split over devices.
  """
  _, height, width, _ = pictures.shape
  rows = _shift_matrix(height, shift[:, 0])
  columns = _shift_matrix(width, shift[:, 1])
  exact = jax.lax.Precision.HIGHEST
  return jnp.einsum('bih,bhwc,bjw->bijc', rows, pictures, columns, precision=exact)


def _shift_matrix(size: int, shift: jax.Array) -> jax.Array:
  """Returns [b, size, size]: row i is 1 in column i - shift, if there is one."""
  source = jnp.arange(size)[None, :, None] - shift[:, None, None]
  return (source == jnp.arange(size)[None, None, :]).astype(jnp.float32)
