"""Penalties that keep a discriminator smooth."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from anon_jax.losses.adversarial import Logits


def r1_penalty(discriminate: Callable[[jax.Array], Logits], images: jax.Array) -> jax.Array:
  """Half the mean squared norm of the discriminator's gradient at real images.

  R1 of Mescheder et al. 2018 (eq. 9) without its weight gamma. The discriminator's value for an
  image is the mean over its outputs, scales with equal weight, as in the adversarial losses.

  Args:
    discriminate: images -> logits [b, ...], or one such array per scale. No example's logits
      depend on another example.
    images: real images [b, h, w, 3].

  Returns:
    A float32 scalar; to be differentiated by the discriminator's parameters.
  """

  def summed(pictures: jax.Array) -> jax.Array:
    logits = discriminate(pictures)
    scales = list(logits) if isinstance(logits, list | tuple) else [jnp.asarray(logits)]
    # A mean over each example's outputs, a sum over the batch: every example gets its own gradient.
    sums = [jnp.mean(scale.astype(jnp.float32)) * scale.shape[0] for scale in scales]
    return sum(sums[1:], start=sums[0]) / len(sums)

  gradient = jax.grad(summed)(images.astype(jnp.float32))
  return 0.5 * jnp.mean(jnp.sum(jnp.square(gradient), axis=range(1, gradient.ndim)))
