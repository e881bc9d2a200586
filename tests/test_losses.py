"""The losses, against numbers worked by hand."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from anon_jax.losses.adversarial import lsgan_discriminator, lsgan_generator
from anon_jax.losses.perceptual import perceptual_loss
from anon_jax.losses.reconstruction import l1
from anon_jax.nets.perceptual import PerceptualNet


class _Doubling(nn.Module):
  """Taps that can be worked by hand: the image, and twice its average over each row."""

  @nn.compact
  def __call__(self, x):
    gain = self.param('gain', nn.initializers.constant(2.0), ())
    return x, gain * x.mean(axis=2, keepdims=True)


NET = PerceptualNet('doubling', _Doubling(), ('same', 'rows'), (0.25, 0.5))
PARAMS = {'gain': jnp.float32(2)}


def test_discriminator_loss_is_half_the_squared_distance_to_one_and_to_zero():
  # real: (0 + 1) / 2 / 2 = .25; fake: (0 + 4) / 2 / 2 = 1
  loss = lsgan_discriminator(jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0]))
  assert loss.dtype == jnp.float32
  assert float(loss) == 1.25


def test_discriminator_loss_is_zero_when_both_labels_are_met():
  assert float(lsgan_discriminator(jnp.ones((2, 3, 3, 1)), jnp.zeros((2, 3, 3, 1)))) == 0


def test_generator_loss_is_half_the_squared_distance_to_one():
  # (9 + 1) / 2 / 2
  loss = lsgan_generator(jnp.array([4.0, 2.0]))
  assert loss.dtype == jnp.float32
  assert float(loss) == 2.5


def test_scales_count_alike_whatever_their_size():
  # scale 1: four outputs of 3, (3 - 1)^2 / 2 = 2; scale 2: one output of 1, 0; average 1
  scales = [jnp.full((1, 2, 2, 1), 3.0), jnp.ones((1, 1, 1, 1))]
  assert float(lsgan_generator(scales)) == 1
  # real: the same 1; fake: 9 / 2 and 1 / 2, average 2.5
  assert float(lsgan_discriminator(tuple(scales), scales)) == 3.5


def test_half_precision_logits_are_averaged_in_float32():
  # squares of 1/256: a bfloat16 sum of 4096 of them would stop growing at 1, at 256 of them
  logits = jnp.full((4096,), 1.0625, jnp.bfloat16)
  assert float(lsgan_generator(logits)) == pytest.approx(0.5 * 0.0625**2, rel=1e-6)


def test_different_numbers_of_scales_are_refused():
  with pytest.raises(ValueError, match='2 scales of real logits, but 1 of generated'):
    lsgan_discriminator([jnp.ones(1), jnp.ones(1)], [jnp.ones(1)])
  with pytest.raises(ValueError, match='empty'):
    lsgan_generator([])


def test_l1_is_the_mean_absolute_difference():
  loss = l1(jnp.array([[1.0, -1.0]]), jnp.array([[0.5, 1.0]]))  # (.5 + 2) / 2
  assert loss.dtype == jnp.float32
  assert float(loss) == 1.25
  with pytest.raises(ValueError, match=r'\(2, 3\), the generated one \(3,\)'):
    l1(jnp.ones((2, 3)), jnp.ones(3))


def test_perceptual_loss_weighs_the_mean_difference_of_every_tap():
  real = jnp.zeros((1, 1, 2, 1))
  fake = jnp.array([3.0, -1.0]).reshape(1, 1, 2, 1)
  # tap 1: (3 + 1) / 2 = 2; tap 2: 2 * |3 - 1| / 2 = 2; .25 * 2 + .5 * 2
  loss = perceptual_loss(NET, PARAMS, real, fake)
  assert loss.dtype == jnp.float32
  assert float(loss) == 1.5
  assert float(perceptual_loss(NET, PARAMS, fake, fake)) == 0


def test_perceptual_gradient_reaches_the_generated_image_only():
  real, fake = jnp.zeros((1, 1, 2, 1)), jnp.array([3.0, -1.0]).reshape(1, 1, 2, 1)
  to_real, to_fake = jax.grad(lambda r, f: perceptual_loss(NET, PARAMS, r, f), (0, 1))(real, fake)
  np.testing.assert_array_equal(to_real, np.zeros_like(real))
  # .25 / 2 * sign + .5 * 2 / 2 * sign of the row's mean
  np.testing.assert_allclose(np.ravel(to_fake), [0.125 + 0.5, -0.125 + 0.5])


def test_perceptual_loss_refuses_images_of_different_shapes():
  with pytest.raises(ValueError, match=r'\(1, 2, 2, 3\), the generated one \(1, 4, 4, 3\)'):
    perceptual_loss(NET, PARAMS, jnp.ones((1, 2, 2, 3)), jnp.ones((1, 4, 4, 3)))


def test_a_network_whose_taps_and_weights_differ_in_number_is_refused():
  net = PerceptualNet('short', _Doubling(), ('same',), (1.0,))
  with pytest.raises(ValueError, match='zip'):
    perceptual_loss(net, PARAMS, jnp.ones((1, 1, 2, 1)), jnp.ones((1, 1, 2, 1)))


def test_networks_losses_and_the_command_load_without_tensorflow():
  program = (
    'import sys; import anon_jax.cli, anon_jax.nets.conversion, anon_jax.losses.perceptual, '
    'anon_jax.losses.adversarial, anon_jax.losses.reconstruction; '
    "print(sorted({'tensorflow', 'tensorflow_datasets', 'clu', 'torch'} & sys.modules.keys()))"
  )
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert (done.returncode, done.stdout.strip()) == (0, '[]'), done.stderr
