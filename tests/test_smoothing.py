"""The path of one face: smoothed crops hold what was detected."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from anon_jax.inference import crops
from anon_jax.inference.faces import Face
from anon_jax.inference.smoothing import Path

LANDMARKS = np.array([(-0.17, -0.1), (0.17, -0.1), (0.0, 0.06), (-0.12, 0.24), (0.12, 0.24)])


def face(x, y=100.0, side=40.0, angle=0.0, landmarks=True) -> Face:
  across = np.array([np.cos(angle), np.sin(angle)])
  points = LANDMARKS[:, :1] * across + LANDMARKS[:, 1:] * (-across[1], across[0])
  shown = tuple((x + float(a) * side, y + float(b) * side) for a, b in points)
  box = (x - 0.4 * side, y - side / 2, x + 0.4 * side, y + side / 2)
  return Face(box, 0.9, shown if landmarks else None)


def path(faces) -> Path:
  made = Path()
  for frame, each in enumerate(faces):
    if each is not None:
      made.add(frame, each, sure=True)
  return made


def holds(frame: crops.Frame, box) -> bool:
  corners = np.array([[x, y] for x in box[::2] for y in box[1::2]]) - frame.centre
  half = frame.side / 2 + 1e-6
  return bool(
    (abs(corners @ frame.across) <= half).all() and (abs(corners @ frame.down) <= half).all()
  )


faces = st.builds(
  face,
  st.floats(0, 300),
  st.floats(0, 300),
  st.floats(10, 120),
  st.floats(-3, 3),
  st.booleans(),
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.lists(faces, min_size=1, max_size=12), st.integers(0, 5))
def test_the_crop_of_a_smoothed_face_holds_the_whole_box_that_was_detected(found, radius):
  whole = path(found)
  for frame, each in enumerate(found):
    smooth = whole.smoothed(frame, radius, each.score)
    assert holds(crops.frame_of(smooth), each.box)
    assert smooth.score == each.score


def test_a_face_that_jumps_keeps_the_crop_of_its_detection():
  found = path([face(100)] * 5 + [face(300)] + [face(100)] * 5)
  np.testing.assert_allclose(found.smoothed(5, 4, 0.9).box, face(300).box, atol=7)


def test_a_face_that_moves_and_grows_steadily_stays_where_it_is():
  found = [face(50 + 7 * i, 100 - 3 * i, 40 + 2 * i) for i in range(12)]
  for frame, each in enumerate(found):
    smooth = path(found).smoothed(frame, 4, 0.9)
    np.testing.assert_allclose(smooth.box, each.box)
    np.testing.assert_allclose(smooth.landmarks, each.landmarks)


def test_smoothing_is_the_weighted_line_of_its_docstring():
  # Radius 1: weights 1/2, 1, 1/2 of 100, 104, 100; the line through them is level at 102.
  found = path([face(100), face(104), face(100)])
  assert found.smoothed(1, 1, 0.9).box[0] == pytest.approx(face(102).box[0])
  assert found.smoothed(1, 0, 0.9) == face(104)


def test_noise_is_reduced():
  rng = np.random.default_rng(0)
  found = [face(100 + x, 100 + y, 40) for x, y in rng.normal(0, 1, (60, 2))]
  smooth = [path(found).smoothed(i, 4, 0.9) for i in range(60)]
  raw, less = (np.array([each.landmarks for each in some]) for some in (found, smooth))
  assert abs(np.diff(less, 2, axis=0)).mean() < 0.15 * abs(np.diff(raw, 2, axis=0)).mean()


def test_landmarks_come_from_the_frames_that_have_any():
  found = path([face(100 + 2 * i, landmarks=i != 3) for i in range(7)])
  np.testing.assert_allclose(found.smoothed(3, 2, 0.9).landmarks, face(106).landmarks)
  assert path([face(1, landmarks=False)] * 3).smoothed(1, 2, 0.9).landmarks is None


def test_landmarks_that_contradict_their_box_do_not_count():
  wrong = Face(face(106).box, 0.9, face(300).landmarks)
  found = path([face(100 + 2 * i) if i != 3 else wrong for i in range(7)])
  np.testing.assert_allclose(found.smoothed(3, 2, 0.9).landmarks, face(106).landmarks)


def test_a_gap_is_interpolated_between_its_neighbours():
  found = path([face(100, side=40), None, None, None, face(140, side=60)])
  np.testing.assert_allclose(found.interpolated(1).box, face(110, side=45).box)
  np.testing.assert_allclose(found.interpolated(3).landmarks, face(130, side=55).landmarks)
  assert found.around(2) == (face(100, side=40), face(140, side=60))
  assert found.around(4) == (face(140, side=60),)


def test_velocities_are_those_of_the_last_and_first_three_detections():
  found = path([face(0), None, face(8), face(9), face(13), face(19)])
  np.testing.assert_allclose(found.velocity(at_end=False), (3, 0))
  np.testing.assert_allclose(found.velocity(at_end=True), (5, 0))
  np.testing.assert_allclose(path([face(7)]).velocity(at_end=True), (0, 0))


def test_what_is_forgotten_is_all_but_the_last_detection():
  found = path([face(float(i)) for i in range(6)])
  found.forget(4)
  assert (len(found), found.first, found.last) == (2, 4, 5)
  found.forget(90)
  assert (len(found), found.first) == (1, 5)
