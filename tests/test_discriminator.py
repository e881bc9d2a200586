"""Options of the discriminators: the smoothing filter and the class projection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.losses import adversarial
from anon_jax.nets.discriminator import ClassProjection, MultiScaleDiscriminator, smooth


def _checkerboard(side):
  rows, columns = jnp.arange(side)[:, None], jnp.arange(side)[None, :]
  return (1.0 - 2.0 * ((rows + columns) % 2))[None, :, :, None]


def test_the_filter_is_one_three_three_one_along_both_sides():
  impulse = jnp.zeros((1, 8, 8, 1)).at[0, 4, 4, 0].set(64.0)
  row = np.array([1, 3, 3, 1])
  expected = np.zeros((8, 8))
  expected[2:6, 2:6] = np.outer(row, row)
  np.testing.assert_allclose(smooth(impulse)[0, ..., 0], expected, rtol=1e-6)


def test_smoothing_keeps_constant_pictures_up_to_the_border():
  picture = jnp.full((2, 6, 10, 3), 0.7)
  np.testing.assert_allclose(smooth(picture), picture, rtol=1e-6)


def test_smoothing_takes_away_the_finest_grid():
  blurred = smooth(_checkerboard(12))[0, 1:-2, 1:-2]  # where the border is not seen
  np.testing.assert_allclose(blurred, np.zeros_like(blurred), atol=1e-6)


def test_striding_after_smoothing_prints_a_fainter_grid_into_the_gradient():
  """The gradient that a generator gets: how much of it alternates from pixel to pixel."""
  images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
  grid = _checkerboard(32)

  def grid_share(net):
    params = jax.jit(net.init)(jax.random.key(1), images, [])

    @jax.jit
    def gradient(images):
      return jax.grad(lambda x: adversarial.lsgan_generator(net.apply(params, x, [])))(images)

    inside = (gradient(images) * grid)[:, 8:24, 8:24]
    return float(jnp.abs(inside.mean(axis=(1, 2))).mean() / jnp.abs(inside).mean())

  plain, smoothed = (
    grid_share(MultiScaleDiscriminator(1, 8, 2, smooth=option)) for option in (False, True)
  )
  assert smoothed < 0.2 * plain


def test_smoothing_has_no_parameters_and_keeps_the_sides_of_the_logits():
  images = jnp.zeros((1, 32, 32, 3))
  key = jax.random.key(0)
  plain, smoothed = (
    jax.eval_shape(
      MultiScaleDiscriminator(2, 8, 2, smooth=option).init_with_output, key, images, []
    )
    for option in (False, True)
  )
  assert jax.tree.map(jnp.shape, plain) == jax.tree.map(jnp.shape, smoothed)


def _projecting(images, identity, seed=0):
  net = MultiScaleDiscriminator(2, 4, 2, identities=identity.shape[1])
  logits, params = jax.jit(net.init_with_output)(jax.random.key(seed), images, [], identity)
  return net, params, logits


def test_a_class_projection_adds_one_logit_an_image_and_scale():
  identity = jax.nn.one_hot(jnp.array([0, 4]), 5)
  _, params, logits = _projecting(jnp.zeros((2, 32, 32, 3)), identity)
  assert [x.shape for x in logits] == [(2, 8, 8, 1), (2, 1), (2, 4, 4, 1), (2, 1)]
  assert {x.dtype for x in logits} == {jnp.dtype('float32')}
  head = params['params']['scale1']['projection']
  assert head['embed']['kernel'].shape == (5, 32)
  # the patches' part is the network without the option
  bare = MultiScaleDiscriminator(2, 4, 2)
  shapes = jax.eval_shape(bare.init, jax.random.key(0), jnp.zeros((2, 32, 32, 3)), [])
  assert 'projection' not in shapes['params']['scale0']
  assert set(shapes['params']['scale0']) | {'projection'} == set(params['params']['scale0'])


def test_the_projection_is_the_plain_logit_plus_a_product_with_the_embedding():
  head = ClassProjection(identities=3, width=2)
  params = {
    'features': {'kernel': jnp.eye(2), 'bias': jnp.zeros(2)},
    'embed': {'kernel': jnp.array([[1.0, 0.0], [2.0, 3.0], [0.0, -1.0]])},
    'logit': {'kernel': jnp.array([[10.0], [0.0]]), 'bias': jnp.array([0.5])},
  }
  pooled = jnp.array([[1.0, 4.0], [1.0, 4.0]])
  identity = jnp.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
  logits = head.apply({'params': params}, pooled, identity)
  # 10 + .5 + (2 + 12); 10 + .5 + ((.5, -.5) . (1, 4))
  np.testing.assert_allclose(logits, [[24.5], [9.0]], rtol=1e-6)


def test_the_asked_identity_changes_the_global_logits_only():
  images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
  one, other = (jax.nn.one_hot(jnp.array([c, c]), 5) for c in (1, 3))
  net, params, logits = _projecting(images, one)
  changed = jax.jit(net.apply)(params, images, [], other)
  for index in (0, 2):
    np.testing.assert_array_equal(changed[index], logits[index])
  for index in (1, 3):
    assert float(jnp.abs(changed[index] - logits[index]).min()) > 1e-3


def test_the_projection_can_tell_a_light_face_from_a_dark_one():
  """Pooled behind the norms it could not: they take a picture's level away."""
  identity = jax.nn.one_hot(jnp.array([0]), 2)
  light = jnp.full((1, 32, 32, 3), 0.8)
  net, params, logits = _projecting(light, identity)
  dark = jax.jit(net.apply)(params, light - 1.6, [], identity)
  assert abs(float(dark[1][0, 0] - logits[1][0, 0])) > 0.01


def test_mixtures_of_identities_are_projected_as_the_mixture_of_their_logits():
  images = jax.random.normal(jax.random.key(1), (3, 32, 32, 3))[jnp.array([0, 0, 0])]
  identity = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
  _, _, logits = _projecting(images, identity)
  first, second, mixed = np.ravel(logits[1])
  assert mixed == pytest.approx(0.25 * first + 0.75 * second, abs=1e-5)


def test_identities_that_are_missing_or_of_another_form_are_refused():
  images = jnp.zeros((2, 32, 32, 3))
  key = jax.random.key(0)
  with pytest.raises(ValueError, match=r'have shape None; this discriminator needs \(2, 5\)'):
    jax.eval_shape(MultiScaleDiscriminator(identities=5).init, key, images, [])
  with pytest.raises(ValueError, match=r'shape \(2, 4\); this discriminator needs \(2, 5\)'):
    jax.eval_shape(MultiScaleDiscriminator(identities=5).init, key, images, [], jnp.ones((2, 4)))
  with pytest.raises(ValueError, match=r'shape \(2, 4\); this discriminator needs None'):
    jax.eval_shape(MultiScaleDiscriminator().init, key, images, [], jnp.ones((2, 4)))
