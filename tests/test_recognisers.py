"""The frozen face recognisers against PyTorch and on real faces, and the crops they want."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from anon_jax.data import alignment
from anon_jax.data.alignment import Template
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import identification
from anon_jax.nets import (
  conversion,
  embedding,
  folding,
  frozen,
  inception_resnet,
  mobilefacenet,
  recognition,
)
from anon_jax.nets.frozen import WeightsError

POINTS = ((30.0, 40.0), (60.0, 40.0), (45.0, 60.0), (35.0, 75.0), (55.0, 75.0))


def _moved(points, factor, turn, shift):
  """Points after a rotation by `turn` degrees, a scale and a shift."""
  angle = np.deg2rad(turn)
  spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  return tuple(map(tuple, factor * np.asarray(points) @ spin.T + shift))


def _map(matrix, points):
  return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


# --- alignment -------------------------------------------------------------------------------


def test_a_turned_enlarged_and_shifted_face_is_brought_back_exactly():
  photo = _moved(POINTS, 2.5, 30, (100, -20))
  matrix = alignment.fit_similarity(photo, Template(112, 96, POINTS))
  np.testing.assert_allclose(_map(matrix, photo), POINTS, atol=1e-9)


def test_points_that_fit_only_roughly_are_fitted_by_least_squares():
  rng = np.random.default_rng(0)
  photo = np.asarray(POINTS) * 1.7 + rng.normal(0, 3, (5, 2))
  matrix = alignment.fit_similarity(tuple(map(tuple, photo)), Template(112, 96, POINTS))
  (a, _, tx), (b, _, ty) = matrix
  np.testing.assert_allclose(matrix[:, :2], [[a, -b], [b, a]])  # no shear, no reflection

  def error(a, b, tx, ty):
    moved = _map(np.array([[a, -b, tx], [b, a, ty]]), photo)
    return np.square(moved - POINTS).sum()

  best = error(a, b, tx, ty)
  for step in ((1e-3, 0, 0, 0), (0, 1e-3, 0, 0), (0, 0, 1e-2, 0), (0, 0, 0, 1e-2)):
    for sign in (1, -1):
      assert error(*np.add((a, b, tx, ty), sign * np.array(step))) > best


def test_a_mirrored_face_is_not_mirrored_back():
  mirrored = tuple((100 - x, y) for x, y in POINTS)
  matrix = alignment.fit_similarity(mirrored, Template(112, 96, POINTS))
  assert np.linalg.det(matrix[:, :2]) > 0


def test_stretch_widens_the_crop_only_along_x():
  stretched = tuple((1.5 * x, y) for x, y in POINTS)
  photo = _moved(POINTS, 2, 20, (5, 5))
  matrix = alignment.fit_similarity(photo, Template(112, 144, stretched, stretch=1.5))
  np.testing.assert_allclose(_map(matrix, photo), stretched, atol=1e-9)


def test_an_aligned_picture_is_returned_pixel_by_pixel():
  pixels = np.random.default_rng(0).integers(0, 256, (112, 96, 3), np.uint8)
  cut = alignment.align_face(Image.fromarray(pixels), POINTS, Template(112, 96, POINTS))
  assert np.abs(cut.astype(int) - pixels).max() <= 1  # Pillow rounds down


@pytest.mark.parametrize('factor', [0.5, 1.7, 3.0, 6.4])
def test_a_picture_of_any_size_gives_the_same_crop(factor):
  """A smooth picture; where it is much larger it is reduced first, which must not shift it."""
  rows, columns = np.mgrid[: round(112 * factor), : round(96 * factor)] / factor
  picture = np.stack([rows * 2, columns * 2, (rows + columns)], axis=-1).astype(np.uint8)
  photo = tuple((factor * x, factor * y) for x, y in POINTS)
  cut = alignment.align_face(Image.fromarray(picture), photo, Template(112, 96, POINTS))
  y, x = np.mgrid[:112, :96]
  inside = np.s_[8:-8, 8:-8]
  wanted = np.stack([2 * y, 2 * x, x + y], axis=-1)[inside]
  assert np.abs(cut[inside].astype(int) - wanted).max() <= 3


def test_a_large_picture_is_not_sampled_with_gaps():
  noise = np.random.default_rng(0).integers(0, 2, (896, 768, 1)) * 255
  photo = tuple((8 * x, 8 * y) for x, y in POINTS)
  picture = Image.fromarray(np.repeat(noise, 3, axis=2).astype(np.uint8))
  cut = alignment.align_face(picture, photo, Template(112, 96, POINTS))
  # the mean of 64 such pixels has deviation 127.5 / 8 = 16, a single one 127.5
  assert cut[4:-4, 4:-4].std() < 20


def test_beyond_the_photograph_the_crop_is_black():
  picture = Image.new('RGB', (96, 112), (200, 200, 200))
  shifted = tuple((x - 40, y) for x, y in POINTS)
  cut = alignment.align_face(picture, shifted, Template(112, 96, POINTS))
  assert cut[:, :39].max() == 0
  assert cut[:, 41:].min() == 200


def test_landmarks_that_fit_no_crop_are_refused():
  with pytest.raises(DatasetError, match=r'shape \(4, 2\); expected five points'):
    alignment.fit_similarity(POINTS[:4], Template(112, 96, POINTS))
  for broken in (((3.0, 4.0),) * 5, ((np.nan, 0.0),) * 5):
    with pytest.raises(DatasetError, match='fit no crop'):
      alignment.fit_similarity(broken, Template(112, 96, POINTS))


# --- shared parts ----------------------------------------------------------------------------


def test_folding_a_batch_norm_works_out_by_hand():
  tensors = {
    'n.weight': np.array([3.0, 1.0], np.float32),
    'n.bias': np.array([0.5, 0.0], np.float32),
    'n.running_mean': np.array([2.0, 1.0], np.float32),
    'n.running_var': np.array([8.0, 0.0], np.float32),
  }
  # factors 3 / sqrt(8 + 1) = 1 and 1 / sqrt(0 + 1) = 1 ... offsets .5 - 2 and 0 - 1
  kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
  folded = folding.fold(tensors, kernel, 'n', 1.0)
  np.testing.assert_allclose(folded['kernel'], kernel.T)
  np.testing.assert_allclose(folded['bias'], [-1.5, -1.0])


def test_unit_length_and_a_finite_gradient_at_zero():
  vectors = jnp.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-6]])
  wanted = [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]
  np.testing.assert_allclose(embedding.normalise(vectors), wanted, atol=1e-6)
  gradient = jax.grad(lambda v: embedding.normalise(v).sum())(vectors)
  assert jnp.isfinite(gradient).all()


# --- MobileFaceNet ---------------------------------------------------------------------------


def _torch_mobilefacenet(torch):
  """The network as the JSON beside the weights describes it, with the file's names."""
  nn = torch.nn

  class Block(nn.Module):
    def __init__(self, inputs, expansion, outputs, stride):
      super().__init__()
      e = inputs * expansion
      self.shortcut = stride == 1 and inputs == outputs
      self.conv = nn.Sequential(
        *(nn.Conv2d(inputs, e, 1, bias=False), nn.BatchNorm2d(e), nn.PReLU(e)),
        nn.Conv2d(e, e, 3, stride, 1, groups=e, bias=False),
        *(nn.BatchNorm2d(e), nn.PReLU(e)),
        *(nn.Conv2d(e, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
      )

    def forward(self, x):
      return x + self.conv(x) if self.shortcut else self.conv(x)

  def unit(*args, active=True, **options):
    conv = nn.Conv2d(*args, bias=False, **options)
    parts = {'conv': conv, 'bn': nn.BatchNorm2d(args[1])}
    if active:
      parts['prelu'] = nn.PReLU(args[1])
    net = nn.Sequential()
    for name, part in parts.items():
      net.add_module(name, part)
    return net

  net = nn.Sequential()
  net.add_module('conv1', unit(3, 64, 3, 2, 1))
  net.add_module('dw_conv1', unit(64, 64, 3, 1, 1, groups=64))
  blocks, inputs = [], 64
  for t, c, n, s in ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)):
    for number in range(n):
      blocks.append(Block(inputs, t, c, s if number == 0 else 1))
      inputs = c
  net.add_module('blocks', nn.Sequential(*blocks))
  net.add_module('conv2', unit(128, 512, 1))
  net.add_module('linear7', unit(512, 512, (7, 6), groups=512, active=False))
  net.add_module('linear1', unit(512, 128, 1, active=False))
  return net.eval()


def _load_into(torch, net, tensors):
  found = net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
  assert not found.unexpected_keys
  assert all(name.endswith('num_batches_tracked') for name in found.missing_keys)


def _signed_noise(*shape):
  return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def _through_torch(torch, net, images):
  pixels = (torch.from_numpy(images.transpose(0, 3, 1, 2)) + 1) * 127.5
  with torch.no_grad():
    return net((pixels - 127.5) / 128).flatten(1).numpy()


def _random_tensors(shapes):
  """Weights under which activations keep their size, and batch norms that do something."""
  rng = np.random.default_rng(0)
  tensors = {}
  for name, shape in shapes.items():
    if len(shape) > 1:
      value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith('bias') or name.endswith('mean'):
      value = rng.normal(0, 0.2, shape)
    else:
      value = rng.uniform(0.6, 1.4, shape)  # factors, variances, slopes
    tensors[name] = value.astype(np.float32)
  return tensors


@pytest.fixture(scope='module')
def mobile(real_data):
  recogniser, params = recognition.load_recogniser('mobilefacenet', [real_data / 'weights'])
  return recogniser, params, jax.jit(recogniser.apply)


def test_mobilefacenet_equals_the_same_network_in_pytorch():
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  tensors, images = _random_tensors(mobilefacenet.TENSORS), _signed_noise(2, 112, 96, 3)
  net = _torch_mobilefacenet(torch)
  _load_into(torch, net, tensors)
  params = mobilefacenet.params_from(tensors)
  found = jax.jit(mobilefacenet.MobileFaceNet().apply)({'params': params}, images)
  wanted = _through_torch(torch, net, images)
  assert found.dtype == jnp.float32
  assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_the_real_mobilefacenet_weights_give_pytorchs_embeddings(mobile, real_data):
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  net = _torch_mobilefacenet(torch)
  path = real_data / 'weights' / 'mobilefacenet_casia.safetensors'
  _load_into(torch, net, safetensors.numpy.load_file(path))
  images = _signed_noise(2, 112, 96, 3)
  wanted = _through_torch(torch, net, images)
  wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
  found = mobile[2](mobile[1], images)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
  assert np.min(np.sum(found * wanted, axis=1)) >= 0.99999
  np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_templates_points_are_those_beside_the_weights(real_data):
  facts = json.loads((real_data / 'weights' / 'mobilefacenet_casia.json').read_text())
  template = recognition._MOBILEFACENET_TEMPLATE
  for x, y in template.points:
    assert f'{x},{y}' in facts['preprocessing']
  assert (template.width, template.height) == (96, 112)


def _celeba_test_faces(folder, template, persons, pictures):
  """Aligned faces [n, h, w, 3] in [-1, 1] of the first test identities, and their identities."""
  celeba = folder / 'celeba'

  def column(name):
    lines = (celeba / name).read_text().splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines}

  part, identity = column('list_eval_partition.txt'), column('identity_CelebA.txt')
  with (celeba / 'landmarks.csv').open() as file:
    points = {row.pop('file'): [float(x) for x in row.values()] for row in csv.DictReader(file)}
  of_person = {}
  for name in sorted(name for name, number in part.items() if number == 2):
    of_person.setdefault(identity[name], []).append(name)
  faces, labels = [], []
  for person, names in sorted(of_person.items())[:persons]:
    for name in names[:pictures]:
      picture = Image.open(celeba / 'images' / name).convert('RGB')
      pairs = tuple(zip(points[name][::2], points[name][1::2], strict=True))
      faces.append(alignment.align_face(picture, pairs, template))
      labels.append(person)
  return np.stack(faces).astype(np.float32) / 127.5 - 1, np.array(labels)


def test_mobilefacenet_tells_real_people_apart(mobile, real_data):
  recogniser, params, apply = mobile
  faces, labels = _celeba_test_faces(real_data, recogniser.alignment, persons=24, pictures=4)
  assert len(labels) == 96
  embeddings = np.asarray(apply(params, faces))
  scores = embeddings @ embeddings.T
  assert scores[0, 1] > scores[0, 4]  # two pictures of one person, then another person
  assert labels[0] == labels[1] != labels[4]
  result = identification.verification(embeddings, labels)
  assert result['auc'] >= 0.98  # .996 over 44 identities


# --- InceptionResnetV1 -----------------------------------------------------------------------


def _torch_facenet(torch, classes):
  """InceptionResnetV1 as its paper and facenet-pytorch's state dict have it."""
  nn = torch.nn

  class Unit(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, padding=0):
      super().__init__()
      self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
      self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
      return torch.relu(self.bn(self.conv(x)))

  class Branches(nn.Module):
    def __init__(self, *branches, pool=False, scale=None, width=0, last=False):
      super().__init__()
      for number, branch in enumerate(branches):
        single = len(branch) == 1
        self.add_module(f'branch{number}', branch[0] if single else nn.Sequential(*branch))
      self.count, self.pool, self.scale, self.last = len(branches), pool, scale, last
      if scale is not None:
        merged = sum(branch[-1].conv.out_channels for branch in branches)
        self.conv2d = nn.Conv2d(merged, width, 1)

    def forward(self, x):
      parts = [getattr(self, f'branch{number}')(x) for number in range(self.count)]
      if self.pool:
        parts.append(nn.functional.max_pool2d(x, 3, 2))
      y = torch.cat(parts, 1)
      if self.scale is None:
        return y
      y = self.conv2d(y) * self.scale + x
      return y if self.last else torch.relu(y)

  def block35():
    three = [Unit(32, 32, 3, padding=1) for _ in range(3)]
    return Branches(
      [Unit(256, 32)],
      [Unit(256, 32), three[0]],
      [Unit(256, 32), three[1], three[2]],
      scale=0.17,
      width=256,
    )

  def crossed(width, inner, length, scale, last=False):
    along = Unit(inner, inner, (1, length), padding=(0, length // 2))
    down = Unit(inner, inner, (length, 1), padding=(length // 2, 0))
    branch = [Unit(width, inner), along, down]
    return Branches([Unit(width, inner)], branch, scale=scale, width=width, last=last)

  class Facenet(nn.Module):
    def __init__(self):
      super().__init__()
      self.conv2d_1a, self.conv2d_2a = Unit(3, 32, 3, 2), Unit(32, 32, 3)
      self.conv2d_2b, self.conv2d_3b = Unit(32, 64, 3, padding=1), Unit(64, 80)
      self.conv2d_4a, self.conv2d_4b = Unit(80, 192, 3), Unit(192, 256, 3, 2)
      self.repeat_1 = nn.Sequential(*[block35() for _ in range(5)])
      self.mixed_6a = Branches(
        [Unit(256, 384, 3, 2)],
        [Unit(256, 192), Unit(192, 192, 3, padding=1), Unit(192, 256, 3, 2)],
        pool=True,
      )
      self.repeat_2 = nn.Sequential(*[crossed(896, 128, 7, 0.10) for _ in range(10)])
      self.mixed_7a = Branches(
        [Unit(896, 256), Unit(256, 384, 3, 2)],
        [Unit(896, 256), Unit(256, 256, 3, 2)],
        [Unit(896, 256), Unit(256, 256, 3, padding=1), Unit(256, 256, 3, 2)],
        pool=True,
      )
      self.repeat_3 = nn.Sequential(*[crossed(1792, 192, 3, 0.20) for _ in range(5)])
      self.block8 = crossed(1792, 192, 3, 1.0, last=True)
      self.last_linear = nn.Linear(1792, 512, bias=False)
      self.last_bn = nn.BatchNorm1d(512, eps=1e-3)
      self.logits = nn.Linear(512, classes)

    def forward(self, x):
      x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
      x = self.conv2d_3b(nn.functional.max_pool2d(x, 3, 2))
      x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(x)))
      x = self.repeat_3(self.mixed_7a(self.repeat_2(self.mixed_6a(x))))
      return self.last_bn(self.last_linear(self.block8(x).mean((2, 3))))

  return Facenet().eval()


@pytest.fixture(scope='module')
def facenet(tmp_path_factory):
  """A random FaceNet in PyTorch, and what the converter and the loader make of its file."""
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  folder = tmp_path_factory.mktemp('facenet')
  net = _torch_facenet(torch, classes=7)
  tensors = _random_tensors(inception_resnet.TENSORS)
  found = net.load_state_dict(
    {name: torch.from_numpy(value) for name, value in tensors.items()}, strict=False
  )
  assert not found.unexpected_keys
  assert all(inception_resnet.skipped(name) for name in found.missing_keys)
  source = folder / 'own.pt'
  torch.save(net.state_dict(), source)  # with classifier and counters, as the published files
  path = conversion.convert('facenet_vggface2', source, folder, allow_unknown=True)
  source.unlink()
  return torch, net, path


def test_a_converted_facenet_gives_pytorchs_embeddings(facenet):
  torch, net, path = facenet
  recogniser, params = recognition.load_recogniser('facenet_vggface2', [path.parent])
  images = _signed_noise(2, 80, 96, 3)
  found = jax.jit(recogniser.module.apply)({'params': params}, images)
  wanted = _through_torch(torch, net, images)
  assert found.shape == (2, recogniser.dimensions)
  assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
  # the two images differ by far more than that
  assert np.abs(wanted[0] - wanted[1]).max() > 0.01 * np.abs(wanted).max()


def test_a_converted_facenet_says_how_its_input_is_scaled(facenet):
  metadata = frozen.read_header(facenet[2]).metadata
  assert metadata['layout'] == 'facenet-pytorch'
  assert metadata['preprocessing'] == 'rgb_127.5_over_128'
  assert 'tap_magnitudes' not in metadata


def test_facenet_has_the_published_size():
  parameters = sum(int(np.prod(shape)) for shape in inception_resnet.TENSORS.values())
  # facenet-pytorch: 27,910,327 trained ones with 8,631 classes; running statistics added, the
  # classifier of 512 x 8631 + 8631 left out
  running = sum(shape[0] for name, shape in inception_resnet.TENSORS.items() if 'running_' in name)
  assert parameters - running == 27_910_327 - 513 * 8631


def test_a_casia_file_needs_the_users_word_since_no_hash_is_known(tmp_path):
  source = tmp_path / '20180408-102900-casia-webface.pt'
  source.write_bytes(b'anything')
  with pytest.raises(WeightsError, match=r'none is known of the published .* --allow-unknown'):
    conversion.convert('facenet_casia', source, tmp_path / 'out')
  with pytest.raises(WeightsError, match=r'facenet_casia .* -o FOLDER --allow-unknown`'):
    recognition.load_recogniser('facenet_casia', [tmp_path])


# --- the registry ----------------------------------------------------------------------------


def test_every_published_recogniser_can_be_converted_and_loaded():
  assert set(frozen.PUBLISHED) == set(conversion._SOURCES)
  assert {'facenet_vggface2', 'facenet_casia'} <= set(recognition.RECOGNISERS)


def test_missing_weights_and_unknown_names_are_refused(tmp_path):
  with pytest.raises(ValueError, match=r"'arcface'; choose one of \['mobilefacenet'"):
    recognition.load_recogniser('arcface', [tmp_path])
  with pytest.raises(WeightsError, match=r'mobilefacenet_casia.safetensors is in none of'):
    recognition.load_recogniser('mobilefacenet', [tmp_path])
  with pytest.raises(WeightsError, match=r'choose another recogniser'):
    recognition.load_recogniser('facenet_vggface2', [tmp_path])


def test_faces_of_another_form_are_refused():
  template = Template(112, 96, POINTS)
  net = recognition.Recogniser('own', mobilefacenet.MobileFaceNet(), template, 128)
  assert hash(net) == hash(net)
  with pytest.raises(ValueError, match=r'own expects \[b, 112, 96, 3\]'):
    net.apply({}, jnp.zeros((1, 96, 112, 3)))
  with pytest.raises(ValueError, match='uint8; expected floats'):
    net.apply({}, jnp.zeros((1, 112, 96, 3), jnp.uint8))
  with pytest.raises(ValueError, match='sides of at least 75'):
    inception_resnet.InceptionResnetV1().apply({}, jnp.zeros((1, 74, 80, 3)))
