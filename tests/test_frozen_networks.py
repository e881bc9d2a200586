"""The frozen feature networks against PyTorch and NumPy."""

import dataclasses
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image, ImageFilter

from anon_jax.losses.perceptual import perceptual_loss
from anon_jax.nets import alexnet, calibration, imagenet, perceptual, squeezenet, vgg

VGG_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


def _random_tensors(shapes, seed=0):
  """He-scaled weights, so that activations keep their magnitude through the network."""
  rng = np.random.default_rng(seed)
  return {
    name: (
      rng.standard_normal(shape) * (0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:])))
    ).astype(np.float32)
    for name, shape in shapes.items()
  }


def _images(*shape, seed=1):
  return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def _torch_vgg(torch):
  layers, channels = [], 3
  for block, (count, width) in enumerate(VGG_BLOCKS):
    if block:
      layers.append(torch.nn.MaxPool2d(2, 2))
    for _ in range(count):
      layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
      channels = width
  return layers, (1, 6, 11, 20, 29)


def _torch_vgg16(torch):
  layers, _ = _torch_vgg(torch)
  # of four convolutions with their ReLUs in the last three blocks the fourth is not there
  kept = [layer for index, layer in enumerate(layers) if index not in (16, 17, 25, 26, 34, 35)]
  return kept, (3, 8, 15, 22, 29)


def _torch_alexnet(torch):
  conv, pool = torch.nn.Conv2d, torch.nn.MaxPool2d(3, 2)
  layers = [conv(3, 64, 11, 4, 2), pool, conv(64, 192, 5, padding=2), pool]
  layers += [conv(i, o, 3, padding=1) for i, o in ((192, 384), (384, 256), (256, 256))]
  pairs = [[part] if part is pool else [part, torch.nn.ReLU()] for part in layers]
  return list(itertools.chain(*pairs)), (1, 4, 7, 9, 11)


def _torch_squeezenet(torch):
  class Fire(torch.nn.Module):
    def __init__(self, inputs, squeezed, expanded):
      super().__init__()
      self.squeeze = torch.nn.Conv2d(inputs, squeezed, 1)
      self.expand1x1 = torch.nn.Conv2d(squeezed, expanded, 1)
      self.expand3x3 = torch.nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
      x = torch.relu(self.squeeze(x))
      return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))

  def pool():
    return torch.nn.MaxPool2d(3, 2, ceil_mode=True)

  layers = [
    *(torch.nn.Conv2d(3, 64, 3, 2), torch.nn.ReLU(), pool()),
    *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
    *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
    *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
  ]
  return layers, (1, 4, 7, 10, 12)


def _torch_taps(torch, build, tensors, images):
  layers, taps = build(torch)
  net = torch.nn.Module()
  net.features = torch.nn.Sequential(*layers)
  net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
  x = torch.from_numpy(images.transpose(0, 3, 1, 2)) / 2 + 0.5
  x = (x - torch.tensor(imagenet.RGB_MEAN)[:, None, None]) / torch.tensor(imagenet.RGB_STD)[
    :, None, None
  ]
  outputs = []
  with torch.no_grad():
    for index, layer in enumerate(net.features):
      x = layer(x)
      if index in taps:
        outputs.append(x.numpy().transpose(0, 2, 3, 1))
  return outputs


def _assert_close(found, wanted, tolerance):
  assert len(found) == len(wanted) == 5
  for a, b in zip(found, wanted, strict=True):
    assert a.shape == b.shape
    assert np.abs(np.asarray(a, np.float64) - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize('size', [(32, 32), (45, 64)])
def test_vgg19_gives_the_features_of_the_same_network_in_pytorch(size):
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  tensors, images = _random_tensors(vgg.TENSORS), _images(2, *size, 3)
  found = jax.jit(vgg.Vgg19().apply)({'params': vgg.params_from(tensors)}, images)
  _assert_close(found, _torch_taps(torch, _torch_vgg, tensors, images), 1e-4)


@pytest.mark.parametrize('size', [(32, 32), (45, 64)])
def test_vgg16_gives_the_features_of_the_same_network_in_pytorch(size):
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  tensors, images = _random_tensors(vgg.TENSORS_16), _images(2, *size, 3)
  params = vgg.params_from(tensors, vgg.Vgg16)
  found = jax.jit(vgg.Vgg16().apply)({'params': params}, images)
  _assert_close(found, _torch_taps(torch, _torch_vgg16, tensors, images), 1e-4)


# at stride 4, every rest of the side leaves other pixels out
@pytest.mark.parametrize('size', [(32, 32), (65, 90), (67, 103)])
def test_alexnet_gives_the_features_of_the_same_network_in_pytorch(size):
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  tensors, images = _random_tensors(alexnet.TENSORS), _images(2, *size, 3)
  found = jax.jit(alexnet.AlexNet().apply)({'params': alexnet.params_from(tensors)}, images)
  assert tuple(tap.shape[-1] for tap in found) == alexnet.CHANNELS
  _assert_close(found, _torch_taps(torch, _torch_alexnet, tensors, images), 1e-4)


# 38 and 40 give even sides before the first and the third pool: ceil mode keeps a partial window
@pytest.mark.parametrize('size', [(32, 32), (38, 64), (40, 77)])
def test_squeezenet_gives_the_features_of_the_same_network_in_pytorch(size):
  torch = pytest.importorskip('torch', reason='the reference network is built in PyTorch')
  tensors, images = _random_tensors(squeezenet.TENSORS['torchvision']), _images(2, *size, 3)
  params = squeezenet.params_from(tensors, 'torchvision')
  found = jax.jit(squeezenet.SqueezeNet('torchvision').apply)({'params': params}, images)
  _assert_close(found, _torch_taps(torch, _torch_squeezenet, tensors, images), 1e-4)


def _numpy_conv(x, kernel, bias, stride=1, pad=0):
  x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
  side = kernel.shape[0]
  windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (0, 1))[::stride, ::stride]
  y = np.einsum('hwcij,ijco->hwo', windows, kernel.astype(np.float64), optimize=True) + bias
  return np.maximum(y, 0)


def _numpy_pool(x):
  return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))[::2, ::2].max((3, 4))


def _numpy_keras_squeezenet(tensors, image):
  """The five taps of one image [h, w, 3] in [-1, 1], in float64, after the weights' JSON file."""

  def conv(x, name, **options):
    return _numpy_conv(x, tensors[f'{name}.kernel'], tensors[f'{name}.bias'], **options)

  x = (image.astype(np.float64) + 1) * 127.5
  x = conv(x[..., [2, 1, 0]] - [103.939, 116.779, 123.68], 'conv1', stride=2)
  taps = [x]
  for number in range(2, 10):
    if number in (2, 4, 6):
      x = _numpy_pool(x)
    s = conv(x, f'fire{number}.squeeze1x1')
    one, three = conv(s, f'fire{number}.expand1x1'), conv(s, f'fire{number}.expand3x3', pad=1)
    x = np.concatenate([one, three], axis=-1)
    if number in (3, 5, 7, 9):
      taps.append(x)
  return taps


@pytest.fixture(scope='module')
def keras(real_data):
  """The bundle's SqueezeNet: the network and its parameters."""
  return perceptual.load_perceptual('squeezenet', [real_data / 'weights'])


@pytest.fixture(scope='module')
def face(real_data):
  """A real crop [1, 128, 128, 3] in [-1, 1], as a Pillow image and as an array."""
  path = min((real_data / 'celeba' / 'images').iterdir())
  picture = Image.open(path).convert('RGB').resize((128, 128))
  return picture, _as_batch(picture)


def _as_batch(picture):
  return np.asarray(picture, np.float32)[None] / 127.5 - 1


def test_keras_squeezenet_equals_a_float64_forward_pass(keras, face, real_data):
  net, params = keras
  tensors = safetensors.numpy.load_file(real_data / 'weights' / 'squeezenet_imagenet.safetensors')
  image = face[1][:, 30:88, 30:101]  # 58 x 71: even sides before pools, which 'valid' drops
  found = [tap[0] for tap in jax.jit(net.apply)(params, image)]
  _assert_close(found, _numpy_keras_squeezenet(tensors, image[0]), 1e-5)


def test_perceptual_loss_grows_with_blur_and_is_zero_for_equal_images(keras, face):
  net, params = keras
  picture, image = face
  loss = jax.jit(lambda p, real, fake: perceptual_loss(net, p, real, fake))
  blurred = [_as_batch(picture.filter(ImageFilter.GaussianBlur(r))) for r in (0.5, 1, 2, 4)]
  losses = [float(loss(params, image, fake)) for fake in [image, *blurred]]
  assert losses[0] == 0
  assert all(a < b for a, b in itertools.pairwise(losses)), losses


def test_keras_taps_have_the_recorded_magnitudes_on_a_real_crop(keras, face):
  net, params = keras
  means = [float(jnp.abs(tap).mean()) for tap in jax.jit(net.apply)(params, face[1])]
  shares = np.multiply(means, net.tap_weights)
  # each tap counts about a fifth; a single crop strays from the average over 512
  assert np.all(shares > 0.1), shares
  assert np.all(shares < 0.4), shares


def test_bfloat16_taps_stay_close_to_float32(keras, face, real_data):
  net, params = keras
  half, _ = perceptual.load_perceptual('squeezenet', [real_data / 'weights'], dtype=jnp.bfloat16)
  image = face[1][:, 32:96, 32:96]
  for a, b in zip(jax.jit(half.apply)(params, image), net.apply(params, image), strict=True):
    assert (a.dtype, b.dtype) == (jnp.bfloat16, jnp.float32)
    assert float(jnp.abs(a - b).mean()) < 0.05 * float(jnp.abs(b).mean())


def test_weights_are_arguments_of_the_compiled_program_not_constants():
  params = squeezenet.params_from(_random_tensors(squeezenet.TENSORS['keras']), 'keras')
  net = perceptual.PerceptualNet('n', squeezenet.SqueezeNet('keras'), squeezenet.TAPS, (1.0,) * 5)
  assert hash(net) == hash(dataclasses.replace(net))
  lowered = jax.jit(perceptual.PerceptualNet.apply, static_argnums=0).lower(
    net, params, _images(1, 32, 32, 3)
  )
  assert len(lowered.as_text()) < 200_000  # the weights alone would take megabytes


def test_preprocessing_follows_both_published_conventions():
  image = jnp.broadcast_to(jnp.array([1.0, 0.0, -1.0]), (1, 32, 32, 3))
  # RGB 1, .5, 0 -> (x - mean) / deviation
  wanted = [(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225]
  found = imagenet.preprocess(image, 'imagenet_rgb_mean_std')[0, 5, 7]
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
  # BGR 0, 127.5, 255 -> minus the mean pixel
  found = imagenet.preprocess(image, 'caffe_bgr')[0, 5, 7]
  np.testing.assert_allclose(found, [-103.939, 127.5 - 116.779, 255 - 123.68], rtol=1e-5)


def test_images_of_another_form_are_refused():
  for shape in [(32, 32, 3), (1, 31, 64, 3), (1, 32, 32, 1)]:
    with pytest.raises(ValueError, match=re.escape(f'shape {shape}; expected [b, h, w, 3]')):
      imagenet.preprocess(jnp.zeros(shape), 'caffe_bgr')
  with pytest.raises(ValueError, match='uint8; expected floats'):
    imagenet.preprocess(jnp.zeros((1, 32, 32, 3), jnp.uint8), 'caffe_bgr')
  with pytest.raises(ValueError, match="'none'; choose one of"):
    imagenet.preprocess(jnp.zeros((1, 32, 32, 3)), 'none')


def test_photo_like_noise_is_repeatable_and_in_range():
  noise = calibration.photo_like_noise(4, 64, seed=3)
  np.testing.assert_array_equal(noise, calibration.photo_like_noise(4, 64, seed=3))
  assert noise.dtype == np.float32
  assert noise.shape == (4, 64, 64, 3)
  assert -1 <= noise.min() < -0.8 < 0.8 < noise.max() <= 1
  # smooth as photographs are: neighbours differ much less than distant pixels (white noise: 1)
  assert np.abs(np.diff(noise, axis=2)).mean() < 0.3 * np.abs(noise - noise[:, :, ::-1]).mean()
