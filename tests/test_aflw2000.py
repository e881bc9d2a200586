"""AFLW2000-3D: pose and landmarks of each face, and what can be wrong with its files."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from anon_jax.data.aflw2000 import Aflw2000, read_pose
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare


def add(folder, number, yaw=0.0, pitch=0.0, roll=0.0, **fields):
  """Writes one face as published; the angles are in degrees."""
  folder.mkdir(parents=True, exist_ok=True)
  stem = f'image{number:05d}'
  Image.new('RGB', (40, 40), 'teal').save(folder / f'{stem}.jpg')
  angles = np.radians([pitch, yaw, roll])
  published = {
    'Pose_Para': np.concatenate([angles, [120.0, 90.0, -60.0, 1e-3]])[None].astype(np.float32),
    'pt3d_68': np.stack([np.arange(68) / 2, np.arange(68) / 4, np.zeros(68)]).astype(np.float32),
    'pt2d': np.zeros((2, 21), np.float32),
  }
  published = {name: value for name, value in (published | fields).items() if value is not None}
  scipy.io.savemat(folder / f'{stem}.mat', published)
  return folder / f'{stem}.mat'


@pytest.fixture
def raw(tmp_path):
  add(tmp_path / 'raw', 2, yaw=-71.5, pitch=10, roll=-4)
  return tmp_path / 'raw'


def test_angles_are_degrees_of_yaw_pitch_and_roll_and_landmarks_68_pixels(raw):
  pose = read_pose(raw / 'image00002.mat')
  np.testing.assert_allclose(pose.angles, [-71.5, 10, -4], rtol=1e-5)
  assert pose.landmarks.shape == (68, 2)
  np.testing.assert_allclose(pose.landmarks[10], [5, 2.5])


def test_faces_beyond_99_degrees_are_left_out_and_counted(raw, tmp_path, capsys):
  add(raw, 4, yaw=98.9)
  add(raw, 8, yaw=-99.1)
  add(raw, 16, pitch=120)
  folder = prepare('aflw2000', str(raw), str(tmp_path / 'out'))
  source = open_split(folder, 'test')
  examples = {source[i]['name']: source[i] for i in range(len(source))}
  assert sorted(examples) == ['image00002.jpg', 'image00004.jpg']
  example = examples['image00004.jpg']
  np.testing.assert_allclose(example['angles'], [98.9, 0, 0], rtol=1e-5)
  np.testing.assert_allclose(example['landmarks'][8], [4, 2])
  assert example['image'].shape == (40, 40, 3)
  assert (example['has_map'], example['identity']) == (False, -1)
  assert '2 of 4 faces, beyond 99 degrees, are left out.' in capsys.readouterr().out


def test_landmarks_follow_a_smaller_picture(raw, tmp_path):
  example = open_split(prepare('aflw2000', str(raw), str(tmp_path / 'out'), 20), 'test')[0]
  assert example['image'].shape == (20, 20, 3)
  np.testing.assert_allclose(example['landmarks'][8], [2, 1])


def test_the_folder_may_be_the_one_that_holds_aflw2000(tmp_path):
  add(tmp_path / 'AFLW2000', 2)
  (tmp_path / 'AFLW2000' / 'Code').mkdir()  # published beside the pictures
  assert [face.picture.name for face in Aflw2000.list_items(tmp_path)['test']] == ['image00002.jpg']


def test_a_face_without_its_pose_and_a_pose_without_its_face_are_named(raw):
  (raw / 'image00002.mat').rename(raw / 'image00003.mat')
  with pytest.raises(DatasetError, match=r'image00002\.mat is missing\. AFLW2000-3D is expected'):
    Aflw2000.list_items(raw)
  add(raw, 2)
  with pytest.raises(DatasetError, match=r'image00003\.mat has no picture beside it'):
    Aflw2000.list_items(raw)


def test_a_folder_without_pictures_is_refused_with_the_source(tmp_path):
  with pytest.raises(DatasetError, match=r'holds no picture\. AFLW2000-3D is .*http://'):
    Aflw2000.list_items(tmp_path)


@pytest.mark.parametrize('content', [b'', b'MATLAB 5.0 MAT-file, cut', b'no such thing' * 50])
def test_a_broken_mat_file_is_named_in_one_line(raw, content):
  path = raw / 'image00002.mat'
  path.write_bytes(content)
  with pytest.raises(DatasetError, match=r'image00002\.mat cannot be read as a MAT file') as caught:
    read_pose(path)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
def test_a_mat_file_that_is_cut_short_is_named(raw, share):
  path = raw / 'image00002.mat'
  data = path.read_bytes()
  path.write_bytes(data[: int(len(data) * share)])
  with pytest.raises(DatasetError, match=r'image00002\.mat (cannot be read|has|holds)'):
    read_pose(path)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'Pose_Para': None}, r'cannot be read .*Pose_Para'),
    ({'pt3d_68': None}, r'cannot be read .*pt3d_68'),
    ({'Pose_Para': [[0.1, 0.2]]}, r'has 2 numbers in Pose_Para'),
    (
      {'pt3d_68': np.zeros((2, 21))},
      r'of shape \(2, 21\); expected 3 or more, and \(3, 68\)',
    ),
    ({'Pose_Para': [[0.1, float('nan'), 0.2]]}, 'holds what is no number'),
  ],
)
def test_fields_that_are_not_those_of_aflw2000_are_refused(tmp_path, fields, message):
  with pytest.raises(DatasetError, match=message):
    read_pose(add(tmp_path, 2, **fields))


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path):
  add(tmp_path / 'raw', 2, yaw=100)
  with pytest.raises(DatasetError, match='all 1 faces have an angle beyond 99 degrees'):
    prepare('aflw2000', str(tmp_path / 'raw'), str(tmp_path / 'out'))
