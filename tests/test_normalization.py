"""Norms with their own gradient give what Flax's give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from anon_jax.nets.normalization import GroupNorm, instance_norm
from anon_jax.nets.sums import over_batch, over_pictures

SHAPES = [(2, 5, 7, 6), (3, 4, 4, 12), (1, 40, 3, 6)]


def _flax(groups):
  return nn.GroupNorm(groups, epsilon=1e-5, use_fast_variance=False)


def _params(channels):
  scale, bias = jax.random.normal(jax.random.key(5), (2, channels))
  return {'params': {'scale': 1 + scale, 'bias': bias}}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('groups', [1, 3, 6])
def test_group_norm_and_its_gradients_are_those_of_flax(shape, groups):
  x = 2 + 3 * jax.random.normal(jax.random.key(0), shape)

  def loss(module, params, x):
    return jnp.sum(jnp.sin(3 * module.apply(params, x)))

  sides = [
    jax.value_and_grad(loss, argnums=(1, 2))(module, _params(shape[-1]), x)
    for module in (GroupNorm(groups), _flax(groups))
  ]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), *sides)


def test_the_gradient_of_a_norms_gradient_is_that_of_flax():
  x = jax.random.normal(jax.random.key(0), SHAPES[1])

  def penalty(module, params):  # what R1 does
    slope = jax.grad(lambda x: jnp.sum(module.apply(params, x) ** 3))(x)
    return jnp.sum(slope**2)

  found, wanted = (
    jax.grad(lambda p, m=m: penalty(m, p))(_params(12)) for m in (GroupNorm(3), _flax(3))
  )
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3), found, wanted)


def test_parameters_have_the_names_and_values_of_flax():
  x = jnp.zeros((1, 4, 4, 6))
  found, wanted = (m.init(jax.random.key(0), x) for m in (GroupNorm(3), _flax(3)))
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_instance_norm_takes_mean_and_deviation_of_each_channel_of_each_picture():
  x = jax.random.normal(jax.random.key(1), (2, 8, 6, 3)) * jnp.array([[[[1.0, 10, 100]]]]) + 5
  found = np.asarray(instance_norm(x), np.float64)
  np.testing.assert_allclose(found.mean((1, 2)), 0, atol=1e-5)
  np.testing.assert_allclose(found.std((1, 2)), 1, rtol=1e-4)


def test_a_mean_far_from_zero_does_not_spoil_the_variance():
  x = 1000 + jax.random.normal(jax.random.key(2), (1, 64, 64, 1))
  wide = np.asarray(x, np.float64)
  wanted = (wide - wide.mean()) / wide.std()
  np.testing.assert_allclose(instance_norm(x), wanted, atol=2e-3)


def test_a_norm_of_bfloat16_is_computed_in_float32():
  x = jax.random.normal(jax.random.key(3), SHAPES[0]).astype(jnp.bfloat16)
  assert instance_norm(x).dtype == jnp.float32
  np.testing.assert_allclose(instance_norm(x), instance_norm(x.astype(jnp.float32)), rtol=1e-6)
  assert jax.grad(lambda x: instance_norm(x).max())(x).dtype == jnp.bfloat16


def test_channels_that_make_no_groups_are_refused():
  with pytest.raises(ValueError, match='6 channels cannot be divided into 4 groups'):
    GroupNorm(4).init(jax.random.key(0), jnp.zeros((1, 2, 2, 6)))


def test_sums_are_over_each_picture_and_over_the_batch():
  x = jnp.arange(12.0).reshape(2, 1, 3, 2)  # pictures of 0 .. 5 and 6 .. 11
  np.testing.assert_array_equal(over_pictures(x), [[6, 9], [24, 27]])
  np.testing.assert_array_equal(over_batch(over_pictures(x)), [30, 36])
