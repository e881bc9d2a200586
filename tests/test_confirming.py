"""Large faces in doubt are looked at again, closer; what is no face is left out of clips."""

import numpy as np
import pytest
from skimage import data

from anon_jax.inference import detection
from anon_jax.inference.centerface import Candidates
from anon_jax.inference.confirming import confirmed
from anon_jax.inference.detection import CenterFace
from anon_jax.inference.faces import Face
from anon_jax.inference.looks import GLANCE, PHOTOGRAPH, SEARCH

NOTHING = Candidates(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)), np.zeros(0))
BOX = (100.0, 60.0, 200.0, 180.0)
PICTURE = np.zeros((300, 400, 3), np.uint8)
PICTURE[60:180, 100:200] = 200
PICTURE[60:90, 100:130] = 255, 0, 0  # the left top corner of the face


def _finder(score, sides, turn):
  """Finds the grey box where the red corner is in that place of the turned window."""

  def find(window, threshold):
    sides.append(window.shape[:2])
    rows, columns = np.nonzero(window.min(-1) > 160)
    red = np.argwhere((window[..., 0] > 200) & (window[..., 1] < 60)).mean(0)
    middle = np.array([rows.mean(), columns.mean()])
    if tuple(red > middle) != {0: (False, False), 90: (True, False)}[turn]:
      return NOTHING
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return Candidates(np.array([box], float), np.array([score]), np.zeros((1, 5, 2)), np.ones(1))

  return find


@pytest.mark.parametrize('turn', [0, 90])
def test_a_face_is_looked_at_with_80_and_120_pixels_in_four_turns(turn):
  sides = []
  found = confirmed(Face(BOX, 0.3), PICTURE, _finder(0.2, sides, turn))
  assert found == Face(BOX, 0.3, confirmed=0.2)
  assert sides == [(256, 256)] * 4 + [(384, 384)] * 4


def test_no_further_look_is_taken_once_one_is_sure():
  sides = []
  assert confirmed(Face(BOX, 0.3), PICTURE, _finder(0.4, sides, 90)).confirmed == 0.4
  assert len(sides) == 2


def test_what_lies_beside_the_box_does_not_confirm_it():
  def find(window, threshold):
    boxes = np.array([[0, 0, 90, 90], [100, 100, 130, 130]], float)  # beside it, and a part of it
    return Candidates(boxes, np.full(2, 0.9), np.zeros((2, 5, 2)), np.ones(2))

  assert confirmed(Face(BOX, 0.3), PICTURE, find).confirmed == 0


def test_a_surer_face_beside_does_not_confirm_a_shifted_box_about_it():
  def find(window, threshold):
    sides.append(window.shape[:2])
    scale = len(window) / 256
    box = np.array([[90, 75, 150, 150]], float) * scale if len(sides) % 4 == 1 else np.zeros((0, 4))
    score = np.full(len(box), 0.9)
    return Candidates(box, score, np.zeros((len(box), 5, 2)), np.ones(len(box)))

  sides, face = [], Face(BOX, 0.3)
  # 120 pixels of the box are 80 of the window, whose corner is at (-42, -72)
  other = Face((93, 40.5, 183, 153), 0.9)
  assert confirmed(face, PICTURE, find).confirmed == 0.9
  sides.clear()
  assert confirmed(face, PICTURE, find, [other]).confirmed == 0
  assert len(sides) == 8
  far = Face((150, 153, 240, 265), 0.9)
  sides.clear()
  assert confirmed(face, PICTURE, find, [far]).confirmed == 0.9


@pytest.mark.parametrize('face', [Face(BOX, 0.6), Face((10, 10, 50, 73), 0.2)])
def test_sure_and_small_faces_need_no_closer_look(face):
  assert confirmed(face, PICTURE, None) is face


def test_clips_are_looked_at_closer_and_photographs_are_not():
  def find(window, threshold):
    box = np.array([[50, 50, 150, 150]], float)
    return Candidates(box, np.array([0.3]), np.zeros((1, 5, 2)), np.ones(1))

  detector = CenterFace(find, rotations=(0,))
  picture = np.zeros((200, 200, 3), np.uint8)
  for look, closer in ((PHOTOGRAPH, False), (SEARCH, True), (GLANCE, True)):
    found = detector.at(look)(picture)
    assert any(face.confirmed < 1 for face in found) is closer


@pytest.mark.parametrize(
  ('box', 'least', 'most'), [((170, 60, 275, 170), 0.3, 1), ((280, 200, 400, 340), 0, 0.05)]
)
def test_a_real_face_is_confirmed_and_a_suit_is_not(box, least, most):
  find = detection.load_detector().find
  assert least <= confirmed(Face(box, 0.2), data.astronaut(), find).confirmed <= most


def test_a_real_face_that_reaches_beyond_the_picture_is_confirmed():
  find, face = detection.load_detector().find, Face((-30, 60, 75, 170), 0.2)
  assert confirmed(face, np.ascontiguousarray(data.astronaut()[:, 200:]), find).confirmed >= 0.3
