"""AnonymizationNet (A): paints the face of a control identity into a semantic map (paper 3.5)."""

from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.data import semantic
from anon_jax.nets import blocks
from anon_jax.nets.convolution import Conv
from anon_jax.nets.spade import SpadeBlock

# Channels by resolution, from 4 px on; they end at 128 px, `widths_for` has the rule for others.
# 'base' needs 16.6 GFLOP for a face of 128 px, 'small' a quarter of that, 'tiny' is for tests.
WIDTHS: dict[str, tuple[int, ...]] = {
  'base': (512, 512, 256, 128, 64, 32),
  'small': (256, 256, 128, 64, 32, 16),
  'tiny': (16, 12, 8, 8, 8, 8),
}
# Channels of the layer through which a block reads the map.
HIDDEN = {'base': 64, 'small': 32, 'tiny': 8}
SIZES = (32, 64, 128, 256, 512)
# Classes that a coarse map leaves out. They tell people apart more than what is left, and neither
# pose nor expression need them: eyes and mouth show these.
_LEFT_OUT = tuple(semantic.CLASSES.index(name) for name in ('brows', 'nose'))
_SKIN = semantic.CLASSES.index('skin')
FIRST_SIDE = 4
_LEAST_WIDTH = 8

# One entry a block; what a block takes from the semantic map.
Modulations: TypeAlias = tuple[tuple[jax.Array, ...], ...]


def widths_for(preset: str, size: int) -> tuple[int, ...]:
  """Returns a preset's channels by resolution for an output of `size` px.

  A smaller output takes the first levels. A larger one goes on by halving the last width, but not
  below 8.

  Args:
    preset: 'base', 'small' or 'tiny'.
    size: height in pixels, 32, 64, 128, 256 or 512.

  Raises:
    ValueError: another preset or size.
  """
  if preset not in WIDTHS:
    raise ValueError(f'Unknown preset {preset!r}; choose one of {", ".join(WIDTHS)}.')
  if size not in SIZES:
    raise ValueError(f'A paints {", ".join(map(str, SIZES))} px, not {size!r}.')
  widths = WIDTHS[preset]
  levels = (size // FIRST_SIDE).bit_length()
  while len(widths) < levels:
    widths += (max(widths[-1] // 2, _LEAST_WIDTH),)
  return widths[:levels]


class AnonymizationNet(nn.Module):
  """SPADE generator: the identity gives the first feature map, the semantic map all the rest.

  The plain call is `paint(modulations(maps), identities)`. For many identities of one map compute
  the modulations once (`apply(..., method='modulations')`) and paint with them in portions.

  Attributes:
    identities: number of control identities.
    widths: channels by resolution from 4 px on; the output's height is 4 * 2 ** (levels - 1).
    hidden: channels of the layers that read the map.
    classes: classes of the semantic map.
    spectral: spectral norm in the residual blocks.
    coarse: reads brows and nose as skin, so that they come from the control identity alone.
    bilinear: enlarges feature maps bilinearly, where SPADE repeats pixels: no grid of the coarse
      levels' cells stays visible in even patches.
    dtype: computation dtype; parameters stay float32.
    remat: computes each block again for its gradient: less memory, about a third more time.
  """

  # Height and width of the first feature map; the output has their shape.
  FIRST: ClassVar[tuple[int, int]] = (FIRST_SIDE, FIRST_SIDE)

  identities: int
  widths: tuple[int, ...] = WIDTHS['base']
  hidden: int = HIDDEN['base']
  classes: int = semantic.NUM_CLASSES
  spectral: bool = False
  coarse: bool = False
  bilinear: bool = False
  dtype: Any = jnp.float32
  remat: bool = False

  def setup(self) -> None:
    first = self.widths[0]
    # On a 1x1 map a transposed convolution of 1x1 is a matrix product. A one-hot input picks one
    # of its rows, so their values start at ~1 whatever the number of identities.
    self.embed = nn.Dense(first, kernel_init=nn.initializers.normal(1.0), dtype=self.dtype)
    self.expand = nn.ConvTranspose(first, self.FIRST, padding='VALID', dtype=self.dtype)
    widths_in = (first, *self.widths[:-1])
    block: Any = nn.remat(SpadeBlock) if self.remat else SpadeBlock
    self.blocks = [
      block(width_in, width, self.hidden, self.spectral, self.dtype)
      for width_in, width in zip(widths_in, self.widths, strict=True)
    ]
    # The sum of the RGBs starts within tanh's steep part; at full scale most pixels saturate.
    small = nn.initializers.variance_scaling(0.1, 'fan_in', 'truncated_normal')
    self.rgbs = [Conv(3, (1, 1), kernel_init=small, dtype=self.dtype) for _ in self.widths]

  def __call__(
    self, identities: jax.Array, maps: jax.Array, conditions: jax.Array | None = None
  ) -> jax.Array:
    """Paints one face a map.

    Args:
      identities: float [b, identities]: one-hot, or any convex mixture of control identities.
      maps: integer classes [b, h, w] of any size; a value that is no class (IGNORE) reads as none.
      conditions: pictures [b, h, w, c] that are read beside the map: joints of bodies, and what the
        ablation with one network for both tasks sees; None in A itself, which sees the map alone.

    Returns:
      float32 [b, s, s, 3] in [-1, 1], to be multiplied by the foreground (`masked`); of bodies
      [b, s, s / 2, 3].

    Raises:
      ValueError: identities, maps or conditions of another form.
    """
    return self.paint(self.modulations(maps, conditions), identities)

  def modulations(self, maps: jax.Array, conditions: jax.Array | None = None) -> Modulations:
    """Computes all that the blocks take from maps and conditions; no identity is needed.

    Raises:
      ValueError: maps or conditions of another form.
    """
    if maps.ndim != 3 or not jnp.issubdtype(maps.dtype, jnp.integer):
      raise ValueError(
        f'Semantic maps are whole numbers [b, h, w]; these are {maps.dtype} {list(maps.shape)}.'
      )
    if conditions is not None and (conditions.ndim != 4 or conditions.shape[:3] != maps.shape):
      raise ValueError(
        f'Conditions are pictures [b, h, w, c] of the maps {list(maps.shape)}; these are '
        f'{list(conditions.shape)}.'
      )
    found, maps = [], coarsened(maps) if self.coarse else maps
    for level, block in enumerate(self.blocks):
      height, width = (side << level for side in self.FIRST)
      read = jax.nn.one_hot(resize_nearest(maps, height, width), self.classes, dtype=self.dtype)
      if conditions is not None:
        shape = (maps.shape[0], height, width, conditions.shape[-1])
        smaller = jax.image.resize(conditions, shape, 'bilinear')  # averages when it shrinks
        read = jnp.concatenate([read, smaller.astype(self.dtype)], axis=-1)
      found.append(block.modulations(read))
    return tuple(found)

  def paint(self, modulations: Modulations, identities: jax.Array) -> jax.Array:
    """Paints n faces.

    Args:
      modulations: of one map, which all identities share, or of n maps.
      identities: float [n, identities].

    Returns:
      float32 [n, s, s, 3] in [-1, 1].

    Raises:
      ValueError: identities of another form, or another number of maps than 1 or n.
    """
    maps = modulations[0][0].shape[0]
    if identities.ndim != 2 or identities.shape[1] != self.identities:
      raise ValueError(
        f'Identities are mixtures [n, {self.identities}]; these are {list(identities.shape)}.'
      )
    if maps not in (1, identities.shape[0]):
      raise ValueError(f'{maps} maps for {identities.shape[0]} identities; expected 1 or as many.')
    enlarged = upsample_bilinear if self.bilinear else blocks.upsample
    x = self.first_map(identities)  # [n 4 4 widths[0]]
    total = jnp.zeros((*x.shape[:3], 3))
    for level, given in enumerate(modulations):
      if level:
        x, total = enlarged(x), upsample_bilinear(total)
      x = self.blocks[level](x, given)  # [n r r width]
      total += self.rgbs[level](nn.leaky_relu(x, 0.2)).astype(jnp.float32)  # [n r r 3]
    return jnp.tanh(total)

  def first_map(self, identities: jax.Array) -> jax.Array:
    """Turns identities [n, identities] into the first feature map [n, 4, 4, widths[0]].

    This is the only place where the identity enters, as the paper has it.
    """
    x = nn.leaky_relu(self.embed(identities.astype(self.dtype)), 0.2)
    return self.expand(x[:, None, None, :])


def coarsened(maps: jax.Array) -> jax.Array:
  """Turns brows and nose of semantic maps, integers of any shape, into skin."""
  return jnp.where(jnp.isin(maps, jnp.array(_LEFT_OUT)), jnp.asarray(_SKIN, maps.dtype), maps)


def resize_nearest(maps: jax.Array, height: int, width: int | None = None) -> jax.Array:
  """Resizes [b, h, w] to [b, height, width] by the value under each new pixel's centre.

  Without `width` the result is a square.
  """
  rows, columns = (
    np.floor((np.arange(new) + 0.5) * old / new).astype(np.int32)
    for new, old in zip((height, width or height), maps.shape[1:], strict=True)
  )
  return maps[:, rows][:, :, columns]


def upsample_bilinear(x: jax.Array) -> jax.Array:
  """Doubles the sides of [b, h, w, c] by bilinear interpolation."""
  b, h, w, c = x.shape
  return jax.image.resize(x, (b, 2 * h, 2 * w, c), 'bilinear')


def masked(images: jax.Array, mask: jax.Array) -> jax.Array:
  """Keeps the foreground and sets the rest to 0, mid grey: for A's output and D_A's real images.

  Args:
    images: float [b, h, w, 3] in [-1, 1].
    mask: [b, h, w, 1], above 0 where the foreground is.

  Returns:
    [b, h, w, 3]; no value of the background, be it NaN, reaches it.
  """
  return jnp.where(mask > 0, images, jnp.zeros_like(images))
