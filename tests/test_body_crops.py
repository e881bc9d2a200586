"""Crops of persons: their shape, their place, and what lies beyond the picture."""

import numpy as np
import pytest

from anon_jax.data import body_crops, joints

NECK = joints.NAMES.index('neck')


def test_the_box_of_a_mask_holds_all_of_it_and_no_more():
  mask = np.zeros((9, 9), bool)
  mask[2:5, 3:8] = True
  assert body_crops.mask_box(mask) == (3, 2, 8, 5)
  assert body_crops.mask_box(~np.ones((9, 9), bool)) is None


def test_unlabelled_pixels_are_no_person():
  assert body_crops.person_box(np.full((4, 4), 255, np.uint8)) is None


def test_a_high_box_fills_85_hundredths_of_the_height_of_the_crop():
  # 170 / .85 = 200 for the crop, x 1.25 = 250 stored, 125 wide, around (50, 85).
  region = body_crops.stored_region((30, 0, 70, 170))
  assert (region.width, region.height) == (125, 250)
  assert (region.left, region.top) == (-12, -40)
  crop_height = region.height * body_crops.CROP
  assert 170 / crop_height == pytest.approx(0.85)


def test_a_wide_box_fills_85_hundredths_of_the_width_of_the_crop():
  region = body_crops.stored_region((0, 40, 170, 60))
  assert region.height == 2 * region.width
  assert 170 / (region.width * body_crops.CROP) == pytest.approx(0.85, rel=0.01)
  assert abs(region.left + region.width / 2 - 85) <= 0.5
  assert abs(region.top + region.height / 2 - 50) <= 0.5


@pytest.mark.parametrize('box', [(0, 0, 1, 1), (5, 5, 6, 90), (0, 7, 301, 8)])
def test_every_region_is_exactly_twice_as_high_as_wide(box):
  region = body_crops.stored_region(box)
  assert region.height == 2 * region.width > 0


def test_a_person_at_the_border_is_cut_with_the_border_repeated_and_unlabelled():
  picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
  body_map = np.zeros((40, 30), np.uint8)
  body_map[0:34, 0:10] = 1
  joint = joints.none()
  joint[NECK] = 4, 8, 1
  region = body_crops.stored_region((0, 0, 10, 34))
  assert (region.left, region.top, region.width, region.height) == (-8, -8, 25, 50)
  crop = body_crops.cut_person(picture, body_map, joint, region)
  assert crop.image.shape == (50, 25, 3)
  np.testing.assert_array_equal(crop.image[8:48, 8:], picture[:, :17])
  np.testing.assert_array_equal(crop.image[8:48, 0], picture[:, 0])
  np.testing.assert_array_equal(crop.body_map[:8], 255)
  np.testing.assert_array_equal(crop.body_map[:, :8], 255)
  np.testing.assert_array_equal(crop.body_map[8:42, 8:18], 1)
  np.testing.assert_array_equal(crop.joints[NECK], [12, 16, 1])
  assert not np.delete(crop.joints, NECK, axis=0).any()
