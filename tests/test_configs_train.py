"""Every training config of configs/ trains, evaluates and resumes in its test version."""

import pathlib

import jax
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


@pytest.mark.parametrize(
  ('name', 'remat', 'lengths'),
  [
    ('segment_faces', False, (1, 2)),
    ('harmonize_hq', True, (2,)),
    ('anonymize_celeba', True, (2,)),
  ],
)
def test_a_shared_state_and_averaged_gradients_train_and_resume(
  name, remat, lengths, tmp_path, monkeypatch
):
  monkeypatch.setattr(parallel, '_LEAST_SHARED', 64)  # the tiny networks have no large arrays
  config = _load(FILES[0].parent / f'{name}.py').get_test_config()
  config.update({'mesh_fsdp': 4, 'accumulate_steps': 2, 'checkpoint_every_steps': 1})
  if remat:
    config.remat = True
  for steps in lengths:
    config.num_train_steps = steps
    checked = configs.check(experiment.resolve(config), devices=8)
    mesh = parallel.make_mesh(8, checked.mesh_fsdp)
    built = experiment.build(checked, tmp_path, mesh)
    run = train.Run(tmp_path, experiment.make_plan(checked), checked.batch_size, checked.seed, 1)
    outcome = train.train(
      run, built.stage, built.dataset, built.samples, lambda state, step: {}, mesh
    )
    assert outcome.step == steps
  for net in outcome.state.nets.values():
    assert any(not leaf.is_fully_replicated for leaf in jax.tree.leaves(net.params))
