"""`anon-jax weights mean`: networks midway between those of two folders."""

import dataclasses

import jax
import numpy as np
import pytest
from test_weights_folder import NETS, TRAINING, _params, _source, _write

from anon_jax import cli
from anon_jax.inference import export, weights
from anon_jax.inference.errors import InferenceError

FURTHER = dataclasses.replace(TRAINING, steps=9)


def _trained_further(folder, name='harmonization'):
  """Exports a network each of whose numbers has grown by one."""
  params = jax.tree.map(lambda leaf: leaf + 1, _params(name))
  source = _source(name, params)._replace(training=FURTHER)
  export.write_folder(folder, {name: source}, 'float32')
  return folder


def test_each_number_is_midway_and_the_description_is_the_second_folders(tmp_path, capsys):
  first = _write(tmp_path / 'first', ['harmonization'], 'float32')
  second = _trained_further(tmp_path / 'second')
  assert cli.main(['weights', 'mean', str(first), str(second), '-o', str(tmp_path / 'mean')]) == 0
  found = weights.load_networks(tmp_path / 'mean')['harmonization'].params
  jax.tree.map(
    lambda got, old: np.testing.assert_allclose(got, old + 0.5, atol=1e-6),
    found,
    _params('harmonization'),
  )
  entry = weights.read_description(tmp_path / 'mean')['harmonization']
  old = weights.read_description(second)['harmonization']
  changed = {
    field.name
    for field in dataclasses.fields(entry)
    if getattr(entry, field.name) != getattr(old, field.name)
  }
  assert changed == {'sha256'}
  assert entry.training.steps == 9
  assert entry.sha256 in capsys.readouterr().out


def test_other_networks_of_the_folder_stay_byte_for_byte(tmp_path):
  first = _write(tmp_path / 'first', ['harmonization'])
  into = _write(tmp_path / 'into')
  before = {path.name: path.read_bytes() for path in into.iterdir()}
  export.mean(first, _trained_further(tmp_path / 'second'), into)
  changed = {path.name for path in into.iterdir() if path.read_bytes() != before[path.name]}
  assert changed == {'harmonization.safetensors', 'model.json'}
  assert weights.load_networks(into).keys() == NETS.keys()


def test_folders_of_other_networks_are_refused_and_nothing_is_written(tmp_path):
  first = _write(tmp_path / 'first', ['harmonization'])
  other = _write(tmp_path / 'other', ['harmonization', 'identity'])
  with pytest.raises(
    InferenceError, match=r'holds harmonization, .* harmonization, identity; give'
  ):
    export.mean(first, other, tmp_path / 'mean')
  with pytest.raises(InferenceError, match='holds nothing'):
    export.mean(tmp_path / 'empty', first, tmp_path / 'mean')
  assert not (tmp_path / 'mean').exists()


def test_networks_that_are_used_differently_are_refused(tmp_path):
  first = _write(tmp_path / 'first', ['harmonization'])
  source = _source('harmonization')
  source = source._replace(input=dataclasses.replace(source.input, feather=1))
  export.write_folder(tmp_path / 'second', {'harmonization': source}, 'float16')
  with pytest.raises(InferenceError, match=r'harmonization of .* built or used differently'):
    export.mean(first, tmp_path / 'second', tmp_path / 'mean')
  assert not (tmp_path / 'mean').exists()
