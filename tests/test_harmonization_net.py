"""HarmonizationNet, its compositing, and its discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import compiling
from anon_jax.nets import blocks, harmonization
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet


def _flops(preset: str, side: int) -> float:
  net = HarmonizationNet(WIDTHS[preset])
  inputs = jax.ShapeDtypeStruct((1, side, side, 7), jnp.float32)
  params = jax.eval_shape(net.init, jax.random.key(0), inputs)
  return jax.jit(net.apply).lower(params, inputs).cost_analysis()['flops']


@pytest.mark.parametrize('upscale', [1, 2, 4])
def test_the_output_is_a_picture_of_the_asked_size_in_range(upscale):
  net = HarmonizationNet(WIDTHS['tiny'], upscale)
  inputs = 5 * jax.random.normal(jax.random.key(0), (2, 16, 16, 7))
  output, _ = jax.jit(net.init_with_output)(jax.random.key(1), inputs)
  assert output.shape == (2, 16 * upscale, 16 * upscale, 3)
  assert output.dtype == jnp.float32
  assert float(jnp.abs(output).max()) <= 1.0


def test_parameters_stay_float32_when_computing_in_bfloat16():
  net = HarmonizationNet(WIDTHS['tiny'], dtype=jnp.bfloat16)
  inputs = jax.random.normal(jax.random.key(0), (1, 16, 16, 7))
  output, variables = jax.jit(net.init_with_output)(jax.random.key(1), inputs)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  exact = jax.jit(HarmonizationNet(WIDTHS['tiny']).apply)(variables, inputs)
  assert output.dtype == jnp.float32
  assert 0 < float(jnp.abs(output - exact).max()) < 0.1


def test_a_face_of_128_px_costs_what_the_docs_say():
  assert _flops('base', 128) == pytest.approx(7.2e9, rel=0.05)
  assert _flops('small', 128) / _flops('base', 128) == pytest.approx(0.25, abs=0.03)


def test_overall_brightness_of_the_inputs_reaches_the_output():
  """Instance norm would take it away: H could not know how bright the face has to be."""
  net = HarmonizationNet(WIDTHS['tiny'])
  inputs = jax.random.uniform(jax.random.key(0), (1, 32, 32, 7))
  output, variables = jax.jit(net.init_with_output)(jax.random.key(1), inputs)
  middle = slice(12, 20)  # away from the zero padding, which would tell it too
  shift = jnp.array([0.0] + 6 * [0.5]).reshape(1, 1, 1, 7)
  brighter = jax.jit(net.apply)(variables, inputs + shift)
  change = jnp.abs(brighter - output)[:, middle, middle].mean()
  assert float(change) > 0.02


def test_upsampling_repeats_and_downsampling_averages():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  expected = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
  np.testing.assert_array_equal(blocks.upsample(x)[0, ..., 0], expected)
  np.testing.assert_array_equal(blocks.downsample(blocks.upsample(x)), x)


@pytest.mark.parametrize(('channels', 'groups'), [(4, 1), (12, 1), (32, 4), (384, 48)])
def test_group_norm_takes_groups_of_about_eight_channels(channels, groups):
  assert blocks.group_norm(channels).num_groups == groups


def test_a_residual_block_learns_a_shortcut_only_where_widths_differ():
  x = jnp.ones((1, 4, 4, 8))
  same = blocks.ResidualBlock(8).init(jax.random.key(0), x)['params']
  wider = blocks.ResidualBlock(12).init(jax.random.key(0), x)['params']
  assert 'shortcut' not in same
  assert wider['shortcut']['kernel'].shape == (1, 1, 8, 12)


def _half_mask(side=16):
  return jnp.zeros((1, side, side, 1)).at[:, :, side // 2 :].set(1.0)


def test_the_feather_rises_inside_the_mask_and_never_outside():
  weight = np.asarray(harmonization.feather(_half_mask(), 2))[0, 8, :, 0]
  # At a straight edge the window of 5 columns holds 3, 4, 5 ... covered ones: 2 * 3 / 5 - 1 = .2.
  np.testing.assert_allclose(weight[:8], 0)
  np.testing.assert_allclose(weight[8:11], [0.2, 0.6, 1.0], atol=1e-6)
  np.testing.assert_allclose(weight[11:], 1.0)


def test_a_feather_of_zero_is_the_mask():
  np.testing.assert_array_equal(harmonization.feather(_half_mask(), 0), _half_mask())


def test_no_original_pixel_of_the_foreground_reaches_the_composite():
  mask = _half_mask()
  keys = jax.random.split(jax.random.key(0), 3)
  rgb, condition, background = (jax.random.uniform(k, (1, 16, 16, 3)) for k in keys)
  hidden = jnp.where(mask > 0, jnp.nan, background)
  result = harmonization.composite(rgb, hidden, condition, mask, 2)
  plain = harmonization.composite(rgb, background, condition, mask, 2)
  np.testing.assert_array_equal(result, plain)
  np.testing.assert_array_equal(result[:, :, :8], background[:, :, :8])
  np.testing.assert_array_equal(result[:, :, 11:], rgb[:, :, 11:])
  rim = 0.2 * rgb[:, :, 8] + 0.8 * condition[:, :, 8]
  np.testing.assert_allclose(result[:, :, 8], rim, atol=1e-6)


def test_the_composite_takes_a_smaller_condition():
  result = harmonization.composite(
    jnp.zeros((1, 16, 16, 3)),
    jnp.ones((1, 16, 16, 3)),
    jnp.full((1, 8, 8, 3), 0.5),
    _half_mask(),
    2,
  )
  np.testing.assert_allclose(result[0, 8, 6:11, 0], [1, 1, 0.4, 0.2, 0], atol=1e-6)


def test_the_discriminator_gives_one_map_of_logits_a_scale():
  net = MultiScaleDiscriminator(scales=2, width=8, layers=3)
  images = jnp.zeros((2, 64, 64, 3))
  logits, variables = jax.jit(net.init_with_output)(jax.random.key(0), images, [images[..., :1]])
  assert [x.shape for x in logits] == [(2, 8, 8, 1), (2, 4, 4, 1)]
  shapes = jax.tree.map(jnp.shape, variables['params'])
  assert shapes['scale0']['conv0']['kernel'] == (4, 4, 4, 8)
  assert 'bias' not in shapes['scale0']['conv1']


def test_the_discriminator_sees_the_condition():
  net = MultiScaleDiscriminator(scales=1, width=8, layers=2)
  images = jax.random.normal(jax.random.key(0), (1, 32, 32, 3))
  condition = images[..., :1]
  logits, variables = jax.jit(net.init_with_output)(jax.random.key(1), images, [condition])
  changed = jax.jit(net.apply)(variables, images, [condition[:, ::-1]])
  assert float(jnp.abs(changed[0] - logits[0]).max()) > 1e-3


def test_blocks_computed_again_give_the_same_gradient_and_keep_less():
  inputs = jax.random.normal(jax.random.key(0), (2, 64, 64, 7))
  params = HarmonizationNet(WIDTHS['tiny']).init(jax.random.key(1), inputs)

  def compiled(remat):
    net = HarmonizationNet(WIDTHS['tiny'], remat=remat)
    gradient = jax.grad(lambda p: jnp.sum(net.apply(p, inputs) ** 2))
    return compiling.jit(gradient).lower(params).compile()

  plain, again = compiled(False), compiled(True)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3),
    plain(params),
    again(params),
  )
  kept = [program.memory_analysis().temp_size_in_bytes for program in (plain, again)]
  assert kept[1] < 0.8 * kept[0]
