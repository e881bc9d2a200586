"""The folder of trained networks: read back as it was written, and refused for any change."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import hypothesis
import jax
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anon_jax.inference import export, model_json, weights
from anon_jax.inference.inputs import HarmonizationInput, IdentityInput, Input, PaintingInput
from anon_jax.inference.records import DataSet, Training
from anon_jax.inference.runs import Source
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.nets.single_stage import SingleStageNet

ROOT = pathlib.Path(__file__).resolve().parents[1]
NETS = {
  'segmentation': (SegmentationNet((4, 6)), Input(16)),
  'anonymization': (
    AnonymizationNet(3, (6, 4), 4, spectral=True),
    PaintingInput(8, hair='00ff80' * 18),
  ),
  'harmonization': (HarmonizationNet((4, 6), 2), HarmonizationInput(16, feather=3)),
  'identity': (IdentityNet((4, 6), 5), IdentityInput(16, foreground_only=False)),
  'single_stage': (SingleStageNet(3, (6, 4), 4), HarmonizationInput(8, feather=1)),
}
TRAINING = Training('segment', 7, 'tiny', (DataSet('fasseg', 0.8, 0.25),), 3, 24)


def _params(name):
  rng = np.random.default_rng(len(name))
  module, shown = NETS[name]
  shapes = weights.shapes_of(module, shown.image_size)
  return weights.nested({n: rng.standard_normal(s, np.float32) for n, s in shapes.items()})


def _source(name, params=None):
  module, shown = NETS[name]
  given = _params(name) if params is None else params
  return Source(pathlib.Path('run'), module, given, shown, TRAINING, 'FASSEG: no licence stated')


def _write(folder, names=tuple(NETS), dtype='float16'):
  export.write_folder(folder, {name: _source(name) for name in names}, dtype)
  return folder


@pytest.fixture
def folder(tmp_path):
  return _write(tmp_path / 'weights')


def _refusal(folder, match):
  with pytest.raises(WeightsError, match=match) as caught:
    weights.load_weights(folder)
  assert '\n' not in str(caught.value)
  assert str(folder) in str(caught.value)


def _edit(folder, change):
  """Applies `change` to the parsed model.json and seals it anew."""
  path = folder / 'model.json'
  content = json.loads(path.read_bytes())
  del content['sha256']
  change(content)
  path.write_bytes(model_json.seal(content))


def _put(folder, name, raw):
  """Replaces a network's file and makes model.json say that this is right."""
  (folder / f'{name}.safetensors').write_bytes(raw)
  facts = {'bytes': len(raw), 'sha256': hashlib.sha256(raw).hexdigest()}
  _edit(folder, lambda content: content['networks'][name].update(facts))


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_what_was_written_is_read_back_in_the_precision_of_the_file(tmp_path, dtype):
  loaded = weights.load_weights(_write(tmp_path, dtype=dtype))
  for name, (module, shown) in NETS.items():
    network = getattr(loaded, name)
    assert (network.module, network.input) == (module, shown)
    assert network.entry.training == TRAINING
    wanted = weights.dotted(_params(name))
    assert weights.dotted(network.params).keys() == wanted.keys()
    for path, value in weights.dotted(network.params).items():
      assert value.dtype == np.float32
      np.testing.assert_array_equal(value, wanted[path].astype(dtype).astype(np.float32))
    assert network.entry.parameters == sum(value.size for value in wanted.values())


def test_a_loaded_network_computes_what_the_written_one_does(tmp_path):
  network = weights.load_weights(_write(tmp_path, ['segmentation'], 'float32')).segmentation
  crops = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
  wanted = NETS['segmentation'][0].apply({'params': _params('segmentation')}, crops)
  np.testing.assert_array_equal(network.module.apply({'params': network.params}, crops), wanted)


def test_networks_that_are_not_in_the_folder_are_none(tmp_path):
  loaded = weights.load_weights(_write(tmp_path, ['identity']))
  assert loaded.identity is not None
  assert loaded.segmentation is loaded.anonymization is loaded.harmonization is None


def test_the_same_parameters_give_the_same_files(folder, tmp_path):
  other = tmp_path / 'other'
  for name in reversed(NETS):  # in five exports, and with their names in another order
    params = weights.nested(dict(reversed(weights.dotted(_params(name)).items())))
    export.write_folder(other, {name: _source(name, params)}, 'float16')
  assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
    p.name: p.read_bytes() for p in other.iterdir()
  }


@pytest.mark.parametrize('name', ['model.json', *map('{}.safetensors'.format, NETS)])
def test_a_changed_byte_is_refused_wherever_it_is(folder, name):
  path = folder / name
  raw = path.read_bytes()
  rng = np.random.default_rng(0)
  for place in [0, len(raw) - 1, *rng.integers(len(raw), size=50)]:
    changed = bytearray(raw)
    changed[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(changed)
    with pytest.raises(WeightsError, match=name):
      weights.load_weights(folder)
  path.write_bytes(raw)
  assert len(weights.verify(folder)) == len(NETS)


def test_each_file_is_opened_once_so_what_is_hashed_is_what_is_parsed(folder, monkeypatch):
  opened, really = [], os.open

  def count(path, flags, *rest, **more):
    opened.append(pathlib.Path(path).name)
    return really(path, flags, *rest, **more)

  monkeypatch.setattr(os, 'open', count)
  weights.load_weights(folder)
  assert sorted(opened) == sorted(path.name for path in folder.iterdir())


def test_files_of_another_size_links_and_pipes_are_refused(folder, tmp_path):
  path = folder / 'identity.safetensors'
  raw = path.read_bytes()
  path.write_bytes(raw[:-1])
  _refusal(folder, f'has {len(raw) - 1} bytes but model.json says {len(raw)}')
  path.write_bytes(raw + b'\0')
  _refusal(folder, f'more than the {len(raw)} bytes')
  path.unlink()
  _refusal(folder, 'identity.safetensors cannot be read .No such file')
  (tmp_path / 'elsewhere').write_bytes(raw)  # the right bytes, but not of this folder
  path.symlink_to(tmp_path / 'elsewhere')
  _refusal(folder, 'identity.safetensors cannot be read .it is a link')
  path.unlink()
  os.mkfifo(path)  # opened in the usual way it would block for ever
  _refusal(folder, 'identity.safetensors is not a file')


def test_a_folder_without_its_description_or_with_a_huge_one_is_refused(folder, tmp_path):
  path = folder / 'model.json'
  moved = path.rename(tmp_path / 'model.json')
  _refusal(folder, 'holds no trained networks: model.json is missing; give a folder that')
  _refusal(tmp_path / 'nowhere', 'model.json is missing')
  path.symlink_to(moved)
  _refusal(folder, 'model.json cannot be read .it is a link')
  path.unlink()
  path.write_bytes(moved.read_bytes() + b' ' * 8_000_000)
  _refusal(folder, 'more than the 8000000 bytes')


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', 'cannot be read as JSON'),
    ('{"format": 1, "format": 1}', 'a field is given twice'),
    ('[' * 100_000, 'cannot be read as JSON'),
    ('\xff', 'cannot be read as JSON'),
    ('[]', 'has format None, and this version of anon_jax reads 5, 6, 7'),
    (
      '{"format": 8, "other": 4}',
      'has format 8, and this version of anon_jax reads 5, 6, 7; update',
    ),
    ('{"format": 1}', 'has format 1, and this version of anon_jax reads 5, 6, 7; update'),
    ('{"format": true}', 'has format True'),
    ('{"format": 1.0}', 'has format 1.0'),
    ('{"format": 5}', 'was changed or damaged: it has not the hash'),
    ('{"format": 5, "sha256": 5}', 'was changed or damaged'),
  ],
)
def test_a_description_that_is_none_is_refused(folder, text, message):
  (folder / 'model.json').write_bytes(text.encode('latin-1'))
  _refusal(folder, message)


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('surprise', 1, "the file has an unknown field 'surprise'"),
    ('classes', ['face'], r"classes is \['face'\], and the networks here have \('background'"),
    ('foreground', [1, 2], r'foreground is \[1, 2\]'),
    ('networks', {}, r'networks is \{\}; expected some of segmentation, anonym'),
    ('networks.eyes', {}, r'expected some of segmentation'),
    ('networks.identity', [], r'identity is \[\]; expected the fields file, sha256'),
    ('networks.identity.pickle', 'x', "identity has an unknown field 'pickle'"),
    ('networks.identity.file', '../identity.safetensors', r"identity.file is '../identity.saf"),
    ('networks.identity.file', 'a/identity.safetensors', r"expected 'identity.safetensors'"),
    ('networks.identity.file', 'segmentation.safetensors', r"expected 'identity.safetensors'"),
    ('networks.identity.dtype', 'float64', "identity.dtype is 'float64', which is out of range"),
    ('networks.identity.dtype', 'float32', 'identity has .* parameters in .* its architecture'),
    ('networks.identity.parameters', 3, 'identity has 3 parameters in'),
    ('networks.identity.bytes', 10**12, 'identity has .* parameters in 1000000000000 bytes'),
    ('networks.identity.bytes', True, 'identity.bytes is True; expected int'),
    ('networks.identity.sha256', 'A\n' * 32, r'identity.sha256 is .A\\nA.*, which is out of range'),
    ('networks.identity.sha256', '0' * 64, 'identity.safetensors has SHA-256 .* but model.json'),
    ('networks.identity.architecture.module', 'Net', "module is 'Net'; expected 'IdentityNet'"),
    ('networks.identity.architecture.parent', 1, "architecture has an unknown field 'parent'"),
    ('networks.identity.architecture.dtype', 1, "architecture has an unknown field 'dtype'"),
    ('networks.identity.architecture.widths', [4, 6.5], 'architecture.widths is 6.5; expected int'),
    ('networks.identity.architecture.widths', [], r'widths is \[\]; expected a list'),
    ('networks.identity.architecture.widths', [0, 6], r'architecture.widths is \(0, 6\), which'),
    ('networks.identity.architecture.widths', [4, 9], 'identity has .* parameters'),
    ('networks.identity.architecture.widths', [4] * 11, 'identity cannot be: Crops have shape'),
    ('networks.anonymization.architecture.widths', [4096] * 8, 'image_size is 8, and a network of'),
    ('networks.anonymization.architecture.spectral', 1, 'spectral is 1; expected bool'),
    ('networks.anonymization.architecture.classes', 9, 'architecture.classes is 9, which is out'),
    ('networks.harmonization.architecture.upscale', 3, 'architecture.upscale is 3, which is out'),
    ('networks.segmentation.input.image_size', 0, 'input.image_size is 0, which is out of range'),
    ('networks.segmentation.input.image_size', 17, 'segmentation cannot be: A picture of 17 x 17'),
    ('networks.segmentation.input.face_share', 7, 'input.face_share is 7.0, which is out of range'),
    ('networks.segmentation.input.value_range', [0, 1], r'input.value_range is \(0.0, 1.0\)'),
    ('networks.segmentation.input.value_range', [0], r'value_range is \[0\]; expected a list'),
    ('networks.segmentation.training.data', 'x', "training.data is 'x'; expected a list"),
    ('networks.harmonization.input.feather', -1, 'input.feather is -1, which is out of range'),
    ('networks.harmonization.input.condition_sigma', 0, 'condition_sigma is 0.0, which is out'),
  ],
)
def test_a_field_that_says_what_it_should_not_is_named(folder, path, value, message):
  def change(content):
    *above, last = path.split('.')
    for name in above:
      content = content[name]
    content[last] = value

  _edit(folder, change)
  _refusal(folder, message)


@pytest.mark.parametrize('code', ['zz' * 54, 'ab', 'AB' * 54, '00' * 18])
def test_hair_that_is_not_of_every_control_identity_is_refused(folder, code):
  def change(content):
    content['networks']['anonymization']['input']['hair'] = code

  _edit(folder, change)
  _refusal(folder, 'hair is .*, which is out of range')


def test_a_folder_of_before_hair_was_measured_is_still_read(folder):
  def change(content):
    content['format'] = 5
    del content['networks']['anonymization']['input']['hair']

  _edit(folder, change)
  assert weights.load_weights(folder).anonymization.input == PaintingInput(8, hair='')
  export.describe_anew(folder, {})  # as calibration does: it becomes one of today
  assert json.loads((folder / 'model.json').read_text())['format'] == model_json.FORMAT


def test_a_missing_field_and_a_number_that_is_none_are_named(folder):
  text = (folder / 'model.json').read_text()
  _edit(folder, lambda content: content['networks']['segmentation']['training'].pop('seed'))
  _refusal(folder, 'segmentation.training lacks seed')
  content = json.loads(text)
  del content['sha256']
  content['networks']['segmentation']['input']['face_share'] = 0.123456
  raw = json.dumps(content).replace('0.123456', 'Infinity')
  blank = raw[:-1] + ', "sha256": "' + '0' * 64 + '"}'
  found = hashlib.sha256(blank.encode()).hexdigest()
  (folder / 'model.json').write_text(blank.replace('0' * 64, found))
  _refusal(folder, 'face_share is inf; expected float')


def test_the_largest_network_that_may_be_described_costs_nothing(folder):
  def change(content):
    net = content['networks']['anonymization']
    net['architecture'] |= {'identities': 2**17, 'widths': [4096] * 10, 'hidden': 4096}
    net['input'] |= {'image_size': 2048, 'hair': ''}

  _edit(folder, change)
  _refusal(
    folder, r'anonymization has \d+ parameters in \d+ bytes, and its architecture has \d{10,}'
  )


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda t: t.pop('stem.bias'), 'stem.bias is missing'),
    (lambda t: t.update({'a\nb': np.zeros(2, np.float16)}), r"'a\\nb' is not expected"),
    (
      lambda t: t.update({'stem.bias': np.zeros((2, 2), np.float16)}),
      r'stem.bias has shape \(2, 2\) instead of \(4,\)',
    ),
    (
      lambda t: t.update({'stem.bias': np.zeros(4, np.float32)}),
      'stem.bias is float32 instead of float16',
    ),
    (
      lambda t: t.update({'stem.bias': np.array([0, np.nan, 0, 0], np.float16)}),
      'stem.bias holds NaN or infinity',
    ),
    (
      lambda t: t.update({'stem.bias': np.array([0, 0, 0, -np.inf], np.float16)}),
      'stem.bias holds NaN or infinity',
    ),
  ],
)
def test_tensors_that_do_not_fit_are_named_even_where_the_hash_is_right(folder, change, message):
  tensors = dict(safetensors.numpy.load_file(folder / 'identity.safetensors'))
  change(tensors)
  _put(folder, 'identity', safetensors.numpy.save(tensors))
  _refusal(folder, message)


def test_a_file_that_is_no_safetensors_is_refused_even_where_the_hash_is_right(folder):
  raw = (folder / 'identity.safetensors').read_bytes()
  for garbage in (bytes(len(raw)), b'\xff' * len(raw), b'\x80\x04' + raw[2:], raw + b'\0'):
    _put(folder, 'identity', garbage)
    _refusal(folder, 'identity.safetensors is damaged')


def test_numbers_that_float16_cannot_hold_are_refused_by_name(tmp_path):
  params = _params('identity')
  params['stem']['bias'][2] = -65504
  export.write_folder(tmp_path / 'a', {'identity': _source('identity', params)}, 'float16')
  params['stem']['bias'][2] = -65505
  with pytest.raises(WeightsError, match=r'stem.bias reaches 65505, and float16 ends at 65504; us'):
    export.write_folder(tmp_path / 'b', {'identity': _source('identity', params)}, 'float16')
  assert not (tmp_path / 'b').exists()
  export.write_folder(tmp_path / 'b', {'identity': _source('identity', params)}, 'float32')
  params['stem']['bias'][2] = np.inf
  with pytest.raises(WeightsError, match=r'identity of run: stem.bias holds NaN or infinity'):
    export.write_folder(tmp_path / 'c', {'identity': _source('identity', params)}, 'float32')


NAMES = st.text('abcXYZ019_', min_size=1, max_size=4)
LEAVES = arrays.arrays(
  np.float32,
  arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
  elements=st.floats(-65504, 65504, width=32),
)
TREES = st.recursive(
  st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
  lambda inner: st.dictionaries(NAMES, inner | LEAVES, min_size=1, max_size=3),
  max_leaves=6,
)


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(tree=TREES, dtype=st.sampled_from(['float16', 'float32']))
def test_any_tree_of_parameters_survives_packing(tree, dtype):
  shapes = {name: leaf.shape for name, leaf in weights.dotted(tree).items()}
  raw = weights.pack(tree, dtype)
  found = weights.nested(weights.unpack(raw, shapes, dtype, 'x'))
  wanted = jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
  jax.tree.map(np.testing.assert_array_equal, found, wanted)
  assert weights.pack(found, dtype) == raw


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_weights_error_and_nothing_else(raw):
  with pytest.raises(WeightsError):
    weights.unpack(raw, {'a': (2,)}, 'float16', 'x')
  with pytest.raises(WeightsError):
    model_json.read(raw, 'x')
  with tempfile.TemporaryDirectory() as name:
    (pathlib.Path(name) / 'model.json').write_bytes(raw)
    with pytest.raises(WeightsError, match=r'model\.json'):
      weights.verify(name)


@pytest.mark.parametrize('name', ['', 'a.b'])
def test_a_name_whose_path_could_not_be_read_back_is_refused(name):
  with pytest.raises(WeightsError, match='has an empty name or a dot in it'):
    weights.pack({'x': {name: np.zeros(1)}}, 'float16')


def test_loading_imports_nothing_of_training(folder):
  code = (
    'import sys; from anon_jax.inference import weights; '
    'assert len(weights.verify(sys.argv[1])) == 5; '
    'bad = {"orbax", "tensorflow", "tensorflow_datasets", "clu", "grain", "ml_collections"}; '
    'sys.exit(str(sorted(bad & set(sys.modules))) if bad & set(sys.modules) else 0)'
  )
  command = [sys.executable, '-c', code, str(folder)]
  done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
  assert done.returncode == 0, done.stderr
