"""The Inception of the FID against PyTorch and Pillow, and the names that its numbers get."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from anon_jax.evaluation import feature_networks, frechet, kernel_distance
from anon_jax.nets import conversion, frozen, inception
from anon_jax.nets.frozen import WeightsError

torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
functional = torch.nn.functional


def _tensors():
  """Random weights under which activations keep their size."""
  rng = np.random.default_rng(0)
  tensors = {}
  for name, shape in inception.TENSORS.items():
    if len(shape) > 1:
      value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(('bias', 'mean')):
      value = rng.normal(0, 0.2, shape)
    else:
      value = rng.uniform(0.6, 1.4, shape)
    tensors[name] = value.astype(np.float32)
  return tensors


def _through_torch(tensors, x):
  """The published network, from its layers' names; x is [b, 3, 299, 299]."""
  used = set()

  def unit(x, name, stride=1, padding=0):
    names = (f'{name}.bn.{p}' for p in ('running_mean', 'running_var', 'weight', 'bias'))
    names = (f'{name}.conv.weight', *names)
    used.update(names)
    kernel, *norm = (torch.from_numpy(tensors[n]) for n in names)
    x = functional.conv2d(x, kernel, stride=stride, padding=padding)
    return torch.relu(functional.batch_norm(x, *norm, eps=1e-3))

  def average(x):
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

  def join(*parts):
    return torch.cat(parts, 1)

  def mixed_a(x, m):
    b = unit(unit(x, f'{m}.branch5x5_1'), f'{m}.branch5x5_2', padding=2)
    c = unit(unit(x, f'{m}.branch3x3dbl_1'), f'{m}.branch3x3dbl_2', padding=1)
    c = unit(c, f'{m}.branch3x3dbl_3', padding=1)
    return join(unit(x, f'{m}.branch1x1'), b, c, unit(average(x), f'{m}.branch_pool'))

  def mixed_c(x, m):
    row, column = (0, 3), (3, 0)
    b = unit(unit(x, f'{m}.branch7x7_1'), f'{m}.branch7x7_2', padding=row)
    b = unit(b, f'{m}.branch7x7_3', padding=column)
    c = unit(x, f'{m}.branch7x7dbl_1')
    for number, padding in ((2, column), (3, row), (4, column), (5, row)):
      c = unit(c, f'{m}.branch7x7dbl_{number}', padding=padding)
    return join(unit(x, f'{m}.branch1x1'), b, c, unit(average(x), f'{m}.branch_pool'))

  def mixed_e(x, m, pool):
    b = unit(x, f'{m}.branch3x3_1')
    c = unit(unit(x, f'{m}.branch3x3dbl_1'), f'{m}.branch3x3dbl_2', padding=1)
    return join(
      unit(x, f'{m}.branch1x1'),
      *(unit(b, f'{m}.branch3x3_2a', padding=(0, 1)), unit(b, f'{m}.branch3x3_2b', padding=(1, 0))),
      unit(c, f'{m}.branch3x3dbl_3a', padding=(0, 1)),
      unit(c, f'{m}.branch3x3dbl_3b', padding=(1, 0)),
      unit(pool(x), f'{m}.branch_pool'),
    )

  with torch.no_grad():
    x = unit(unit(x, 'Conv2d_1a_3x3', 2), 'Conv2d_2a_3x3')
    x = functional.max_pool2d(unit(x, 'Conv2d_2b_3x3', padding=1), 3, 2)
    x = functional.max_pool2d(unit(unit(x, 'Conv2d_3b_1x1'), 'Conv2d_4a_3x3'), 3, 2)
    x = mixed_a(mixed_a(mixed_a(x, 'Mixed_5b'), 'Mixed_5c'), 'Mixed_5d')
    b = unit(unit(x, 'Mixed_6a.branch3x3dbl_1'), 'Mixed_6a.branch3x3dbl_2', padding=1)
    b = unit(b, 'Mixed_6a.branch3x3dbl_3', 2)
    x = join(unit(x, 'Mixed_6a.branch3x3', 2), b, functional.max_pool2d(x, 3, 2))
    for letter in 'bcde':
      x = mixed_c(x, f'Mixed_6{letter}')
    a = unit(unit(x, 'Mixed_7a.branch3x3_1'), 'Mixed_7a.branch3x3_2', 2)
    b = unit(unit(x, 'Mixed_7a.branch7x7x3_1'), 'Mixed_7a.branch7x7x3_2', padding=(0, 3))
    b = unit(unit(b, 'Mixed_7a.branch7x7x3_3', padding=(3, 0)), 'Mixed_7a.branch7x7x3_4', 2)
    x = join(a, b, functional.max_pool2d(x, 3, 2))
    x = mixed_e(x, 'Mixed_7b', average)
    x = mixed_e(x, 'Mixed_7c', lambda y: functional.max_pool2d(y, 3, 1, 1))
  assert used == set(tensors)
  return x.mean((2, 3)).numpy()


def _pictures(count, height, width, seed=1):
  """Smooth pictures with noise, uint8."""
  rng = np.random.default_rng(seed)
  rows = []
  for _ in range(count):
    coarse = Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), int)
    rows.append(np.clip(smooth + rng.integers(-40, 41, smooth.shape), 0, 255))
  return np.stack(rows).astype(np.uint8)


def _signed(pictures):
  return pictures.astype(np.float32) / 127.5 - 1


def _pillow(pictures):
  """Each channel as a picture of floats, resized by Pillow's bicubic and clipped."""
  resized = [
    [
      np.asarray(
        Image.fromarray(channel.astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
      )
      for channel in picture.transpose(2, 0, 1)
    ]
    for picture in pictures
  ]
  return np.clip(np.array(resized), 0, 255)  # [b 3 299 299]


def _bilinear(pictures):
  x = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).float() / 255
  return functional.interpolate(x, (299, 299), mode='bilinear', align_corners=False)


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
  """Random weights in a file as the published one, and what converter and loader make of it."""
  folder, tensors = tmp_path_factory.mktemp('inception'), _tensors()
  state = {name: torch.from_numpy(value) for name, value in tensors.items()}
  extra = {'fc.weight': torch.zeros(1008, 2048), 'fc.bias': torch.zeros(1008)}
  extra['Conv2d_1a_3x3.bn.num_batches_tracked'] = torch.tensor(0)
  torch.save({**state, **extra}, folder / 'own.pth')
  path = conversion.convert('inception', folder / 'own.pth', folder, allow_unknown=True)
  return tensors, path


def test_both_modes_give_the_features_of_the_same_network_in_pytorch(converted):
  tensors, path = converted
  pictures = _pictures(2, 70, 60)
  inputs = {
    'clean': torch.from_numpy((_pillow(pictures) - 128) / 128).float(),
    'legacy_pytorch': _bilinear(pictures) * 2 - 1,
  }
  run = jax.jit(inception.Inception().apply)
  found = {}
  for mode, x in inputs.items():
    net, params = feature_networks.load_feature_network(f'inception_{mode}', [path.parent])
    # the pieces of `features`, so that both modes share one compiled network
    ours = run({'params': params}, inception.preprocess(jnp.asarray(_signed(pictures)), net.mode))
    wanted = _through_torch(tensors, x)
    scale = np.abs(wanted).mean()  # about .4 with the published weights
    errors = np.abs(ours - wanted) / scale
    assert ours.shape == (2, net.dimensions)
    assert ours.dtype == jnp.float32
    assert errors.mean() <= 2.5e-5, errors.mean()  # 1e-5 at .4
    assert errors.max() <= 1e-3, errors.max()
    assert np.abs(wanted[0] - wanted[1]).mean() > 0.01 * scale
    found[mode] = wanted
  assert np.abs(found['clean'] - found['legacy_pytorch']).mean() > 1e-3 * scale


@pytest.mark.parametrize('size', [(64, 64), (300, 200), (299, 299), (512, 640)])
def test_clean_resizing_is_pillows_within_a_thousandth_of_a_level(size):
  pictures = _pictures(1, *size)
  x = inception.preprocess(jnp.asarray(_signed(pictures)), 'clean')
  found = np.asarray(x).transpose(0, 3, 1, 2) * 128 + 128
  wanted = _pillow(pictures)
  assert np.abs(found - wanted).max() <= 1e-3
  # negative control: the other mode is another resizing
  other = np.asarray(inception.preprocess(jnp.asarray(_signed(pictures)), 'legacy_pytorch'))
  if size != (299, 299):
    assert np.abs((other.transpose(0, 3, 1, 2) + 1) * 127.5 - wanted).max() > 1


@pytest.mark.parametrize('size', [(64, 64), (300, 200), (512, 640)])
def test_legacy_resizing_is_pytorchs(size):
  pictures = _pictures(1, *size)
  x = inception.preprocess(jnp.asarray(_signed(pictures)), 'legacy_pytorch')
  wanted = _bilinear(pictures).numpy() * 2 - 1
  np.testing.assert_allclose(np.asarray(x).transpose(0, 3, 1, 2), wanted, atol=2e-5)


def test_pictures_are_rounded_as_in_a_file():
  picture = _pictures(1, 32, 32)
  exact = inception.preprocess(jnp.asarray(_signed(picture)), 'clean')
  between = _signed(picture) + np.float32(0.4 / 127.5)  # less than half a level
  np.testing.assert_array_equal(inception.preprocess(jnp.asarray(between), 'clean'), exact)
  beyond = jnp.where(jnp.asarray(_signed(picture)) > 0.9, 3.0, jnp.asarray(_signed(picture)))
  assert float(inception.preprocess(beyond, 'clean').max()) <= 127 / 128


def test_pools_count_no_border_and_the_last_block_takes_the_maximum():
  x = jnp.arange(9.0).reshape(1, 3, 3, 1)
  average = inception.pool(x, 'average')[0, ..., 0]
  # the corner has the four numbers 0, 1, 3, 4 in its window, the edge beside it six
  np.testing.assert_allclose(average[0, :2], [2, 2.5])
  assert float(average[1, 1]) == 4
  most = inception.pool(-x, 'max')[0, ..., 0]
  assert float(most[2, 2]) == -4  # the border is no 0
  kinds = {name: block.pool for name, block in inception._BLOCKS.items()}
  assert [name for name, kind in kinds.items() if kind == 'max'] == ['Mixed_7c']
  assert [name for name, kind in kinds.items() if kind == 'reduce'] == ['Mixed_6a', 'Mixed_7a']


def test_it_has_the_published_size():
  sizes = {name: int(np.prod(shape)) for name, shape in inception.TENSORS.items()}
  trained = sum(size for name, size in sizes.items() if 'running_' not in name)
  # torchvision's Inception v3: 27,161,264 with 3,326,696 in the auxiliary classifier and
  # 1,000 x 2,048 + 1,000 in the last layer; the trunk is the same
  assert trained == 27_161_264 - 3_326_696 - 1_000 * 2_049
  assert len({name.rpartition('.conv')[0] for name in sizes if '.conv' in name}) == 94


def test_the_published_name_belongs_to_the_published_weights_only(converted, tmp_path):
  tensors, path = converted
  net, _ = feature_networks.load_feature_network('inception_clean', [path.parent])
  assert net.frechet == 'Frechet distance, features of an Inception of other weights, clean'
  entry = frozen.published('inception')
  facts = {'source_sha256': entry.sha256_prefix + 56 * '0'}
  (tmp_path / entry.file).write_bytes(frozen.serialize(tensors, facts))
  for mode in inception.MODES:
    net, _ = feature_networks.load_feature_network(f'inception_{mode}', [tmp_path])
    assert (net.frechet, net.kernel) == (f'FID, {mode}', f'KID, {mode}')
    assert net.title == f'Inception 2015-12-05 features, {mode}'


def test_missing_weights_give_a_reason_and_never_another_network(real_data, tmp_path):
  folders = [tmp_path, real_data / 'weights']  # the latter has SqueezeNet's
  found, reason = feature_networks.load_or_say('inception_clean', folders, 128)
  assert found is None
  assert 'No weights of inception' in reason
  assert 'pt_inception-2015-12-05-6726825d.pth' in reason
  assert "'squeezenet', under their own name" in reason
  with pytest.raises(ValueError, match=r"'vgg'; choose one of \['squeezenet', 'inception_clean'"):
    feature_networks.load_or_say('vgg', folders, 128)
  with pytest.raises(WeightsError, match='No weights of squeezenet'):
    feature_networks.load_feature_network('squeezenet', [tmp_path])
  found, reason = feature_networks.load_or_say('squeezenet', folders, 16)
  assert (found, reason) == (None, 'pictures of 16 px are too small; it needs 32.')


def test_the_stand_in_tells_blurred_faces_from_sharp_ones_under_its_own_name(real_data):
  net, params = feature_networks.load_feature_network('squeezenet', [real_data / 'weights'])
  assert net.frechet == 'Frechet distance, Keras SqueezeNet features'
  assert net.kernel == 'kernel distance, Keras SqueezeNet features'
  files = sorted((real_data / 'celeba' / 'images').iterdir())[:48]
  sharp = [Image.open(file).convert('RGB').resize((48, 48)) for file in files]
  blurred = [picture.resize((12, 12)).resize((48, 48)) for picture in sharp[24:]]
  run = jax.jit(net.features)

  def features(pictures, batch):
    rows = _signed(np.stack([np.asarray(picture) for picture in pictures]))
    return np.concatenate([run(params, rows[i : i + batch]) for i in range(0, len(rows), batch)])

  def statistics(rows):
    moments = frechet.Moments.empty(net.dimensions)
    moments.add(rows)
    return moments.statistics()

  a, b, c = features(sharp[:24], 24), features(sharp[24:], 24), features(blurred, 24)
  assert a.shape == (24, 512)
  assert frechet.frechet_distance(statistics(a), statistics(a)) <= 1e-6
  near = frechet.frechet_distance(statistics(a), statistics(b))
  far = frechet.frechet_distance(statistics(a), statistics(c))
  assert 0 < near < far
  assert kernel_distance.kernel_distance(a, b) < kernel_distance.kernel_distance(a, c)
  single = frechet.frechet_distance(statistics(features(sharp[:24], 1)), statistics(b))
  assert single == pytest.approx(near, rel=1e-4)


def test_input_of_another_form_is_refused():
  with pytest.raises(ValueError, match=r'shape \(299, 299, 3\); expected \[b, h, w, 3\]'):
    inception.preprocess(jnp.zeros((299, 299, 3)), 'clean')
  with pytest.raises(ValueError, match='uint8; expected floats'):
    inception.preprocess(jnp.zeros((1, 9, 9, 3), jnp.uint8), 'clean')
  with pytest.raises(ValueError, match=r"'legacy'; choose one of \['clean', 'legacy_pytorch'\]"):
    inception.preprocess(jnp.zeros((1, 9, 9, 3)), 'legacy')
  with pytest.raises(ValueError, match=r'expected \[b, 299, 299, 3\]'):
    inception.Inception().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
