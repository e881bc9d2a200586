"""The R1 penalty on discriminators whose gradient is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.losses.regularisation import r1_penalty
from anon_jax.nets.discriminator import MultiScaleDiscriminator

IMAGES = jnp.arange(24.0).reshape(2, 2, 2, 3)


def _linear(weight):
  return lambda images: jnp.einsum('bhwc,hwc->b', images, weight)


def test_of_a_linear_discriminator_it_is_half_the_squared_length_of_its_weights():
  weight = jnp.zeros((2, 2, 3)).at[0, 1, 2].set(3.0).at[1, 1, 0].set(-4.0)
  penalty = r1_penalty(_linear(weight), IMAGES)
  assert penalty.dtype == jnp.float32
  assert float(penalty) == 12.5  # (9 + 16) / 2


def test_every_example_has_a_gradient_of_its_own():
  # D(x) = |x|^2 / 2 has the gradient x: half the mean of the examples' squared lengths
  penalty = r1_penalty(lambda x: 0.5 * jnp.sum(x**2, axis=(1, 2, 3)), IMAGES)
  assert float(penalty) == pytest.approx(float(0.5 * jnp.sum(IMAGES**2) / 2))


def test_outputs_of_one_scale_are_averaged_and_scales_count_alike():
  weight = jnp.zeros((2, 2, 3)).at[0, 0, 0].set(2.0)

  def scales(images):
    one = _linear(weight)(images)
    return [jnp.stack([one, 3 * one], axis=1), 4 * one[:, None]]  # means: 2 one; 4 one

  assert float(r1_penalty(scales, IMAGES)) == 0.5 * (3 * 2) ** 2


def test_it_is_zero_for_a_constant_discriminator():
  assert float(r1_penalty(lambda images: jnp.ones(len(images)), IMAGES)) == 0


def test_its_gradient_by_the_weights_is_the_weights():
  weight = jax.random.normal(jax.random.key(0), (2, 2, 3))
  gradient = jax.grad(lambda w: r1_penalty(_linear(w), IMAGES))(weight)
  np.testing.assert_allclose(gradient, weight, rtol=1e-6)


def test_it_can_be_differentiated_by_a_real_discriminator_and_repeats_with_the_batch():
  net = MultiScaleDiscriminator(scales=1, width=4, layers=2, smooth=True)
  images = jax.random.normal(jax.random.key(0), (1, 16, 16, 3))
  params = jax.jit(net.init)(jax.random.key(1), images, [])

  @jax.jit
  def penalty(params, images):
    return jax.value_and_grad(lambda p: r1_penalty(lambda x: net.apply(p, x, []), images))(params)

  once, grads = penalty(params, images)
  twice, _ = penalty(params, jnp.concatenate([images, images]))
  assert float(once) > 0
  assert float(twice) == pytest.approx(float(once), rel=1e-4)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
