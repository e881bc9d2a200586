"""Joints: sides, cuts and mirror images, and their heatmaps."""

import jax
import numpy as np
import pytest

from anon_jax.data import joints
from anon_jax.data.joint_heatmaps import heatmaps

NOSE, NECK = joints.NAMES.index('nose'), joints.NAMES.index('neck')
LEFT, RIGHT = (joints.NAMES.index(f'{side}_wrist') for side in ('left', 'right'))


def with_joint(place, x, y, confidence=1.0):
  body = joints.none()
  body[place] = x, y, confidence
  return body


def test_mirroring_swaps_sides_and_leaves_nose_and_neck():
  assert joints.MIRRORED[LEFT] == RIGHT
  assert joints.MIRRORED[NOSE] == NOSE
  assert joints.MIRRORED[NECK] == NECK
  np.testing.assert_array_equal(joints.MIRRORED[joints.MIRRORED], np.arange(18))


def test_a_left_wrist_is_a_right_one_at_the_other_side_of_the_mirror_image():
  mirrored = joints.mirrored(with_joint(LEFT, 10, 20), width=64)
  np.testing.assert_array_equal(mirrored, with_joint(RIGHT, 54, 20))


def test_mirroring_twice_changes_nothing():
  body = np.random.default_rng(0).uniform(0, 1, (18, 3)).astype(np.float32)
  np.testing.assert_allclose(joints.mirrored(joints.mirrored(body, 9), 9), body, atol=1e-6)


def test_a_cut_moves_and_scales_joints_and_leaves_unseen_ones_zero():
  moved = joints.moved(with_joint(NECK, 30, 50, 0.5), left=10, top=20, scale_x=2, scale_y=0.5)
  np.testing.assert_array_equal(moved, with_joint(NECK, 40, 15, 0.5))
  assert moved.dtype == np.float32


def test_a_heatmap_is_1_at_its_joint_and_falls_as_a_gaussian():
  maps = heatmaps(with_joint(NECK, 4.5, 10.5)[None], height=16, width=8, sigma=2.0)
  assert maps.shape == (1, 16, 8, 18)
  # Pixel (row 10, column 4) has its centre at the joint; two pixels are one sigma.
  assert maps[0, 10, 4, NECK] == 1
  np.testing.assert_allclose(maps[0, 12, 4, NECK], np.exp(-0.5), rtol=1e-6)
  np.testing.assert_allclose(maps[0, 12, 6, NECK], np.exp(-1.0), rtol=1e-6)


@pytest.mark.parametrize('body', [joints.none(), with_joint(NECK, 4, 4, 0.05)])
def test_joints_that_nobody_saw_have_maps_of_zeros(body):
  assert not heatmaps(body[None], height=8, width=4, sigma=1.0).any()


def test_only_the_map_of_the_seen_joint_is_drawn_also_within_jit():
  draw = jax.jit(heatmaps, static_argnames=('height', 'width'))
  body = np.stack([with_joint(NOSE, 1, 1), joints.none()])
  maps = np.asarray(draw(body, height=8, width=4, sigma=1.0))
  assert np.flatnonzero(maps[0].any(axis=(0, 1))).tolist() == [NOSE]
  assert not maps[1].any()
