"""One step of the harmonize stage, and the same training on eight devices and on one."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from anon_jax import optim, parallel, train
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.proxy import to_signed
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage

SIDE = 16


def _stage(**options):
  options = {'image_size': SIDE, 'generator_lr': 1e-3} | options
  return make_harmonize_stage(
    HarmonizationNet(WIDTHS['tiny'], options.get('upscale', 1)),
    MultiScaleDiscriminator(scales=1, width=8, layers=2),
    HarmonizeOptions(**options),
  )


def _batch(seed=0, size=8):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 255, (size, 4, 4, 3), dtype=np.uint8)
  maps = np.zeros((size, SIDE, SIDE), np.uint8)
  maps[:, 4:12, 4:12] = 1
  return {
    'image': coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2),
    'map': maps,
    'identity': np.zeros(size, np.int32),
    'index': np.arange(size, dtype=np.int32),
  }


@pytest.fixture(scope='module')
def stage():
  return _stage()


@pytest.fixture(scope='module')
def state(stage):
  return jax.jit(stage.init)(jax.random.key(0))


@pytest.fixture(scope='module')
def after(stage, state):
  return jax.jit(stage.step)(state, _batch())


def test_uint8_pictures_become_signed_ones():
  signed = to_signed(jnp.array([0, 127, 255], jnp.uint8))
  np.testing.assert_allclose(signed, [-1, -1 / 255, 1], atol=1e-6)


def test_a_step_updates_every_network_and_counts(state, after):
  new, metrics = after
  assert int(new.step) == 1
  for name in ('generator', 'discriminator'):
    moved = jax.tree.map(
      lambda a, b: bool((a != b).any()), new.nets[name].params, state.nets[name].params
    )
    assert any(jax.tree.leaves(moved)), name
  assert set(metrics) == {
    'd_loss',
    'g_loss',
    'g_adversarial',
    'g_l1',
    'd_grad_norm',
    'g_grad_norm',
    'd_real_accuracy',
    'd_fake_accuracy',
    'g_diversity',
  }
  assert all(np.isfinite(float(value)) for value in metrics.values())


def test_every_metric_is_a_float32_scalar(after):
  kinds = {(value.shape, value.dtype.name) for value in after[1].values()}
  assert kinds == {((), 'float32')}


def test_the_generators_loss_is_the_weighted_sum_of_eq_2(after):
  _, m = after
  assert float(m['g_loss']) == pytest.approx(float(m['g_adversarial'] + 10 * m['g_l1']), rel=1e-5)


def test_the_one_forward_pass_gives_the_gradient_of_the_plain_loss(stage, state):
  """The step pulls H's gradient back through the pass that D saw; here it is taken plainly."""
  frozen_disc = _stage(discriminator_lr=0.0)
  new, _ = jax.jit(frozen_disc.step)(state, _batch())

  def plain_loss(params):
    shown = state.replace(
      nets=state.nets | {'generator': state.nets['generator'].replace(params=params)}
    )
    _, metrics = frozen_disc.step(shown, _batch())
    return metrics['g_loss']

  grads = jax.jit(jax.grad(plain_loss))(state.nets['generator'].params)
  expected = optim.update(state.nets['generator'], grads, optim.adam(1e-3, 0.5, 0.999))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5),
    new.nets['generator'].opt_state[0].mu,
    expected.opt_state[0].mu,
  )


def test_the_discriminators_update_does_not_reach_the_generator(state):
  still = _stage(generator_lr=0.0)
  new, _ = jax.jit(still.step)(state, _batch())
  jax.tree.map(
    np.testing.assert_array_equal,
    new.nets['generator'].params,
    state.nets['generator'].params,
  )


def test_the_average_follows_the_generator(state, after):
  new, _ = after
  expected = optim.update_average(
    state.ema['generator'], new.nets['generator'].params, jnp.array(0), 0.999
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.ema['generator'], expected
  )


def test_each_step_recolours_anew(stage, state):
  step = jax.jit(stage.step)
  first, m1 = step(state, _batch())
  _, m2 = step(first.replace(nets=state.nets, ema=state.ema), _batch())
  assert float(m1['g_l1']) != float(m2['g_l1'])


def test_a_few_steps_on_one_batch_bring_the_l1_down(stage, state):
  step, batch = jax.jit(stage.step), _batch()
  losses = []
  for _ in range(30):
    state, metrics = step(state, batch)
    losses.append(float(metrics['g_l1']))
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_predictions_do_not_depend_on_the_batch_size(stage, state):
  whole = jax.jit(stage.predict)(state, _batch())
  half = jax.jit(stage.predict)(state, {k: v[4:6] for k, v in _batch().items()})
  for name, value in half.items():
    np.testing.assert_allclose(whole[name][4:6], value, atol=1e-5, err_msg=name)


def test_a_super_resolution_stage_enlarges_its_inputs():
  stage = _stage(upscale=2)
  state = jax.jit(stage.init)(jax.random.key(0))
  shown = jax.jit(stage.predict)(state, _batch())
  assert {value.shape[1] for value in shown.values()} == {SIDE}
  _, metrics = jax.jit(stage.step)(state, _batch())
  assert np.isfinite(float(metrics['g_loss']))


def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5():
  results = {}
  stage = _stage(generator_lr=1e-4)
  for devices in (1, 8):
    mesh = parallel.make_mesh(devices)
    state = train.new_state(stage, 0, mesh)
    batches = [parallel.put_batch(_batch(i), mesh) for i in range(20)]
    compiled = parallel.compile_step(stage.step, state, batches[0], mesh, time.monotonic)
    for batch in batches:
      state, _ = compiled.run(state, batch)
    results[devices] = jax.device_get({k: net.params for k, net in state.nets.items()})
  difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), results[1], results[8])
  assert max(jax.tree.leaves(difference)) <= 1e-5
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(),
    results[8],
    jax.device_get({k: n.params for k, n in train.new_state(stage, 0, mesh).nets.items()}),
  )
  assert optax.tree.norm(moved) > 1e-3
