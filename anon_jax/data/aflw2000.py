"""AFLW2000-3D: faces in every pose, with 68 landmarks (Zhu et al., CVPR 2016)."""

import pathlib
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.io
import tensorflow_datasets as tfds
from tqdm import tqdm

from anon_jax.data import pictures, semantic
from anon_jax.data.errors import DatasetError
from anon_jax.data.raw_builder import RawBuilder, picture_features

# Pose estimation is measured on AFLW2000-3D without the faces beyond these angles, in degrees.
LARGEST_ANGLE = 99.0
LANDMARKS = 68
# What scipy.io raises for files that are cut short, damaged or no MAT files.
_BROKEN = (
  OSError,
  ValueError,
  TypeError,
  KeyError,
  IndexError,
  EOFError,
  NotImplementedError,
  zlib.error,
  scipy.io.matlab.MatReadError,
)


class Pose(NamedTuple):
  """What AFLW2000-3D tells of a face.

  Attributes:
    angles: float32 [3]: yaw, pitch, roll in degrees; 0 is a frontal, upright face.
    landmarks: float32 [68, 2]: x, y in pixels, in the order of 300-W.
  """

  angles: np.ndarray
  landmarks: np.ndarray


class Face(NamedTuple):
  """A picture and the file of its pose."""

  picture: pathlib.Path
  pose: pathlib.Path


class Aflw2000(RawBuilder):
  """AFLW2000-3D, for evaluation: its one split is `test`; there are no maps and no identities.

  Features: `image`, `map` (all IGNORE), `has_map` (false), `identity` (-1), `name`, `angles`
  float32 [3] (yaw, pitch, roll in degrees) and `landmarks` float32 [68, 2] in pixels of the stored
  picture.
  Faces with an angle beyond 99 degrees are left out, as is usual, and their number is printed.
  """

  LAYOUT = (
    'AFLW2000-3D is expected as image00002.jpg with image00002.mat (Pose_Para, pt3d_68) and so on, '
    'in one folder, which may be called AFLW2000. Obtain it from '
    'http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm (research only).'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Face]]:
    if (folder / 'AFLW2000').is_dir():
      folder = folder / 'AFLW2000'
    faces = [
      Face(path, cls.require(path.with_suffix('.mat'))) for path in sorted(folder.glob('*.jpg'))
    ]
    if not faces:
      raise DatasetError(f'{folder} holds no picture. {cls.LAYOUT}')
    shown = {face.pose for face in faces}
    if without := sorted(set(folder.glob('*.mat')) - shown):
      raise DatasetError(f'{without[0]} has no picture beside it; add it. {cls.LAYOUT}')
    return {'test': faces}

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    for face in cls.list_items(folder)['test']:
      for path in face:
        yield f'{path.name} {path.stat().st_size}'.encode()

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Faces with their pose and 68 landmarks, without semantic maps.',
      features=tfds.features.FeaturesDict(
        {
          **picture_features(),
          'angles': tfds.features.Tensor(shape=(3,), dtype=np.float32),
          'landmarks': tfds.features.Tensor(shape=(LANDMARKS, 2), dtype=np.float32),
        }
      ),
    )

  def _generate_examples(
    self, split: str, items: list[Face]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    beyond = 0
    for face in tqdm(items, desc=f'preparing {split}', unit=' pictures', mininterval=0.5):
      pose = read_pose(face.pose)
      if np.abs(pose.angles).max() > LARGEST_ANGLE:
        beyond += 1
        continue
      picture, data = pictures.read_picture(face.picture)
      size = pictures.reduced_size(picture.size, self.max_side)
      scale = np.array(size) / picture.size
      nobody = np.full(picture.size[::-1], semantic.IGNORE, np.uint8)
      yield (
        face.picture.name,
        {
          'image': pictures.encode_picture(picture, data, self.max_side),
          'map': pictures.encode_map(nobody, size),
          'has_map': False,
          'identity': -1,
          'name': face.picture.name,
          'angles': pose.angles,
          'landmarks': (pose.landmarks * scale).astype(np.float32),
        },
      )
    if beyond == len(items):
      raise DatasetError(f'all {beyond} faces have an angle beyond {LARGEST_ANGLE:g} degrees.')
    print(
      f'{split}: {beyond} of {len(items)} faces, beyond {LARGEST_ANGLE:g} degrees, are left out.'
    )


def read_pose(path: pathlib.Path) -> Pose:
  """Reads the angles and landmarks of a face.

  Args:
    path: a MAT file with Pose_Para (pitch, yaw and roll in radians come first) and pt3d_68 (x, y, z
      by 68).

  Raises:
    DatasetError: the file is broken, or holds something else. (SciPy itself may crash on a file of
      the right length with bytes changed at random.)
  """
  try:
    fields = scipy.io.loadmat(path)  # all of it: a file that was cut short is told so
    pose = np.asarray(fields['Pose_Para'], np.float64).ravel()
    points = np.asarray(fields['pt3d_68'], np.float64)
  except _BROKEN as error:
    raise DatasetError(
      f'{path} cannot be read as a MAT file with Pose_Para and pt3d_68 '
      f'({" ".join(repr(error).split())}); download it again.'
    ) from None
  if pose.size < 3 or points.shape != (3, LANDMARKS):
    raise DatasetError(
      f'{path} has {pose.size} numbers in Pose_Para and pt3d_68 of shape {points.shape}; expected '
      f'3 or more, and (3, {LANDMARKS}).'
    )
  if not (np.isfinite(pose).all() and np.isfinite(points).all()):
    raise DatasetError(f'{path} holds what is no number; download it again.')
  pitch, yaw, roll = np.degrees(pose[:3])
  return Pose(np.array([yaw, pitch, roll], np.float32), points[:2].T.astype(np.float32))
