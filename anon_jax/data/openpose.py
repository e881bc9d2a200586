"""OpenPose's joints: reads `NAME_keypoints.json`, and says which pose is whose."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from anon_jax.data import joints
from anon_jax.data.errors import DatasetError

# Where BODY_25 keeps the joints of `joints.NAMES`: it has the middle of the hips at place 8.
_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
_PLACES = {25: _BODY_25, 18: tuple(range(18))}
# The least share of a pose's joints that lie on the person whose pose it may be. Joints of covered
# limbs lie on those who cover them.
_LEAST_SHARE = 0.4
_FARTHEST = 1e6  # in pixels


def pose_file(folder: pathlib.Path, stem: str) -> pathlib.Path:
  """Returns the path of the poses of the picture `stem`.

  Raises:
    DatasetError: it is missing.
  """
  path = folder / f'{stem}_keypoints.json'
  if not path.is_file():
    raise DatasetError(
      f'{path} is missing, while {folder} should hold the joints of every picture with people; run '
      f'OpenPose (--write_json {folder}) on it, or remove the folder to go without joints.'
    )
  return path


def read_poses(path: pathlib.Path) -> np.ndarray:
  """Reads the poses of one picture.

  Args:
    path: as OpenPose writes it, with BODY_25 (75 numbers a person) or COCO (54).

  Returns:
    float32 [people, 18, 3], see `joints`; without people [0, 18, 3].

  Raises:
    DatasetError: the file is no such JSON.
  """
  try:
    people = json.loads(path.read_text(encoding='utf-8'))['people']
    lists = [person['pose_keypoints_2d'] for person in people]
    numbers = [np.asarray(one, np.float64) for one in lists]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DatasetError(
      f"{path} cannot be read as OpenPose's output ({' '.join(repr(error).split())}); expected "
      '{"people": [{"pose_keypoints_2d": [x, y, confidence, ...]}, ...]}: run OpenPose again.'
    ) from None
  poses = np.zeros((len(numbers), joints.NUM_JOINTS, 3), np.float32)
  for place, pose in enumerate(numbers):
    if pose.ndim != 1 or pose.size % 3 or pose.size // 3 not in _PLACES:
      raise DatasetError(
        f'{path}: person {place} has {pose.size} numbers; expected 75 (BODY_25) or 54 (COCO).'
      )
    if not (np.abs(pose) < _FARTHEST).all():
      raise DatasetError(
        f'{path}: person {place} has a joint at no place of a picture; run OpenPose again.'
      )
    poses[place] = pose.reshape(-1, 3)[list(_PLACES[pose.size // 3])]
  poses[poses[..., 2] <= 0] = 0
  return poses


def match_poses(
  poses: np.ndarray, instances: np.ndarray, boxes: Mapping[int, tuple[int, int, int, int]]
) -> dict[int, np.ndarray]:
  """Gives each person the pose that overlaps most; nobody two, and no pose twice.

  The overlap is the mean of two shares of a pose's seen joints: of those on the person's pixels and
  of those in the person's box. Pairs are made by falling overlap. Where fewer than two in five
  joints lie on the person's pixels, the pose is somebody else's.

  Args:
    poses: float32 [people, 18, 3] in pixels of the picture.
    instances: int [h, w], the instance number of each pixel.
    boxes: instance number -> left, top, right, bottom (exclusive) of those who may have a pose.

  Returns:
    Instance number -> float32 [18, 3]; who has no pose is left out.
  """
  height, width = instances.shape
  scores = []
  for place, pose in enumerate(poses):
    x, y = np.floor(pose[pose[:, 2] > 0, :2]).astype(int).T
    if not len(x):
      continue
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    under = np.where(inside, instances[y.clip(0, height - 1), x.clip(0, width - 1)], -1)
    for number, (left, top, right, bottom) in boxes.items():
      on = float(np.mean(under == number))
      around = float(np.mean((x >= left) & (x < right) & (y >= top) & (y < bottom)))
      if on >= _LEAST_SHARE:
        scores.append((-(on + around) / 2, number, place))
  matched: dict[int, np.ndarray] = {}
  used: set[int] = set()
  for _, number, place in sorted(scores):
    if number not in matched and place not in used:
      matched[number] = poses[place]
      used.add(place)
  return matched


def require_folder(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a sequence's joints.

  Raises:
    DatasetError: it is missing, while other sequences have joints.
  """
  if not folder.is_dir():
    raise DatasetError(
      f'{folder} is missing, while {folder.parent} should hold the joints of every sequence; run '
      f'OpenPose on it, or remove {folder.parent} to go without joints.'
    )
  return folder
