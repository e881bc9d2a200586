"""tLP, landmark jitter, identity variance and exposed frames, on numbers worked by hand."""

import math

import numpy as np
import pytest

from anon_jax.evaluation.exposure import Exposure
from anon_jax.evaluation.identity_variance import IdentityVariance
from anon_jax.evaluation.landmark_jitter import compare, jitter
from anon_jax.evaluation.temporal_lpips import TemporalLpips, centre, summary


def _of(source, output, cut=0):
  found = TemporalLpips(lambda a, b: abs(b - a), cut)
  for pair in zip(source, output, strict=True):
    found.add(*pair)
  return found.result()


def test_tlp_is_the_difference_of_consecutive_distances():
  # steps of the input 1, 2, 0 and of the output 1, 0, 5: differences 0, 2, 5
  found = _of([0, 1, 3, 3], [7, 8, 8, 3])
  assert found == {
    'pairs': 3,
    'tlp': pytest.approx(7 / 3),
    'tlp100': pytest.approx(700 / 3),
    'consecutive': 2.0,
    'consecutive_input': 1.0,
  }


def test_a_video_that_was_not_changed_has_no_tlp_and_its_own_consecutive_distance():
  found = _of([0, 1, 3], [0, 1, 3])
  assert (found['tlp'], found['consecutive'], found['consecutive_input']) == (0, 1.5, 1.5)


def test_frames_at_both_ends_can_be_left_out_as_tecogan_does():
  source, output = [0] * 8, [9, 0, 0, 0, 1, 1, 1, 9]
  # of the frames 0..7, 2..5 are kept: pairs (2, 3), (3, 4), (4, 5), and one step of 1 in them
  assert _of(source, output, 2) == pytest.approx(summary([[0, 0], [0, 1], [0, 0]]))
  assert math.isnan(_of([0, 1], [0, 1], 2)['tlp'])
  assert math.isnan(_of([], [])['consecutive'])


def test_means_are_taken_in_float64():
  rows = np.array([[0, 1e8]] + [[0, 1]] * 1000, np.float32)
  assert summary(rows)['consecutive'] == (1e8 + 1000) / 1001


def test_tecogans_centre_has_sides_of_32_and_leaves_at_least_16_pixels():
  # 128: 128 and 96 are multiples of 32, and 128 > 128 - 16; 144 - 16 = 128 fits
  for side, kept in ((128, 96), (144, 128), (143, 96), (256, 224), (48, 32)):
    assert centre(np.zeros((side, 300, 3))).shape[:2] == (kept, 256)
  ramp = np.arange(128)[:, None] * np.ones((1, 128))
  assert centre(ramp)[0, 0] == 16
  with pytest.raises(ValueError, match='47 x 60 has no centre of 32'):
    centre(np.zeros((60, 47)))


def _line(*xs):
  """One landmark that moves along a line."""
  return np.array([[[x, 5.0]] for x in xs])


def test_jitter_is_the_second_difference_in_sizes_of_the_face():
  # 0 - 2 * 3 + 2 = -4, 3 - 2 * 2 + 5 = 4; sizes of the middle frames
  np.testing.assert_allclose(jitter(_line(0, 3, 2, 5), [1, 8, 16, 1]), [0.5, 0.25])
  np.testing.assert_allclose(jitter(_line(1, 3, 5, 7), np.full(4, 9)), [0, 0], atol=1e-15)
  assert jitter(_line(1, 2), [1, 1]).shape == (0,)
  # of two landmarks, one rests and one has (3, 4) too much once: lengths 0 and 2 * 5
  points = np.zeros((3, 2, 2))
  points[1, 1] = 3, 4
  np.testing.assert_allclose(jitter(points, [1, 10, 1]), [0.5])


def test_jitter_of_an_output_stands_beside_that_of_its_input():
  source, output = _line(0, 1, 2, 3, 4), _line(10, 11, 14, 13, 14)
  # second differences of the output: 10-22+14=2, 11-28+13=-4, 14-26+14=2
  found = compare(source, output, np.full(5, 2.0))
  assert found == {'frames': 3, 'missing': 0, 'input': 0, 'output': 4 / 3, 'added': 4 / 3}
  output[0] = np.nan
  assert compare(source, output, np.full(5, 2.0)) | {'input': 0} == {
    'frames': 2, 'missing': 1, 'input': 0, 'output': 1.5, 'added': 1.5,
  }  # fmt: skip
  output[:] = np.nan
  assert math.isnan(compare(source, output, np.full(5, 2.0))['output'])


def test_jitter_refuses_what_does_not_go_together():
  with pytest.raises(ValueError, match=r'expected \[n, k, 2\] and \[n\]'):
    jitter(np.zeros((4, 5, 2)), np.ones(3))


def test_identity_variance_is_the_mean_of_one_minus_cosine_to_the_mean():
  variance = IdentityVariance()
  variance.add([3.0, 0.0])
  assert variance.result() == 0
  variance.add(np.array([0.0, 0.5], np.float32))
  # two unit vectors at right angles: both have cosine sqrt(1/2) to their mean
  assert variance.result() == pytest.approx(1 - math.sqrt(0.5))
  assert variance.frames == 2
  rng = np.random.default_rng(0)
  rows = rng.normal(size=(50, 8)) + 1
  whole = IdentityVariance()
  for part in np.split(rows, [1, 20]):
    whole.add(part)
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  mean = unit.mean(0) / np.linalg.norm(unit.mean(0))
  assert whole.result() == pytest.approx(np.mean(1 - unit @ mean))
  assert math.isnan(IdentityVariance().result())


def test_identity_variance_refuses_embeddings_without_length_or_of_another_network():
  variance = IdentityVariance()
  variance.add(np.ones(4))
  with pytest.raises(ValueError, match=r'expected \[n, 4\]'):
    variance.add(np.ones(5))
  for bad in (np.zeros(4), np.full(4, np.nan)):
    with pytest.raises(ValueError, match='leave that frame out'):
      variance.add(bad)
  assert variance.frames == 1


def test_a_frame_is_exposed_where_a_face_has_a_pixel_that_is_not_covered():
  faces = np.zeros((2, 4, 4), bool)
  faces[0, :2, :2] = faces[1, 2:, 2:] = True
  covered = faces.any(0)
  found = Exposure()
  assert found.add(faces, covered) == 0
  covered = covered.copy()
  covered[3, 3] = False  # a quarter of the second face
  assert found.add(faces, covered) == 1
  assert found.add(faces, np.zeros((4, 4), bool)) == 2
  assert found.add(np.zeros((0, 4, 4), bool), covered) == 0
  assert found.add(np.zeros((1, 4, 4), bool), covered) == 0  # beside the picture
  assert (found.frames, found.faces, found.exposed_frames, found.exposed_faces) == (5, 6, 2, 3)
  assert (found.first, found.worst) == (1, 1.0)


def test_a_tolerance_leaves_a_share_of_a_face_uncovered():
  face = np.ones((1, 2, 2), bool)
  covered = np.array([[True, True], [True, False]])
  found = Exposure(tolerance=0.25)
  assert found.add(face, covered) == 0
  assert (found.exposed_frames, found.worst) == (0, 0.25)
  with pytest.raises(ValueError, match=r'expected \[n, h, w\] and \[h, w\]'):
    found.add(face, covered[:1])
