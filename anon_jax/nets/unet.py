"""The U-Net of residual blocks that HarmonizationNet and SegmentationNet are made of."""

from typing import Any

import jax
import jax.numpy as jnp

from anon_jax.nets import blocks
from anon_jax.nets.convolution import Conv


def features(x: jax.Array, widths: tuple[int, ...], dtype: Any, remat: bool = False) -> jax.Array:
  """Encodes and decodes a picture; for the compact method of a module.

  The layers become children of the calling module (`stem`, `down0`, ..., `middle`, ..., `up0`),
  so a network that is a U-Net and a head needs no level of names in between.

  Args:
    x: [b, h, w, c]; h and w are multiples of 2 ** (levels - 1).
    widths: channels by level, the finest first; each level halves the sides.
    dtype: computation dtype; parameters stay float32.
    remat: computes each block again for its gradient instead of keeping what is inside.

  Returns:
    [b, h, w, widths[0]].

  Raises:
    ValueError: sides that cannot be halved often enough.
  """
  unit = 2 ** (len(widths) - 1)
  if x.shape[1] % unit or x.shape[2] % unit:
    raise ValueError(
      f'A picture of {x.shape[1]} x {x.shape[2]} cannot be halved {len(widths) - 1} times; both '
      f'sides have to be multiples of {unit}.'
    )
  block = blocks.residual_block(remat)
  x = Conv(widths[0], (3, 3), dtype=dtype, name='stem')(x.astype(dtype))
  skips = []
  for level, width in enumerate(widths[:-1]):
    x = block(width, dtype, name=f'down{level}')(x)  # [b h w width]
    skips.append(x)
    x = blocks.downsample(x)
  x = block(widths[-1], dtype, name='middle')(x)
  for level in reversed(range(len(skips))):
    x = jnp.concatenate([blocks.upsample(x), skips[level]], axis=-1)
    x = block(widths[level], dtype, name=f'up{level}')(x)
  return x
