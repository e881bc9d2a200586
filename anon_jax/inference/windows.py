"""The parts of a picture that a detector looks at: resized, cut into windows, and turned."""

import itertools
import math

import numpy as np
from PIL import Image

from anon_jax.inference.centerface import MULTIPLE, Candidates

_GREY = 128  # around a picture; the network finds more there than with black or a repeated border
# Views are looked at in windows of this side at most, so that memory does not grow with pictures.
# Each sees so much beyond its own part that faces of twice that size are whole in one of them.
_WINDOW, _BEYOND = 1280, 64


def resized(picture: np.ndarray, scale: float) -> np.ndarray:
  """Returns uint8 [h, w, 3] at another size; sides stay above 0."""
  if scale == 1:
    return picture
  height, width = (max(1, round(scale * length)) for length in picture.shape[:2])
  image = Image.fromarray(picture)
  if scale > 1:
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
  # The gap has Pillow reduce by whole factors first: large pictures take a fraction of the time.
  return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2))


def spans(length: int) -> list[tuple[float, float]]:
  """Returns the parts, start and end, that the windows along a side own."""
  count = 1 if length <= _WINDOW else math.ceil(length / (_WINDOW - 2 * _BEYOND))
  edges: list[float] = [round(length * n / count) for n in range(count + 1)]
  # What lies beyond the picture belongs to the windows at its border.
  edges[0], edges[-1] = -math.inf, math.inf
  return list(itertools.pairwise(edges))


def window(
  view: np.ndarray, rows: tuple[float, float], columns: tuple[float, float], border: int
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts out a window with what lies around its own part; grey beyond the view.

  Returns:
    pixels uint8 [h, w, 3] with sides that are multiples of 32, and where their left top corner is
    in the view, (x, y).
  """
  starts, ends = [], []
  for (start, end), length in zip((rows, columns), view.shape[:2], strict=True):
    begin = -border if start == -math.inf else int(start) - _BEYOND
    stop = length + border if end == math.inf else int(end) + _BEYOND
    missing = (begin - stop) % MULTIPLE
    starts.append(begin - missing // 2)
    ends.append(stop + missing - missing // 2)
  pixels = np.full((ends[0] - starts[0], ends[1] - starts[1], 3), _GREY, np.uint8)
  inside = [slice(max(0, start), max(0, end)) for start, end in zip(starts, ends, strict=True)]
  part = view[inside[0], inside[1]]
  top, left = (max(0, -start) for start in starts)
  pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
  return pixels, np.array([starts[1], starts[0]], np.float64)


def turned_back(
  candidates: Candidates, turn: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns boxes and landmarks in a window of which the candidates saw `np.rot90(..., turn)`."""
  boxes = candidates.boxes.reshape(-1, 2, 2)
  corners, points = (_back(xy, turn, height, width) for xy in (boxes, candidates.landmarks))
  return np.concatenate([corners.min(1), corners.max(1)], 1), points


def _back(points: np.ndarray, turn: int, height: int, width: int) -> np.ndarray:
  """Returns points (x, y) [..., 2] in a window of that size before it was turned."""
  x, y = points[..., 0], points[..., 1]
  if turn == 90:
    x, y = width - y, x
  elif turn == 180:
    x, y = width - x, height - y
  elif turn == 270:
    x, y = y, height - x
  return np.stack([x, y], -1)


def within(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
  """Tells which values lie in a span, start and end."""
  inside: np.ndarray = (values >= span[0]) & (values < span[1])
  return inside
