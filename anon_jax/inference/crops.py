"""Crops of faces, cut out of photographs of any size and put back into them."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from anon_jax.data import alignment
from anon_jax.inference.faces import Face

_FINER = 4  # into how many pixels in each direction one of a mask is divided


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
    alignment.CROP_SIDE * max(bottom - top, right - left),
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
  size = alignment.CROP_SIDE * max(bottom - top, right - left)
  inside = left <= centre[0] <= right and top <= centre[1] <= bottom
  return bool(inside and size / 2 <= side <= size * 2)


class _Grid(NamedTuple):
  """What a crop's pixels are made of.

  Attributes:
    part: rows and columns of the picture that are read.
    reduction: side of the squares of pixels that are averaged first.
    border: by how much the reduced part is prolonged: rows above and below, columns left and right.
    matrix: from a pixel of the crop to one of the reduced and prolonged part.
  """

  part: tuple[slice, slice]
  reduction: int
  border: tuple[tuple[int, int], tuple[int, int]]
  matrix: tuple[float, ...]


def _grid(frame: Frame, size: int, height: int, width: int) -> _Grid:
  """Works out how a crop of `size` pixels is cut out of a picture."""
  # A crop far beside the picture shows what one close to it does: the border, prolonged.
  reach = frame.side / 2 * (abs(frame.across) + abs(frame.down)) + frame.side
  near = np.clip(frame.centre, -reach, np.add(reach, (width, height)))
  frame = dataclasses.replace(frame, centre=near)
  left, top, right, bottom = frame.bounds(width, height)
  left, top = min(left, width - 1), min(top, height - 1)
  right, bottom = max(right, left + 1), max(bottom, top + 1)
  reduction = max(1, math.floor(frame.side / size))
  corner = (frame.corner() - (left, top)) / reduction
  step = frame.side / size / reduction
  x, y = step * frame.across, step * frame.down
  corners = [corner + size * (i * x + j * y) for i in (0, 1) for j in (0, 1)]
  reduced = np.ceil(np.array([right - left, bottom - top]) / reduction)
  # two more for bicubic sampling
  before = np.maximum(0, np.ceil(-np.min(corners, axis=0))).astype(int) + 2
  after = np.maximum(0, np.ceil(np.max(corners, axis=0) - reduced)).astype(int) + 2
  corner = corner + before
  return _Grid(
    (slice(top, bottom), slice(left, right)),
    reduction,
    ((int(before[1]), int(after[1])), (int(before[0]), int(after[0]))),
    (x[0], y[0], corner[0], x[1], y[1], corner[1]),
  )


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
  grid = _grid(frame, size, *picture.shape[:2])
  part = Image.fromarray(picture[grid.part]).reduce(grid.reduction)
  padded = np.pad(np.asarray(part), (*grid.border, (0, 0)), mode='edge')
  return np.asarray(
    Image.fromarray(padded).transform(
      (size, size), Image.Transform.AFFINE, grid.matrix, Image.Resampling.BICUBIC
    )
  )


def shows(mask: np.ndarray, frame: Frame, size: int) -> np.ndarray:
  """Finds the pixels of a crop that show anything of some pixels of its picture.

  All others come out of `cut` the same, whatever the masked pixels are. A crop's pixels are
  averages over the picture's: the smaller a face, the further one pixel of the picture reaches.

  Args:
    mask: bool [h, w], pixels of the picture.
    frame: where the crop lies.
    size: side of the crop in pixels.

  Returns:
    bool [size, size].
  """
  grid = _grid(frame, size, *mask.shape)
  part = mask[grid.part]
  for axis in (0, 1):
    starts = np.arange(0, part.shape[axis], grid.reduction)
    part = np.logical_or.reduceat(part, starts, axis)
  # bicubic sampling reads two pixels on either side, bilinear one
  return _met(grown(np.pad(part, grid.border, mode='edge'), 1), grid.matrix, (size, size))


def touched(mask: np.ndarray, frame: Frame, width: int, height: int) -> np.ndarray:
  """Finds the pixels of a picture that a crop's masked pixels touch in any way.

  Args:
    mask: bool [s, s], pixels of the crop.
    frame: where the crop lies.
    width: of the picture in pixels.
    height: of the picture.

  Returns:
    bool [height, width].
  """
  left, top, right, bottom = frame.bounds(width, height)
  found = np.zeros((height, width), bool)
  if left < right and top < bottom:
    # Sampling reaches up to a pixel too far: a quarter of the crop's, if those are divided.
    mask = mask.repeat(_FINER, 0).repeat(_FINER, 1)
    border, matrix = _back(frame, mask.shape[0], left, top)
    wide = grown(np.pad(mask, border), border - 1)
    found[top:bottom, left:right] = _met(wide, matrix, (right - left, bottom - top))
  return found


def grown(mask: np.ndarray, by: int) -> np.ndarray:
  """Grows a mask, bool [..., h, w], by `by` pixels in all eight directions."""
  for axis in (-2, -1):
    wide = mask.copy()
    new, old = np.moveaxis(wide, axis, 0), np.moveaxis(mask, axis, 0)
    for shift in range(1, by + 1):
      new[shift:] |= old[:-shift]
      new[:-shift] |= old[shift:]
    mask = wide
  return mask


def _met(mask: np.ndarray, matrix: tuple[float, ...], shape: tuple[int, int]) -> np.ndarray:
  """Warps a mask; true where any of the four pixels about the place is."""
  image = Image.fromarray(mask.astype(np.float32))
  warped = image.transform(shape, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
  return np.asarray(warped) > 0


def _back(frame: Frame, size: int, left: int, top: int) -> tuple[int, tuple[float, ...]]:
  """Returns how a crop is warped back: its border, and from a pixel of the patch to one of it.

  The border is wide enough for pixels of the picture that have their centre outside of the crop.
  Grown by one less than it, a mask meets all pixels of the picture that it touched before.
  """
  # The transpose of a rotation is its inverse.
  step = size / frame.side
  x, y = step * frame.across, step * frame.down
  half = np.abs(x).sum() / 2  # of one pixel of the picture, in pixels of the crop
  border = 1 + max(0, math.ceil(half - 0.5))
  start = np.array([left, top]) - frame.corner()
  return border, (x[0], x[1], start @ x + border, y[0], y[1], start @ y + border)


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

  A pixel of the picture that the crop's mask touches in any way is replaced. What the patch shows
  there comes from `painted` alone, also from the pixels about its mask: all of it has to be fit to
  be shown.

  Args:
    painted: uint8 [s, s, 3].
    mask: bool [s, s], the pixels that replace the picture's.
    frame: where the crop lies.
    width: of the picture in pixels.
    height: of the picture.
  """
  left, top, right, bottom = frame.bounds(width, height)
  if left >= right or top >= bottom:
    return Patch(0, 0, np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), bool))
  covered = touched(mask, frame, width, height)[top:bottom, left:right]
  border, matrix = _back(frame, painted.shape[0], left, top)
  wide = np.pad(painted, ((border, border), (border, border), (0, 0)), mode='edge')
  reduction = max(1, math.floor(painted.shape[0] / frame.side))
  pixels = (
    Image.fromarray(wide)
    .reduce(reduction)
    .transform(
      (right - left, bottom - top),
      Image.Transform.AFFINE,
      tuple(value / reduction for value in matrix),
      Image.Resampling.BICUBIC,
    )
  )
  return Patch(left, top, np.asarray(pixels), covered)
