"""Which track a detection continues."""

import pytest

from anon_jax.inference import association
from anon_jax.inference.faces import Face

LANDMARKS = ((-0.17, -0.1), (0.17, -0.1), (0.0, 0.06), (-0.12, 0.24), (0.12, 0.24))


def face(x: float, side: float = 40, turned: bool = False) -> Face:
  points = [(-b, a) if turned else (a, b) for a, b in LANDMARKS]
  box = (x - side / 2, 100 - side / 2, x + side / 2, 100 + side / 2)
  return Face(box, 0.9, tuple((x + a * side, 100 + b * side) for a, b in points))


def pairs(expected, faces, reach=1.0):
  return association.pairs([(each, each) for each in expected], [reach] * len(expected), faces)


def test_without_tracks_or_detections_there_are_no_pairs():
  assert pairs([], [face(0)]) == {} and pairs([face(0)], []) == {}


def test_the_best_pair_goes_first_and_nothing_is_paired_twice():
  # The second track is 4 pixels from the detection at 24, the first one 24.
  assert pairs([face(0), face(20)], [face(24), face(30)]) == {0: 1, 1: 0}
  assert pairs([face(0), face(20)], [face(21)]) == {0: 1}


def test_landmarks_tell_faces_with_the_same_box_apart():
  assert pairs([face(0), face(0, turned=True)], [face(1, turned=True), face(1)]) == {0: 1, 1: 0}


def test_size_tells_faces_with_the_same_centre_apart():
  assert pairs([face(0, 40), face(0, 60)], [face(0, 58), face(0, 41)]) == {0: 1, 1: 0}


def test_a_face_without_landmarks_is_paired_by_its_box():
  plain = Face(face(3).box)
  assert pairs([face(0)], [plain]) == {0: 0} and pairs([plain], [face(0)]) == {0: 0}


def test_the_best_of_the_places_where_a_face_is_expected_counts():
  assert association.pairs([(face(200), face(0))], [1.0], [face(5)]) == {0: 0}


def test_beyond_its_reach_or_of_twice_the_size_no_track_is_continued():
  assert pairs([face(0)], [face(39)]) == {0: 0} and pairs([face(0)], [face(41)]) == {}
  assert pairs([face(0)], [face(0, 79)]) == {0: 0} and pairs([face(0)], [face(0, 81)]) == {}


def test_the_reach_grows_with_missed_frames_up_to_a_limit():
  assert association.reach(0, steady=True) == 0.7
  assert association.reach(2, steady=True) == pytest.approx(1.3)
  assert association.reach(9, steady=True) == 2.0
  assert association.reach(0, steady=False) == pytest.approx(1.2)


def test_a_detection_surely_continues_a_track_where_the_boxes_overlap():
  # Shifted by 17 of 40 pixels: 23 / 57 are shared; by 18: 22 / 58.
  assert association.sure((face(200), face(0)), face(17))
  assert not association.sure((face(200), face(0)), face(18))
