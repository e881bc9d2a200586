"""Landmarks and poses: by hand, turned models, procedural heads, and labelled photographs."""

import re

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import procedural
from anon_jax.evaluation import preservation
from anon_jax.evaluation.preservation import (
  interocular,
  landmark_errors,
  landmark_preservation,
  pose_preservation,
  poses,
)

FACE = np.array([[30.0, 40], [70, 40], [50, 62], [32, 80], [68, 80]])
NOWHERE = np.full((5, 2), np.nan)


def _turned(yaw, pitch, roll, scale=40.0, shift=(100, 90)):
  """The model's points after a turn by yaw, then pitch, then roll, seen from afar."""
  y, p, r = np.radians((yaw, pitch, roll))
  about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
  about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
  about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
  return scale * (preservation._MODEL @ (about_z @ about_x @ about_y).T)[:, :2] + shift


def test_landmark_errors_worked_by_hand():
  moved = FACE.copy()
  moved[0] += (3, 4)  # one of five points by 5 pixels; the eyes are 40 apart
  error = landmark_errors([FACE, FACE], [moved, FACE], interocular([FACE, FACE]))
  np.testing.assert_allclose(error, [5 / 5 / 40, 0])
  by_box = landmark_errors([FACE], [moved], [100])
  np.testing.assert_allclose(by_box, [0.01])


def test_faces_that_are_lost_are_counted_and_not_averaged():
  sources, outputs = [FACE, FACE, NOWHERE], [FACE + 4, NOWHERE, FACE]
  found = landmark_preservation(sources, outputs, [40, 40, np.nan])
  assert (found['faces'], found['lost'], found['without']) == (1, 1, 1)
  assert found['error']['mean'] == pytest.approx(4 * np.sqrt(2) / 40)
  pose = pose_preservation(sources, outputs)
  assert (pose['faces'], pose['lost'], pose['without']) == (1, 1, 1)
  assert np.isnan(pose['yaw']['chance'])  # nobody else's output
  assert np.isnan(landmark_preservation([FACE], [NOWHERE], [40])['error']['mean'])


@pytest.mark.parametrize('pose', [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, 50), (-40, 15, -100)])
def test_the_pose_of_a_turned_model_is_found_whatever_its_size_and_place(pose):
  points = [_turned(*pose), _turned(*pose, scale=3, shift=(-7, 900))]
  np.testing.assert_allclose(poses(points), [pose, pose], atol=1e-9)


def test_a_mirrored_face_looks_the_other_way():
  face = _turned(25, -10, 8)
  mirrored = ((200, 0) + face * (-1, 1))[[1, 0, 2, 4, 3]]
  np.testing.assert_allclose(poses([mirrored]), [[-25, -10, -8]], atol=1e-9)


def test_a_little_noise_moves_the_pose_a_little():
  rng = np.random.default_rng(0)
  noisy = _turned(20, 5, -5) + rng.normal(0, 0.4, (200, 5, 2))  # 1 % of the eyes' distance
  errors = poses(noisy) - (20, 5, -5)
  assert np.abs(errors.mean(0)).max() < 0.5
  assert np.all(errors.std(0) < 4), errors.std(0)


def test_pose_differences_worked_by_hand_with_their_chance_level():
  sources = [_turned(yaw, 0, 0) for yaw in (-30, 0, 30)]
  outputs = [_turned(yaw + 3, -2, 0) for yaw in (-30, 0, 30)]
  found = pose_preservation(sources, outputs)
  assert found['yaw']['mean'] == pytest.approx(3)
  assert found['pitch']['mean'] == pytest.approx(2)
  # in a circle of three, either way round: |a - b| of 30, 30 and 60, each plus or minus 3
  assert found['yaw']['chance'] == pytest.approx(40, abs=3)
  assert found['pitch']['chance'] == pytest.approx(2)
  assert found['roll']['mean'] == pytest.approx(0, abs=1e-9)


def test_roll_is_compared_around_the_circle():
  found = pose_preservation([_turned(0, 0, 178)], [_turned(0, 0, -178)])
  assert found['roll']['mean'] == pytest.approx(4)


def test_people_are_drawn_as_wholes_for_the_intervals():
  sources = np.stack([FACE] * 20)
  outputs = sources + np.repeat([0.0, 4.0], 10)[:, None, None]
  wide = landmark_preservation(sources, outputs, [40] * 20, np.repeat([0, 1], 10))['error']
  narrow = landmark_preservation(sources, outputs, [40] * 20)['error']
  assert wide['low'] == 0 < narrow['low'] < narrow['mean'] == wide['mean']
  turned = np.stack([_turned(yaw, 0, 0) for yaw in np.repeat([0.0, 10.0], 10)])
  still = np.stack([_turned(0, 0, 0)] * 20)
  yaw = pose_preservation(still, turned, groups=np.repeat([0, 1], 10))['yaw']
  assert (yaw['low'], yaw['high']) == pytest.approx((0, 10), abs=1e-9)


def test_the_signs_are_those_of_procedural_heads():
  """Its heads have other proportions, so only the order of the angles is theirs."""
  drawn = [procedural.sample_parameters(3, number) for number in range(40)]
  known = np.array([[getattr(face, angle) for angle in preservation.ANGLES] for face in drawn])
  found = poses([procedural.render(face, 48).landmarks for face in drawn])
  for column, least in enumerate((0.9, 0.5, 0.9)):
    assert np.corrcoef(known[:, column], found[:, column])[0, 1] > least, preservation.ANGLES[
      column
    ]


def test_labelled_photographs_have_about_their_yaw(real_data):
  from anon_jax.inference import detection

  find = detection.load_detector(threshold=0.3, rotations=(0,))
  rows = []
  for path in sorted((real_data / 'fasseg' / 'images').glob('v3_p0[89]_s1_yaw*')):
    label = int(re.search(r'yaw([+-]\d+)', path.name)[1])
    if abs(label) <= 60:
      faces = find(np.asarray(Image.open(path).convert('RGB')))
      rows.append((label, faces[0].landmarks))
  labels, found = np.array([label for label, _ in rows]), poses([points for _, points in rows])
  assert len(rows) >= 8
  # there, a positive yaw is to the left; over all 15 people the error is 6.1 degrees
  assert np.abs(found[:, 0] + labels).mean() < 8
  assert np.corrcoef(found[:, 0], -labels)[0, 1] > 0.97
  assert np.abs(found[:, 2]).mean() < 8


def test_what_cannot_be_measured_is_refused():
  with pytest.raises(ValueError, match=r'shape \(5, 2\); expected \[n, 5, 2\]'):
    poses(FACE)
  with pytest.raises(ValueError, match='2 sources and 1 outputs'):
    pose_preservation([FACE, FACE], [FACE])
  with pytest.raises(ValueError, match=r'sizes of shape \(2,\); expected n'):
    landmark_errors([FACE], [FACE], [1, 1])
  with pytest.raises(ValueError, match='no size above 0'):
    landmark_errors([FACE], [FACE], [0])
  assert np.isnan(poses([NOWHERE, np.ones((5, 2))])).all()
  assert poses(np.zeros((0, 5, 2))).shape == (0, 3)
