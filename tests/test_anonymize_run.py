"""Stage anonymize through the whole command: resumption, where I comes from, what is refused."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax import experiment, main, parallel, train
from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.data import hair
from anon_jax.experiment import anonymize, identities, pretrained

SMALL = {'image_size': 32, 'mesh_data': 1, 'weights_dir': '/nowhere', 'num_train_steps': 2}
SMALL |= {'checkpoint_every_steps': 1}


def _config(stage='anonymize', **values):
  config = configs.tiny(configs.defaults(stage))
  config.update(SMALL | values)
  return config


def _checked(**values):
  return configs.check(experiment.resolve(_config(**values)))


@pytest.fixture(scope='module')
def identity_run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('identity')
  assert main.run(_config('identity', num_train_steps=1), workdir, 'train') == 0
  return workdir


@pytest.fixture(scope='module')
def whole(identity_run, tmp_path_factory):
  """A run of two steps whose I comes from an identity run."""
  workdir = tmp_path_factory.mktemp('whole')
  assert main.run(_config(identity_from=str(identity_run)), workdir, 'train') == 0
  return workdir


def _saved(workdir, step):
  built = experiment.build(_checked(), workdir, parallel.make_mesh(1))
  saved = Checkpoints(workdir / 'checkpoints', 3)
  try:
    state = saved.restore(step, train.new_state(built.stage, 0, parallel.make_mesh(1)))
  finally:
    saved.close()
  return jax.device_get({'nets': state.nets, 'ema': state.ema})


def test_a_run_that_was_cut_goes_on_bit_for_bit(whole, identity_run, tmp_path):
  given = {'identity_from': str(identity_run)}
  assert main.run(_config(num_train_steps=1, **given), tmp_path, 'train') == 0
  assert main.run(_config(**given), tmp_path, 'train') == 0
  jax.tree.map(np.testing.assert_array_equal, _saved(whole, 2), _saved(tmp_path, 2))


def test_the_workdir_says_who_the_classes_are_and_what_could_not_be_measured(whole):
  assert identities.read_numbers(whole) == [0, 1, 2, 3]
  results = json.loads((whole / 'results.json').read_text())['anonymization']
  assert results['own_l1']['count'] == 12
  assert '/nowhere' in results['recognition']['missing']
  assert 'MobileFaceNet were left out' in (whole / 'results.md').read_text()
  assert sorted(path.name for path in (whole / 'samples').iterdir()) == ['00000002.png']


def test_the_hair_of_each_control_identity_is_the_mean_over_its_training_pictures(whole):
  found = hair.decode(hair.read(whole))
  train = identities.open_sources(_checked(), maps=True).train
  labels = train.identity_labels()
  for number in range(4):
    # drawn pictures of 32 px have the face box of synthesis; measured are 96 px
    maps = [train[int(place)]['map'] for place in np.flatnonzero(labels == number)[:16]]
    wanted = np.mean([hair.shares(np.kron(each, np.ones((3, 3)))) for each in maps], axis=0)
    np.testing.assert_allclose(found[number], wanted, atol=0.5 / 255 + 1e-6)
  assert found.max() > 0.2


def test_hair_that_was_measured_is_not_measured_again(whole):
  path = hair.path_in(whole)
  before = path.stat().st_mtime_ns
  experiment.build(_checked(), whole, parallel.make_mesh(1))
  assert path.stat().st_mtime_ns == before


def test_i_starts_where_the_identity_run_ended_and_the_log_says_so(identity_run, tmp_path, caplog):
  checked = _checked(identity_from=str(identity_run))
  with caplog.at_level(logging.WARNING, 'anon_jax'):
    built = experiment.build(checked, tmp_path, parallel.make_mesh(1))
  assert f'I starts from step 1 of {identity_run}' in caplog.text
  start = train.new_state(built.stage, 0, parallel.make_mesh(1))
  wanted = pretrained.load_identity(checked).params
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(start.ema['identity']), wanted)


def test_without_an_identity_run_the_log_says_that_i_starts_from_scratch(tmp_path, caplog):
  with caplog.at_level(logging.WARNING, 'anon_jax'):
    experiment.build(_checked(), tmp_path, parallel.make_mesh(1))
  assert 'I starts from scratch' in caplog.text


def _workdir(folder, **values):
  folder.mkdir(exist_ok=True)
  (folder / 'config.json').write_text(json.dumps(values))
  return str(folder)


def test_a_workdir_of_another_stage_or_preset_or_of_nothing_is_refused(tmp_path):
  for given, message in (
    (_workdir(tmp_path / 'h', stage='harmonize', preset='tiny'), r"stage 'harmonize', not 'id"),
    (_workdir(tmp_path / 'p', stage='identity', preset='base'), r"preset='base', and this run ha"),
    (_workdir(tmp_path / 'c', stage='identity', preset='tiny'), r'has no checkpoints yet'),
    (str(tmp_path / 'nothing'), r'config\.json is missing'),
  ):
    with pytest.raises(CheckpointError, match=message) as caught:
      experiment.build(_checked(identity_from=given), tmp_path / 'run', parallel.make_mesh(1))
    assert '\n' not in str(caught.value)
    assert given in str(caught.value)
  assert not (tmp_path / 'run').exists()


def test_an_identity_run_is_verified_before_anything_starts_from_it(identity_run, tmp_path, capfd):
  copy = tmp_path / 'identity'
  shutil.copytree(identity_run, copy)
  (metadata,) = (copy / 'checkpoints' / '1').rglob('_METADATA')
  metadata.write_bytes(metadata.read_bytes() + b' ')
  with pytest.raises(CheckpointError, match='holds no checkpoint that is whole'):
    experiment.build(_checked(identity_from=str(copy)), tmp_path / 'run', parallel.make_mesh(1))
  assert 'is damaged (state/_METADATA is not what was written); left out.' in capfd.readouterr().err
  assert (copy / 'checkpoints' / '1').is_dir()  # it belongs to another run, which may be going on


def test_a_checkpoint_of_this_stage_is_refused_by_another_one(whole):
  built = experiment.build(_checked(preset='small'), whole, parallel.make_mesh(1))
  saved = Checkpoints(whole / 'checkpoints', 3)
  state = jax.eval_shape(lambda: built.stage.init(jax.random.key(0)))
  with pytest.raises(CheckpointError, match='another stage or preset'):
    saved.restore(2, state)
  saved.close()


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ({'identity_size': 24}, r'identity_size=24 is not image_size=32 halved some times; give'),
    ({'identity_size': 64}, r'identity_size=64 is not image_size=32 halved'),
    ({'image_size': 48}, r'image_size=48 cannot be painted by A; give one of \[32, 64'),
    ({'discriminator_layers': 5}, r'too small for discriminator_layers=5'),
    ({'batch_size': 16}, r'batch_size=16 is not identities_per_batch=4 times'),
    ({'reconstruction_weight': 1.0}, r'no control identity is the source.s own; set reconstruc'),
  ],
)
def test_fields_that_do_not_go_together_are_named(values, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.check(_config(**values))


def test_a_sheet_shows_control_identities_spread_over_all_classes():
  stage = anonymize.make_stage(_checked(sample_controls=3), 7, None)
  assert stage.columns == ('source', 'foreground', 'control 0', 'control 3', 'control 6')
