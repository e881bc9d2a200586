"""Bodies in a picture: who is one person, who stands in front, and who is who a frame later."""

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anon_jax.inference import bodies
from anon_jax.inference.bodies import Body, Follower


def mask(*boxes, size=(60, 80)):
  """Returns bool [60, 80] with rectangles (left, top, right, bottom)."""
  found = np.zeros(size, bool)
  for left, top, right, bottom in boxes:
    found[top:bottom, left:right] = True
  return found


def _boxes(masks):
  return [Body(each, 0).box for each in masks]


def test_a_mask_is_grown_by_a_share_of_its_height_and_by_a_pixel_at_least():
  np.testing.assert_array_equal(
    bodies.grown(mask((10, 10, 20, 30))), mask((9, 9, 21, 31))
  )  # .012 * 20 = .24
  tall = bodies.grown(mask((10, 0, 20, 250), size=(300, 80)))
  np.testing.assert_array_equal(tall, mask((7, 0, 23, 253), size=(300, 80)))  # .012 * 250 = 3


def test_a_grown_mask_ends_at_the_border():
  np.testing.assert_array_equal(bodies.grown(mask((0, 0, 5, 5))), mask((0, 0, 6, 6)))
  np.testing.assert_array_equal(bodies.grown(mask((70, 50, 80, 60))), mask((69, 49, 80, 60)))


def test_lower_feet_are_nearer_and_of_two_at_the_border_the_larger():
  far, near = Body(mask((0, 0, 30, 40)), 1), Body(mask((40, 30, 45, 50)), 2)
  small, large = Body(mask((0, 50, 5, 60)), 3), Body(mask((40, 20, 60, 60)), 4)
  assert bodies.far_to_near([large, near, small, far]) == [3, 1, 2, 0]


def test_what_hangs_together_is_one_person_diagonals_too():
  diagonal = np.zeros((60, 80), bool)
  diagonal[np.arange(20), np.arange(20)] = True
  assert len(bodies.parted(diagonal)) == 1


def test_people_apart_are_people_from_left_to_right():
  both = mask((50, 10, 60, 50), (10, 5, 20, 50))
  assert _boxes(bodies.parted(both)) == [(10, 5, 20, 50), (50, 10, 60, 50)]


def test_somebody_behind_a_railing_is_one_person():
  assert _boxes(bodies.parted(mask((10, 5, 20, 25), (11, 30, 19, 50)))) == [(10, 5, 20, 50)]


def test_small_parts_belong_to_whoever_is_near_and_are_somebody_where_nobody_is():
  parts = mask((10, 5, 20, 45), (22, 20, 24, 22), (70, 50, 73, 53))
  assert _boxes(bodies.parted(parts)) == [(10, 5, 24, 45), (70, 50, 73, 53)]


def test_nobody_is_in_an_empty_mask():
  assert bodies.parted(mask()) == []


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(arrays.arrays(bool, (12, 17), elements=st.booleans()))
def test_each_pixel_of_a_plain_mask_goes_to_one_person(given):
  people = bodies.parted(given)
  assert len(people) <= 50
  total = sum((each.astype(int) for each in people), np.zeros(given.shape, int))
  np.testing.assert_array_equal(total, given)
  assert all(each.any() for each in people)


def test_more_parts_than_people_go_to_the_next_ones():
  dots = np.zeros((200, 200), bool)
  dots[::20, ::20] = True  # 100 of one pixel each, far apart for their size
  people = bodies.parted(dots)
  assert len(people) == 50
  assert sum(each.sum() for each in people) == 100


def test_people_keep_their_numbers_while_they_move_and_pass_out_of_sight():
  follower = Follower()
  one, two = mask((10, 10, 20, 40)), mask((50, 10, 60, 40))
  assert follower.follow([one, two]) == [0, 1]
  assert follower.follow([mask((54, 10, 64, 40)), mask((12, 10, 22, 40))]) == [1, 0]
  assert follower.follow([]) == []
  assert follower.follow([mask((14, 12, 24, 42))]) == [0]
  assert follower.follow([mask((30, 10, 40, 40))]) == [2]  # overlaps nobody


def test_two_people_never_get_one_number():
  follower = Follower()
  follower.follow([mask((10, 10, 30, 40))])
  assert follower.follow([mask((10, 10, 20, 40)), mask((20, 10, 30, 40))]) == [0, 1]


def test_who_is_away_for_long_is_somebody_else():
  follower = Follower()
  assert follower.follow([mask((10, 10, 20, 40))]) == [0]
  for _ in range(25):
    follower.follow([])
  assert follower.follow([mask((10, 10, 20, 40))]) == [1]
