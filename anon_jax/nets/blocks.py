"""Building blocks shared by the project's networks. NHWC; norms in float32."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets.convolution import Conv
from anon_jax.nets.normalization import GroupNorm

_GROUP = 8  # channels that share a mean and a variance


def group_norm(channels: int, name: str | None = None) -> GroupNorm:
  """Group norm in float32 over groups of about 8 channels.

  Instance norm would take each channel's mean away, and with it the picture's overall colour,
  which H is there to restore; a group keeps the differences between its channels.
  """
  groups = max(channels // _GROUP, 1)
  while channels % groups:
    groups -= 1
  return GroupNorm(groups, name=name)


def upsample(x: jax.Array) -> jax.Array:
  """Doubles the sides of [b, h, w, c] by repeating pixels."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, 2, w, 2, c))
  return x.reshape(b, 2 * h, 2 * w, c)


def downsample(x: jax.Array) -> jax.Array:
  """Halves the sides of [b, h, w, c] by averaging squares of two pixels; h and w are even."""
  return nn.avg_pool(x, (2, 2), (2, 2))


def residual_block(remat: bool) -> Any:
  """Returns `ResidualBlock`, or the one that is computed again for its gradient."""
  return nn.remat(ResidualBlock) if remat else ResidualBlock


class ResidualBlock(nn.Module):
  """Norm, activation, convolution, twice, beside a shortcut that is learned where widths differ.

  Attributes:
    width: output channels.
    dtype: computation dtype; parameters stay float32.
  """

  width: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shortcut = x.astype(self.dtype)
    for index in (1, 2):
      x = nn.swish(group_norm(x.shape[-1], f'norm{index}')(x)).astype(self.dtype)  # [b h w .]
      x = Conv(self.width, (3, 3), dtype=self.dtype, name=f'conv{index}')(x)  # [b h w width]
    if shortcut.shape[-1] != self.width:
      shortcut = Conv(self.width, (1, 1), use_bias=False, dtype=self.dtype, name='shortcut')(
        shortcut
      )
    return x + shortcut
