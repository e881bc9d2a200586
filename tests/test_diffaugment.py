"""DiffAugment: one draw for real, generated and conditions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.losses import diffaugment
from anon_jax.losses.diffaugment import ZHAO_2020, Changes, DiffAugment

SIDE = 16


def _keys(count=4, seed=0):
  return jax.random.split(jax.random.key(seed), count)


def _pictures(seed, channels=3, count=4):
  return jax.random.uniform(jax.random.key(seed), (count, SIDE, SIDE, channels), minval=0.1)


def _run(keys, images, conditions, options):
  """Draws and applies under jit, as a step does."""

  @jax.jit
  def both(keys, images, conditions):
    return diffaugment.apply(diffaugment.draw(keys, SIDE, options), images, conditions)

  return both(keys, images, conditions)


def test_with_everything_off_nothing_changes():
  images, condition = _pictures(1), _pictures(2, 1)
  seen, conditions = _run(_keys(), images, [condition], DiffAugment())
  np.testing.assert_array_equal(seen, images)
  np.testing.assert_array_equal(conditions[0], condition)


def test_the_same_keys_change_real_and_generated_images_alike():
  real, fake = _pictures(1), _pictures(2)
  seen_real, _ = _run(_keys(), real, [], ZHAO_2020)
  seen_fake, _ = _run(_keys(), fake, [], ZHAO_2020)
  # Every change is affine: what is done to the difference has no brightness.
  geometry = DiffAugment(translation=0.125, cutout=0.5)
  seen_difference, _ = _run(_keys(), real - fake, [], geometry)
  np.testing.assert_allclose(seen_real - seen_fake, seen_difference, atol=1e-6)
  assert float(jnp.abs(seen_real - real).max()) > 0.1


def test_geometry_reaches_the_conditions_and_colour_does_not():
  images = _pictures(1)
  options = DiffAugment(brightness=0.5, translation=0.25, cutout=0.25)
  _, (twin,) = _run(_keys(), images, [images], options)
  geometry, _ = _run(_keys(), images, [], DiffAugment(translation=0.25, cutout=0.25))
  np.testing.assert_array_equal(twin, geometry)
  _, (untouched,) = _run(_keys(), images, [images], DiffAugment(brightness=0.5))
  np.testing.assert_array_equal(untouched, images)


def test_translation_moves_by_whole_pixels_and_fills_with_zeros():
  images = _pictures(1, count=2)
  shift = jnp.array([[2, -1], [0, 3]], jnp.int32)  # down 2 and left 1; right 3
  seen, _ = diffaugment.apply(Changes(None, shift, None), images)
  np.testing.assert_array_equal(seen[0, 2:, :-1], images[0, :-2, 1:])
  np.testing.assert_array_equal(seen[1, :, 3:], images[1, :, :-3])
  assert not np.any(seen[0, :2]) and not np.any(seen[0, :, -1:]) and not np.any(seen[1, :, :3])


def test_shifts_take_every_value_up_to_the_share_of_the_side_and_no_other():
  changes = jax.jit(lambda keys: diffaugment.draw(keys, SIDE, DiffAugment(translation=0.125)))(
    _keys(200)
  )
  assert set(np.ravel(changes.shift).tolist()) == {-2, -1, 0, 1, 2}
  assert len(np.unique(changes.shift, axis=0)) == 25  # both directions by themselves


def test_brightness_adds_one_number_an_example_within_its_range():
  images = _pictures(1, count=200)
  seen, _ = _run(_keys(200), images, [], DiffAugment(brightness=0.5))
  added = np.asarray(seen - images)
  assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-6
  means = added.mean(axis=(1, 2, 3))
  assert -0.5 <= means.min() < -0.4 and 0.4 < means.max() <= 0.5


def test_cutout_blanks_a_square_that_the_border_may_cut():
  images = _pictures(1, count=200)
  seen, _ = _run(_keys(200), images, [], DiffAugment(cutout=0.5))
  blank = np.asarray(seen == 0).all(axis=-1)
  rows, columns = blank.any(axis=2), blank.any(axis=1)
  np.testing.assert_array_equal(blank, rows[:, :, None] & columns[:, None, :])  # rectangles
  np.testing.assert_array_equal(np.asarray(seen)[~blank], np.asarray(images)[~blank])
  heights = rows.sum(axis=1)
  assert (heights.max(), heights.min()) == (8, 4)  # half of it stays in the picture
  assert columns.any(axis=0).all()


def test_examples_are_changed_independently_of_their_neighbours():
  images = _pictures(1)
  together, _ = _run(_keys(), images, [], ZHAO_2020)
  alone, _ = _run(_keys()[2:3], images[2:3], [], ZHAO_2020)
  np.testing.assert_allclose(alone[0], together[2], atol=1e-6)
  changes = diffaugment.draw(_keys(50), SIDE, ZHAO_2020)
  assert len(np.unique(changes.brightness)) == 50


def test_the_gradient_reaches_exactly_the_pixels_that_are_still_seen():
  images = _pictures(1, count=1)
  hole = jnp.zeros((1, 2, SIDE), bool).at[:, :, 4:8].set(True)
  changes = Changes(jnp.array([0.25]), jnp.array([[1, 0]], jnp.int32), hole)
  gradient = jax.grad(lambda x: diffaugment.apply(changes, x)[0].sum())(images)
  expected = np.ones((SIDE, SIDE))
  expected[3:7, 4:8] = 0  # hidden by the square after the shift
  expected[-1] = 0  # shifted out
  np.testing.assert_array_equal(gradient, np.repeat(expected[None, :, :, None], 3, axis=-1))


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (DiffAugment(brightness=-0.1), r'brightness=-0.1; expected at least 0'),
    (DiffAugment(translation=1.5), r'translation=1.5; expected a share'),
    (DiffAugment(cutout=-1.0), r'cutout=-1.0; expected a share'),
  ],
)
def test_impossible_strengths_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    diffaugment.draw(_keys(), SIDE, options)
