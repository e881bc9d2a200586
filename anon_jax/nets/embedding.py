"""Embeddings of unit length."""

import jax
import jax.numpy as jnp

# Squared length below which a vector has no direction that its float32 numbers could tell.
_SMALLEST = 1e-24


def normalise(vectors: jax.Array) -> jax.Array:
  """Scales vectors [..., d] to unit L2 length, float32; one of length zero stays zero.

  The gradient is finite everywhere, at zero too.
  """
  x = vectors.astype(jnp.float32)
  squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squared, _SMALLEST))
