"""The converter: what it writes, what it refuses, and what a failure leaves behind."""

import errno
import json
import os

import numpy as np
import pytest

import anon_jax
from anon_jax import cli
from anon_jax.nets import conversion, frozen, perceptual, squeezenet, vgg
from anon_jax.nets.frozen import WeightsError

torch = pytest.importorskip('torch', reason='the files to convert are written by torch.save')


def _save(state, path, new=True):
  torch.save(state, path, _use_new_zipfile_serialization=new)
  return path


def _squeezenet_state(seed=0):
  """A state dict as torchvision's: random features, and a classifier that is to be left out."""
  rng = np.random.default_rng(seed)
  state = {}
  for name, shape in squeezenet.TENSORS['torchvision'].items():
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    state[name] = torch.from_numpy((rng.standard_normal(shape) * scale).astype(np.float32))
  return {**state, 'classifier.1.weight': torch.ones(10, 512, 1, 1)}


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
  """SqueezeNet in the older format, its conversion, and the state dict it was made from."""
  folder = tmp_path_factory.mktemp('converted')
  state = _squeezenet_state()
  source = _save(state, folder / 'own.pth', new=False)
  return source, conversion.convert('squeezenet', source, folder / 'out', True), state


def test_a_conversion_holds_the_tensors_of_its_source(converted):
  _, path, state = converted
  found = frozen.load_tensors(path, squeezenet.TENSORS['torchvision'])
  assert len(found) == len(state) - 1  # no classifier
  for name, value in found.items():
    np.testing.assert_array_equal(value, state[name].numpy())


def test_a_conversion_says_what_it_is_and_where_it_came_from(converted):
  source, path, _ = converted
  facts = json.loads(path.with_suffix('.json').read_text())
  assert facts['sha256'] == frozen.sha256_of(path)
  assert facts['source'] == 'own.pth'
  assert facts['source_sha256'] == frozen.sha256_of(source)
  assert facts['source_is_published'] is False
  assert facts['layout'] == 'torchvision'
  metadata = frozen.read_header(path).metadata
  assert metadata['preprocessing'] == facts['preprocessing'] == 'imagenet_rgb_mean_std'
  assert {entry.name for entry in path.parent.iterdir()} == {path.name, path.stem + '.json'}


def test_a_converted_squeezenet_loads_with_the_weights_of_its_own_taps(converted):
  net, params = perceptual.load_perceptual('squeezenet', [converted[1].parent])
  assert net.module.layout == 'torchvision'
  # tap of magnitude m: weight 1 / (5 m)
  text = frozen.read_header(converted[1]).metadata['tap_magnitudes']
  np.testing.assert_allclose(net.tap_weights, [1 / (5 * float(m)) for m in text.split()])
  kernel = params['fire2']['squeeze1x1']['kernel']
  source = converted[2]['features.3.squeeze.weight'].numpy()
  assert kernel.shape == (1, 1, 64, 16)
  assert kernel[0, 0, 5, 7] == source[7, 5, 0, 0]


def test_the_same_source_gives_the_same_bytes(converted, tmp_path):
  again = conversion.convert('squeezenet', converted[0], tmp_path, True)
  assert again.read_bytes() == converted[1].read_bytes()


def test_vgg19_is_converted_from_the_older_format(tmp_path, monkeypatch):
  state = {
    name: torch.full(shape, float(number))
    for number, (name, shape) in enumerate(vgg.TENSORS.items())
  }
  source = _save(state, tmp_path / 'vgg19-dcbb9e9d.pth', new=False)
  entry = frozen.PUBLISHED['vgg19']._replace(sha256_prefix=frozen.sha256_of(source)[:8])
  monkeypatch.setitem(frozen.PUBLISHED, 'vgg19', entry)
  path = conversion.convert('vgg19', source, tmp_path / 'out')
  assert json.loads(path.with_suffix('.json').read_text())['source_is_published'] is True
  _, params = perceptual.load_perceptual('vgg19', [tmp_path / 'out'])
  assert params['conv5_1']['kernel'][0, 0, 0, 0] == list(vgg.TENSORS).index('features.28.weight')


def test_a_source_with_another_hash_is_refused(converted, tmp_path):
  with pytest.raises(WeightsError, match=r'starts with b8a52dc0.*--allow-unknown'):
    conversion.convert('squeezenet', converted[0], tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_weights_of_another_network_are_refused(converted, tmp_path):
  with pytest.raises(WeightsError, match=r'features.12.expand1x1.bias is not expected'):
    conversion.convert('vgg19', converted[0], tmp_path, allow_unknown=True)
  with pytest.raises(ValueError, match="'resnet'; choose one of"):
    conversion.convert('resnet', converted[0], tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
  state = _squeezenet_state()
  state['features.0.bias'][3] = torch.inf
  source = _save(state, tmp_path / 'own.pth')
  with pytest.raises(WeightsError, match=r"NaN or infinity in \['features.0.bias'\]"):
    conversion.convert('squeezenet', source, tmp_path / 'out', allow_unknown=True)


@pytest.mark.parametrize('failing', [1, 2, 3])
def test_nothing_half_written_is_left(tmp_path, monkeypatch, failing):
  path, calls, real = tmp_path / 'w.safetensors', [], os.fsync

  def full_disk(descriptor):
    calls.append(descriptor)
    if len(calls) == failing:
      raise OSError(errno.ENOSPC, 'No space left on device')
    real(descriptor)

  monkeypatch.setattr(os, 'fsync', full_disk)
  with pytest.raises(OSError, match='No space left'):
    frozen.write_pair(path, b'weights', path.with_suffix('.json'), b'{}')
  names = {entry.name for entry in tmp_path.iterdir()}
  # the third sync is that of the folder, when both files are complete under their names
  assert names == ({'w.safetensors', 'w.json'} if failing == 3 else set())


def test_the_command_converts_and_prints_path_and_hash(converted, tmp_path, capsys):
  argv = ['weights', 'convert', '--network', 'squeezenet', str(converted[0])]
  code = cli.main([*argv, '-o', str(tmp_path), '--allow-unknown'])
  path = tmp_path / 'squeezenet_imagenet.safetensors'
  assert code == 0
  assert capsys.readouterr().out == f'{path}  sha256 {frozen.sha256_of(path)}\n'


def test_a_refusal_is_one_line_and_exit_code_1(converted, tmp_path, capsys):
  argv = ['weights', 'convert', '--network', 'vgg19', '-o', str(tmp_path / 'out')]
  for source in (str(converted[0]), str(tmp_path / 'absent.pth')):
    assert cli.main([*argv, source]) == 1
    streams = capsys.readouterr()
    assert streams.out == ''
    assert streams.err.startswith('anon-jax: ')
    assert streams.err.count('\n') == 1
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  'argv',
  [
    [],
    ['weights'],
    ['weights', 'convert', 'a.pth', '-o', 'b'],
    ['weights', 'convert', 'a.pth', '-o', 'b', '--network', 'vgg'],
  ],
)
def test_wrong_usage_is_exit_code_2(argv, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(argv)
  assert stop.value.code == 2
  assert 'usage: anon-jax' in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(['--version'])
  assert stop.value.code == 0
  assert capsys.readouterr().out == f'anon-jax {anon_jax.__version__}\n'
