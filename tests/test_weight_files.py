"""The weight files of the frozen networks: found, read, checked, refused."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from anon_jax.nets import frozen, perceptual, squeezenet, vgg
from anon_jax.nets.frozen import WeightsError

SHAPES = {'a': (2, 3), 'b': (4,)}


def _random_tensors(shapes):
  rng = np.random.default_rng(0)
  return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def weights(tmp_path):
  """A small weight file with its JSON."""
  path = tmp_path / 'small.safetensors'
  path.write_bytes(frozen.serialize(_random_tensors(SHAPES), {'preprocessing': 'caffe_bgr'}))
  path.with_suffix('.json').write_text(json.dumps({'sha256': frozen.sha256_of(path)}))
  return path


def test_a_weight_file_is_read_back_as_it_was_written(weights):
  found, wanted = frozen.load_tensors(weights, SHAPES), _random_tensors(SHAPES)
  assert found.keys() == wanted.keys()
  for name, value in wanted.items():
    np.testing.assert_array_equal(found[name], value)
  assert frozen.read_header(weights).metadata == {'preprocessing': 'caffe_bgr'}


def test_the_safetensors_package_reads_what_we_write(weights):
  found = safetensors.numpy.load_file(weights)
  np.testing.assert_array_equal(found['a'], _random_tensors(SHAPES)['a'])
  with safetensors.safe_open(weights, 'np') as file:
    assert file.metadata() == {'preprocessing': 'caffe_bgr'}


def test_every_mismatch_is_named(weights):
  with pytest.raises(WeightsError) as error:
    frozen.load_tensors(weights, {'a': (3, 2), 'c': (1,)})
  for part in (
    'a has shape (2, 3) instead of (3, 2)',
    'b is not expected',
    'c is missing',
    weights.name,
  ):
    assert part in str(error.value)


def test_tensors_of_another_dtype_are_refused(tmp_path):
  path = tmp_path / 'half.safetensors'
  safetensors.numpy.save_file({'a': np.zeros((2, 3), np.float16)}, path)
  with pytest.raises(WeightsError, match='a is F16 instead of F32'):
    frozen.load_tensors(path, {'a': (2, 3)})


def test_one_changed_byte_is_refused_by_the_hash(weights):
  raw = bytearray(weights.read_bytes())
  raw[-1] ^= 1
  weights.write_bytes(raw)
  with pytest.raises(WeightsError, match=r'has SHA-256 [0-9a-f]{64} but small.json says'):
    frozen.load_tensors(weights, SHAPES)
  weights.with_suffix('.json').unlink()  # no known hash: nothing to compare with
  assert frozen.load_tensors(weights, SHAPES).keys() == SHAPES.keys()


def test_any_truncation_is_a_weights_error(weights):
  weights.with_suffix('.json').unlink()
  raw = weights.read_bytes()
  for length in range(len(raw)):
    weights.write_bytes(raw[:length])
    with pytest.raises(WeightsError):
      frozen.load_tensors(weights, SHAPES)


def test_garbage_is_a_weights_error(weights):
  weights.with_suffix('.json').unlink()
  rng = np.random.default_rng(0)
  raw = weights.read_bytes()
  header_end = 8 + int.from_bytes(raw[:8], 'little')
  cases = [b'', b'\x00' * 64, b'\xff' * 64, b'\x02' + bytes(7) + b'[]', rng.bytes(200)]
  for _ in range(300):  # one byte of the header changed
    changed = bytearray(raw)
    changed[rng.integers(header_end)] = rng.integers(256)
    cases.append(bytes(changed))
  refused = 0
  for case in cases:
    weights.write_bytes(case)
    try:
      assert frozen.load_tensors(weights, SHAPES).keys() == SHAPES.keys()
    except WeightsError as error:
      assert '\n' not in str(error)
      refused += 1
  assert refused > 200  # the others changed only the metadata's text or blanks


def test_weights_that_are_not_finite_are_refused(tmp_path):
  path = tmp_path / 'nan.safetensors'
  path.write_bytes(frozen.serialize({'a': np.array([1, np.nan], np.float32)}, {}))
  with pytest.raises(WeightsError, match=r"NaN or infinity in \['a'\]"):
    frozen.load_tensors(path, {'a': (2,)})


def test_a_missing_file_or_a_broken_json_is_a_weights_error(weights):
  weights.with_suffix('.json').write_text('{')
  with pytest.raises(WeightsError, match='cannot be read as JSON'):
    frozen.load_tensors(weights, SHAPES)
  with pytest.raises(WeightsError, match='No such file'):
    frozen.load_tensors(weights.with_name('absent.safetensors'), SHAPES)


def test_the_first_folder_that_has_the_weights_wins(tmp_path):
  (tmp_path / 'one').mkdir()
  (tmp_path / 'two').mkdir()
  name = frozen.PUBLISHED['vgg19'].file
  (tmp_path / 'two' / name).touch()
  folders = [tmp_path / 'one', tmp_path / 'two']
  assert frozen.find_weights('vgg19', folders) == tmp_path / 'two' / name
  (tmp_path / 'one' / name).touch()
  assert frozen.find_weights('vgg19', folders) == tmp_path / 'one' / name


def test_missing_weights_say_where_to_get_them(tmp_path):
  with pytest.raises(WeightsError) as error:
    frozen.find_weights('vgg19', [tmp_path / 'here', '/nowhere'])
  message = str(error.value)
  assert '\n' not in message
  for part in (
    'vgg19',
    str(tmp_path / 'here'),
    '/nowhere',
    'https://download.pytorch.org/models/',
    'anon-jax weights convert --network vgg19 vgg19-dcbb9e9d.pth -o FOLDER',
    'perceptual_network',
    "'none'",
  ):
    assert part in message


def test_best_available_prefers_vgg19_and_names_both_when_neither_is_there(tmp_path):
  with pytest.raises(WeightsError, match=r'vgg19.*squeezenet'):
    perceptual.resolve_network('best_available', [tmp_path])
  (tmp_path / frozen.PUBLISHED['squeezenet'].file).touch()
  assert perceptual.resolve_network('best_available', [tmp_path]) == 'squeezenet'
  (tmp_path / frozen.PUBLISHED['vgg19'].file).touch()
  assert perceptual.resolve_network('best_available', [tmp_path]) == 'vgg19'
  assert perceptual.resolve_network('none', []) == 'none'
  assert perceptual.resolve_network('vgg19', []) == 'vgg19'


def test_unknown_networks_are_refused_with_the_choices(tmp_path):
  with pytest.raises(ValueError, match=r"'vgg16'; choose one of \['vgg19', 'squeezenet', 'none'"):
    perceptual.resolve_network('vgg16', [tmp_path])
  with pytest.raises(ValueError, match=r"'none'; choose one of \['vgg19', 'squeezenet'\]"):
    perceptual.load_perceptual('none', [tmp_path])
  with pytest.raises(ValueError, match="'lpips'; choose one of"):
    frozen.find_weights('lpips', [tmp_path])


def test_squeezenets_layout_is_decided_by_names_and_checked_against_the_metadata():
  keras_names, torch_names = squeezenet.TENSORS['keras'], squeezenet.TENSORS['torchvision']
  assert squeezenet.layout_of(keras_names, {}) == 'keras'
  assert squeezenet.layout_of(torch_names, {}) == 'torchvision'
  recorded = {'preprocessing': 'imagenet_rgb_mean_std'}
  assert squeezenet.layout_of(torch_names, recorded) == 'torchvision'
  with pytest.raises(WeightsError, match="keras layout record the preprocessing 'imagenet_rgb"):
    squeezenet.layout_of(keras_names, recorded)
  with pytest.raises(WeightsError, match='neither the Keras layout'):
    squeezenet.layout_of(['conv_1.weight'], {})
  with pytest.raises(WeightsError, match='neither the Keras layout'):
    squeezenet.layout_of([*keras_names, *torch_names], {})


def test_torchvision_squeezenet_without_recorded_magnitudes_is_refused(tmp_path):
  path = tmp_path / frozen.PUBLISHED['squeezenet'].file
  tensors = _random_tensors(squeezenet.TENSORS['torchvision'])
  for text in ('', '1 2 3 4', '1 2 3 4 x', '1 2 3 4 0', '1 2 3 4 nan'):
    path.write_bytes(frozen.serialize(tensors, {'tap_magnitudes': text}))
    with pytest.raises(WeightsError, match='instead of 5 positive numbers'):
      perceptual.load_perceptual('squeezenet', [tmp_path])
  path.write_bytes(frozen.serialize(tensors, {'tap_magnitudes': '1 2 4 5 0.5'}))
  net, _ = perceptual.load_perceptual('squeezenet', [tmp_path])
  assert net.tap_weights == (0.2, 0.1, 0.05, 0.04, 0.4)


def test_vgg19_loads_with_the_weights_of_pix2pixhd(tmp_path):
  path = tmp_path / frozen.PUBLISHED['vgg19'].file
  path.write_bytes(frozen.serialize(_random_tensors(vgg.TENSORS), {}))
  net, params = perceptual.load_perceptual('vgg19', [tmp_path])
  assert net.tap_weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
  shapes = [tap.shape for tap in jax.eval_shape(net.apply, params, jnp.zeros((1, 64, 96, 3)))]
  assert shapes[0] == (1, 64, 96, 64)
  assert shapes[4] == (1, 4, 6, 512)
  assert len(params) == 13  # up to conv5_1


def test_real_weights_copied_with_one_changed_byte_are_refused(real_data, tmp_path):
  source = real_data / 'weights' / 'squeezenet_imagenet.safetensors'
  copy = tmp_path / source.name
  shutil.copyfile(source, copy)
  known = frozen.sha256_of(source)
  copy.with_suffix('.json').write_text(json.dumps({'sha256': known}))
  perceptual.load_perceptual('squeezenet', [tmp_path])
  with copy.open('r+b') as file:
    file.seek(1_000_000)
    byte = file.read(1)
    file.seek(1_000_000)
    file.write(bytes([byte[0] ^ 16]))
  with pytest.raises(WeightsError, match=known):
    perceptual.load_perceptual('squeezenet', [tmp_path])
