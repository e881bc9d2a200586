"""Crops of faces, cut out of photographs of any size and put back into them."""

import dataclasses
import math

import numpy as np
from PIL import Image

from anon_jax.data import alignment
from anon_jax.inference.faces import Face

_CROP_SIDE = 1.6  # in heights of the face box


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
  """Where a crop lies in its picture: a turned square.

  Attributes:
    centre: float64 [2], (x, y) in pixels of the picture.
    side: in pixels of the picture.
    across: float64 [2], unit vector along the eyes, from the left of the upright face.
    down: float64 [2], unit vector from the eyes towards the mouth.
  """

  centre: np.ndarray
  side: float
  across: np.ndarray
  down: np.ndarray

  def corner(self) -> np.ndarray:
    """Returns where the crop's first pixel begins, float64 [2]."""
    return self.centre - self.side / 2 * (self.across + self.down)

  def bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns the part of a picture that the crop covers: left, top, right, bottom.

    The part is empty (left >= right or top >= bottom) where the crop lies beside the picture.
    """
    reach = self.side / 2 * (abs(self.across) + abs(self.down))
    low, high = self.centre - reach, self.centre + reach
    return (
      max(0, math.floor(low[0])),
      max(0, math.floor(low[1])),
      min(width, math.ceil(high[0])),
      min(height, math.ceil(high[1])),
    )


def frame_of(face: Face) -> Frame:
  """Returns the crop of a face: at eye level by its landmarks, upright where it has none.

  The face box has about 60 % of the crop's side. Landmarks that contradict the box (a crop whose
  centre lies outside of it, or another size by more than a factor of 2) are not believed.
  """
  left, top, right, bottom = face.box
  upright = Frame(
    np.array([(left + right) / 2, (top + bottom) / 2]),
    _CROP_SIDE * max(bottom - top, right - left),
    np.array([1.0, 0.0]),
    np.array([0.0, 1.0]),
  )
  if face.landmarks is None or not level(face):
    return upright
  centre, side, across, down = alignment.crop_frame(face.landmarks)
  return Frame(centre, side, across, down)


def level(face: Face) -> bool:
  """Tells whether a face's landmarks can be believed: they have to agree with its box."""
  if face.landmarks is None:
    return False
  points = np.asarray(face.landmarks, np.float64)
  if not np.isfinite(points).all() or not np.any(points[0] != points[1]):
    return False
  centre, side, _, _ = alignment.crop_frame(face.landmarks)
  left, top, right, bottom = face.box
  size = _CROP_SIDE * max(bottom - top, right - left)
  inside = left <= centre[0] <= right and top <= centre[1] <= bottom
  return bool(inside and size / 2 <= side <= size * 2)


def cut(picture: np.ndarray, frame: Frame, size: int) -> np.ndarray:
  """Cuts a crop, reduced without aliasing or enlarged bicubically to `size` pixels.

  Beyond the picture its border pixels are repeated, as in training.

  Args:
    picture: uint8 [h, w, 3].
    frame: where the crop lies.
    size: side of the result in pixels.

  Returns:
    uint8 [size, size, 3].
  """
  height, width = picture.shape[:2]
  left, top, right, bottom = frame.bounds(width, height)
  # A crop beside the picture sees the nearest border.
  left, top = min(left, width - 1), min(top, height - 1)
  part = Image.fromarray(picture[top : max(bottom, top + 1), left : max(right, left + 1)])
  reduction = max(1, math.floor(frame.side / size))
  if reduction > 1:
    part = part.reduce(reduction)
  corner = (frame.corner() - (left, top)) / reduction
  step = frame.side / size / reduction
  x, y = step * frame.across, step * frame.down
  border = _border(corner, frame, part.size, reduction)
  padded = np.pad(np.asarray(part), (*border, (0, 0)), mode='edge')
  corner = corner + np.array([border[1][0], border[0][0]])
  matrix = (x[0], y[0], corner[0], x[1], y[1], corner[1])
  return np.asarray(
    Image.fromarray(padded).transform(
      (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
  )


def _border(
  corner: np.ndarray, frame: Frame, size: tuple[int, int], reduction: int
) -> tuple[tuple[int, int], tuple[int, int]]:
  """Returns by how much a part is prolonged: rows above and below, columns left and right."""
  side = frame.side / reduction
  corners = [corner + side * (i * frame.across + j * frame.down) for i in (0, 1) for j in (0, 1)]
  low, high = np.min(corners, axis=0), np.max(corners, axis=0)
  before = np.maximum(0, np.ceil(-low)).astype(int) + 2  # two more for bicubic sampling
  after = np.maximum(0, np.ceil(high - size)).astype(int) + 2
  return (int(before[1]), int(after[1])), (int(before[0]), int(after[0]))


@dataclasses.dataclass(frozen=True, eq=False)
class Patch:
  """What is laid over a picture.

  Attributes:
    left: its first column in the picture.
    top: its first row.
    pixels: uint8 [h, w, 3].
    mask: bool [h, w], where it replaces the picture.
  """

  left: int
  top: int
  pixels: np.ndarray
  mask: np.ndarray

  def lay_over(self, picture: np.ndarray) -> None:
    """Replaces the masked pixels of uint8 [h, w, 3] in place."""
    height, width = self.mask.shape
    part = picture[self.top : self.top + height, self.left : self.left + width]
    part[self.mask] = self.pixels[self.mask]


def put_back(painted: np.ndarray, mask: np.ndarray, frame: Frame, width: int, height: int) -> Patch:
  """Turns a painted crop into a patch at the picture's resolution.

  The mask is dilated rather than cut: a pixel of the picture that the crop's foreground touches in
  any way is replaced. What the patch shows there comes from `painted` alone, so `painted` has to
  hold something fit to be shown wherever the mask is 1 or within two pixels of it.

  Args:
    painted: uint8 [s, s, 3].
    mask: bool [s, s], the foreground.
    frame: where the crop lies.
    width: of the picture in pixels.
    height: of the picture.
  """
  size = painted.shape[0]
  left, top, right, bottom = frame.bounds(width, height)
  shape = (max(right - left, 0), max(bottom - top, 0))
  if not all(shape):
    return Patch(0, 0, np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), bool))
  # From a pixel of the patch to one of the crop: the transpose of a rotation is its inverse.
  step = size / frame.side
  x, y = step * frame.across, step * frame.down
  start = np.array([left, top]) - frame.corner()
  matrix = (x[0], x[1], start @ x, y[0], y[1], start @ y)

  def warp(image: Image.Image, filter_: Image.Resampling) -> np.ndarray:
    return np.asarray(image.transform(shape, Image.Transform.AFFINE, matrix, filter_))

  shrink = step > 1  # then one pixel of the picture covers several of the crop
  cover = _dilated(mask, math.ceil(step) if shrink else 1)
  covered = warp(Image.fromarray(cover.astype(np.uint8) * 255), Image.Resampling.BILINEAR) > 0
  pixels = warp(Image.fromarray(painted), Image.Resampling.BICUBIC)
  return Patch(left, top, pixels, covered)


def _dilated(mask: np.ndarray, by: int) -> np.ndarray:
  """Grows a mask by `by` pixels in all eight directions."""
  for axis in (0, 1):
    grown = mask.copy()
    for shift in range(1, by + 1):
      before, after = [slice(None)] * 2, [slice(None)] * 2
      before[axis], after[axis] = slice(shift, None), slice(None, -shift)
      grown[tuple(before)] |= mask[tuple(after)]
      grown[tuple(after)] |= mask[tuple(before)]
    mask = grown
  return mask
