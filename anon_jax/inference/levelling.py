"""A second look at tilted faces, made level: the network places landmarks badly on tilted ones."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from anon_jax.inference.centerface import Candidates
from anon_jax.inference.faces import Face

# Faces are looked at again where no turn of the picture stands closer to upright, in degrees.
_TILTED = 15
# Only sure faces: landmarks of the others are hardly ever used.
_LEAST_SCORE = 0.3
# The square that is looked at: its side in pixels and in sizes of the face's box.
_SIDE, _AROUND = 256, 2.2
# The face has to be there again: as sure as this share of before, level, and in the middle.
_AGAIN, _LEVEL, _APART = 0.5, 0.9, 0.15
_GREY = (128, 128, 128)


def levelled(
  face: Face,
  picture: np.ndarray,
  find: Callable[[np.ndarray, float], Candidates],
  turns: Sequence[int],
) -> Face:
  """Returns a face with the landmarks of a level look at it, if it is tilted.

  Box and score stay. Where the second look does not find the face, the landmarks stay too.

  Args:
    face: in the picture's pixels.
    picture: uint8 RGB [h, w, 3].
    find: see `CenterFace.find`.
    turns: degrees by which the picture was turned already.
  """
  if face.landmarks is None or face.score < _LEAST_SCORE:
    return face
  points = np.array(face.landmarks)
  down = points[3:].mean(0) - points[:2].mean(0)
  # how far the face is turned to the left; turning the picture back by that makes it level
  angle = math.degrees(math.atan2(down[0], down[1]))
  if min(abs((angle + turn + 180) % 360 - 180) for turn in turns) <= _TILTED:
    return face
  left, top, right, bottom = face.box
  side = max(2, round(_AROUND * max(right - left, bottom - top)))
  corner = np.round(np.array([left + right - side, top + bottom - side]) / 2)
  candidates = find(square(picture, corner.astype(int), side, _SIDE, angle), _AGAIN * face.score)
  centres = (candidates.boxes[:, :2] + candidates.boxes[:, 2:]) / 2
  there = (candidates.upright >= _LEVEL) & (np.hypot(*(centres - _SIDE / 2).T) <= _APART * _SIDE)
  if not there.any():
    return face
  best = int(np.where(there, candidates.scores, -1).argmax())
  x, y = (candidates.landmarks[best] - _SIDE / 2).T * side / _SIDE
  cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
  middle = corner + side / 2
  turned = np.stack([x * cos + y * sin, y * cos - x * sin], 1) + middle
  return dataclasses.replace(face, landmarks=tuple((float(a), float(b)) for a, b in turned))


def square(
  picture: np.ndarray, corner: np.ndarray, side: int, size: int, angle: float = 0
) -> np.ndarray:
  """Cuts a square out of a picture, with grey beyond its border.

  Args:
    picture: uint8 RGB [h, w, 3].
    corner: of the square, int [2], (x, y), may lie beside the picture.
    side: of the square in the picture's pixels.
    size: side of the result in pixels.
    angle: degrees by which the result is turned to the right.

  Returns:
    uint8 [size, size, 3].
  """
  height, width = picture.shape[:2]
  start = np.clip(corner, 0, (width, height))
  end = np.clip(corner + side, 0, (width, height))
  part = Image.fromarray(np.ascontiguousarray(picture[start[1] : end[1], start[0] : end[0]]))
  # Reduced before the border is added: the square of a face that fills a large picture is huge.
  factor = max(1, side // (2 * size))
  part = part.reduce(factor)
  whole = Image.new('RGB', (round(side / factor), round(side / factor)), _GREY)
  left, top = (round(int(v) / factor) for v in start - corner)
  whole.paste(part, (left, top))
  whole = whole.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2)
  return np.asarray(whole.rotate(-angle, Image.Resampling.BILINEAR, fillcolor=_GREY))
