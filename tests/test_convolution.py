"""Convolutions with a fast kernel gradient give what JAX's own give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from anon_jax.nets.convolution import Conv, kernel_gradient

FORMS = [
  # height, width, channels in, out, kernel, stride, padding
  (8, 8, 3, 5, 3, 1, 'SAME'),
  (7, 9, 2, 4, 3, 1, 'SAME'),
  (8, 8, 3, 2, 1, 1, 'SAME'),
  (16, 16, 2, 3, 4, 2, 1),
  (9, 7, 2, 3, 4, 2, 'SAME'),
  (8, 8, 2, 3, 4, 1, ((2, 1), (2, 1))),
  (10, 6, 2, 3, 3, 1, 'VALID'),
  (8, 8, 4, 2, 3, 1, 'SAME'),  # fewer channels out: by the other convolution
  (7, 9, 5, 3, 3, 1, ((0, 2), (1, 0))),
  (8, 6, 3, 2, 4, 1, ((2, 1), (2, 1))),
  (6, 6, 3, 2, 1, 1, 1),  # padded by more than the kernel overlaps
]


def _modules(form):
  _, _, _, out, kernel, stride, padding = form
  fields = {'features': out, 'kernel_size': (kernel, kernel), 'strides': stride, 'padding': padding}
  return Conv(**fields), nn.Conv(**fields)


@pytest.mark.parametrize('form', FORMS)
def test_values_and_gradients_are_those_of_flax(form):
  ours, plain = _modules(form)
  x = jax.random.normal(jax.random.key(0), (3, *form[:3]))
  params = plain.init(jax.random.key(1), x)

  def loss(module, params, x):
    return jnp.sum(jnp.sin(module.apply(params, x)))

  value, grads = jax.value_and_grad(loss, argnums=(1, 2))(ours, params, x)
  wanted, wanted_grads = jax.value_and_grad(loss, argnums=(1, 2))(plain, params, x)
  np.testing.assert_allclose(value, wanted, rtol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5), grads, wanted_grads
  )


@pytest.mark.parametrize('form', [0, 3, 7])
def test_the_gradient_of_a_gradient_is_that_of_flax(form):
  ours, plain = _modules(FORMS[form])
  x = jax.random.normal(jax.random.key(0), (2, *FORMS[form][:3]))
  params = plain.init(jax.random.key(1), x)

  def penalty(module, params):  # what R1 does
    slope = jax.grad(lambda x: jnp.sum(module.apply(params, x) ** 2))(x)
    return jnp.sum(slope**2)

  found, wanted = (jax.grad(lambda p, m=m: penalty(m, p))(params) for m in (ours, plain))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, wanted)


def test_a_kernel_gradient_is_the_sum_of_products_of_input_and_gradient():
  x = jnp.arange(6.0).reshape(1, 2, 3, 1)  # 0 1 2 / 3 4 5
  gradient = jnp.array([1.0, 10.0]).reshape(1, 1, 2, 1)
  # A kernel of 2x2 without padding lies on columns 0-1, then 1-2.
  found = kernel_gradient(x, gradient, (2, 2), ((0, 0), (0, 0)))
  np.testing.assert_array_equal(found[..., 0, 0], [[0 + 10, 1 + 20], [3 + 40, 4 + 50]])


def test_parameters_have_the_names_and_shapes_of_flax():
  ours, plain = _modules(FORMS[0])
  x = jnp.zeros((1, 8, 8, 3))
  found, wanted = (jax.tree.map(jnp.shape, m.init(jax.random.key(0), x)) for m in (ours, plain))
  assert found == wanted


def test_bfloat16_computes_the_kernel_gradient_in_float32():
  module = Conv(1, (1, 1), use_bias=False, dtype=jnp.bfloat16)
  x = jnp.ones((1, 64, 64, 1))
  params = module.init(jax.random.key(0), x)
  grads = jax.grad(lambda p: module.apply(p, x).astype(jnp.float32).sum())(params)
  assert float(grads['params']['kernel'][0, 0, 0, 0]) == 4096.0  # bfloat16 would stop at 256
