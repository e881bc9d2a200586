"""HarmonizationNet (H): blends a face into its picture (paper 3.1, 3.2, 3.5)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import blocks, unet
from anon_jax.nets.convolution import Conv

# Channels by level, the finest first. 'base' needs 7 GFLOP for a face of 128 px, 'small' a
# quarter of that, 'tiny' is for tests.
WIDTHS = {
  'base': (32, 64, 128, 256, 384),
  'small': (16, 32, 64, 128, 192),
  'tiny': (8, 12),
}


class HarmonizationNet(nn.Module):
  """U-Net of residual blocks; super-resolution variants end in extra upsampling blocks.

  Attributes:
    widths: channels by level, the finest first; each level halves the sides.
    upscale: output side over input side, a power of two.
    dtype: computation dtype; parameters stay float32.
    recurrent: whether its inputs are those of `recurrent_inputs`: it was trained on clips.
    remat: computes each block again for its gradient: less memory, about a third more time.
  """

  widths: tuple[int, ...] = WIDTHS['base']
  upscale: int = 1
  dtype: Any = jnp.float32
  recurrent: bool = False
  remat: bool = False

  @property
  def channels(self) -> int:
    """Channels of its inputs."""
    return 11 if self.recurrent else 7

  @nn.compact
  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Maps inputs [b, h, w, c] to a picture [b, h * upscale, w * upscale, 3] in [-1, 1], float32.

    The sides are multiples of 2 ** (levels - 1).
    """
    x = unet.features(inputs, self.widths, self.dtype, self.remat)  # [b h w widths[0]]
    block = blocks.residual_block(self.remat)
    for step in range(self.upscale.bit_length() - 1):
      x = blocks.upsample(x)
      x = block(self.widths[0], self.dtype, name=f'enlarge{step}')(x)
    x = nn.swish(blocks.group_norm(x.shape[-1], 'norm')(x))
    rgb = Conv(3, (3, 3), dtype=self.dtype, name='rgb')(x.astype(self.dtype))
    return jnp.tanh(rgb.astype(jnp.float32))


def harmonizer_inputs(mask: jax.Array, painted: jax.Array, condition: jax.Array) -> jax.Array:
  """Stacks H's inputs: [b, h, w, 1] mask, [.., 3] painted picture, [.., 3] condition -> [.., 7]."""
  return jnp.concatenate([mask, painted, condition], axis=-1)


def recurrent_inputs(
  mask: jax.Array,
  painted: jax.Array,
  condition: jax.Array,
  previous: jax.Array,
  known: jax.Array,
) -> jax.Array:
  """Stacks H's inputs for a frame of a clip (paper 3.4).

  Args:
    mask: [b, h, w, 1].
    painted: [b, h, w, 3].
    condition: [b, h, w, 3].
    previous: H's composited output for the frame before, [b, h, w, 3].
    known: float [b], 1 where there is one; 0 hides `previous`, whatever it holds.

  Returns:
    [b, h, w, 11]: those of `harmonizer_inputs`, then the frame before and a plane of `known`.
  """
  flag = jnp.broadcast_to(known[:, None, None, None], mask.shape)
  hidden = jnp.where(flag > 0, previous, 0.0)
  return jnp.concatenate([harmonizer_inputs(mask, painted, condition), hidden, flag], axis=-1)


def feather(mask: jax.Array, width: int) -> jax.Array:
  """Ramps a mask from its edge inwards: 0 outside, rising to 1 within about `width` pixels.

  Args:
    mask: float32 [b, h, w, 1] of zeros and ones.
    width: pixels from the edge to full weight; 0 returns the mask.

  Returns:
    float32 [b, h, w, 1] in [0, 1], never above `mask`.
  """
  if width == 0:
    return mask
  # The mean over a window of 2 * width + 1 is one half at a straight edge, 1 from `width` inside.
  window = (2 * width + 1, 2 * width + 1)
  padded = jnp.pad(mask, ((0, 0), (width, width), (width, width), (0, 0)), mode='edge')
  mean = nn.avg_pool(padded, window, (1, 1), padding='VALID')
  return mask * jnp.clip(2 * mean - 1, 0.0, 1.0)


def composite(
  rgb: jax.Array, background: jax.Array, condition: jax.Array, mask: jax.Array, width: int
) -> jax.Array:
  """Puts H's foreground into the background so that nothing of the original foreground is left.

  Outside the mask every pixel is the background's. Inside it is H's; in the feathered rim H is
  mixed with the appearance condition, the one picture of the foreground that may be shown. (With
  the painted face in the rim, as design.md has it, the rim would keep the face's own wrong
  colour: it is what H is there to remove.)

  Args:
    rgb: H's output, float32 [b, h, w, 3].
    background: float32 [b, h, w, 3], read outside the mask only.
    condition: appearance condition, float32 [b, h / k, w / k, 3] for any whole k.
    mask: float32 [b, h, w, 1] of zeros and ones.
    width: feather in pixels.

  Returns:
    float32 [b, h, w, 3].
  """
  if condition.shape != rgb.shape:
    condition = jax.image.resize(condition, rgb.shape, 'bilinear')
  weight = feather(mask, width)
  inside = weight * rgb + (1 - weight) * condition
  # where, not a weighted sum: a product with zero would let NaN or rounding of hidden pixels pass.
  return jnp.where(mask > 0, inside, background)
