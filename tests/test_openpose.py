"""OpenPose's files, and whose pose is which."""

import json

import numpy as np
import pytest

from anon_jax.data import joints, openpose
from anon_jax.data.errors import DatasetError


def write(path, *people):
  people = [{'pose_keypoints_2d': [float(n) for n in numbers]} for numbers in people]
  path.write_text(json.dumps({'version': 1.3, 'people': people}))
  return path


def pose(*points):
  """A pose whose first joints are at the points."""
  result = joints.none()
  for place, (x, y) in enumerate(points):
    result[place] = x, y, 1
  return result


def test_coco_is_read_as_it_is_and_body_25_without_hips_middle_and_feet(tmp_path):
  coco = np.arange(54) + 1
  body_25 = np.arange(75) + 1
  poses = openpose.read_poses(write(tmp_path / 'a.json', coco, body_25))
  np.testing.assert_array_equal(poses[0], coco.reshape(18, 3))
  rows = body_25.reshape(25, 3)
  # OpenPose's own list: 1 neck, 7 left wrist, 9 right hip, 12 left hip, 18 left ear.
  for name, place in [('neck', 1), ('left_wrist', 7), ('right_hip', 9), ('left_hip', 12)]:
    np.testing.assert_array_equal(poses[1, joints.NAMES.index(name)], rows[place])
  np.testing.assert_array_equal(poses[1, joints.NAMES.index('left_ear')], rows[18])


def test_a_picture_without_people_has_no_poses(tmp_path):
  assert openpose.read_poses(write(tmp_path / 'a.json')).shape == (0, 18, 3)


def test_a_joint_of_confidence_0_is_all_zeros(tmp_path):
  numbers = [5, 6, 0] + [7, 8, 0.5] * 17
  poses = openpose.read_poses(write(tmp_path / 'a.json', numbers))
  np.testing.assert_array_equal(poses[0, :2], [[0, 0, 0], [7, 8, 0.5]])


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('', r"a\.json cannot be read as OpenPose's output .*run OpenPose again"),
    ('[]', r'cannot be read .*expected \{"people": '),
    ('{"people": [{"pose": []}]}', r'cannot be read .*pose_keypoints_2d'),
    ('{"people": [{"pose_keypoints_2d": ["x"]}]}', 'cannot be read'),
    ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', r'person 0 has 3 numbers; expected 75 '),
    ('{"people": [{"pose_keypoints_2d": []}]}', r'person 0 has 0 numbers; expected 75 '),
    (f'{{"people": [{{"pose_keypoints_2d": {[1] * 53 + [float("nan")]} }}]}}', 'cannot be read'),
  ],
)
def test_a_file_that_is_not_openposes_is_refused_in_one_line(tmp_path, content, message):
  path = tmp_path / 'a.json'
  path.write_text(content)
  with pytest.raises(DatasetError, match=message) as caught:
    openpose.read_poses(path)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('number', [float('nan'), float('-inf'), 1e300])
def test_a_joint_that_is_nowhere_is_refused(tmp_path, number):
  path = write(tmp_path / 'a.json', [1] * 53 + [number])
  with pytest.raises(DatasetError, match='person 0 has a joint at no place of a picture'):
    openpose.read_poses(path)


def test_a_missing_file_is_named_with_the_way_out(tmp_path):
  with pytest.raises(DatasetError, match=r'000003_keypoints\.json is missing.*--write_json'):
    openpose.pose_file(tmp_path, '000003')


# Person 1 is at the left, 2 at the right and partly behind 1.
INSTANCES = np.zeros((10, 20), np.int32)
INSTANCES[:, 8:16] = 2
INSTANCES[:, 2:10] = 1
BOXES = {1: (2, 0, 10, 10), 2: (10, 0, 16, 10)}


def test_each_person_gets_the_pose_that_lies_on_her():
  left, right = pose((3, 3), (4, 8)), pose((12, 3), (15, 8))
  matched = openpose.match_poses(np.stack([right, left]), INSTANCES, BOXES)
  np.testing.assert_array_equal(matched[1], left)
  np.testing.assert_array_equal(matched[2], right)


def test_a_pose_that_lies_on_two_goes_to_the_one_whom_no_better_pose_fits():
  front = pose((3, 3), (4, 8), (5, 5))
  behind = pose((8, 3), (8, 8), (12, 2), (13, 5))  # half of it is covered by person 1
  matched = openpose.match_poses(np.stack([behind, front]), INSTANCES, BOXES)
  np.testing.assert_array_equal(matched[1], front)
  np.testing.assert_array_equal(matched[2], behind)


def test_nobody_gets_two_poses_and_no_pose_is_given_twice():
  first, second = pose((3, 3), (4, 8)), pose((3, 4), (18, 8))
  matched = openpose.match_poses(np.stack([second, first]), INSTANCES, BOXES)
  assert list(matched) == [1]
  np.testing.assert_array_equal(matched[1], first)


def test_a_pose_of_somebody_without_mask_is_nobodys():
  elsewhere = pose((17, 2), (18, 4), (19, 9))
  beyond = pose((-5, 2), (300, 4))
  unseen = joints.none()
  poses = np.stack([elsewhere, beyond, unseen])
  assert openpose.match_poses(poses, INSTANCES, BOXES) == {}


def test_a_pose_in_an_ignored_region_inside_a_box_is_nobodys():
  instances = INSTANCES.copy()
  instances[2:9, 3:7] = 10_000
  assert openpose.match_poses(pose((3, 3), (5, 8))[None], instances, BOXES) == {}
