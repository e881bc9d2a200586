"""SegmentationNet (S): finds the semantic map of a crop (paper 3.1)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.data import semantic
from anon_jax.nets import blocks, unet
from anon_jax.nets.convolution import Conv

# Channels by level, the finest first. 'base' needs 7.2 GFLOP for a crop of 128 px, 'small' 1.3,
# 'tiny' is for tests.
WIDTHS = {
  'base': (32, 64, 128, 256, 384),
  'small': (16, 24, 48, 96, 192),
  'tiny': (8, 12),
}


class SegmentationNet(nn.Module):
  """U-Net of residual blocks from a crop to a score per class and pixel.

  Attributes:
    widths: channels by level, the finest first; each level halves the sides.
    classes: number of classes.
    dtype: computation dtype; parameters stay float32.
  """

  widths: tuple[int, ...] = WIDTHS['base']
  classes: int = semantic.NUM_CLASSES
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps crops [b, h, w, 3] in [-1, 1] to logits [b, h, w, classes], float32.

    Raises:
      ValueError: sides that are no multiples of 2 ** (levels - 1).
    """
    x = unet.features(images, self.widths, self.dtype)  # [b h w widths[0]]
    x = nn.swish(blocks.group_norm(x.shape[-1], 'norm')(x)).astype(self.dtype)
    logits = Conv(self.classes, (1, 1), dtype=self.dtype, name='logits')(x)
    return logits.astype(jnp.float32)


def segment(logits: jax.Array) -> jax.Array:
  """Returns the likeliest class of each pixel: logits [b, h, w, c] -> uint8 [b, h, w]."""
  return jnp.argmax(logits, axis=-1).astype(jnp.uint8)
