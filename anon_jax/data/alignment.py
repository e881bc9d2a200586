"""Cuts crops out of photographs, given five landmarks: the project's own, and recognisers'.

The project's crop is square and at eye level. From the landmarks to that crop, with e the midpoint
of the eyes, m the midpoint of the mouth corners and d the larger of |eye - eye| and |m - e|:

  face-box height  h      = 2.87 d
  box centre       c      = e + 0.30 (m - e)
  crop side        side   = 1.6 h
  crop axes        x along the eyes, y at a right angle to it, towards the mouth

2.87 and 0.30 are the medians of detected face boxes against their landmarks over the 5,665 crops of
293 people that the project was built with; h then differs from the detected height by 6.4 %
(standard deviation). The larger of the two distances is taken because either one shrinks when the
head turns or nods.

A face recogniser wants its own crop: the five points as near as can be to those of its template.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from anon_jax.data.errors import DatasetError

BOX_HEIGHT = 2.87  # in distances from the eyes to the mouth
_BOX_CENTRE = 0.30
CROP_SIDE = 1.6  # in heights of the face box

Points = tuple[tuple[float, float], ...]


class Template(NamedTuple):
  """The crop that a face recogniser was trained on.

  Attributes:
    height: of the crop in pixels.
    width: of the crop in pixels.
    points: where (x, y) of eye, eye, nose tip, mouth corner, mouth corner belong, the left ones in
      the picture first.
    stretch: width over height of what was a square in the photograph; 1 keeps proportions.
  """

  height: int
  width: int
  points: Points
  stretch: float = 1.0


def crop_frame(points: Points) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
  """Returns the crop's centre [2], side, and unit x and y axes [2], in pixels of the photograph.

  Args:
    points: (x, y) of eye, eye, nose tip, mouth corner, mouth corner.
  """
  xy = np.asarray(points, np.float64)  # [5 2]
  eyes, mouth = xy[:2].mean(0), xy[3:].mean(0)
  across, down = xy[1] - xy[0], mouth - eyes
  distance = max(math.hypot(*across), math.hypot(*down))
  if not math.hypot(*across):
    raise DatasetError(f'the eyes of the landmarks {points} coincide')
  axis_x = across / math.hypot(*across)
  axis_y = np.array([-axis_x[1], axis_x[0]])
  if axis_y @ down < 0:  # the list names the eyes from right to left
    axis_x, axis_y = -axis_x, -axis_y
  return eyes + _BOX_CENTRE * down, CROP_SIDE * BOX_HEIGHT * distance, axis_x, axis_y


def cut_crop(
  picture: Image.Image, semantic_map: np.ndarray | None, points: Points
) -> tuple[Image.Image, np.ndarray | None]:
  """Cuts the crop of `points` out of a picture and its map, at the picture's own scale.

  Where the crop reaches over the edge of the picture, its border pixels are repeated, and the map
  says background.

  Args:
    picture: RGB.
    semantic_map: uint8 [h, w], or None.
    points: five landmarks (x, y) in pixels.

  Returns:
    The square picture, cut bicubically, and its map, cut by nearest.

  Raises:
    DatasetError: the landmarks do not lie on this picture.
  """
  centre, side, axis_x, axis_y = crop_frame(points)
  if not ((centre >= 0).all() and (centre <= picture.size).all() and side <= 4 * max(picture.size)):
    raise DatasetError(
      f'the landmarks {points} do not lie on a picture of {picture.width} x {picture.height}'
    )
  pixels = max(1, round(side))
  # Furthest a corner of the rotated square gets beyond the picture, and two pixels for bicubic.
  reach = side / 2 * (abs(axis_x) + abs(axis_y))
  before = np.maximum(0, np.ceil(reach - centre)).astype(int) + 2
  after = np.maximum(0, np.ceil(centre + reach - picture.size)).astype(int) + 2
  pad = ((before[1], after[1]), (before[0], after[0]))
  corner = centre + before - side / 2 * (axis_x + axis_y)
  step = side / pixels
  # Pillow asks where the centre of each output pixel lies in the input, half a pixel included.
  matrix = (
    *(step * axis_x[0], step * axis_y[0], corner[0]),
    *(step * axis_x[1], step * axis_y[1], corner[1]),
  )

  def warp(image: np.ndarray, filter_: Image.Resampling) -> Image.Image:
    return Image.fromarray(image).transform(
      (pixels, pixels), Image.Transform.AFFINE, matrix, filter_
    )

  cut = warp(np.pad(np.asarray(picture), (*pad, (0, 0)), mode='edge'), Image.Resampling.BICUBIC)
  if semantic_map is None:
    return cut, None
  return cut, np.asarray(warp(np.pad(semantic_map, pad), Image.Resampling.NEAREST))


def fit_similarity(points: Points, template: Template) -> np.ndarray:
  """Returns the least-squares map from a photograph to a template's crop.

  A rotation, one scale and a shift (Umeyama 1991, without reflection), then the template's stretch
  along x.

  Args:
    points: five (x, y) in pixels of the photograph, in the template's order.
    template: where they belong.

  Returns:
    float64 [2, 3]: (x, y, 1) of the photograph to (x, y) of the crop.

  Raises:
    DatasetError: another number of points, or points that determine no scale.
  """
  xy = np.asarray(points, np.float64)
  if xy.shape != (5, 2):
    raise DatasetError(f'the landmarks have shape {xy.shape}; expected five points (x, y)')
  target = np.asarray(template.points, np.float64) / (template.stretch, 1.0)
  # As complex numbers a similarity is w = a z + b, and least squares has one line.
  z, w = (p[:, 0] + 1j * p[:, 1] for p in (xy, target))
  spread = np.sum(np.abs(z - z.mean()) ** 2)
  a = np.sum((z - z.mean()).conj() * (w - w.mean())) / spread if spread > 0 else 0j
  if not 0 < abs(a) < math.inf:
    raise DatasetError(f'the landmarks {points} fit no crop of a recogniser')
  b = w.mean() - a * z.mean()
  across = template.stretch * np.array([a.real, -a.imag, b.real])
  return np.stack([across, [a.imag, a.real, b.imag]])


def align_face(picture: Image.Image, points: Points, template: Template) -> np.ndarray:
  """Cuts the crop that a face recogniser wants, bilinearly; black beyond the photograph.

  Where the photograph has at least twice the crop's resolution, it is first reduced by a whole
  factor, since bilinear sampling alone would skip pixels.

  Args:
    picture: RGB.
    points: (x, y) of eye, eye, nose tip, mouth corner, mouth corner in pixels, the left ones in
      the picture first.
    template: the recogniser's.

  Returns:
    uint8 [template.height, template.width, 3].

  Raises:
    DatasetError: landmarks that fit no crop.
  """
  forward = np.vstack([fit_similarity(points, template), (0.0, 0.0, 1.0)])
  backward = np.linalg.inv(forward)
  factor = math.floor(math.hypot(backward[0, 1], backward[1, 1]))  # photograph's pixels a row
  if factor > 1:
    picture = picture.reduce(factor)
    backward /= factor
  size = (template.width, template.height)
  matrix = tuple(backward[:2].ravel().tolist())
  return np.asarray(
    picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
  )
