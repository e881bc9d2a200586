"""Faces covered: all of a face at any border and turn, and by pixels that say what they should."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from anon_jax.inference import covering, crops
from anon_jax.inference.faces import Face


def _noise(width, height, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _covered(face, width, height, frame=None, mask=None):
  """Returns which pixels of a white picture a solid fill changes."""
  picture = np.full((height, width, 3), 255, np.uint8)
  frame = frame or crops.frame_of(face)
  covering.cover(picture, face, frame, 'fill', mask=mask).lay_over(picture)
  return (picture == covering.FILL).all(-1)


def test_a_box_is_covered_with_a_tenth_more_on_each_side():
  # The box is 40 x 50, so it reaches 4 and 5 pixels further: columns 26 to 73, rows 35 to 94. The
  # crop has 1.6 * 50 = 80 pixels and the square 0.7 * 80 = 56 about (50, 65): 22 to 77, 37 to 92.
  covered = _covered(Face((30.0, 40.0, 70.0, 90.0)), 120, 130)
  wanted = np.zeros((130, 120), bool)
  wanted[35:95, 26:74] = True
  wanted[37:93, 22:78] = True
  np.testing.assert_array_equal(covered, wanted)


@pytest.mark.parametrize('method', covering.METHODS)
@pytest.mark.parametrize(
  ('box', 'border'),
  [
    ((0.0, 30.0, 40.0, 80.0), (slice(30, 80), 0)),
    ((60.0, 30.0, 100.0, 80.0), (slice(30, 80), -1)),
    ((30.0, 0.0, 70.0, 50.0), (0, slice(30, 70))),
    ((30.0, 60.0, 70.0, 110.0), (-1, slice(30, 70))),
    ((59.5, 60.5, 99.5, 109.5), (slice(61, 110), -1)),
    ((-500.0, -400.0, 600.0, 700.0), (slice(None), slice(None))),
  ],
)
def test_the_outermost_rows_and_columns_are_covered(method, box, border):
  # Stripes of one pixel, which no method leaves as they are.
  picture = np.where(np.indices((110, 100)).sum(0) % 2, 255, 0).astype(np.uint8)[..., None]
  picture = np.repeat(picture, 3, -1)
  face, after = Face(box), picture.copy()
  covering.cover(picture, face, crops.frame_of(face), method).lay_over(after)
  assert (after != picture)[border].all()


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(
  left=st.floats(-60, 60),
  top=st.floats(-60, 60),
  width=st.floats(1, 80),
  height=st.floats(1, 80),
  degrees=st.floats(-180, 180),
)
def test_every_pixel_of_a_box_and_of_its_turned_square_is_covered(
  left, top, width, height, degrees
):
  face = Face((left, top, left + width, top + height))
  a = math.radians(degrees)
  across, down = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
  frame = crops.frame_of(face)
  frame = crops.Frame(frame.centre, frame.side, across, down)
  covered = _covered(face, 50, 40, frame)
  # seven places in each pixel and direction, the outermost ones close to its border
  places = np.linspace(1e-6, 1 - 1e-6, 7)
  x = (np.arange(50)[:, None] + places).ravel()
  y = (np.arange(40)[:, None] + places).ravel()[:, None]
  in_box = (x > left) & (x < left + width) & (y > top) & (y < top + height)
  x, y = x - frame.centre[0], y - frame.centre[1]
  in_square = np.maximum(abs(x * across[0] + y * across[1]), abs(x * down[0] + y * down[1]))
  inside = in_box | (in_square < 0.35 * frame.side)
  assert covered[inside.reshape(40, 7, 50, 7).any((1, 3))].all()


def test_a_face_beside_the_picture_covers_nothing():
  for box in [(-90.0, 5.0, -50.0, 45.0), (5.0, 200.0, 45.0, 240.0), (1e5, 1e5, 1.1e5, 1.1e5)]:
    assert not _covered(Face(box), 60, 60).any()


@pytest.mark.parametrize('method', covering.METHODS)
def test_a_mask_is_covered_too_wherever_it_lies(method):
  mask = np.zeros((100, 100), bool)
  mask[90:, 3], mask[0, 60:] = True, True
  picture, face = _noise(100, 100), Face((40.0, 40.0, 60.0, 60.0))
  after = picture.copy()
  covering.cover(picture, face, crops.frame_of(face), method, mask=mask).lay_over(after)
  changed = (after != picture).any(-1)
  assert changed[mask].mean() > 0.9  # a mean may happen to be what was there
  assert not changed[:30, :50].any()
  np.testing.assert_array_equal(
    _covered(face, 100, 100, mask=mask), _covered(face, 100, 100) | mask
  )
  assert np.array_equal(_covered(face, 100, 100, mask=mask & False), _covered(face, 100, 100))


def test_what_a_fill_shows_does_not_depend_on_the_face():
  face = Face((20.0, 20.0, 60.0, 70.0))
  patches = [
    covering.cover(picture, face, crops.frame_of(face), 'fill')
    for picture in (_noise(80, 90, 1), np.zeros((90, 80, 3), np.uint8))
  ]
  for patch in patches:
    assert (patch.pixels == 127).all()
  np.testing.assert_array_equal(patches[0].mask, patches[1].mask)


def test_pixels_of_a_block_are_its_mean():
  # A box of 80 pixels has a crop of 128: nothing is rescaled. With its margins it covers 96 pixels
  # from 92 on, six blocks of 16 in each direction.
  picture, face = _noise(300, 300), Face((100.0, 100.0, 180.0, 180.0))
  patch = covering.cover(picture, face, crops.frame_of(face), 'pixelate', block=16)
  assert (patch.left, patch.top, patch.mask.shape) == (92, 92, (96, 96))
  assert patch.mask.all()
  blocks = picture[92:188, 92:188].reshape(6, 16, 6, 16, 3).mean((1, 3))
  wanted = np.repeat(np.repeat(blocks, 16, 0), 16, 1)
  assert abs(patch.pixels - wanted).max() <= 1


def test_pixels_of_a_blur_are_means_of_the_square_about_them():
  picture, face = _noise(300, 300), Face((100.0, 100.0, 180.0, 180.0))
  patch = covering.cover(picture, face, crops.frame_of(face), 'blur', kernel=9)
  part = np.pad(picture[92:188, 92:188].astype(float), ((4, 4), (4, 4), (0, 0)), mode='edge')
  for row, column in [(0, 0), (40, 50), (95, 3)]:
    wanted = part[row : row + 9, column : column + 9].mean((0, 1))
    np.testing.assert_allclose(patch.pixels[row, column], wanted, atol=1)


@pytest.mark.parametrize(('size', 'block'), [(40, 8), (160, 32), (320, 64)])
def test_blocks_are_counted_at_128_pixels_a_crop(size, block):
  # A box of 160 pixels has a crop of 256: a block of 16 has 32 of its pixels.
  picture, face = _noise(700, 700), Face((200.0, 200.0, 200.0 + size, 200.0 + size))
  patch = covering.cover(picture, face, crops.frame_of(face), 'pixelate', block=16)
  changes = np.flatnonzero((patch.pixels[:, 1:] != patch.pixels[:, :-1]).any((0, 2))) + 1
  np.testing.assert_array_equal(changes, np.arange(block, 1.2 * size, block))


@pytest.mark.parametrize(('size', 'kernel'), [(40, 5), (160, 18), (320, 36)])
def test_a_kernel_is_counted_at_128_pixels_a_crop(size, kernel):
  # One white row spreads over as many rows as the kernel has: 9 * 160 / 80 = 18, and 9 * 40 / 80 =
  # 4.5 rounded up, to odd numbers, since a fraction falls on both sides.
  picture = np.zeros((700, 700, 3), np.uint8)
  row = 200 + size // 2
  picture[row] = 255
  face = Face((200.0, 200.0, 200.0 + size, 200.0 + size))
  patch = covering.cover(picture, face, crops.frame_of(face), 'blur', kernel=9)
  column = patch.pixels[:, size // 2, 0].astype(float)
  assert kernel <= np.count_nonzero(column) <= kernel + 1
  np.testing.assert_allclose(column.max(), 255 * 80 / (9 * size), atol=1)


@pytest.mark.parametrize('shape', [(1, 1), (3, 2000), (2000, 3), (7, 7)])
@pytest.mark.parametrize('method', ['pixelate', 'blur'])
@pytest.mark.parametrize('block', [2, 16, 64])
def test_no_pixel_survives_in_small_and_narrow_pictures(shape, method, block):
  height, width = shape
  picture = np.where(np.indices(shape).sum(0) % 2, 255, 0).astype(np.uint8)
  picture = np.repeat(picture[..., None], 3, -1)
  face = Face((-5.0, -5.0, width + 5.0, height + 5.0))
  patch = covering.cover(picture, face, crops.frame_of(face), method, block, 2 * block + 1)
  assert patch.mask.all()
  assert patch.pixels.shape == picture.shape
  if shape != (1, 1):  # one pixel is its own mean
    assert (patch.pixels != picture).all()
