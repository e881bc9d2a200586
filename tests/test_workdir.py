"""Who may use a workdir, and with which config and data."""

import json

import pytest

from anon_jax import config as configs
from anon_jax import workdir
from anon_jax.workdir import WorkdirError

CONFIG = configs.defaults('harmonize').to_dict()
DATA = {'train': "7 pictures: SplitSource('face_folder/faces-1/1.0.0', 'train')"}


@pytest.fixture
def trained(tmp_path):
  workdir.write_facts(tmp_path, CONFIG, DATA)
  (tmp_path / 'checkpoints' / '4').mkdir(parents=True)
  return tmp_path


def test_the_same_config_and_data_may_go_on(trained):
  workdir.require_same_config(trained, CONFIG | {'num_train_steps': 9})
  workdir.require_same_data(trained, DATA)


def test_another_config_is_refused_by_field(trained):
  message = r'another config \(seed: 0 -> 3\); .* Only run length and cadences may change'
  with pytest.raises(configs.ConfigError, match=message):
    workdir.require_same_config(trained, CONFIG | {'seed': 3})


def test_evaluation_may_change_the_data_and_not_the_network(trained):
  other = CONFIG | {'dataset': 'celeba', 'eval_split': 'test', 'mesh_data': 2, 'crop': 0.8}
  workdir.require_same_config(trained, other, measuring=True)
  message = r'feather: 2 -> 0\); .* Only what is measured may change'
  with pytest.raises(configs.ConfigError, match=message):
    workdir.require_same_config(trained, other | {'feather': 0}, measuring=True)


def test_other_data_are_refused_with_both_names(trained):
  fewer = {'train': "5 pictures: SplitSource('face_folder/faces-2/1.0.0', 'train')"}
  message = r'trained on other data \(train: 7 pictures: .*faces-1.* -> 5 pictures: .*faces-2'
  with pytest.raises(WorkdirError, match=message):
    workdir.require_same_data(trained, fewer)


def test_before_the_first_checkpoint_anything_may_start(tmp_path):
  workdir.write_facts(tmp_path, CONFIG, DATA)
  (tmp_path / 'checkpoints' / '4.orbax-checkpoint-tmp').mkdir(parents=True)
  workdir.require_same_config(tmp_path, CONFIG | {'seed': 3})
  workdir.require_same_data(tmp_path, {})


def test_checkpoints_without_a_config_are_refused(trained):
  (trained / 'config.json').unlink()
  with pytest.raises(WorkdirError, match=r'holds checkpoints but no config\.json'):
    workdir.require_same_config(trained, CONFIG)


@pytest.mark.parametrize('content', [b'{', b'', b'[]', b'\xff\xfe'])
def test_a_broken_config_file_is_named(trained, content):
  (trained / 'config.json').write_bytes(content)
  with pytest.raises(WorkdirError, match=r'config\.json (cannot be read|holds no JSON object)'):
    workdir.require_same_config(trained, CONFIG)


def test_two_processes_cannot_train_in_one_workdir(tmp_path):
  with (
    workdir.claimed(tmp_path),
    pytest.raises(WorkdirError, match='another process trains in'),
    workdir.claimed(tmp_path),
  ):
    pass
  with workdir.claimed(tmp_path):  # given back when the first has ended
    pass


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
  path = tmp_path / 'file'
  path.touch()
  with pytest.raises(WorkdirError, match='is a file; give a folder'), workdir.claimed(path):
    pass


def test_what_is_written_can_be_read_by_others(trained):
  assert json.loads((trained / 'data.json').read_text()) == DATA
  assert json.loads((trained / 'config.json').read_text())['stage'] == 'harmonize'
