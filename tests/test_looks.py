"""Which frames of a clip are searched how thoroughly."""

import numpy as np
import pytest

from anon_jax.inference import detection
from anon_jax.inference.centerface import Candidates
from anon_jax.inference.detection import CenterFace
from anon_jax.inference.faces import Face
from anon_jax.inference.looks import GLANCE, LATE, PHOTOGRAPH, SEARCH, Outlook

HD = (1280, 720)
TURNED, TINY = SEARCH._replace(tiny=False), SEARCH._replace(turned=False)


def _face(height, turn=0.0):
  """A face of a height whose eyes are turned by degrees."""
  points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0.0], [-0.15, 0.2], [0.15, 0.2]]) * height
  cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
  points = points @ np.array([[cos, sin], [-sin, cos]]) + 300
  half = height / 2
  box = (300 - half * 0.8, 300 - half, 300 + half * 0.8, 300 + half)
  return Face(box, 0.9, tuple((float(x), float(y)) for x, y in points))


def _looks(faces, count=61, size=HD, late=1):
  """The looks of frames in all of which such faces are found, `late` frames after each."""
  outlook, found = Outlook(), []
  for number in range(count):
    found.append(outlook.next(size))
    if number >= late - 1:
      outlook.learn(faces)
  return found


def test_after_the_first_frame_searches_for_turned_and_for_tiny_faces_alternate():
  found = _looks([_face(200)], 31)
  assert {number: look for number, look in enumerate(found) if not look.glance} == {
    0: SEARCH, 5: TINY, 10: TURNED, 15: TINY, 20: TURNED, 25: TINY, 30: TURNED
  }  # fmt: skip


def test_a_face_is_turned_from_30_degrees_on():
  for turn, wanted in ((25, False), (-25, False), (35, True), (-90, True), (180, True)):
    assert _looks([_face(200, turn)], 26)[25].turned is wanted


@pytest.mark.parametrize(
  ('face', 'kind'),
  [
    (_face(200, 60), 'turned'),
    (Face((0, 0, 90, 90), 0.9), 'turned'),  # nobody knows how it is turned
    (_face(20), 'tiny'),
  ],
)
def test_what_one_kind_of_search_finds_is_searched_for_every_time_once_it_is_known(face, kind):
  found = _looks([_face(200), face], 41)
  assert [found[5], found[10], found[15]] == [TINY, TURNED, TINY]
  assert all(getattr(found[number], kind) for number in range(20, 41, 5))
  other, first = ('tiny', False) if kind == 'turned' else ('turned', True)
  assert [getattr(found[n], other) for n in range(20, 41, 5)] == [first, not first] * 2 + [first]


def test_glances_are_as_small_as_the_least_known_face_allows_and_whole_until_one_is_known():
  pixels = HD[0] * HD[1]
  for height, wanted in ((20, 1_000_000), (40, pixels * 0.64), (200, 250_000)):
    found = _looks([_face(height), _face(300)])
    assert found[LATE - 2].glance == found[1].glance == 1_000_000
    assert found[17].glance == found[59].glance == pytest.approx(wanted)
  assert {look.glance for look in _looks([])} == {0, 1_000_000}


def test_a_face_that_is_gone_is_forgotten():
  outlook = Outlook()
  for number in range(100):
    outlook.next(HD)
    outlook.learn([_face(200)] + [_face(20)] * (number < 30))
  assert outlook.next(HD).tiny is False  # frame 100
  assert outlook.next(HD).glance == 250_000


@pytest.mark.parametrize('late', [2, LATE - 1])
def test_what_is_learnt_later_changes_nothing_up_to_a_limit(late):
  faces = [_face(20), _face(200, 80)]
  assert _looks(faces, late=late) == _looks(faces)


def _sizes(look, shape=(720, 1280), **settings):
  """Sides of the windows that a detector looks at, and the thresholds."""
  seen = []

  def find(pixels, threshold):
    seen.append((pixels.shape[:2], round(threshold, 3)))
    return Candidates(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)), np.zeros(0))

  assert CenterFace(find, **settings).at(look)(np.zeros((*shape, 3), np.uint8)) == []
  return seen


def test_a_glance_is_one_upright_view():
  assert _sizes(GLANCE) == [((736, 1312), 0.15)]
  # half a megapixel of 0.92: sides times 0.74; there only what is surer counts
  assert _sizes(GLANCE._replace(glance=500_000)) == [((576, 960), 0.3)]


def test_a_look_for_turned_faces_enlarges_nothing_and_one_for_tiny_ones_turns_nothing():
  whole, turned, tiny = (_sizes(look) for look in (PHOTOGRAPH, TURNED, TINY))
  assert max(max(size) for size, _ in turned) == 1312
  assert sum(size == (1312, 736) for size, _ in turned) == 2  # on its sides
  assert not any(size == (1312, 736) for size, _ in tiny)
  enlarged = [row for row in whole if row not in turned]
  assert enlarged and all(row in tiny for row in enlarged)


def test_a_detectors_own_settings_bound_every_look():
  detector = CenterFace(lambda *_: None, 0.4, (0, 90), 300_000, 1.5, overview=False)
  assert detector.at(PHOTOGRAPH) is detector
  assert detector.at(TURNED).rotations == (0, 90)
  glance = detector.at(GLANCE._replace(glance=400_000))
  assert (glance.max_pixels, glance.threshold, glance.overview) == (300_000, 0.5, False)
  assert detection.load_detector(max_enlargement=1.5).at(TINY).max_enlargement == 1.5
