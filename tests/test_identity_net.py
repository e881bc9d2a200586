"""IdentityNet: its form, its cost, and what its embeddings depend on."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.nets.identity import DIMENSIONS, WIDTHS, IdentityNet

TINY = IdentityNet(WIDTHS['tiny'])


@pytest.fixture(scope='module')
def tiny():
  """Six crops, the tiny network's variables, and its compiled forward pass."""
  crops = jax.random.uniform(jax.random.key(0), (6, 16, 16, 3), minval=-1, maxval=1)
  return crops, jax.jit(TINY.init)(jax.random.key(1), crops), jax.jit(TINY.apply)


def _abstract(preset, side):
  net = IdentityNet(WIDTHS[preset])
  crops = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  return net, jax.eval_shape(net.init, jax.random.key(0), crops), crops


@pytest.mark.parametrize(
  ('preset', 'side', 'flops', 'parameters'),
  [('base', 128, 4.20e9, 15.38e6), ('small', 64, 0.249e9, 3.32e6)],
)
def test_presets_cost_what_the_docs_say(preset, side, flops, parameters):
  net, variables, crops = _abstract(preset, side)
  cost = jax.jit(net.apply).lower(variables, crops).cost_analysis()
  assert cost['flops'] == pytest.approx(flops, rel=0.01)
  count = sum(leaf.size for leaf in jax.tree.leaves(variables))
  assert count == pytest.approx(parameters, rel=0.01)


def test_base_has_the_convolutions_of_resnet_18():
  _, variables, _ = _abstract('base', 128)
  kernels = [leaf.shape for leaf in jax.tree.leaves(variables) if len(leaf.shape) == 4]
  # stem and 4 stages of 2 blocks of 2; three learned shortcuts, where widths change
  assert sum(shape[:2] == (3, 3) for shape in kernels) == 1 + 16
  assert sum(shape[:2] == (1, 1) for shape in kernels) == 3
  assert sorted({shape[-1] for shape in kernels}) == [64, 128, 256, 512]


def test_embeddings_are_128_numbers_of_unit_length(tiny):
  crops, variables, apply = tiny
  embeddings = apply(variables, crops)
  assert embeddings.shape == (6, DIMENSIONS) == (6, 128)
  assert embeddings.dtype == jnp.float32
  np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
  assert set(variables) == {'params'}  # no running statistics


def test_an_embedding_does_not_depend_on_the_rest_of_its_batch(tiny):
  crops, variables, apply = tiny
  wanted = apply(variables, crops)
  others = jnp.concatenate([crops[:2], 5 * crops[2:] + 1])
  np.testing.assert_allclose(apply(variables, others)[:2], wanted[:2], atol=1e-6)
  np.testing.assert_allclose(apply(variables, crops[3:4]), wanted[3:4], atol=1e-6)
  assert float(jnp.abs(wanted[0] - wanted[1]).max()) > 1e-3


def test_places_in_the_last_feature_map_mean_something(tiny):
  """Faces are aligned: an average over places would not tell a mole's cheek."""
  crops, variables, apply = tiny
  mirrored = apply(variables, crops[:, :, ::-1])
  assert float(jnp.linalg.norm(mirrored - apply(variables, crops), axis=1).min()) > 0.02
  kernel = variables['params']['embedding']['kernel']
  assert kernel.shape == (4 * 4 * 16, 128)


def test_overall_colour_reaches_the_embedding(tiny):
  """Instance norm would take it away: I could not tell skin tones apart."""
  crops, variables, apply = tiny
  tone = jnp.array([0.3, 0.0, -0.3]).reshape(1, 1, 1, 3)
  change = jnp.linalg.norm(apply(variables, crops + tone) - apply(variables, crops), axis=1)
  assert float(change.min()) > 0.02


def test_every_parameter_and_every_pixel_has_a_finite_gradient(tiny):
  crops, variables, _ = tiny
  direction = jax.random.normal(jax.random.key(2), (6, DIMENSIONS))

  @jax.jit
  def gradients(variables, crops):
    loss = lambda v, x: jnp.sum(TINY.apply(v, x) * direction)  # noqa: E731
    return jax.grad(loss, argnums=(0, 1))(variables, crops)

  for leaf in jax.tree.leaves(gradients(variables, crops)):
    assert bool(jnp.isfinite(leaf).all())
    assert float(jnp.abs(leaf).max()) > 0


def test_bfloat16_leaves_parameters_and_embeddings_float32(tiny):
  crops, variables, apply = tiny
  half = IdentityNet(WIDTHS['tiny'], dtype=jnp.bfloat16)
  found, own = jax.jit(half.init_with_output)(jax.random.key(1), crops)
  assert {leaf.dtype for leaf in jax.tree.leaves(own)} == {jnp.dtype('float32')}
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
  cosines = jnp.sum(jax.jit(half.apply)(variables, crops) * apply(variables, crops), axis=1)
  assert 0.99 < float(cosines.min()) < 1 - 1e-7


def test_crops_of_another_form_are_refused():
  for shape in ((1, 16, 18, 3), (16, 16, 3), (1, 16, 16, 4)):
    message = re.escape(f'shape {shape}; expected [b, h, w, 3] with h and w multiples of 4')
    with pytest.raises(ValueError, match=message):
      jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros(shape))
