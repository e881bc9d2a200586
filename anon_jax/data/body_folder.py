"""A plain folder of persons: pictures, masks of body classes, and optional lists and joints."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from anon_jax.data import body_classes, body_crops, joints, openpose, pictures
from anon_jax.data.body_builder import BodyBuilder, Person
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import Item
from anon_jax.data.face_folder import list_masked, masked_parts

POSES = 'openpose'  # beside the folder of pictures


class Portrait(NamedTuple):
  """A picture of one person.

  Attributes:
    item: its files, name and identity.
    poses: the folder of its joints, or None.
  """

  item: Item
  poses: pathlib.Path | None


class BodyFolder(BodyBuilder):
  """`images/` and `masks/` with equal stems, one person a picture, laid out as a `face_folder`.

  Masks hold the numbers of `body_classes.CLASSES`: 1 for a pixel of the person, or 2 to 5 where
  parts are told. The lists masks_missing.txt, split.txt and identities.txt are those of
  `FaceFolder`. Joints are read from `openpose/NAME_keypoints.json` where that folder is there.
  """

  LAYOUT = (
    'A body_folder holds images/NAME.jpg (.jpeg, .png), masks/NAME.png with the class number of '
    'each pixel of the one person in it, and optionally masks_missing.txt, split.txt, '
    'identities.txt and openpose/NAME_keypoints.json.'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Portrait]]:
    poses = poses_beside(folder / 'images')
    splits = list_masked(folder, cls.require)
    return {split: [Portrait(item, poses) for item in items] for split, items in splits.items()}

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    yield from masked_parts(folder, cls.require)
    yield from pose_parts(poses_beside(folder / 'images'))

  @classmethod
  def read_item(cls, item: Portrait) -> tuple[np.ndarray, list[Person]]:
    (mask,) = item.item.masks
    body_map = pictures.read_map(mask)
    body_classes.check_map(body_map, str(mask))
    return read_portrait(item, body_map)


def poses_beside(images: pathlib.Path) -> pathlib.Path | None:
  """Returns the folder of joints beside a folder of pictures; None where there is none."""
  poses = images.parent / POSES
  return poses if poses.is_dir() else None


def pose_parts(poses: pathlib.Path | None) -> Iterator[bytes]:
  """Yields what tells a folder of joints from another one: names and sizes."""
  for path in pictures.list_files(poses) if poses else ():
    yield f'{POSES}/{path.name} {path.stat().st_size}'.encode()


def read_portrait(portrait: Portrait, body_map: np.ndarray) -> tuple[np.ndarray, list[Person]]:
  """Decodes a picture of one person and gives that person the joints that overlap most.

  Args:
    portrait: its files; the first mask is the one that `body_map` was made of.
    body_map: uint8 [h, w] of `body_classes`.

  Returns:
    uint8 [h, w, 3], and the person.

  Raises:
    DatasetError: a broken picture or file of joints, a mask of another size or without a person.
  """
  item = portrait.item
  picture, _ = pictures.read_picture(item.picture)
  pictures.check_same_size(picture, item.picture, body_map, item.masks[0])
  box = body_crops.person_box(body_map)
  if box is None:
    raise DatasetError(
      f'{item.masks[0]} shows no person: none of its pixels has a class of 1 to '
      f'{len(body_classes.CLASSES) - 1}; label the person, or remove {item.picture} with its mask.'
    )
  found = joints.none()
  if portrait.poses is not None:
    poses = openpose.read_poses(openpose.pose_file(portrait.poses, item.picture.stem))
    instances = body_classes.is_foreground(body_map).astype(np.int32)
    found = openpose.match_poses(poses, instances, {1: box}).get(1, found)
  return np.asarray(picture), [Person(item.name, body_map, item.identity, found)]
