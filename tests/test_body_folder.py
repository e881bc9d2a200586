"""A folder of persons: pictures, masks of body classes, joints; and what can be wrong with it."""

import json

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import joints, semantic
from anon_jax.data.body_folder import BodyFolder
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare


def person(value=1):
  """60 x 50: a person 34 rows high and 10 wide, from row 10 and column 20."""
  body_map = np.zeros((60, 50), np.uint8)
  body_map[10:44, 20:30] = value
  return body_map


def add(folder, stem, body_map=None):
  for part in ('images', 'masks'):
    (folder / part).mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
  Image.fromarray(pixels).save(folder / 'images' / f'{stem}.png')
  Image.fromarray(person() if body_map is None else body_map).save(folder / 'masks' / f'{stem}.png')
  return pixels


def add_pose(folder, stem, *points):
  numbers = np.zeros((18, 3))
  for place, (x, y) in enumerate(points):
    numbers[place] = x, y, 0.8
  (folder / 'openpose').mkdir(exist_ok=True)
  people = [{'pose_keypoints_2d': numbers.ravel().tolist()}] if points else []
  (folder / 'openpose' / f'{stem}_keypoints.json').write_text(json.dumps({'people': people}))


@pytest.fixture
def raw(tmp_path):
  return tmp_path / 'raw'


def read(folder):
  return [
    BodyFolder.read_item(item) for items in BodyFolder.list_items(folder).values() for item in items
  ]


def test_a_person_comes_back_in_the_middle_with_joints_identity_and_split(raw, tmp_path, capsys):
  pixels = add(raw, 'a')
  add(raw, 'b')
  add_pose(raw, 'a', (25, 12), (25, 20))
  add_pose(raw, 'b')
  (raw / 'split.txt').write_text('a train\nb test\n')
  (raw / 'identities.txt').write_text('a 7\n')
  folder = prepare('body_folder', str(raw), str(tmp_path / 'out'))
  example, other = open_split(folder, 'train')[0], open_split(folder, 'test')[0]
  # 34 / .85 x 1.25 = 50 rows and 25 columns around (25, 27): from column 12 and row 2.
  assert example['image'].shape == (50, 25, 3)
  assert np.abs(example['image'].astype(int) - pixels[2:52, 12:37]).mean() < 12  # a JPEG of noise
  np.testing.assert_array_equal(example['map'], person()[2:52, 12:37])
  np.testing.assert_allclose(example['joints'][:2], [[13, 10, 0.8], [13, 18, 0.8]])
  assert example['joints'].dtype == np.float32
  assert (bool(example['has_joints']), example['identity'], example['name']) == (True, 7, 'a.png')
  assert (bool(other['has_joints']), other['identity']) == (False, -1)
  np.testing.assert_array_equal(other['joints'], joints.none())
  assert 'train: 1 crops of persons, 1 of them with joints.' in capsys.readouterr().out


def test_a_smaller_stored_size_scales_joints_along(raw, tmp_path):
  add(raw, 'a')
  add_pose(raw, 'a', (25, 12), (25, 20))
  folder = prepare('body_folder', str(raw), str(tmp_path / 'out'), max_side=20)
  example = open_split(folder, 'train')[0]
  assert example['image'].shape == (20, 10, 3)
  np.testing.assert_allclose(example['joints'][0, :2], [13 * 10 / 25, 10 * 20 / 50])


def test_without_a_folder_of_joints_joints_are_marked_absent(raw):
  add(raw, 'a')
  ((_, (only,)),) = read(raw)
  np.testing.assert_array_equal(only.joints, joints.none())


def test_parts_and_unlabelled_pixels_are_kept(raw):
  body_map = person()
  body_map[20:30, 20:30] = 4
  body_map[50:] = semantic.IGNORE
  add(raw, 'a', body_map)
  ((_, (only,)),) = read(raw)
  np.testing.assert_array_equal(only.body_map, body_map)


def test_a_missing_file_of_joints_is_named(raw):
  add(raw, 'a')
  (raw / 'openpose').mkdir()
  with pytest.raises(DatasetError, match=r'a_keypoints\.json is missing, .*go without joints'):
    read(raw)


def test_a_mask_without_a_person_is_named(raw):
  add(raw, 'a', np.zeros((60, 50), np.uint8))
  with pytest.raises(DatasetError, match=r'masks/a\.png shows no person: .*images/a\.png with its'):
    read(raw)


def test_a_class_of_faces_is_refused(raw):
  add(raw, 'a', person(7))
  with pytest.raises(DatasetError, match=r'masks/a\.png: pixel values 7 are no class of a body'):
    read(raw)


def test_a_mask_that_cannot_be_read_is_named(raw):
  add(raw, 'a')
  path = raw / 'masks' / 'a.png'
  path.write_bytes(path.read_bytes()[:-30])
  with pytest.raises(DatasetError, match=r'masks/a\.png cannot be decoded'):
    read(raw)


def test_a_mask_of_another_size_is_named_with_both_sizes(raw):
  add(raw, 'a', person()[:50])
  with pytest.raises(DatasetError, match=r'is 50 x 50 but its picture .* is 50 x 60'):
    read(raw)


def test_a_missing_mask_and_a_missing_folder_are_named(raw):
  add(raw, 'a')
  (raw / 'masks' / 'a.png').unlink()
  with pytest.raises(DatasetError, match=r'images/a\.png has no mask'):
    read(raw)
  (raw / 'masks').rmdir()
  with pytest.raises(DatasetError, match=r'masks is missing\. A body_folder holds images/'):
    read(raw)


def test_new_joints_are_prepared_anew(raw):
  add(raw, 'a')
  before = BodyFolder.fingerprint(raw)
  add_pose(raw, 'a')
  assert BodyFolder.fingerprint(raw) != before
