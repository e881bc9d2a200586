"""Every training config of configs/ trains, evaluates and resumes in its test version."""

import pathlib

import pytest
from test_config import FILES, _load

from anon_jax import config as configs
from anon_jax import experiment, parallel, train

TRAINING = [p for p in FILES if _load(p).get_config().stage not in configs.EVALUATIONS]


@pytest.mark.parametrize('path', TRAINING, ids=lambda p: p.stem)
def test_the_test_version_of_a_config_trains_and_is_measured(path: pathlib.Path, tmp_path):
  config = _load(path).get_test_config()
  config.num_train_steps = 2
  checked = configs.check(experiment.resolve(config), devices=8)
  mesh = parallel.make_mesh()
  built = experiment.build(checked, tmp_path, mesh)
  run = train.Run(tmp_path, experiment.make_plan(checked), checked.batch_size, checked.seed, 1)
  outcome = train.train(run, built.stage, built.dataset, built.samples, built.evaluate, mesh)
  assert outcome.step == 2
  assert (tmp_path / 'results.md').exists()
  assert (tmp_path / 'samples' / '00000002.png').exists()
  assert built.data
