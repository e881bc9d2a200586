"""Losses that hold an image to a known target, pixel by pixel."""

import jax
import jax.numpy as jnp


def l1(real: jax.Array, fake: jax.Array) -> jax.Array:
  """Mean absolute difference of two arrays of one shape, float32 (L1 in the paper's eq. 2).

  Raises:
    ValueError: different shapes; nothing is broadcast.
  """
  if real.shape != fake.shape:
    raise ValueError(f'The real image has shape {real.shape}, the generated one {fake.shape}.')
  return jnp.mean(jnp.abs(real.astype(jnp.float32) - fake.astype(jnp.float32)))
