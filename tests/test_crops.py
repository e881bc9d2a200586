"""Crops of faces: where they lie, what they show, and what is put back at which pixels."""

import dataclasses
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from anon_jax.inference import crops
from anon_jax.inference.faces import Face

# Eyes 20 px apart and 20 px above the mouth: d = 20, so the face box is 2.87 * 20 = 57.4 px high
# and the crop has 1.6 * 57.4 = 91.84 px; its centre is 0.3 * 20 = 6 px below the eyes.
UPRIGHT = ((40.0, 50.0), (60.0, 50.0), (50.0, 60.0), (42.0, 70.0), (58.0, 70.0))
SIDE = 91.84


def _frame(x, y, side, degrees=0.0):
  angle = math.radians(degrees)
  across = np.array([math.cos(angle), math.sin(angle)])
  return crops.Frame(np.array([x, y], float), side, across, np.array([-across[1], across[0]]))


def _in_crop(x, y, frame, size):
  """Returns to which column and row of the crop places of a picture belong, as floats."""
  x, y = x - frame.centre[0], y - frame.centre[1]
  scale = size / frame.side
  return (
    (x * frame.across[0] + y * frame.across[1]) * scale + size / 2,
    (x * frame.down[0] + y * frame.down[1]) * scale + size / 2,
  )


def _touching(mask, frame, width, height, samples=7):
  """Looks at many places in each pixel of a picture: is one in a masked pixel of the crop?"""
  places = np.linspace(1e-6, 1 - 1e-6, samples)
  x = (np.arange(width)[:, None] + places).ravel()
  y = (np.arange(height)[:, None] + places).ravel()
  columns, rows = (np.floor(v).astype(int) for v in _in_crop(x, y[:, None], frame, len(mask)))
  inside = (np.minimum(columns, rows) >= 0) & (np.maximum(columns, rows) < len(mask))
  hit = np.zeros(inside.shape, bool)
  hit[inside] = mask[rows[inside], columns[inside]]
  return hit.reshape(height, samples, width, samples).any((1, 3))


def _disc(size, reach=0.35):
  y, x = np.mgrid[:size, :size] + 0.5
  return np.hypot(x - size / 2, y - size / 2) < reach * size


def _smooth(width, height):
  y, x = np.mgrid[:height, :width]
  waves = [np.sin(x / 41 + c) + np.cos(y / 53 - c) for c in range(3)]
  return np.round(127 + 60 * np.stack(waves, -1)).astype(np.uint8)


def _turned(points, degrees):
  a = math.radians(degrees)
  turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
  return tuple((float(x), float(y)) for x, y in (np.array(points) - (50, 56)) @ turn.T + (50, 56))


@pytest.mark.parametrize('degrees', [0, 30, -77, 180])
def test_a_crop_turns_with_its_face(degrees):
  frame = crops.frame_of(Face((20.0, 25.0, 80.0, 87.0), 1.0, _turned(UPRIGHT, degrees)))
  wanted = _frame(50, 56, SIDE, degrees)
  np.testing.assert_allclose(frame.centre, wanted.centre, atol=1e-9)
  np.testing.assert_allclose(frame.side, SIDE)
  np.testing.assert_allclose(frame.across, wanted.across, atol=1e-9)
  np.testing.assert_allclose(frame.down, wanted.down, atol=1e-9)


def test_eyes_named_from_right_to_left_do_not_turn_the_crop_over():
  left, right, *others = UPRIGHT
  frame = crops.frame_of(Face((20.0, 25.0, 80.0, 87.0), 1.0, (right, left, *others)))
  np.testing.assert_allclose([*frame.across, *frame.down], [1, 0, 0, 1], atol=1e-9)


def test_without_landmarks_a_crop_is_upright_about_the_box():
  frame = crops.frame_of(Face((10.0, 20.0, 50.0, 70.0)))  # 40 x 50 pixels
  np.testing.assert_allclose(frame.centre, [30, 45])
  assert frame.side == 80
  np.testing.assert_array_equal([*frame.across, *frame.down, *frame.corner()], [1, 0, 0, 1, -10, 5])
  assert frame.bounds(60, 80) == (0, 5, 60, 80)


@pytest.mark.parametrize(
  ('box', 'points'),
  [
    ((60.0, 25.0, 120.0, 85.0), UPRIGHT),  # the crop's centre lies beside the box
    ((36.0, 42.0, 64.0, 70.0), UPRIGHT),  # 1.6 * 28 = 44.8 < 91.84 / 2
    ((0.0, 0.0, 120.0, 120.0), UPRIGHT),  # 1.6 * 120 = 192 > 2 * 91.84
    ((20.0, 25.0, 80.0, 87.0), ((50.0, 50.0), (50.0, 50.0), *UPRIGHT[2:])),
    ((20.0, 25.0, 80.0, 87.0), ((math.nan, 50.0), *UPRIGHT[1:])),
  ],
)
def test_landmarks_that_contradict_the_box_are_not_believed(box, points):
  face = Face(box, 1.0, points)
  alone = crops.frame_of(dataclasses.replace(face, landmarks=None))
  assert not crops.level(face)
  np.testing.assert_array_equal(crops.frame_of(face).centre, alone.centre)
  assert crops.frame_of(face).side == alone.side


def test_landmarks_that_differ_from_the_box_by_less_are_believed():
  for size in (29, 114):  # 1.6 * 29 = 46.4 > 91.84 / 2, 1.6 * 114 = 182.4 < 2 * 91.84
    face = Face((50.0 - size / 2, 56.0 - size / 2, 50.0 + size / 2, 56.0 + size / 2), 1.0, UPRIGHT)
    assert crops.level(face)
    np.testing.assert_allclose(crops.frame_of(face).side, SIDE)


@pytest.mark.parametrize('degrees', [0, 17, 90, 135, 180, -61])
@pytest.mark.parametrize('side', [10.0, 40.0, 107.0, 160.0])
def test_a_cut_gradient_is_the_geometrys(side, degrees):
  y, x = np.mgrid[:250, :250]
  frame = _frame(126.3, 123.8, side, degrees)
  crop = crops.cut(np.stack([x, y, 0 * x], -1).astype(np.uint8), frame, 40)
  offset = (np.arange(40) + 0.5 - 20) * side / 40
  # a pixel of the picture has its number as its value, and its centre half a pixel further
  for channel in (0, 1):
    along, across = frame.across[channel] * offset, frame.down[channel] * offset[:, None]
    wanted = frame.centre[channel] + along + across - 0.5
    wanted -= 0.5  # Pillow's bicubic transform rounds down
    np.testing.assert_allclose(crop[..., channel], wanted, atol=0.501 if side < 80 else 1.5)
  assert not crop[..., 2].any()


def test_beyond_the_picture_its_border_is_repeated():
  picture = np.zeros((20, 30, 3), np.uint8)
  picture[:, 0], picture[-1, 1:] = 200, 100
  crop = crops.cut(picture, _frame(0, 10, 40), 40)
  assert (crop[:, :20] == 200).all()
  assert (crop[32:, 23:] == 100).all()
  assert (crop[:28, 23:] == 0).all()


@pytest.mark.parametrize(
  ('x', 'y', 'rows', 'columns'),
  [
    (-3e5, 10, slice(None), 0),
    (3e5, 10, slice(None), -1),
    (15, -4e5, 0, slice(None)),
    (15, 9e5, -1, slice(None)),
    (9e5, -9e5, 0, -1),
  ],
)
def test_a_crop_beside_the_picture_shows_the_nearest_border_and_puts_nothing_back(
  x, y, rows, columns
):
  picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
  border = np.zeros_like(picture)  # only the border can be seen from there
  border[rows, columns] = picture[rows, columns]
  frame = _frame(x, y, 25, 10)
  crop = crops.cut(picture, frame, 32)
  np.testing.assert_array_equal(crop, crops.cut(border, frame, 32))
  assert crop.any()
  patch = crops.put_back(crop, np.ones((32, 32), bool), frame, 30, 20)
  assert patch.mask.size == 0
  before = picture.copy()
  patch.lay_over(picture)
  np.testing.assert_array_equal(picture, before)


FACES = {
  'middle': (200, 150),
  'left': (3, 150),
  'right': (398, 150),
  'top': (200, 2),
  'bottom': (200, 297),
  'corner': (1, 299),
}


@pytest.mark.parametrize('place', FACES)
@pytest.mark.parametrize(('side', 'degrees'), [(60, 0), (90.5, 33), (200, -120), (130, 180)])
def test_a_crop_put_back_restores_a_smooth_picture(place, side, degrees):
  picture = _smooth(400, 300)
  frame, mask = _frame(*FACES[place], side, degrees), _disc(64)
  patch = crops.put_back(crops.cut(picture, frame, 64), mask, frame, 400, 300)
  restored = np.zeros_like(picture)
  patch.lay_over(restored)
  covered = crops.touched(mask, frame, 400, 300)
  assert covered.any()
  np.testing.assert_array_equal((restored != 0).any(-1), covered)
  assert abs(restored[covered].astype(int) - picture[covered]).max() <= 4


def test_a_face_larger_than_the_picture_is_put_back():
  picture = _smooth(90, 70)
  frame = _frame(40, 40, 400, 12)
  patch = crops.put_back(crops.cut(picture, frame, 256), np.ones((256, 256), bool), frame, 90, 70)
  assert patch.mask.shape == (70, 90)
  assert patch.mask.all()
  assert abs(patch.pixels.astype(int) - picture).max() <= 8


def test_a_crop_with_more_pixels_than_the_picture_is_averaged():
  # A crop of a checkerboard, 8 pixels for one of the picture: grey, no matter where it is sampled.
  board = np.where(np.indices((64, 64)).sum(0) % 2, 255, 0).astype(np.uint8)
  painted = np.repeat(board[..., None], 3, -1)
  patch = crops.put_back(painted, np.ones((64, 64), bool), _frame(10.3, 9.6, 8, 5), 20, 20)
  inside = patch.pixels[3:-3, 3:-3]
  assert inside.size
  assert abs(inside.astype(int) - 128).max() <= 2


PLACES = {
  'x': st.floats(-10, 50),
  'y': st.floats(-10, 40),
  'side': st.floats(4, 90),
  'degrees': st.floats(-180, 180),
  'size': st.sampled_from([8, 16, 31]),
  'seed': st.integers(0, 99),
}


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(**PLACES)
def test_a_patch_covers_every_pixel_that_the_crops_mask_touches(x, y, side, degrees, size, seed):
  mask = np.random.default_rng(seed).random((size, size)) < 0.05
  frame = _frame(x, y, side, degrees)
  patch = crops.put_back(np.zeros((size, size, 3), np.uint8), mask, frame, 40, 30)
  picture = np.full((30, 40, 3), 255, np.uint8)
  patch.lay_over(picture)
  assert not picture[_touching(mask, frame, 40, 30)].any()


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(**PLACES)
def test_other_pixels_of_a_crop_do_not_depend_on_what_is_hidden(x, y, side, degrees, size, seed):
  rng = np.random.default_rng(seed)
  hidden = rng.random((30, 40)) < 0.03
  one = rng.integers(0, 256, (30, 40, 3), np.uint8)
  other = np.where(hidden[..., None], rng.integers(0, 256, (30, 40, 3), np.uint8), one)
  frame = _frame(x, y, side, degrees)
  differ = (crops.cut(one, frame, size) != crops.cut(other, frame, size)).any(-1)
  assert not (differ & ~crops.shows(hidden, frame, size)).any()


# The pixel's centre is at 200.5, those of the crop's pixels at 200.25 + (j - 15.5) * side / 32, and
# bicubic sampling reads less than two pixels far. At 64 pixels squares of two are averaged first:
# the one with the pixel has its centre at 201, and less than four pixels are read.
@pytest.mark.parametrize(('side', 'first', 'last'), [(32, 14, 17), (16, 13, 19), (64, 14, 17)])
def test_what_shows_a_pixel_is_what_bicubic_sampling_reads(side, first, last):
  hidden = np.zeros((400, 400), bool)
  hidden[200, 200] = True
  wanted = np.zeros((32, 32), bool)
  wanted[first : last + 1, first : last + 1] = True
  np.testing.assert_array_equal(crops.shows(hidden, _frame(200.25, 200.25, side), 32), wanted)


@pytest.mark.parametrize('shape', [(1, 1), (3, 2000), (2000, 3)])
@pytest.mark.parametrize('side', [5.0, 70.0, 5000.0, 1.6e6])
def test_pictures_of_any_shape_are_cut_and_put_back(shape, side):
  height, width = shape
  picture = np.full((height, width, 3), 90, np.uint8)
  frame = _frame(width * 0.6, height * 0.4, side, 20)
  crop = crops.cut(picture, frame, 32)
  assert (crop == 90).all()
  mask = np.ones((32, 32), bool)
  patch = crops.put_back(crop, mask, frame, width, height)
  assert (patch.pixels[patch.mask] == 90).all()
  covered = np.zeros(shape, bool)
  covered[patch.top :, patch.left :][: patch.mask.shape[0], : patch.mask.shape[1]] = patch.mask
  wanted = _touching(mask, frame, width, height)
  assert wanted.any()
  assert not (wanted & ~covered).any()


def test_growing_a_mask_reaches_all_eight_directions():
  mask = np.zeros((2, 5, 6), bool)
  mask[0, 2, 1] = True
  wanted = np.zeros((2, 5, 6), bool)
  wanted[0, 0:5, 0:4] = True
  np.testing.assert_array_equal(crops.grown(mask, 2), wanted)
  np.testing.assert_array_equal(crops.grown(mask, 0), mask)
  assert crops.grown(mask, 50)[0].all()
  assert not crops.grown(mask, 50)[1].any()
