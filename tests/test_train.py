"""The loop: order of work, resumption bit for bit, interruption, divergence."""

import gc
import json
import os
import shutil
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from anon_jax import optim, parallel, train
from anon_jax.checkpoints import NEWEST_ONLY, CheckpointError, Checkpoints, manifest
from anon_jax.data import pipeline
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage

STEPS = 7
_TX = optax.adam(0.1)


class Pictures:
  """Flat pictures in three shades, so that an epoch is shorter than a run."""

  def __len__(self):
    return 10

  def __getitem__(self, index):
    image = np.full((16, 16, 3), 20 * index, np.uint8)
    return {'image': image, 'map': image[..., 0] % 8, 'identity': index}


def _init(key):
  params = {'w': jnp.zeros((3,))}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    key=key,
    nets={'generator': optim.new_net(params, _TX)},
    ema={'generator': optim.copy(params)},
  )


def _step(state, batch):
  key = jax.random.fold_in(state.key, state.step)
  target = batch['image'].astype(jnp.float32).mean(axis=(1, 2)) / 255
  noise = 0.1 * jax.random.normal(key, target.shape)
  net = state.nets['generator']
  loss, grads = jax.value_and_grad(
    lambda p: jnp.mean((p['w'][None] - target - noise - state.frozen['shift']) ** 2)
  )(net.params)
  net = optim.update(net, grads, _TX)
  ema = optim.update_average(state.ema['generator'], net.params, state.step, 0.9)
  new = state.replace(step=state.step + 1, nets={'generator': net}, ema={'generator': ema})
  return new, {'g_loss': loss}


def _predict(state, batch):
  del state
  return {'input': batch['image'].astype(jnp.float32) / 127.5 - 1}


STAGE = Stage('toy', _init, _step, _predict, ('input',), frozen={'shift': np.float32(0.25)})


def _run(
  workdir,
  stage=STAGE,
  evaluate=None,
  mesh=None,
  steps=STEPS,
  best=NEWEST_ONLY,
  keep=20,
  **cadence,
):
  plan = train.Plan(steps, **({'log_every': 1, 'checkpoint_every': 2} | cadence))
  view = pipeline.View(16, flip=True)
  dataset = pipeline.train_dataset(Pictures(), view, batch_size=8, seed=3, threads=1)
  samples = pipeline.eval_dataset(Pictures(), view, batch_size=2, count=2)[0]
  return train.train(
    train.Run(workdir, plan, 8, 0, keep, best),
    stage,
    dataset,
    samples,
    evaluate or (lambda state, step: {'eval/w': float(state.nets['generator'].params['w'][0])}),
    mesh or parallel.make_mesh(),
  )


def _arrays(state):
  plain = state.replace(key=jax.random.key_data(state.key), frozen={})
  return jax.device_get(plain)


def _same(first, second):
  jax.tree.map(np.testing.assert_array_equal, _arrays(first), _arrays(second))


def _lines(workdir):
  return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('unbroken')
  return workdir, _run(workdir)


def test_a_run_writes_metrics_samples_and_checkpoints_and_ends_at_its_last_step(unbroken):
  workdir, outcome = unbroken
  assert (outcome.step, int(outcome.state.step), outcome.interrupted) == (STEPS, STEPS, None)
  lines = _lines(workdir)
  assert [line['step'] for line in lines if 'g_loss' in line] == list(range(1, STEPS + 1))
  assert {'steps_per_s', 'examples_per_s', 'data_wait_share'} <= set(lines[1])
  assert lines[0]['compile_seconds'] > 0
  assert [p.name for p in sorted((workdir / 'samples').iterdir())] == [f'{STEPS:08d}.png']
  assert sorted(p.name for p in (workdir / 'checkpoints').iterdir()) == ['2', '4', '6', '7']


class _Stop(Exception):
  pass


@pytest.mark.parametrize('stop', range(1, STEPS))
def test_a_run_cut_off_after_any_step_and_run_again_ends_bit_for_bit_as_the_unbroken_one(
  unbroken, tmp_path, stop
):
  def cut_off(state, step):
    if step == stop:
      raise _Stop
    return {'eval/w': 0.0}

  with pytest.raises(_Stop):
    _run(tmp_path, evaluate=cut_off, eval_every=1)
  resumed = _run(tmp_path)
  _same(resumed.state, unbroken[1].state)
  losses = [(line['step'], line['g_loss']) for line in _lines(tmp_path) if 'g_loss' in line]
  expected = [(line['step'], line['g_loss']) for line in _lines(unbroken[0]) if 'g_loss' in line]
  assert losses == expected  # each step once: the same data and the same noise


def test_a_longer_plan_goes_on_from_the_end(unbroken, tmp_path):
  _run(tmp_path, steps=4)
  _same(_run(tmp_path).state, unbroken[1].state)


def test_a_finished_run_does_nothing_when_run_again(tmp_path):
  first = _run(tmp_path, steps=2)
  before = (tmp_path / 'metrics.jsonl').read_bytes()
  again = _run(tmp_path, steps=2)
  _same(first.state, again.state)
  assert (tmp_path / 'metrics.jsonl').read_bytes() == before


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_can_be_resumed(unbroken, tmp_path, number):
  def send(state, step):
    if step == 3:
      os.kill(os.getpid(), number)
    return {'eval/w': 0.0}

  outcome = _run(tmp_path, evaluate=send, eval_every=1)
  assert (outcome.step, outcome.interrupted) == (3, number)
  assert '3' in {p.name for p in (tmp_path / 'checkpoints').iterdir()}
  _same(_run(tmp_path).state, unbroken[1].state)


def test_signals_are_handled_as_before_once_a_run_is_over(tmp_path):
  before = signal.getsignal(signal.SIGTERM)
  _run(tmp_path, steps=1)
  assert signal.getsignal(signal.SIGTERM) is before


def test_the_work_of_a_step_is_done_in_order_with_the_save_last(tmp_path):
  seen = []

  def evaluate(state, step):
    saved = tmp_path / 'checkpoints' / str(step)
    drawn = tmp_path / 'samples' / f'{step:08d}.png'
    seen.append((step, drawn.exists(), saved.exists()))
    return {'eval/w': 0.0}

  _run(tmp_path, evaluate=evaluate, eval_every=2, sample_every=2, steps=5)
  assert seen == [(2, True, False), (4, True, False), (5, True, False)]


def test_a_value_that_is_not_finite_stops_the_run_and_names_itself(tmp_path):
  def poisoned(state, batch):
    new, metrics = _step(state, batch)
    return new, metrics | {'g_l1': jnp.where(state.step == 4, jnp.nan, 1.0)}

  stage = Stage('toy', _init, poisoned, _predict, ('input',), frozen=STAGE.frozen)
  with pytest.raises(train.Diverged, match=r'not finite at step 5: g_l1; .* step 4,'):
    _run(tmp_path, stage=stage)
  assert Checkpoints(tmp_path / 'checkpoints', 20).latest() == 4
  assert _lines(tmp_path)[-1]['g_l1'] is None


def test_no_checkpoint_of_a_state_that_is_not_finite_is_written(tmp_path):
  def poisoned(state, batch):
    new, metrics = _step(state, batch)
    return new, metrics | {'g_l1': jnp.where(state.step >= 2, jnp.nan, 1.0)}

  stage = Stage('toy', _init, poisoned, _predict, ('input',), frozen=STAGE.frozen)
  with pytest.raises(train.Diverged, match=r'step 4: g_l1; the last checkpoint, step 2, is from'):
    _run(tmp_path, stage=stage, log_every=5)
  assert Checkpoints(tmp_path / 'checkpoints', 20).latest() == 2


def test_frozen_weights_are_used_and_not_saved(unbroken):
  workdir, outcome = unbroken
  assert float(outcome.state.frozen['shift']) == 0.25
  saved = Checkpoints(workdir / 'checkpoints', 20)
  template = train.new_state(STAGE, 1, parallel.make_mesh())
  restored = saved.restore(STEPS, template)
  saved.close()
  assert float(restored.frozen['shift']) == 0.25
  _same(restored, outcome.state)
  names = {p.name for p in (workdir / 'checkpoints' / str(STEPS)).rglob('*')}
  assert not [name for name in names if 'shift' in name]


def test_a_checkpoint_of_other_shapes_is_refused(unbroken):
  workdir, _ = unbroken

  def wider(key):
    state = _init(key)
    params = {'w': jnp.zeros((5,))}
    return state.replace(
      nets={'generator': optim.new_net(params, _TX)}, ema={'generator': optim.copy(params)}
    )

  stage = Stage('toy', wider, _step, _predict, ('input',), frozen=STAGE.frozen)
  saved = Checkpoints(workdir / 'checkpoints', 20)
  message = (
    r'ema.generator.w is float32\[3\] there and float32\[5\] here; .* another stage or preset'
  )
  with pytest.raises(CheckpointError, match=message):
    saved.restore(STEPS, train.new_state(stage, 0, parallel.make_mesh()))
  saved.close()


def test_profiles_are_written_on_request(tmp_path):
  _run(tmp_path, steps=14, profile_steps=2, checkpoint_every=20)
  assert list((tmp_path / 'profile').rglob('*.xplane.pb'))


def test_a_profile_that_the_run_cuts_short_is_closed_and_one_that_cannot_be_is_announced(
  tmp_path, capfd
):
  _run(tmp_path / 'short', steps=12, profile_steps=5, checkpoint_every=20)
  assert 'profile of 2 steps written' in capfd.readouterr().err
  assert list((tmp_path / 'short' / 'profile').rglob('*.xplane.pb'))
  _run(tmp_path / 'shorter', steps=3, profile_steps=5, checkpoint_every=20)
  assert 'no profile: the run ends before step 10' in capfd.readouterr().err


# Orbax leaves coroutines behind when a read fails; they are dropped, and heard of, in here.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.parametrize('damage', ['emptied', 'removed'])
def test_a_damaged_checkpoint_is_named_with_the_one_before_it(unbroken, tmp_path, damage):
  folder = tmp_path / 'checkpoints'
  shutil.copytree(unbroken[0] / 'checkpoints', folder)
  if damage == 'emptied':
    for path in (folder / '7' / 'state').rglob('d/*'):
      path.write_bytes(b'')
  else:
    (folder / '7' / 'state' / '_METADATA').unlink()
  saved = Checkpoints(folder, 20)
  message = r'checkpoints/7 is damaged .* remove this folder to go on from step 6'
  with pytest.raises(CheckpointError, match=message):
    saved.restore(STEPS, train.new_state(STAGE, 0, parallel.make_mesh()))
  saved.close()
  gc.collect()


def test_a_checkpoint_of_another_type_is_refused_and_not_cast(unbroken):
  workdir, _ = unbroken

  def halved(key):
    state = _init(key)
    return state.replace(ema=jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.ema))

  stage = Stage('toy', halved, _step, _predict, ('input',), frozen=STAGE.frozen)
  saved = Checkpoints(workdir / 'checkpoints', 20)
  message = r'ema.generator.w is float32\[3\] there and bfloat16\[3\] here'
  with pytest.raises(CheckpointError, match=message):
    saved.restore(STEPS, train.new_state(stage, 0, parallel.make_mesh()))
  saved.close()


@pytest.mark.parametrize(
  ('step', 'every', 'expected'), [(5, 5, True), (6, 5, False), (12, 5, True), (5, 0, False)]
)
def test_work_is_due_on_multiples_and_on_the_last_step(step, every, expected):
  assert train.due(step, every, train.Plan(12, 1, 1)) is expected


class _LongEvaluation(Exception):
  pass


def test_a_signal_breaks_off_a_long_evaluation_and_saves_the_step_before_it(unbroken, tmp_path):
  def evaluate(state, step):
    if step == 3:
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.01)  # where the signal is noticed
      raise _LongEvaluation
    return {'eval/w': 0.0}

  begin = time.monotonic()
  outcome = _run(tmp_path, evaluate=evaluate, eval_every=1)
  assert (outcome.step, outcome.interrupted) == (3, signal.SIGTERM)
  assert time.monotonic() - begin < 30
  _same(_run(tmp_path).state, unbroken[1].state)


@pytest.mark.parametrize(('before', 'after'), [(8, 4), (8, 2), (8, 1), (1, 8)])
def test_a_run_goes_on_with_another_number_of_devices(unbroken, tmp_path, before, after):
  """Reductions over other shares of a batch differ in the last bits, and in nothing else."""
  first = _run(tmp_path, mesh=parallel.make_mesh(before), steps=4)
  with Checkpoints(tmp_path / 'checkpoints', 20) as saved:
    target = train.new_state(STAGE, 1, parallel.make_mesh(after))
    restored, step = saved.restore_newest(target)
  assert step == 4
  _same(restored, first.state)
  second = _run(tmp_path, mesh=parallel.make_mesh(after))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    _arrays(second.state),
    _arrays(unbroken[1].state),
  )


def test_a_damaged_newest_checkpoint_costs_its_steps_and_nothing_else(unbroken, tmp_path, capfd):
  _run(tmp_path, steps=6)
  (path,) = (p for p in (tmp_path / 'checkpoints' / '6').rglob('_METADATA'))
  path.write_bytes(path.read_bytes()[:-3])
  outcome = _run(tmp_path)
  assert 'checkpoints/6 is damaged (state/_METADATA is not what was' in capfd.readouterr().err
  _same(outcome.state, unbroken[1].state)
  names = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
  assert names == ['2', '4', '6', '6.damaged', '7']


def test_a_failed_save_fails_the_run(tmp_path, monkeypatch):
  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(manifest, 'write', full)
  with pytest.raises(CheckpointError, match=r'could not be saved .*No space left'):
    _run(tmp_path)
