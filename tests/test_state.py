"""State, optimizer updates and the running average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import optim


def test_an_update_is_adams_first_step():
  tx = optim.adam(0.1, 0.5, 0.999)
  net = optim.new_net({'w': jnp.array([1.0, -2.0])}, tx)
  after = optim.update(net, {'w': jnp.array([4.0, -0.5])}, tx)
  # Adam's first step is the rate times the sign of the gradient.
  np.testing.assert_allclose(after.params['w'], [0.9, -1.9], rtol=1e-5)


def test_gradients_of_several_steps_are_averaged_for_one_update():
  start = {'w': jnp.array([1.0, -2.0, 3.0])}
  grads = [{'w': jnp.array(row)} for row in ([1.0, 0.5, -1.0], [3.0, -0.5, 0.25])]
  mean = {'w': (grads[0]['w'] + grads[1]['w']) / 2}

  def steps(tx, given):
    net, seen = optim.new_net(start, tx), []
    for grad in given:
      net = optim.update(net, grad, tx)
      seen.append(net.params['w'])
    return seen

  wanted = steps(optim.adam(0.1, 0.5, 0.999, 5), [mean, mean])  # ten steps are five updates
  found = steps(optim.adam(0.1, 0.5, 0.999, 10, 2), grads + grads)
  np.testing.assert_array_equal(found[0], start['w'])  # nothing changes in between
  np.testing.assert_array_equal(found[2], found[1])
  np.testing.assert_allclose(found[1::2], wanted, rtol=1e-6)


def test_the_average_is_warmed_up_and_then_decays_as_asked():
  average, params = {'w': jnp.zeros(())}, {'w': jnp.ones(())}
  early = optim.update_average(average, params, jnp.array(0), 0.999)
  assert float(early['w']) == pytest.approx(0.9)  # decay (1 + 0) / (10 + 0)
  late = optim.update_average(average, params, jnp.array(10**6), 0.999)
  assert float(late['w']) == pytest.approx(0.001, rel=1e-3)


def test_a_copy_shares_no_buffer_so_that_both_can_be_donated():
  params = {'w': jnp.arange(3.0)}
  step = jax.jit(lambda a, b: (a, b), donate_argnums=(0, 1))
  step(params, optim.copy(params))


def test_the_norm_is_over_all_leaves():
  assert float(optim.norm({'a': jnp.array([3.0]), 'b': jnp.array([[4.0]])})) == 5.0
