"""LPIPS' arithmetic against PyTorch, on weights of our own, and what its name says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from anon_jax.evaluation import lpips
from anon_jax.nets import alexnet, frozen, squeezenet


def _write(path, tensors, **metadata):
  path.write_bytes(frozen.serialize(tensors, metadata))


def write_weights(folder, layout):
  """Writes random weights of the right shapes."""
  rng, tensors = np.random.default_rng(0), {}
  for name, shape in squeezenet.TENSORS[layout].items():
    inputs = np.prod(shape[:3] if layout == 'keras' else shape[1:])
    spread = np.sqrt(2 / inputs) if len(shape) == 4 else 0.1
    tensors[name] = rng.normal(0, spread, shape).astype(np.float32)
  _write(folder / 'squeezenet_imagenet.safetensors', tensors)
  heads = {
    f'lin{tap}.weight': rng.random(count).astype(np.float32)
    for tap, count in enumerate((64, 128, 256, 384, 384, 512, 512))
  }
  _write(folder / lpips.heads_file('squeeze'), heads)


@pytest.fixture(scope='module', params=['keras', 'torchvision'])
def folder(request, tmp_path_factory):
  """Random weights in one of the two layouts."""
  folder = tmp_path_factory.mktemp(request.param)
  write_weights(folder, request.param)
  return folder


def _in_torch(params, a, b, keras):
  """The same distance, written as the reference's: NCHW, torch's operators, float64."""

  def conv(x, leaf, **options):
    kernel = torch.tensor(leaf['kernel']).double().permute(3, 2, 0, 1)
    return torch.relu(
      torch.nn.functional.conv2d(x, kernel, torch.tensor(leaf['bias']).double(), **options)
    )

  def features(images):
    x = torch.tensor(images).double().permute(0, 3, 1, 2)
    if keras:
      mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
      x = (x.flip(1) + 1) * 127.5 - mean[:, None, None]
    else:  # LPIPS' scaling layer
      shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64)
      scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64)
      x = (x - shift[:, None, None]) / scale[:, None, None]
    x = conv(x, params['backbone']['conv1'], stride=2)
    taps = [x]
    for number in range(2, 10):
      if number in (2, 4, 6):
        x = torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=not keras)
      fire = params['backbone'][f'fire{number}']
      s = conv(x, fire['squeeze1x1'])
      x = torch.cat([conv(s, fire['expand1x1']), conv(s, fire['expand3x3'], padding=1)], 1)
      if number in (3, 5, 6, 7, 8, 9):
        taps.append(x)
    return taps

  total = 0
  for x, y, head in zip(features(a), features(b), params['heads'], strict=True):
    x, y = (f / (torch.sqrt((f**2).sum(1, keepdim=True)) + 1e-10) for f in (x, y))
    weights = torch.tensor(head).double()[:, None, None]
    total = total + ((x - y) ** 2 * weights).sum(1).mean((1, 2))
  return total.numpy()


def test_distances_are_those_of_an_independent_computation(folder):
  net, params = lpips.load_lpips([folder])
  rng = np.random.default_rng(1)
  for side in (64, 45):
    a, b = rng.uniform(-1, 1, (2, 2, side, side + 7, 3)).astype(np.float32)
    found = jax.jit(net.distances)(params, a, b)
    wanted = _in_torch(params, a, b, 'Keras' in net.title)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert found.dtype == jnp.float32
    assert (wanted > 1e-3).all()


def test_the_name_says_which_backbone_it_is(folder):
  net, _ = lpips.load_lpips([folder])
  layout = folder.name.rstrip('0123456789')
  expected = {'keras': 'Keras', 'torchvision': 'torchvision'}[layout]
  assert net.title == f'LPIPS distance, {expected} SqueezeNet'


def test_consecutive_distances_are_those_of_each_pair_and_a_still_clip_has_none(folder):
  net, params = lpips.load_lpips([folder])
  clips = np.random.default_rng(2).uniform(-1, 1, (2, 3, 40, 40, 3)).astype(np.float32)
  clips[1] = clips[1, :1]
  found = np.asarray(jax.jit(net.consecutive)(params, clips))
  pairs = [net.distances(params, clips[:, n], clips[:, n + 1]) for n in (0, 1)]
  np.testing.assert_allclose(found, np.stack(pairs, 1), rtol=1e-4, atol=1e-6)
  assert found.shape == (2, 2)
  np.testing.assert_array_equal(found[1], 0)


def test_one_tap_worked_by_hand():
  # unit vectors (.6, .8) and (1, 0): squared differences .16 and .64, weights 2 and 3
  a = lpips.unit(jnp.array([3.0, 4.0]).reshape(1, 1, 1, 2))
  b = lpips.unit(jnp.array([5.0, 0.0]).reshape(1, 1, 1, 2))
  assert float(lpips.between([a], [b], [np.array([2.0, 3.0])])[0]) == pytest.approx(2.24, abs=1e-6)
  np.testing.assert_array_equal(lpips.unit(jnp.zeros((1, 2, 2, 3))), 0)


def test_without_weights_or_on_tiny_pictures_it_says_why_there_is_none(folder, tmp_path):
  assert lpips.load_or_say([folder], 32)[1] == ''
  found, reason = lpips.load_or_say([folder], 16)
  assert (found, reason) == (None, 'pictures of 16 px are too small; it needs 32.')
  found, reason = lpips.load_or_say([tmp_path], 32)
  assert found is None
  assert 'No weights of squeezenet' in reason


def test_missing_and_damaged_heads_are_refused(folder, tmp_path):
  backbone = 'squeezenet_imagenet.safetensors'
  (tmp_path / backbone).write_bytes((folder / backbone).read_bytes())
  with pytest.raises(frozen.WeightsError, match=r'lpips_linear_squeeze\.safetensors is in none of'):
    lpips.load_lpips([tmp_path])
  heads = {f'lin{n}.weight': np.ones(3, np.float32) for n in range(7)}
  _write(tmp_path / lpips.heads_file('squeeze'), heads)
  with pytest.raises(
    frozen.WeightsError, match=r'lin0\.weight has shape \(3,\) instead of \(64,\)'
  ):
    lpips.load_lpips([tmp_path])
  counts = (64, 128, 256, 384, 384, 512, 512)
  heads = {f'lin{n}.weight': np.ones(count, np.float32) for n, count in enumerate(counts)}
  heads['lin3.weight'][5] = -1
  _write(tmp_path / lpips.heads_file('squeeze'), heads)
  with pytest.raises(frozen.WeightsError, match=r'negative weights in .*lin3\.weight'):
    lpips.load_lpips([tmp_path])


def test_on_real_weights_a_blurred_picture_is_nearer_than_noise(real_data):
  net, params = lpips.load_lpips([real_data / 'weights'])
  assert net.title == 'LPIPS distance, Keras SqueezeNet'
  recorded = json.loads((real_data / 'weights' / 'lpips_linear_squeeze.json').read_text())
  assert recorded['backbone'].startswith('SqueezeNet 1.1 (torchvision)')
  y, x = np.mgrid[:64, :64] / 10
  picture = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)[None].astype(np.float32)
  rng = np.random.default_rng(0)
  little, much = (np.clip(picture + s * rng.normal(size=picture.shape), -1, 1) for s in (0.02, 0.5))
  run = jax.jit(net.distances)
  near, far = (float(run(params, picture, p.astype(np.float32))[0]) for p in (little, much))
  assert 0 < near < far
  assert _in_torch(params, picture, much.astype(np.float32), True)[0] == pytest.approx(
    far, rel=1e-4
  )


def _write_backbone(folder, network, shapes, **metadata):
  rng = np.random.default_rng(3)
  tensors = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
  _write(folder / frozen.published(network).file, tensors, **metadata)


def test_a_backbone_that_is_not_there_is_never_replaced(folder, tmp_path):
  # SqueezeNet and its heads are there
  for network, file in (('alex', 'alexnet-owt-7be5be79.pth'), ('vgg', 'vgg16-397923af.pth')):
    found, reason = lpips.load_or_say([folder], 64, network)
    assert found is None
    assert file in reason
    assert 'measure LPIPS on another backbone, under its own name' in reason
  _write_backbone(tmp_path, 'alexnet', alexnet.TENSORS)
  with pytest.raises(
    frozen.WeightsError, match=r'lpips_linear_alex\.safetensors is in none.*alex.pth'
  ):
    lpips.load_lpips([tmp_path, folder], 'alex')
  with pytest.raises(ValueError, match=r"'resnet' of LPIPS; choose one of \['alex', 'vgg', 'squee"):
    lpips.load_or_say([folder], 16, 'resnet')


def test_torchvisions_name_belongs_to_its_own_weights(tmp_path):
  heads = {f'lin{n}.weight': np.ones(c, np.float32) for n, c in enumerate(alexnet.CHANNELS)}
  _write(tmp_path / lpips.heads_file('alex'), heads)
  _write_backbone(tmp_path, 'alexnet', alexnet.TENSORS, source_sha256='0' * 64)
  assert lpips.load_lpips([tmp_path], 'alex')[0].title == 'LPIPS distance, AlexNet of other weights'
  _write_backbone(tmp_path, 'alexnet', alexnet.TENSORS, source_sha256='7be5be79' + '0' * 56)
  net, params = lpips.load_lpips([tmp_path], 'alex')
  assert net.title == 'LPIPS distance, torchvision AlexNet'
  picture = np.random.default_rng(0).uniform(-1, 1, (1, 33, 40, 3)).astype(np.float32)
  np.testing.assert_array_equal(net.distances(params, picture, picture), 0)
  assert float(net.distances(params, picture, -picture)[0]) > 0
