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


def test_an_fsdp_axis_has_to_divide_the_devices():
  mesh = parallel.make_mesh(8, fsdp=4)
  assert dict(mesh.shape) == {'data': 2, 'fsdp': 4}
  assert '4 share a state' in parallel.describe(mesh)
  with pytest.raises(ValueError, match='mesh_fsdp=3 does not divide 8 devices'):
    parallel.make_mesh(8, fsdp=3)


def test_large_arrays_are_split_along_their_longest_divisible_side():
  mesh = parallel.make_mesh(8, fsdp=4)

  def spec(*shape):
    return parallel.sharding_of(jax.ShapeDtypeStruct(shape, jnp.float32), mesh).spec

  assert spec(3, 3, 64, 128) == jax.P(None, None, None, 'fsdp')
  assert spec(3, 3, 256, 65) == jax.P(None, None, 'fsdp')
  assert spec(63, 65) == jax.P()  # 4,095 numbers: too few
  assert spec(4097) == jax.P()  # no side that 4 divides


def test_a_shared_state_takes_a_part_of_the_memory_on_each_device_and_steps_the_same():
  def init():
    return {'w': jnp.arange(8192.0).reshape(64, 128) / 8192, 'b': jnp.zeros(128)}

  def step(state, batch):
    def loss(state):
      return jnp.mean((jnp.tanh(batch['x'] @ state['w'] + state['b'][None])) ** 2)

    value, grads = jax.value_and_grad(loss)(state)
    return jax.tree.map(lambda p, g: p - 0.1 * g, state, grads), {'loss': value}

  rows = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
  found = []
  for fsdp in (1, 4):
    mesh = parallel.make_mesh(8, fsdp)
    state = parallel.init_sharded(init, mesh)
    batch = parallel.put_batch({'x': rows}, mesh)
    compiled = parallel.compile_step(step, state, batch, mesh, time.monotonic)
    for _ in range(3):
      state, metrics = compiled.run(state, batch)
    (shard, *_) = state['w'].addressable_shards
    assert shard.data.size == 8192 // fsdp
    assert state['b'].is_fully_replicated
    found.append((parallel.fetch(state), float(metrics['loss'])))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *found)
