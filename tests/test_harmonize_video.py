"""The stage for clips: what H sees of the frame before, what D_T judges, and its equalities."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import parallel, proxy, train
from anon_jax.evaluation import harmonization, harmonization_video
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet, composite, recurrent_inputs
from anon_jax.steps.harmonize_video import HarmonizeVideoOptions, make_harmonize_video_stage

SIDE, FRAMES = 16, 4


def _stage(**options):
  options = {'image_size': SIDE, 'frames': FRAMES, 'generator_lr': 1e-3} | options
  return make_harmonize_video_stage(
    HarmonizationNet(WIDTHS['tiny'], recurrent=True),
    MultiScaleDiscriminator(scales=1, width=8, layers=2),
    HarmonizeVideoOptions(**options),
  )


def _batch(seed=0, size=8):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 255, (size, FRAMES, 4, 4, 3), dtype=np.uint8)
  maps = np.zeros((size, FRAMES, SIDE, SIDE), np.uint8)
  maps[:, :, 4:12, 4:12] = 1
  return {
    'image': coarse.repeat(SIDE // 4, axis=2).repeat(SIDE // 4, axis=3),
    'map': maps,
    'identity': np.zeros(size, np.int32),
    'index': np.arange(size, dtype=np.int32),
  }


def _still(size=2):
  """Clips in which nothing moves."""
  batch = _batch(size=size)
  return batch | {'image': batch['image'][:, :1].repeat(FRAMES, axis=1)}


@pytest.fixture(scope='module')
def stage():
  return _stage()


@pytest.fixture(scope='module')
def state(stage):
  return jax.jit(stage.init)(jax.random.key(0))


@pytest.fixture(scope='module')
def predict(stage, state):
  compiled = jax.jit(stage.predict)
  return lambda batch: {name: np.asarray(value) for name, value in compiled(state, batch).items()}


def test_a_step_moves_both_networks_and_gives_finite_numbers(stage, state):
  new, metrics = jax.jit(stage.step)(state, _batch())
  for name in ('generator', 'discriminator'):
    moved = jax.tree.map(
      lambda a, b: bool((a != b).any()), new.nets[name].params, state.nets[name].params
    )
    assert any(jax.tree.leaves(moved)), name
  assert all(np.isfinite(value) for value in metrics.values())
  assert {(m.shape, m.dtype.name) for m in metrics.values()} == {((), 'float32')}


def test_a_clip_goes_frame_by_frame_through_h_with_the_output_before(state, predict):
  """Against a plain loop over H, for one clip."""
  batch = _batch()
  shown = predict(batch)
  net, params = HarmonizationNet(WIDTHS['tiny'], recurrent=True), state.ema['generator']
  mask = np.asarray(proxy.foreground_mask(jnp.asarray(batch['map'][1])))
  before, known = np.zeros((1, SIDE, SIDE, 3), np.float32), np.zeros(1, np.float32)
  for frame in range(FRAMES):
    row = slice(frame, frame + 1)
    given = (mask[row], shown['recoloured'][1][row], shown['condition'][1][row])
    rgb = net.apply({'params': params}, recurrent_inputs(*given, before, known))
    before = composite(rgb, shown['target'][1][row], given[2], mask[row], 2)
    known = np.ones(1, np.float32)
    np.testing.assert_allclose(shown['output'][1][frame], before[0], atol=1e-5)


def test_the_past_reaches_a_frame_and_the_future_does_not(predict):
  batch = _batch()
  other = _batch(1)['image']
  early, late = batch['image'].copy(), batch['image'].copy()
  early[:, 0], late[:, -1] = other[:, 0], other[:, -1]
  output = predict(batch)['output']
  assert (predict(batch | {'image': early})['output'][:, 1:] != output[:, 1:]).any()
  np.testing.assert_array_equal(predict(batch | {'image': late})['output'][:, :-1], output[:, :-1])


def test_clips_of_a_batch_do_not_see_each_other(predict):
  batch, other = _batch(), _batch(1)
  mixed = {name: np.concatenate([batch[name][:1], other[name][1:]]) for name in batch}
  np.testing.assert_array_equal(predict(mixed)['output'][0], predict(batch)['output'][0])


def test_without_recurrence_a_frame_depends_on_itself_alone(state):
  predict = jax.jit(_stage(recurrent=False).predict)
  output = np.asarray(predict(state, _still())['output'])
  for frame in range(1, FRAMES):
    np.testing.assert_allclose(output[:, frame], output[:, 0], atol=1e-6)
  output = np.asarray(jax.jit(_stage().predict)(state, _still())['output'])
  assert (output[:, 1] != output[:, 0]).any()


def test_a_clip_has_one_colouring_that_drifts_only_where_it_is_asked_to(predict, state):
  still = predict(_still())['recoloured']
  for frame in range(1, FRAMES):
    np.testing.assert_array_equal(still[:, frame], still[:, 0])
  assert (still[0] != still[1]).any()
  drifting = np.asarray(jax.jit(_stage(drift=0.5).predict)(state, _still())['recoloured'])
  np.testing.assert_array_equal(drifting[:, 0], still[:, 0])
  steps = np.diff(drifting, axis=1)
  assert abs(steps).max() > 0.01
  np.testing.assert_allclose(steps[:, 1:], steps[:, :-1], atol=1e-6)  # a straight line
  mask = _still()['map'] > 0
  np.testing.assert_array_equal(drifting[~mask], still[~mask])


def test_d_t_sees_rows_of_three_frames_with_their_masks_and_conditions(monkeypatch):
  seen = []

  def record(self, pictures, conditions, told=None):
    seen.append((pictures, conditions))
    return [jnp.zeros((len(pictures), 1))]

  stage = _stage()
  state = jax.eval_shape(stage.init, jax.random.key(0))
  monkeypatch.setattr(MultiScaleDiscriminator, '__call__', record)
  jax.eval_shape(stage.step, state, _batch(size=2))
  pictures, (masks, conditions) = seen[0]
  rows = 2 * (FRAMES - 2)
  assert pictures.shape == conditions.shape == (rows, SIDE, SIDE, 9)
  assert masks.shape == (rows, SIDE, SIDE, 3)


def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5():
  stage, results = _stage(generator_lr=1e-5, discriminator_lr=1e-5), {}
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


def test_flicker_counts_changes_that_the_target_does_not_have():
  target, mask = np.zeros((1, 3, 2, 2, 3), np.float32), np.ones((1, 3, 2, 2, 1), np.float32)
  off = target + 0.5  # wrong, and wrong in the same way all the time
  assert float(harmonization_video.flicker(target, off, mask)[0]) == 0
  jumping = target.copy()
  jumping[:, 1] = 0.4  # up by .2 of the range and down again
  assert float(harmonization_video.flicker(target, jumping, mask)[0]) == pytest.approx(0.2)
  assert float(harmonization_video.flicker(jumping, jumping, mask)[0]) == 0
  mask[:, 1, 0] = 0  # half of the pixels are not in both frames
  jumping[:, 1, 0] = -1
  assert float(harmonization_video.flicker(target, jumping, mask)[0]) == pytest.approx(0.2)
  assert float(harmonization_video.flicker(target[:, :1], off[:, :1], mask[:, :1])[0]) == 0


def test_clips_are_measured_as_means_over_their_frames(stage, state, predict):
  batch = _batch(size=2) | {'_mask': np.ones(2, np.float32)}
  mesh = parallel.make_mesh(1)
  measure = harmonization_video.make_measure(stage)
  result = harmonization.evaluate_harmonization(measure, state, [batch], mesh)
  assert result['count'] == 2
  shown = predict(batch)
  inside = shown['mask'][..., 0] > 0
  wanted = np.abs(shown['target'] - shown['output'])[inside].mean() / 2
  assert result['l1']['method']['mean'] == pytest.approx(wanted, rel=1e-4)
  assert set(harmonization.scalars(result)) >= {'eval/flicker', 'eval/flicker_baseline'}
