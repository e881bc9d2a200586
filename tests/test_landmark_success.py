"""Whether landmarks lie where eyes, nose and mouth are known to be; numbers worked by hand."""

import numpy as np
import pytest

from anon_jax.evaluation import landmark_success

# eyes, nose and mouth of a face whose box is 28.7 high
TRUTH = np.array([[[50.0, 40], [50, 46], [50, 50]]])


def test_the_parts_of_a_map_are_the_centres_of_their_pixels():
  classes = np.zeros((8, 8), np.uint8)
  classes[1, 1:3] = classes[1, 5:7] = 3  # two eyes
  classes[3:5, 3:5] = 4
  classes[6, 2:6] = 5
  np.testing.assert_array_equal(
    landmark_success.parts_of_map(classes), [[4, 1.5], [4, 4], [4, 6.5]]
  )
  profile = np.where(np.arange(8) < 4, classes, 0).astype(np.uint8)
  profile[3:5] = 0
  found = landmark_success.parts_of_map(profile)
  np.testing.assert_array_equal(found[[0, 2]], [[2, 1.5], [3, 6.5]])
  assert np.isnan(found[1]).all()


def test_five_and_68_points_have_the_same_parts():
  five = np.array([[[40.0, 40], [60, 40], [50, 46], [44, 50], [56, 50]]])
  np.testing.assert_array_equal(landmark_success.parts_of_five(five), TRUTH)
  many = np.zeros((68, 2))
  many[36:42], many[42:48], many[30], many[48:] = (40, 40), (60, 40), (50, 46), (50, 50)
  np.testing.assert_array_equal(landmark_success.parts_of_68(many), TRUTH[0])
  with pytest.raises(ValueError, match=r'expected \[68, 2\]'):
    landmark_success.parts_of_68(many[:5])
  with pytest.raises(ValueError, match=r'expected \[n, 5, 2\]'):
    landmark_success.parts_of_five(TRUTH)


def test_an_error_is_the_mean_over_the_parts_in_heights_of_the_face():
  assert landmark_success.face_sizes(TRUTH) == pytest.approx(28.7)
  moved = np.add(TRUTH, [[[3, 4], [0, 0], [0, 1]]])  # by 5, 0 and 1 pixels
  assert landmark_success.part_errors(TRUTH, moved) == pytest.approx(2 / 28.7)
  without_nose = TRUTH.copy()
  without_nose[0, 1] = np.nan
  assert landmark_success.part_errors(without_nose, moved) == pytest.approx(3 / 28.7)


def test_a_face_that_is_not_found_is_no_success_and_the_bound_is_one():
  truth = np.repeat(TRUTH, 4, axis=0)
  found = truth + np.array([0, 2.86, 2.88, np.nan])[:, None, None] * [1, 0]
  errors = landmark_success.part_errors(truth, found)
  assert np.isnan(errors[3])
  assert landmark_success.succeeds(errors).tolist() == [True, True, False, False]
  assert landmark_success.succeeds(errors, 0.05).tolist() == [True, False, False, False]


def test_a_truth_that_says_nothing_is_refused():
  blind = TRUTH.copy()
  blind[0, 0] = np.nan
  for truth in (blind, np.zeros((1, 3, 2))):
    with pytest.raises(ValueError, match='no eyes or no mouth, or both in one place'):
      landmark_success.part_errors(truth, TRUTH)
  with pytest.raises(ValueError, match=r'expected \[n, 3, 2\] of both'):
    landmark_success.part_errors(TRUTH, TRUTH[:, :2])
