"""The config table and its checks."""

import importlib.util
import pathlib

import pytest

from anon_jax import config as configs
from anon_jax.config import reference
from anon_jax.config.stages import STAGES

FILES = sorted((pathlib.Path(__file__).parents[1] / 'configs').glob('*.py'))
DOCS = pathlib.Path(__file__).parents[1] / 'docs' / 'configs.md'


def _load(path: pathlib.Path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  assert spec
  assert spec.loader
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.stem)
def test_every_config_file_and_its_test_version_pass_the_check(path):
  module = _load(path)
  stage, tiny = configs.check(module.get_config()).stage, module.get_test_config()
  if stage in configs.EVALUATIONS:
    assert configs.check(tiny).to_dict() != configs.check(module.get_config()).to_dict()
  else:
    assert stage in STAGES
    assert configs.check(tiny, devices=8).num_train_steps <= 10


def test_a_checked_config_cannot_be_changed():
  checked = configs.check(configs.defaults('harmonize'))
  with pytest.raises((AttributeError, TypeError)):
    checked.seed = 1
  assert hash(checked) == hash(configs.check(configs.defaults('harmonize')))


def _changed(**values):
  config = configs.defaults('harmonize')
  with config.unlocked():
    config.update(values)
  return config


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'bach_size': 4},
      r"config\.bach_size=4: 'bach_size' is not a field of stage 'harmonize'; .*'batch_size'\?",
    ),
    ({'zzz': 4}, r"config\.zzz=4: 'zzz' is not a field .* docs/configs\.md"),
    ({'stage': 'fly'}, r"stage='fly' is not known; choose one of \[.*'harmonize'"),
    ({'batch_size': 0}, r'config\.batch_size=0 cannot be used; give a number >= 1'),
    ({'dtype': 'int8'}, r"config\.dtype='int8' cannot be used; give one of \['auto'"),
    ({'image_size': 100}, r'config\.image_size=100 cannot be used; give a multiple of 16'),
    ({'crop': 1.5}, r'config\.crop=1\.5 cannot be used; give a number in \[0\.1, 1\.0\]'),
    ({'batch_size': 30}, r'batch_size=30 does not divide over 8 devices; .* for example 24'),
    ({'manual_dir': '/faces'}, r"manual_dir='/faces' is not used by dataset=procedural_faces"),
    ({'image_size': 1040}, r'image_size=1040 is more than procedural_faces can draw'),
    ({'l1_weight': float('inf')}, r'config\.l1_weight=inf cannot be used; give a number >= 0'),
    ({'mesh_data': 9}, r'mesh_data=9 asks for more devices than the 8 that JAX sees'),
    ({'eval_batch_size': 4}, r'eval_batch_size=4 does not divide over 8 .* for example 8'),
    (
      {'dataset': 'celeba', 'manual_dir': '/no/such/folder'},
      r"config\.manual_dir='/no/such/folder' is not a folder; .* celeba",
    ),
    ({'image_size': 64, 'upscale': 4, 'batch_size': 8}, None),
    ({'image_size': 32, 'upscale': 4}, r'gives inputs of 8 px, which must be a multiple of 16'),
    ({'image_size': 32, 'discriminator_layers': 5}, r'too small for discriminator_layers=5'),
  ],
)
def test_an_unusable_field_is_named_with_the_way_out(changes, message):
  if message is None:
    configs.check(_changed(**changes), devices=8)
    return
  with pytest.raises(configs.ConfigError, match=message) as caught:
    configs.check(_changed(**changes), devices=8)
  assert '\n' not in str(caught.value)


def test_a_field_of_another_type_is_refused_and_a_whole_number_fits_a_float():
  values = configs.defaults('harmonize').to_dict()
  with pytest.raises(configs.ConfigError, match=r"config\.seed='1' is not of type int"):
    configs.check(values | {'seed': '1'})
  assert configs.check(values | {'l1_weight': 3}).l1_weight == 3.0


def test_a_missing_field_is_named_with_its_default():
  values = configs.defaults('harmonize').to_dict()
  del values['seed']
  with pytest.raises(configs.ConfigError, match=r'config\.seed is missing; its default is 0'):
    configs.check(values)


def test_only_run_length_and_cadences_may_differ_when_a_run_is_resumed():
  saved = configs.defaults('harmonize').to_dict()
  longer = saved | {'num_train_steps': 7, 'log_every_steps': 3, 'keep_checkpoints': 9}
  assert configs.differences(saved, longer) == []
  assert configs.differences(saved, saved | {'seed': 4, 'preset': 'tiny'}) == [
    "preset: 'base' -> 'tiny'",
    'seed: 0 -> 4',
  ]


def test_a_field_that_is_younger_than_a_run_had_its_default_there():
  saved = configs.defaults('harmonize').to_dict()
  older = {k: v for k, v in saved.items() if k != 'flip'}
  assert configs.differences(older, saved) == []
  assert configs.differences(older, saved | {'flip': False}) == ['flip: True -> False']
  assert configs.differences(saved | {'gone': 1}, saved) == ["gone: 1 -> '(absent)'"]


def test_the_reference_in_the_docs_is_what_the_table_of_fields_writes():
  assert DOCS.read_text() == reference.reference()
