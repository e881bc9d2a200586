"""What is not finite stops a run by name; spikes are left out on request; collapse is told once."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_train import _TX, STAGE, _arrays, _init, _run, _step

from anon_jax import checkpoints, optim, parallel, train
from anon_jax.config.field import ConfigError
from anon_jax.steps import collapse, finite, spikes
from anon_jax.train import collapse as watching


def _with(step):
  return dataclasses.replace(STAGE, step=step)


def _poisoned(what):
  """Injects NaN into the fifth update: into a metric, the gradients or the parameters."""

  def step(state, batch):
    now = state.step == 4
    nan = jnp.where(now, jnp.nan, 0.0)
    if what == 'gradients':
      before = state.nets['generator']
      new, metrics = _step(state, batch)
      grads = jax.tree.map(lambda p: jnp.ones_like(p) + nan, before.params)
      net = optim.update(before, grads, _TX)
      nets = jax.tree.map(lambda a, b: jnp.where(now, a, b), net, new.nets['generator'])
      return new.replace(nets={'generator': nets}), metrics
    new, metrics = _step(state, batch)
    metrics = metrics | {'d_loss': jnp.ones(())}
    if what == 'parameters':
      net = new.nets['generator']
      net = net.replace(params={'w': net.params['w'].at[1].add(nan)})
      return new.replace(nets={'generator': net}), metrics
    return new, metrics | {what: metrics[what] + nan}

  return step


@pytest.mark.parametrize(
  ('what', 'told'),
  [
    ('g_loss', 'g_loss'),
    ('d_loss', 'd_loss'),
    ('gradients', 'gradients of generator, parameters of generator'),
    ('parameters', 'parameters of generator'),
  ],
)
def test_nan_anywhere_stops_the_run_at_its_step_and_names_the_place(tmp_path, what, told):
  message = rf'^not finite at step 5: {told}; the last checkpoint, step 4, is from before it'
  with pytest.raises(train.Diverged, match=message):
    _run(tmp_path, stage=_with(_poisoned(what)))
  with checkpoints.Checkpoints(tmp_path / 'checkpoints', 3) as saved:
    restored, step = saved.restore_newest(train.new_state(STAGE, 0, parallel.make_mesh()))
  assert step == 4
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(_arrays(restored)))


@pytest.mark.parametrize('what', ['g_loss', 'd_loss', 'gradients', 'parameters'])
def test_between_two_logs_the_first_bad_step_is_the_one_that_is_named(tmp_path, what):
  with pytest.raises(train.Diverged, match=r'^not finite since step 5, found at step 7: '):
    _run(tmp_path, stage=_with(_poisoned(what)), log_every=50, checkpoint_every=50)


def test_infinite_is_not_finite_and_whole_numbers_are_not_looked_at():
  state = _init(jax.random.key(0))

  def step(state, batch):
    return state.replace(step=state.step + 1), {'a_loss': jnp.inf + batch, 'b': jnp.zeros(())}

  _, metrics = jax.jit(finite.watched(step))(state, jnp.zeros(()))
  assert metrics[finite.FLAGS].tolist() == [False, True, True, True]
  names = finite.names(metrics, state.nets)
  assert names == ['a_loss', 'b', 'gradients of generator', 'parameters of generator']


def test_the_flags_are_no_line_of_metrics(tmp_path):
  _run(tmp_path, steps=2)
  assert finite.FLAGS not in (tmp_path / 'metrics.jsonl').read_text()


def _spiky(factor, at):
  """The toy stage with a gradient norm that is 1, and 100 in some steps."""

  def step(state, batch):
    new, metrics = _step(state, batch)
    spike = jnp.isin(state.step, jnp.array(at))
    return new, metrics | {'g_grad_norm': jnp.where(spike, 100.0, 1.0)}

  return spikes.skipping(_with(step), factor)


def _walk(stage, steps):
  batch = {'image': jnp.full((4, 16, 16, 3), 100, jnp.uint8)}
  state = jax.jit(stage.init)(jax.random.key(0)).replace(frozen=STAGE.frozen)
  step, states, metrics = jax.jit(stage.step), [state], []
  for _ in range(steps):
    state, seen = step(state, batch)
    states.append(state)
    metrics.append(seen)
  return states, metrics


def test_a_spike_is_left_out_and_the_step_still_counts():
  states, metrics = _walk(_spiky(6.0, [30]), 33)
  assert int(states[31].step) == 31
  for part in ('params', 'opt_state'):
    jax.tree.map(
      np.testing.assert_array_equal,
      getattr(states[31].nets['generator'], part),
      getattr(states[30].nets['generator'], part),
    )
  jax.tree.map(np.testing.assert_array_equal, states[31].ema, states[30].ema)
  w = [float(state.nets['generator'].params['w'][0]) for state in states]
  assert w[30] == w[31] != w[32]
  assert [float(m['skipped_updates']) for m in metrics[29:32]] == [0.0, 1.0, 1.0]


def test_without_the_option_a_spike_is_an_update_like_any_other():
  assert spikes.skipping(STAGE, 0.0) is STAGE
  states, _ = _walk(_spiky(0.0, [30]), 32)
  assert 'spikes' not in states[0].nets
  assert float(states[31].nets['generator'].params['w'][0]) != float(
    states[30].nets['generator'].params['w'][0]
  )


def test_gradients_that_are_larger_for_good_are_taken_after_some_steps():
  _, metrics = _walk(_spiky(6.0, list(range(30, 90))), 90)
  skipped = [float(m['skipped_updates']) for m in metrics]
  assert skipped[30] == 1.0
  assert skipped[89] == skipped[70] < 41


def test_a_stage_that_tells_no_gradient_norm_is_refused():
  with pytest.raises(ValueError, match=r"'toy' tells no gradient norm, .*use skip_spikes=0"):
    _walk(spikes.skipping(STAGE, 6.0), 1)


def test_accuracies_are_the_shares_on_the_right_side_of_the_middle():
  real = [jnp.array([0.9, 0.6, 0.4, -1.0]), jnp.array([1.0])]
  fake = [jnp.array([0.9, 0.6, 0.4, -1.0]), jnp.array([1.0])]
  seen = collapse.accuracies(real, fake, 'd')
  assert {k: float(v) for k, v in seen.items()} == {
    'd_real_accuracy': 0.75,  # a half and one, scales of equal weight
    'd_fake_accuracy': 0.25,
  }
  smoothed = collapse.accuracies(jnp.array([0.45]), jnp.array([0.45]), 'd', real_label=0.8)
  assert float(smoothed['d_real_accuracy']) == 1.0


def test_diversity_is_the_ratio_of_deviations_over_the_batch():
  real = jnp.array([-1.0, 1.0])[:, None, None, None] * jnp.ones((2, 4, 4, 3))
  half = collapse.diversity(real / 2 + 0.25, real, 'g')
  np.testing.assert_allclose(float(half['g_diversity']), 0.5, rtol=1e-6)
  assert float(collapse.diversity(jnp.ones_like(real), real, 'g')['g_diversity']) == 0.0
  assert collapse.diversity(real[:1], real[:1], 'g') == {}


_WELL = {'d_real_accuracy': 0.7, 'd_fake_accuracy': 1.0, 'g_diversity': 0.8}


@pytest.mark.parametrize(
  ('bad', 'told'),
  [
    ({'d_real_accuracy': 1.0}, 'discriminator d tells 100% of real and 100% of painted pictures'),
    ({'g_diversity': 0.05}, 'g_diversity is 0.05: painted pictures of a batch are nearly alike'),
  ],
)
def test_collapse_is_told_once_and_only_after_some_time(bad, told):
  watch = watching.CollapseWatch()
  assert not watch.look(_WELL)
  for _ in range(2):
    assert [watch.look(_WELL | bad) for _ in range(19)] == [[]] * 19
    assert not watch.look(_WELL)  # it went over: the count starts again
  told_lines = [line for _ in range(60) for line in watch.look(_WELL | bad)]
  assert len(told_lines) == 1
  assert told in told_lines[0]


def test_an_unknown_best_scalar_is_named_when_the_first_evaluation_is_there(tmp_path):
  with pytest.raises(ConfigError, match=r"best_scalar='eval/x' is nothing .*choose one of eval/w"):
    _run(tmp_path, best=checkpoints.Best('eval/x'), eval_every=2)
  assert (tmp_path / 'checkpoints' / '2').is_dir()  # saved before it is refused


def test_the_loop_keeps_the_best_by_the_evaluation_of_the_very_step(tmp_path):
  scores = {2: 5.0, 4: 1.0, 6: 3.0, 7: 2.0}
  _run(
    tmp_path,
    best=checkpoints.Best('eval/w'),
    keep=1,
    eval_every=2,
    evaluate=lambda state, step: {'eval/w': scores[step]},
  )
  left = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
  assert left == ['4', '7']
  noted = json.loads((tmp_path / 'checkpoints' / '4' / 'evaluation.json').read_text())
  assert noted == {'eval/w': 1.0}


@pytest.mark.parametrize('bad', [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('place', [0, 517, 1023])
def test_one_bad_number_among_many_is_seen_wherever_it_is(bad, place):
  """The largest magnitude stands for all: NaN has to come through it on this backend."""
  params = {'w': jnp.linspace(-3, 3, 1024).reshape(32, 32), 'none': jnp.zeros((0,))}

  def step(state, batch):
    net = state.nets['generator'].replace(params=batch)
    return state.replace(nets={'generator': net}), {}

  run = jax.jit(finite.watched(step))
  state = _init(jax.random.key(0))
  assert run(state, params)[1][finite.FLAGS].tolist() == [True, True]
  params['w'] = params['w'].at[divmod(place, 32)].set(bad)
  assert run(state, params)[1][finite.FLAGS].tolist() == [True, False]
