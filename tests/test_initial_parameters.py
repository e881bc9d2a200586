"""Networks that start from parameters that are given, and runs that go on without them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_train import STAGE, _run

from anon_jax import parallel, train
from anon_jax.checkpoints import CheckpointError

GIVEN = {'generator': {'w': np.array([1.0, 2.0, 3.0], np.float32)}}
STARTED = dataclasses.replace(STAGE, initial=GIVEN)


def test_the_network_and_its_average_start_from_what_is_given_in_buffers_of_their_own():
  mesh = parallel.make_mesh()
  state = train.new_state(STARTED, 0, mesh)
  for params in (state.nets['generator'].params, state.ema['generator']):
    np.testing.assert_array_equal(params['w'], [1, 2, 3])
    assert len(params['w'].addressable_shards) == mesh.size
  # A buffer that is held twice cannot be donated.
  jax.jit(lambda s: jax.tree.map(jnp.copy, s.nets), donate_argnums=0)(state)
  np.testing.assert_array_equal(
    train.new_state(STARTED, 0, mesh).nets['generator'].params['w'], [1, 2, 3]
  )


def test_they_are_arguments_of_the_compiled_start_not_constants_in_it(monkeypatch):
  seen = []
  whole = parallel.init_sharded
  monkeypatch.setattr(parallel, 'init_sharded', lambda *given: seen.append(given) or whole(*given))
  train.new_state(STARTED, 0, parallel.make_mesh(1))
  born, _, initial = seen[0]
  (kernel,) = jax.make_jaxpr(born)(initial).in_avals
  assert kernel.shape == (3,)


@pytest.mark.parametrize(
  ('initial', 'message'),
  [
    (
      {'generator': {'w': np.zeros(4, np.float32)}},
      r"'generator' do not fit: .*float32\[4\] there",
    ),
    ({'generator': {'v': np.zeros(3, np.float32)}}, r"\['v'\] is float32\[3\] there and absent"),
    ({'judge': {}}, r"given for 'judge'; the networks are \['generator'\]"),
  ],
)
def test_parameters_that_do_not_fit_are_refused_by_name(initial, message):
  stage = dataclasses.replace(STAGE, initial=initial)
  with pytest.raises(CheckpointError, match=message) as caught:
    train.new_state(stage, 0, parallel.make_mesh(1))
  assert '\n' not in str(caught.value)


def test_a_run_that_goes_on_does_not_start_from_them_again(tmp_path):
  cut = _run(tmp_path, STARTED, steps=2)
  assert (
    float(np.abs(cut.state.nets['generator'].params['w'] - GIVEN['generator']['w']).max()) > 0.1
  )
  resumed = _run(tmp_path, STARTED, steps=2).state
  np.testing.assert_array_equal(
    resumed.nets['generator'].params['w'], cut.state.nets['generator'].params['w']
  )
