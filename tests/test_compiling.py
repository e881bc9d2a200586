"""Programs are compiled with options for their device, and without any that it does not know."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import compiling


@pytest.fixture(autouse=True)
def _afresh():
  compiling.options.cache_clear()
  yield
  compiling.options.cache_clear()


def test_a_program_computes_with_options_what_it_computes_without():
  x = jax.random.normal(jax.random.key(0), (2, 16, 16, 8))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 8, 4))

  def run(x, kernel):
    wide = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    return jax.lax.optimization_barrier(wide).sum(axis=(1, 2))

  assert compiling.options()
  np.testing.assert_allclose(
    compiling.jit(run)(x, kernel), jax.jit(run)(x, kernel), rtol=1e-4, atol=1e-4
  )


def test_arguments_reach_jit():
  held = jnp.zeros(3)
  compiling.jit(lambda x: x + 1, donate_argnums=0)(held)
  assert held.is_deleted()


def test_an_option_that_jax_does_not_know_is_left_out(monkeypatch):
  monkeypatch.setattr(compiling, '_CPU', {'xla_no_such_option': ''})
  assert compiling.options() is None
  assert compiling.jit(lambda x: x + 1)(1) == 2


def test_accelerators_get_no_options_of_a_cpu(monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert compiling.options() is None
