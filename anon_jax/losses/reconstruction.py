"""Losses that hold an image to a known target, pixel by pixel."""

import jax
import jax.numpy as jnp

from anon_jax.nets import blocks


def l1(real: jax.Array, fake: jax.Array) -> jax.Array:
  """Mean absolute difference of two arrays of one shape, float32 (L1 in the paper's eq. 2).

  Raises:
    ValueError: different shapes; nothing is broadcast.
  """
  if real.shape != fake.shape:
    raise ValueError(f'The real image has shape {real.shape}, the generated one {fake.shape}.')
  return jnp.mean(jnp.abs(real.astype(jnp.float32) - fake.astype(jnp.float32)))


def foreground_l1(real: jax.Array, fake: jax.Array, mask: jax.Array, scales: int = 3) -> jax.Array:
  """Mean absolute difference inside a mask, at full and at halved resolutions alike.

  A coarser scale compares means over squares of pixels: it asks for the right tone where the fine
  detail cannot be known.

  Args:
    real: [b, h, w, 3].
    fake: the same.
    mask: [b, h, w, 1] of zeros and ones; an example that is to be left out has zeros only.
    scales: number of resolutions; the sides are multiples of 2 ** (scales - 1).

  Returns:
    A float32 scalar, the mean of the scales; 0 where the mask is empty.

  Raises:
    ValueError: different shapes; nothing is broadcast.
  """
  if real.shape != fake.shape or mask.shape != (*real.shape[:-1], 1):
    raise ValueError(
      f'The real image has shape {real.shape}, the generated one {fake.shape}, the mask '
      f'{mask.shape}; expected [b, h, w, 3] twice and [b, h, w, 1].'
    )
  difference = jnp.where(mask > 0, real.astype(jnp.float32) - fake.astype(jnp.float32), 0.0)
  covered = mask.astype(jnp.float32)
  total = jnp.zeros(())
  for scale in range(scales):
    if scale:
      difference, covered = blocks.downsample(difference), blocks.downsample(covered)
    values = jnp.sum(covered) * real.shape[-1]
    total += jnp.sum(jnp.abs(difference)) / jnp.where(values > 0, values, 1.0)
  return total / scales
