"""What evaluation says of H on clips: tLP both ways, alike for a recurrent H and one by frames."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_config import _load
from test_harmonize_video import _batch, _stage, _still
from test_lpips import write_weights

from anon_jax import config as configs
from anon_jax import experiment, parallel, train
from anon_jax.evaluation import harmonization, harmonization_video, report

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Difference:
  """Stands in for LPIPS: weight times mean absolute difference."""

  def consecutive(self, weights, clips):
    return weights * jnp.abs(jnp.diff(clips, axis=1)).mean((2, 3, 4))


def _measured(stage, batch):
  state = jax.jit(stage.init)(jax.random.key(0))
  measure = harmonization_video.make_measure(stage, (Difference(), 3.0))
  batch = batch | {'_mask': np.ones(len(batch['image']), np.float32)}
  found = harmonization.evaluate_harmonization(measure, state, [batch], parallel.make_mesh(1))
  return found, jax.jit(stage.predict)(state, batch)


def test_tlp_is_measured_against_the_clip_and_between_frames():
  found, shown = _measured(_stage(), _batch(size=2))
  steps = {
    name: 3 * np.abs(np.diff(np.asarray(shown[name]), axis=1)).mean((2, 3, 4))
    for name in ('target', 'output', 'recoloured')
  }
  off = np.abs(steps['output'] - steps['target']).mean()
  assert found['tlp']['method']['mean'] == pytest.approx(off, rel=1e-4)
  for who, name in (('target', 'target'), ('method', 'output'), ('baseline', 'recoloured')):
    assert found['consecutive'][who]['mean'] == pytest.approx(steps[name].mean(), rel=1e-4)
  assert set(found['tlp']) == {'method', 'baseline'}
  assert {'eval/tlp', 'eval/consecutive_baseline'} <= set(harmonization.scalars(found))


def test_in_a_still_clip_h_by_frames_has_no_tlp_and_the_recurrent_one_some():
  by_frames, _ = _measured(_stage(recurrent=False, judged_frames=1), _still())
  recurrent, _ = _measured(_stage(), _still())
  assert by_frames['tlp']['method']['mean'] == pytest.approx(0, abs=1e-6)
  assert recurrent['tlp']['method']['mean'] > 1e-4  # its first frame has none before it
  # the same clips, recoloured alike: what does not depend on H is the same to the last digit
  for name in ('l1', 'flicker', 'tlp', 'consecutive'):
    assert by_frames[name]['baseline'] == recurrent[name]['baseline']


def test_the_report_names_the_distance_or_says_why_there_is_none(tmp_path):
  found, _ = _measured(_stage(), _batch(size=2))
  named = found | {'distance': 'LPIPS distance, Keras SqueezeNet'}
  text = report.write_report(tmp_path, 5, named, {'seed': 0}).read_text()
  assert '| tLP against the clip itself (whole frames) | lower |' in text
  assert 'The distance is the LPIPS distance, Keras SqueezeNet: not comparable' in text
  without = {k: v for k, v in found.items() if k not in ('tlp', 'consecutive')}
  text = report.write_report(tmp_path, 5, without | {'distance_missing': 'no.'}, {}).read_text()
  assert 'tLP was not measured: no.' in text


def test_h_by_frames_trains_on_clips_and_reports_tlp_on_real_features(tmp_path):
  write_weights(tmp_path, 'keras')
  config = _load(ROOT / 'configs' / 'harmonize_video.py').get_test_config()
  config.recurrent, config.judged_frames = False, 1
  config.num_train_steps, config.image_size, config.weights_dir = 1, 32, str(tmp_path)
  config.perceptual_network = 'none'
  checked = configs.check(experiment.resolve(config), devices=8)
  mesh = parallel.make_mesh()
  built = experiment.build(checked, tmp_path, mesh)
  run = train.Run(tmp_path, experiment.make_plan(checked), checked.batch_size, checked.seed, 1)
  train.train(run, built.stage, built.dataset, built.samples, built.evaluate, mesh)
  result = json.loads((tmp_path / 'results.json').read_text())['foreground']
  assert result['distance'] == 'LPIPS distance, Keras SqueezeNet'
  assert result['tlp']['method']['mean'] > 0
  assert result['consecutive']['target']['mean'] > 0


def test_a_run_may_be_measured_on_longer_runs_of_frames_than_it_was_trained_on():
  saved = dict(configs.defaults('harmonize_video'))
  longer = configs.defaults('harmonize_video')
  longer.frames = 32
  assert configs.differences(saved, longer, measuring=True) == []
  assert configs.differences(saved, longer) == ['frames: 8 -> 32']
