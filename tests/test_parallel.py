"""Meshes, placement and compiled steps, on eight virtual devices."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import parallel


def test_the_mesh_takes_all_devices_or_as_many_as_asked():
  assert parallel.make_mesh().size == 8
  assert parallel.make_mesh(2).size == 2


def test_more_devices_than_there_are_is_refused():
  with pytest.raises(ValueError, match=r'mesh_data=9 asks for more devices than the 8 .*cpu'):
    parallel.make_mesh(9)


def test_a_batch_is_split_by_rows_over_the_devices():
  rows = np.arange(16).reshape(16, 1)
  placed = parallel.put_batch({'x': rows}, parallel.make_mesh())['x']
  assert [int(s.data[0, 0]) for s in placed.addressable_shards] == list(range(0, 16, 2))
  np.testing.assert_array_equal(parallel.fetch(placed), rows)


def test_a_batch_can_be_indexed_and_shuffled_under_the_mesh():
  """Under Explicit axes, jax's default since 0.9, each of these raises."""
  x = parallel.put_batch({'x': np.arange(8.0)[:, None]}, parallel.make_mesh())['x']
  np.testing.assert_array_equal(jax.jit(lambda x: (x[:3], x.T @ x))(x)[1], [[140.0]])
  np.testing.assert_array_equal(jnp.roll(x, 1, axis=0)[0], [7.0])


def test_a_state_is_born_on_every_device():
  state = parallel.init_sharded(lambda: {'w': jnp.ones((3,))}, parallel.make_mesh())
  assert len(state['w'].addressable_shards) == 8
  assert state['w'].is_fully_replicated


def test_a_compiled_step_runs_under_the_transfer_guard_and_eats_its_state():
  mesh = parallel.make_mesh()
  state = parallel.init_sharded(lambda: jnp.ones((4,)), mesh)
  batch = parallel.put_batch({'x': np.ones((8, 4), np.float32)}, mesh)

  def step(state, batch):
    return state + batch['x'].sum(axis=0), {'mean': batch['x'].mean()}

  compiled = parallel.compile_step(step, state, batch, mesh, time.monotonic)
  with jax.transfer_guard('disallow'):
    after, metrics = compiled.run(state, batch)
  np.testing.assert_array_equal(after, [9.0] * 4)
  assert float(metrics['mean']) == 1.0
  assert state.is_deleted()
  assert compiled.seconds > 0
  assert compiled.flops > 0
