"""The proxy task: recolouring, appearance condition, example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from anon_jax import proxy


def _picture(seed=0, side=32):
  return jax.random.uniform(jax.random.key(seed), (side, side, 3), minval=-1.0, maxval=1.0)


def _disc(side=32):
  rows, columns = np.mgrid[:side, :side]
  inside = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 4) ** 2
  return jnp.asarray(inside[..., None], jnp.float32)


def test_the_foreground_is_skin_brows_eyes_nose_and_mouth():
  maps = jnp.asarray([[0, 1, 2, 3], [4, 5, 6, 7]], jnp.uint8)
  mask = proxy.foreground_mask(maps)
  np.testing.assert_array_equal(mask[..., 0], [[0, 1, 1, 1], [1, 1, 0, 0]])
  assert float(proxy.foreground_mask(jnp.full((2, 2), 255, jnp.uint8)).sum()) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_recolouring_changes_the_foreground_only_and_stays_in_range(seed):
  picture, mask = _picture(), _disc()
  result = jax.jit(proxy.recolour)(jax.random.key(seed), picture, mask)
  assert float(jnp.abs(result).max()) <= 1.0 + 1e-6
  outside = np.broadcast_to(np.asarray(mask) == 0, result.shape)
  np.testing.assert_array_equal(np.asarray(result)[outside], np.asarray(picture)[outside])
  assert not np.allclose(np.asarray(result)[~outside], np.asarray(picture)[~outside], atol=1e-3)


def test_recolouring_is_fixed_by_its_key():
  picture, mask = _picture(), _disc()
  first = proxy.recolour(jax.random.key(3), picture, mask)
  np.testing.assert_array_equal(first, proxy.recolour(jax.random.key(3), picture, mask))
  assert not np.allclose(first, proxy.recolour(jax.random.key(4), picture, mask))


def test_the_recoloured_mean_colour_says_nothing_of_the_true_one():
  """Flat foregrounds of random colour: true and shown colour are uncorrelated (|r| < .1)."""
  count = 2000
  colours = jax.random.uniform(jax.random.key(1), (count, 1, 1, 3), minval=-0.9, maxval=0.9)
  pictures = jnp.broadcast_to(colours, (count, 4, 4, 3))
  keys = jax.random.split(jax.random.key(2), count)
  shown = jax.vmap(proxy.recolour)(keys, pictures, jnp.ones((count, 4, 4, 1)))
  true = np.asarray(colours).reshape(count, 3)
  seen = np.asarray(shown.mean(axis=(1, 2)))
  correlation = np.corrcoef(true.T, seen.T)[:3, 3:]
  assert np.abs(correlation).max() < 0.1


def test_natural_colours_keep_lips_redder_than_skin_and_any_colours_do_not():
  skin, lips = jnp.array([0.5, 0.2, 0.1]), jnp.array([0.5, -0.2, -0.1])
  picture = jnp.tile(jnp.where(jnp.arange(8)[:, None, None] < 6, skin, lips), (1, 8, 1))

  def redder(share):
    keys, mask = jax.random.split(jax.random.key(0), 200), jnp.ones((8, 8, 1))
    shown = jax.vmap(lambda key: proxy.recolour(key, picture, mask, share))(keys)
    redness = shown[..., 0] - shown[..., 1:].mean(-1)
    return float((redness[:, 6:].mean((1, 2)) > redness[:, :6].mean((1, 2))).mean())

  assert redder(1.0) > 0.9
  assert 0.3 < redder(0.0) < 0.7
  assert redder(0.0) < redder(0.5) < redder(1.0)


def test_light_of_natural_colours_falls_from_any_side_and_else_from_none():
  flat, mask = jnp.full((16, 16, 3), 0.1), jnp.ones((16, 16, 1))

  def slopes(share):
    keys = jax.random.split(jax.random.key(1), 100)
    shown = jax.vmap(lambda key: proxy.recolour(key, flat, mask, share))(keys)
    across = shown[:, :, -1].mean((1, 2)) - shown[:, :, 0].mean((1, 2))
    down = shown[:, -1].mean((1, 2)) - shown[:, 0].mean((1, 2))
    return np.stack([across, down])

  lit = slopes(1.0)
  assert (lit.min(1) < -0.1).all()
  assert (lit.max(1) > 0.1).all()
  np.testing.assert_allclose(slopes(0.0), 0, atol=1e-5)


def test_with_natural_colours_pictures_stay_in_range_and_beyond_the_foreground_the_same():
  picture, mask = _picture(), _disc()
  for seed in range(20):
    result = np.asarray(proxy.recolour(jax.random.key(seed), picture, mask, 0.5))
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1 + 1e-6
    outside = np.broadcast_to(np.asarray(mask) == 0, result.shape)
    np.testing.assert_array_equal(result[outside], np.asarray(picture)[outside])


@pytest.mark.parametrize('sigma', [0.7, 2.0, 9.0])
def test_the_blur_equals_a_gaussian_filter_away_from_the_border(sigma):
  picture = np.asarray(_picture(5, 128))
  mine = np.asarray(proxy.blur(jnp.asarray(picture)[None], sigma)[0])
  theirs = scipy.ndimage.gaussian_filter(picture, (sigma, sigma, 0), truncate=8.0)
  margin = min(int(6 * sigma), 54)
  middle = slice(margin, 128 - margin)
  np.testing.assert_allclose(mine[middle, middle], theirs[middle, middle], atol=2e-5)


def test_the_blur_keeps_constant_pictures_constant_up_to_the_border():
  blurred = proxy.blur(jnp.full((1, 16, 24, 3), 0.37), 4.0)
  np.testing.assert_allclose(blurred, 0.37, atol=1e-6)


def test_the_appearance_condition_is_blurred_by_a_share_of_the_side():
  picture = _picture(6, 64)[None]
  expected = proxy.blur(picture, 0.07 * 64)
  np.testing.assert_array_equal(proxy.appearance_condition(picture, 0.07), expected)
  assert float(expected.std()) < 0.15 * float(picture.std())


def test_shrinking_averages_squares():
  values = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_array_equal(proxy.shrink(values, 2)[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])


def test_an_example_for_super_resolution_has_small_inputs_and_a_large_target():
  images = jnp.stack([_picture(i) for i in range(2)])
  maps = jnp.broadcast_to(_disc()[..., 0], (2, 32, 32)).astype(jnp.uint8)
  example = proxy.make_example(jax.random.split(jax.random.key(0), 2), images, maps, 0.07, 2)
  sides = {name: value.shape[1] for name, value in example.items()}
  assert sides == {
    'target': 32,
    'mask': 32,
    'recoloured': 16,
    'condition': 16,
    'input_mask': 16,
  }
  np.testing.assert_array_equal(example['target'], images)
  # Outside the foreground the small input is the averaged original.
  far = np.asarray(example['input_mask'][..., 0]) == 0
  expected = np.asarray(proxy.shrink(images, 2))
  np.testing.assert_allclose(np.asarray(example['recoloured'])[far], expected[far], atol=1e-6)


def test_the_inputs_do_not_depend_on_the_other_pictures_of_a_batch():
  images = jnp.stack([_picture(i) for i in range(3)])
  maps = jnp.broadcast_to(_disc()[..., 0], (3, 32, 32)).astype(jnp.uint8)
  whole = proxy.make_example(jax.random.split(jax.random.key(7), 3), images, maps, 0.07)
  second = jax.random.split(jax.random.key(7), 3)[1:2]
  alone = proxy.make_example(second, images[1:2], maps[1:2], 0.07)
  for name, value in alone.items():
    np.testing.assert_allclose(whole[name][1:2], value, atol=1e-6)


def test_softening_takes_a_share_of_detail_from_the_foreground_and_nothing_from_beyond():
  noise = jax.random.uniform(jax.random.key(1), (6, 32, 32, 3), minval=-1.0)
  mask = jnp.broadcast_to(_disc(), (6, 32, 32, 1)).astype(jnp.float32)

  def soften(pictures):
    return proxy.soften(jax.random.split(jax.random.key(2), 6), pictures, mask, 0.05)

  soft = soften(noise)
  outside = np.broadcast_to(np.asarray(mask) == 0, noise.shape)
  np.testing.assert_array_equal(np.asarray(soft)[outside], np.asarray(noise)[outside])
  other = jnp.where(outside, -noise, noise)  # of what lies beyond nothing is read
  np.testing.assert_array_equal(np.asarray(soften(other))[~outside], np.asarray(soft)[~outside])
  inner = np.asarray(_disc()[..., 0]) > 0
  left = [
    np.asarray(s)[inner].std() / np.asarray(n)[inner].std()
    for s, n in zip(soft, noise, strict=True)
  ]
  assert max(left) < 1
  assert max(left) - min(left) > 0.2  # another share for each picture
  flat = jnp.full((6, 32, 32, 3), 0.3)
  np.testing.assert_allclose(soften(flat), flat, atol=1e-6)


def test_examples_are_softened_where_that_is_asked_for():
  images = jnp.stack([_picture(i) for i in range(2)])
  maps = jnp.broadcast_to(_disc()[..., 0], (2, 32, 32)).astype(jnp.uint8)

  def keys():
    return jax.random.split(jax.random.key(0), 2)

  sharp, soft = (
    proxy.make_example(keys(), images, maps, 0.07, likeness=proxy.Likeness(softness=s))
    for s in (0.0, 0.05)
  )
  wanted = proxy.soften(keys(), sharp['recoloured'], sharp['mask'], 0.05)
  np.testing.assert_array_equal(soft['recoloured'], wanted)
  assert (sharp['recoloured'] != wanted).any()
  for name in ('target', 'condition', 'mask'):
    np.testing.assert_array_equal(soft[name], sharp[name])


def test_a_foreground_grows_by_a_rim_of_its_own_colour_that_hides_what_was_there():
  disc = np.asarray(_disc())[..., 0]
  mask = jnp.broadcast_to(_disc(), (3, 32, 32, 1))
  around = jnp.stack([_picture(i) for i in range(3)])
  flat = jnp.where(mask > 0, 0.3, around)
  grown, wide = proxy.grow(jax.random.split(jax.random.key(0), 3), flat, mask, 3)
  want = scipy.ndimage.binary_dilation(disc > 0, np.ones((3, 3)), iterations=3)
  np.testing.assert_array_equal(np.asarray(wide)[..., 0] > 0, np.stack([want] * 3))
  np.testing.assert_allclose(np.asarray(grown)[:, want], 0.3, atol=1e-5)
  np.testing.assert_array_equal(np.asarray(grown)[:, ~want], np.asarray(flat)[:, ~want])


def test_detail_fades_towards_the_rim_by_another_share_in_each_picture_and_not_in_the_middle():
  mask = jnp.broadcast_to(_disc(64), (4, 64, 64, 1))
  noise = jnp.broadcast_to(_picture(side=64), (4, 64, 64, 3))
  grown, _ = proxy.grow(jax.random.split(jax.random.key(1), 4), noise, mask, 2)
  distance = scipy.ndimage.distance_transform_edt(np.asarray(mask)[0, ..., 0])
  middle, edge = distance > 8, distance == 1
  np.testing.assert_allclose(np.asarray(grown)[:, middle], np.asarray(noise)[:, middle], atol=1e-4)
  left = np.asarray(grown)[:, edge].std(axis=(1, 2)) / np.asarray(noise)[:, edge].std(axis=(1, 2))
  assert left.max() < 1
  assert left.max() - left.min() > 0.2


def test_grain_lies_in_the_foreground_alone_and_is_of_another_strength_in_each_picture():
  mask = jnp.broadcast_to(_disc(64), (6, 64, 64, 1))
  rough = np.asarray(
    proxy.roughen(jax.random.split(jax.random.key(2), 6), jnp.zeros((6, 64, 64, 3)), mask, 0.1)
  )
  inner = np.asarray(_disc(64))[..., 0] > 0
  assert not rough[:, ~inner].any()
  np.testing.assert_array_equal(rough[..., 0], rough[..., 2])  # grey
  strengths = rough[:, inner].std(axis=(1, 2))
  assert 0 < strengths.min() < 0.04
  assert 0.05 < strengths.max() < 0.12
  # two pixels wide: neighbours are alike, pixels four apart are not
  near, far = ((rough[:, :, k:, 0] * rough[:, :, :-k, 0])[:, 20:44, 16:44].mean() for k in (1, 4))
  assert near > 4 * abs(far)


def test_examples_get_a_rim_and_grain_and_their_targets_stay():
  images = jnp.stack([_picture(i) for i in range(2)])
  maps = jnp.broadcast_to(_disc()[..., 0], (2, 32, 32)).astype(jnp.uint8)

  def example(**more):
    keys = jax.random.split(jax.random.key(0), 2)
    return proxy.make_example(keys, images, maps, 0.07, likeness=proxy.Likeness(**more))

  plain, rimmed, both = example(), example(rim=0.06), example(rim=0.06, grain=0.1)
  keys = jax.random.split(jax.random.key(0), 2)
  grown, wide = proxy.grow(keys, plain['recoloured'], plain['mask'], 2)
  np.testing.assert_array_equal(rimmed['recoloured'], grown)
  for name in ('mask', 'input_mask'):
    np.testing.assert_array_equal(rimmed[name], wide)
    np.testing.assert_array_equal(both[name], wide)
  keys = jax.random.split(jax.random.key(0), 2)
  np.testing.assert_array_equal(both['recoloured'], proxy.roughen(keys, grown, wide, 0.1))
  for name in ('target', 'condition'):
    np.testing.assert_array_equal(both[name], plain[name])
