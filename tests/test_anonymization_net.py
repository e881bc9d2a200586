"""AnonymizationNet: identities, semantic maps, and their reuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import proxy
from anon_jax.data import semantic
from anon_jax.nets import anonymization, spade
from anon_jax.nets.anonymization import HIDDEN, SIZES, WIDTHS, AnonymizationNet, widths_for

# CelebA's training split has 8,192 people.
CELEBA_IDENTITIES = 8192


def _net(preset='tiny', size=32, identities=5, **fields):
  return AnonymizationNet(identities, widths_for(preset, size), HIDDEN[preset], **fields)


def _maps(count=1, side=32, seed=0):
  coarse = jax.random.randint(jax.random.key(seed), (count, side // 4, side // 4), 0, 8)
  return coarse.astype(jnp.uint8).repeat(4, axis=1).repeat(4, axis=2)


def _one_hot(*identities, of=5):
  return jax.nn.one_hot(jnp.array(identities), of)


class _Tiny:
  """A network that paints 32 px, its parameters, and its functions compiled for 3 identities."""

  def __init__(self):
    self.net = _net()
    self.params = jax.jit(self.net.init)(jax.random.key(0), _one_hot(0), _maps())['params']
    # One compilation for all tests: each call has 3 identities and 3 maps.
    self.apply = jax.jit(lambda p, i, m: self.net.apply({'params': p}, i, m))
    self.modulations = jax.jit(lambda p, m: self.net.apply({'params': p}, m, method='modulations'))


@pytest.fixture(scope='module')
def tiny():
  return _Tiny()


def _same_maps():
  return jnp.repeat(_maps(), 3, axis=0)


def _abstract(preset, size, identities=CELEBA_IDENTITIES):
  net = _net(preset, size, identities)
  inputs = (
    jax.ShapeDtypeStruct((1, identities), jnp.float32),
    jax.ShapeDtypeStruct((1, size, size), jnp.uint8),
  )
  return net, jax.eval_shape(net.init, jax.random.key(0), *inputs), inputs


def _flops(function, *args):
  return jax.jit(function).lower(*args).cost_analysis()['flops']


def test_the_base_preset_has_the_size_and_cost_that_the_docs_say():
  net, params, inputs = _abstract('base', 128)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == pytest.approx(25.6e6, rel=0.01)
  assert _flops(net.apply, params, *inputs) == pytest.approx(16.3e9, rel=0.01)


def test_the_small_preset_costs_about_a_quarter():
  small, base = (
    _flops(net.apply, params, *inputs)
    for net, params, inputs in (_abstract('small', 128), _abstract('base', 128))
  )
  assert small / base == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize('size', SIZES)
def test_every_size_is_painted(size):
  net, params, inputs = _abstract('base', size, identities=7)
  picture = jax.eval_shape(net.apply, params, *inputs)
  assert (picture.shape, picture.dtype) == ((1, size, size, 3), jnp.float32)


def test_a_smaller_output_takes_the_first_levels_and_a_larger_one_halves_the_last_width():
  assert widths_for('base', 64) == (512, 512, 256, 128, 64)
  assert widths_for('base', 128) == WIDTHS['base']
  assert widths_for('base', 512) == (*WIDTHS['base'], 16, 8)
  assert widths_for('small', 512) == (*WIDTHS['small'], 8, 8)


def test_unknown_presets_and_sizes_are_refused():
  with pytest.raises(ValueError, match="Unknown preset 'huge'; choose one of base, small, tiny"):
    widths_for('huge', 128)
  with pytest.raises(ValueError, match='A paints 32, 64, 128, 256, 512 px, not 96'):
    widths_for('base', 96)


def test_the_picture_is_in_range_and_parameters_stay_float32_in_bfloat16(tiny):
  identities, maps = _one_hot(1, 2, 3), _maps(3)
  exact = tiny.apply(tiny.params, identities, maps)
  assert 0.05 < float(jnp.abs(exact).mean()) < 0.6  # neither grey nor saturated before training
  assert float(jnp.abs(exact).max()) <= 1
  half = _net(dtype=jnp.bfloat16)
  own = jax.eval_shape(half.init, jax.random.key(0), identities, maps)
  assert {leaf.dtype for leaf in jax.tree.leaves(own)} == {jnp.dtype('float32')}
  rounded = jax.jit(half.apply)({'params': tiny.params}, identities, maps)
  assert rounded.dtype == jnp.float32
  assert 0 < float(jnp.abs(rounded - exact).mean()) < 0.05


def test_many_identities_of_one_map_equal_the_plain_call(tiny):
  identities = _one_hot(0, 2, 4)
  plain = tiny.apply(tiny.params, identities, _same_maps())
  modulations = tiny.modulations(tiny.params, _maps())
  paint = jax.jit(lambda p, m, i: tiny.net.apply({'params': p}, m, i, method='paint'))
  np.testing.assert_allclose(paint(tiny.params, modulations, identities), plain, atol=1e-5)
  assert float(jnp.abs(plain[0] - plain[1]).mean()) > 0.01


def test_modulations_of_one_map_are_never_copied_for_its_identities():
  net, params, (_, one_map) = _abstract('small', 64, identities=9)
  many = jax.ShapeDtypeStruct((32, 9), jnp.float32)
  modulations = jax.eval_shape(lambda p, m: net.apply(p, m, method='modulations'), params, one_map)
  assert {leaf.shape[0] for leaf in jax.tree.leaves(modulations)} == {1}
  paint = _flops(lambda p, m, i: net.apply(p, m, i, method='paint'), params, modulations, many)
  maps = jax.ShapeDtypeStruct((32, 64, 64), jnp.uint8)
  assert paint < 0.45 * _flops(net.apply, params, many, maps)


def test_a_mixture_is_a_face_of_its_own(tiny):
  pure = _one_hot(1, 2)
  mixtures = jnp.concatenate([pure, pure.mean(axis=0, keepdims=True)])
  first, second, mixed = tiny.apply(tiny.params, mixtures, _same_maps())
  assert float(jnp.abs(mixed - first).mean()) > 0.01
  assert float(jnp.abs(mixed - second).mean()) > 0.01


def test_the_identity_enters_by_the_first_feature_map_only(tiny):
  silent = jax.tree.map(jnp.zeros_like, tiny.params['expand'])
  faces = tiny.apply(tiny.params | {'expand': silent}, _one_hot(0, 3, 4), _same_maps())
  # Not bit for bit: XLA may round the rows of a batch differently.
  np.testing.assert_allclose(faces[1:], faces[:-1], atol=1e-6, rtol=0)
  heard = tiny.apply(tiny.params, _one_hot(0, 3, 4), _same_maps())
  assert np.abs(heard[1:] - heard[:-1]).max() > 1e-2


def test_every_block_reads_the_map(tiny):
  one, other = (tiny.modulations(tiny.params, jnp.full((1, 32, 32), c, jnp.uint8)) for c in (1, 6))
  assert [given[0].shape[1] for given in one] == [4, 8, 16, 32]
  changes = jax.tree.map(lambda a, b: float(jnp.abs(a - b).mean()), one, other)
  assert min(jax.tree.leaves(changes)) > 0.01


def test_the_picture_is_tanh_of_the_sum_of_the_blocks_rgbs(tiny):
  changed = dict(tiny.params)
  for level in range(4):
    kernel = jnp.zeros_like(changed[f'rgbs_{level}']['kernel'])
    changed[f'rgbs_{level}'] = {'kernel': kernel, 'bias': jnp.array([0.1, -0.2, 0.3]) * (level + 1)}
  pictures = tiny.apply(changed, _one_hot(0, 1, 2), _same_maps())
  expected = np.tanh(np.array([0.1, -0.2, 0.3]) * 10)  # 1 + 2 + 3 + 4
  np.testing.assert_allclose(pictures, np.broadcast_to(expected, pictures.shape), atol=1e-5)


def test_pixels_are_doubled_by_bilinear_interpolation():
  x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  np.testing.assert_allclose(anonymization.upsample_bilinear(x)[0, 0, :, 0], [0, 1, 3, 4])


def test_maps_are_resized_to_the_class_under_each_new_centre():
  maps = jnp.arange(16, dtype=jnp.uint8).reshape(1, 4, 4)
  np.testing.assert_array_equal(anonymization.resize_nearest(maps, 2)[0], [[5, 7], [13, 15]])
  np.testing.assert_array_equal(anonymization.resize_nearest(maps, 4), maps)
  larger = anonymization.resize_nearest(maps, 8)
  np.testing.assert_array_equal(larger, maps.repeat(2, axis=1).repeat(2, axis=2))
  assert larger.dtype == jnp.uint8


def test_an_unlabelled_pixel_reads_as_no_class(tiny):
  blank = jnp.full((1, 32, 32), semantic.IGNORE, jnp.uint8)
  found = jax.tree.leaves(tiny.modulations(tiny.params, blank))
  # Biases are zero at the start: without any class there is nothing to scale or shift by.
  assert not any(np.any(leaf) for leaf in found)
  assert np.any(jax.tree.leaves(tiny.modulations(tiny.params, _maps()))[0])


def test_a_modulation_scales_by_one_plus_gamma_and_shifts_by_beta():
  normed = jnp.array([2.0, -1.0]).reshape(1, 1, 1, 2)
  modulation = jnp.array([0.5, 1.0, 10.0, 20.0]).reshape(1, 1, 1, 4)  # gammas, then betas
  np.testing.assert_array_equal(spade.modulate(normed, modulation)[0, 0, 0], [13.0, 18.0])


def test_a_block_learns_a_shortcut_where_widths_differ_and_no_bias_that_a_norm_removes(tiny):
  params = tiny.params
  assert 'shortcut' not in params['blocks_0'] and 'shortcut' not in params['blocks_3']
  assert params['blocks_1']['shortcut']['kernel'].shape == (1, 1, 16, 12)
  assert 'modulation_shortcut' in params['blocks_1']
  assert all('bias' not in params[f'blocks_{k}']['conv1'] for k in range(4))


def test_a_coarse_a_sees_skin_where_brows_and_nose_are_and_nothing_else_changed(tiny):
  coarse = jax.jit(_net(coarse=True).apply)
  skin, brows, nose = (semantic.CLASSES.index(name) for name in ('skin', 'brows', 'nose'))
  maps = _maps(3)
  assert np.isin([brows, nose], maps).all()
  without = jnp.where((maps == brows) | (maps == nose), jnp.uint8(skin), maps)
  identities = _one_hot(1, 2, 3)
  told = coarse({'params': tiny.params}, identities, maps)
  np.testing.assert_array_equal(told, coarse({'params': tiny.params}, identities, without))
  np.testing.assert_allclose(told, tiny.apply(tiny.params, identities, without), atol=1e-6)
  assert float(jnp.abs(told - tiny.apply(tiny.params, identities, maps)).max()) > 1e-3


def test_where_feature_maps_are_enlarged_bilinearly_pairs_of_pixels_do_not_show(tiny):
  even = jnp.full((1, 32, 32), semantic.CLASSES.index('skin'), jnp.uint8)

  def steps(net):
    """The mean change inside pairs of pixels, and from one pair to the next."""
    picture = jax.jit(net.apply)({'params': tiny.params}, _one_hot(1), even)[0]
    change = np.abs(np.diff(np.asarray(picture), axis=1))[:, 3:28].mean(axis=(0, 2))
    return change[1::2].mean(), change[::2].mean()

  inside, between = steps(_net())
  assert between > 1.2 * inside
  inside, between = steps(_net(bilinear=True))
  assert between == pytest.approx(inside, rel=0.1)


def test_spectral_norm_is_the_largest_singular_value():
  matrix = np.diag([5.0, 2.0, 1.0]).astype(np.float32)
  rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
  kernel = jnp.asarray(rotation @ matrix).reshape(1, 1, 3, 3)
  params = {'kernel': kernel, 'bias': jnp.full(3, 7.0)}
  divided = spade.divide_by_spectral_norm(params)
  np.testing.assert_allclose(divided['kernel'], kernel / 5, rtol=1e-4)
  np.testing.assert_array_equal(divided['bias'], params['bias'])
  # scaling the kernel changes nothing, so the gradient along the kernel is zero
  gradient = jax.grad(lambda k: jnp.sum(spade.divide_by_spectral_norm({'k': k})['k'] ** 3))(kernel)
  assert abs(float(jnp.sum(gradient * kernel))) < 1e-4
  assert float(jnp.abs(gradient).max()) > 1e-3


def test_spectral_norm_leaves_the_parameter_tree_as_it_is_and_undoes_a_scaling():
  x = jax.random.normal(jax.random.key(0), (1, 8, 8, 8))
  classes = jax.nn.one_hot(_maps(side=8), 8)

  def paint(block, x, classes):
    return block(x, block.modulations(classes))

  plain, spectral = (spade.SpadeBlock(8, 4, 8, spectral=option) for option in (False, True))
  params = jax.jit(lambda key: plain.init(key, x, classes, method=paint))(jax.random.key(1))
  shapes = jax.eval_shape(
    lambda key: spectral.init(key, x, classes, method=paint), jax.random.key(1)
  )
  assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
  grown = params['params'] | {
    'conv2': {
      'kernel': 9 * params['params']['conv2']['kernel'],
      'bias': params['params']['conv2']['bias'],
    }
  }
  run = jax.jit(lambda p: spectral.apply(p, x, classes, method=paint))
  normed = run(params)
  np.testing.assert_allclose(run({'params': grown}), normed, atol=1e-5)
  bare = jax.jit(lambda p: plain.apply(p, x, classes, method=paint))(params)
  assert float(jnp.abs(bare - normed).max()) > 1e-2


def test_conditions_are_averaged_down_and_read_by_every_block_beside_the_map():
  net, maps = _net(), _maps()
  pictures = jnp.arange(32.0)[None, :, None, None] / 32 * jnp.ones((1, 32, 32, 6))
  params = jax.jit(net.init)(jax.random.key(0), _one_hot(0), maps, pictures)['params']
  kernel = params['blocks_0']['modulation1']['shared']['kernel']
  assert kernel.shape == (3, 3, semantic.NUM_CLASSES + 6, 8)
  read = jax.jit(lambda p, c: net.apply({'params': p}, maps, c, method='modulations'))
  one, other = read(params, pictures), read(params, -pictures)
  changes = jax.tree.map(lambda a, b: float(jnp.abs(a - b).mean()), one, other)
  assert min(jax.tree.leaves(changes)) > 0.001
  # Rows of alternating sign are grey at 16 px, but for the border; the block at 32 px sees them.
  stripes = jnp.ones((1, 32, 32, 6)).at[:, ::2].set(-1.0)
  striped, grey = read(params, stripes), read(params, 0 * stripes)
  seen = [
    max(float(jnp.abs(a - b)[:, 3:-3].max()) for a, b in zip(*pair, strict=True))
    for pair in zip(striped[1:], grey[1:], strict=True)
  ]
  assert seen[-1] > 0.1 > 1e-5 > max(seen[:-1])


def test_inputs_of_another_form_are_refused(tiny):
  def apply(identities, maps):
    return jax.eval_shape(tiny.net.apply, {'params': tiny.params}, identities, maps)

  with pytest.raises(ValueError, match=r'pictures .* the maps \[1, 32, 32\]; these are \[1, 16'):
    tiny.net.apply({'params': tiny.params}, _one_hot(0), _maps(), jnp.zeros((1, 16, 16, 3)))
  with pytest.raises(ValueError, match=r'mixtures \[n, 5\]; these are \[1, 4\]'):
    apply(jnp.ones((1, 4)), _maps())
  with pytest.raises(ValueError, match=r'mixtures \[n, 5\]; these are \[2\]'):
    apply(jnp.array([1, 2]), _maps(2))
  with pytest.raises(ValueError, match=r'whole numbers \[b, h, w\]; these are float32'):
    apply(_one_hot(0), jnp.zeros((1, 32, 32)))
  with pytest.raises(ValueError, match=r'these are uint8 \[1, 32, 32, 1\]'):
    apply(_one_hot(0), _maps()[..., None])
  with pytest.raises(ValueError, match='2 maps for 3 identities; expected 1 or as many'):
    apply(_one_hot(0, 1, 2), _maps(2))


def test_masked_shows_the_foreground_and_nothing_of_the_rest():
  maps = jnp.array([[[0, 1], [6, 5]]], jnp.uint8)
  images = jnp.array([[[jnp.nan, 0.5], [jnp.inf, -0.25]]])[..., None].repeat(3, axis=-1)
  seen = anonymization.masked(images, proxy.foreground_mask(maps))
  np.testing.assert_array_equal(seen[0, ..., 0], [[0, 0.5], [0, -0.25]])
