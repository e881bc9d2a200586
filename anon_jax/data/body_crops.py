"""Crops of persons: twice as high as wide, the person in the middle, with room to move the crop."""

from typing import NamedTuple

import numpy as np

from anon_jax.data import body_classes, joints, pictures

ASPECT = 2  # height of a crop by its width: 256 x 128
# A person's box fills this share of a crop's height, or of its width if that is what it fills.
FILL = 0.85
# A stored crop reaches this much farther than a crop, so that crops can be moved and scaled. A
# `BodyView` takes CROP of it.
_ROOM = 1.25
CROP = 1 / _ROOM


class Region(NamedTuple):
  """A rectangle of a picture in pixels; it may reach beyond it."""

  left: int
  top: int
  width: int
  height: int


class Cropped(NamedTuple):
  """A person as it is stored.

  Attributes:
    image: uint8 [2 w, w, 3].
    body_map: uint8 [2 w, w] of `body_classes`.
    joints: float32 [18, 3] in pixels of `image`.
  """

  image: np.ndarray
  body_map: np.ndarray
  joints: np.ndarray


def person_box(body_map: np.ndarray) -> tuple[int, int, int, int] | None:
  """Returns left, top, right, bottom (exclusive) of the person's pixels; None where there are none.

  Args:
    body_map: uint8 [h, w] of `body_classes`.
  """
  return mask_box(body_classes.is_foreground(body_map))


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
  """Returns left, top, right, bottom (exclusive) of what is true in bool [h, w], or None."""
  rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
  if not len(rows):
    return None
  return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def stored_region(box: tuple[int, int, int, int]) -> Region:
  """Returns the rectangle that is stored of a person: the crop, and room around it.

  Args:
    box: left, top, right, bottom (exclusive) of the person.
  """
  left, top, right, bottom = box
  height = max(bottom - top, ASPECT * (right - left)) / FILL * _ROOM
  width = max(round(height / ASPECT), 1)
  return Region(
    round((left + right - width) / 2),
    round((top + bottom - ASPECT * width) / 2),
    width,
    ASPECT * width,
  )


def cut_person(
  picture: np.ndarray, body_map: np.ndarray, person_joints: np.ndarray, region: Region
) -> Cropped:
  """Cuts a region out of a picture, a map and joints.

  Beyond the picture its border is repeated, and nobody has labelled that.

  Args:
    picture: uint8 [h, w, 3].
    body_map: uint8 [h, w].
    person_joints: float32 [18, 3] in pixels of the picture.
    region: what to cut.
  """
  image, cut = pictures.cut_rectangle(
    picture, body_map, region.left, region.top, (region.width, region.height)
  )
  return Cropped(image, cut, joints.moved(person_joints, region.left, region.top, 1, 1))
