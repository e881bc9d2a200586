"""Faces covered instead of replaced: solid fill, and the baselines of the paper's Table 2."""

import math

import numpy as np
from PIL import Image

from anon_jax.inference.crops import Frame, Patch, cut
from anon_jax.inference.faces import Face

METHODS = ('fill', 'pixelate', 'blur')
FILL = 127  # says nothing about the face, which its mean colour would
BLOCKS = (8, 16)
KERNELS = (9, 17)
_FACE = 128  # pixels of a crop in which blocks and kernels are counted, as in the paper
# Covered square as a share of the crop's side: the face box has 60 %, chin and forehead more.
_SHARE = 0.7
_BOX_MARGIN = 0.1  # of the box's sides, on each of them


def cover(
  picture: np.ndarray, face: Face, frame: Frame, method: str, block: int = 16, kernel: int = 17
) -> Patch:
  """Returns what covers a face: its box with a margin and the turned square about it.

  Args:
    picture: uint8 [h, w, 3], the original.
    face: whose box is covered.
    frame: the face's crop.
    method: 'fill' (mid grey: safe), 'pixelate' or 'blur' (baselines: people can be recognised).
    block: of 'pixelate', side of a block in pixels of a crop of 128 px.
    kernel: of 'blur', side of the box filter in pixels of a crop of 128 px; odd.
  """
  left, top, mask = region(face, frame, picture.shape[1], picture.shape[0])
  height, width = mask.shape
  pixels = np.full((height, width, 3), FILL, np.uint8)
  if method == 'fill' or not mask.size:
    return Patch(left, top, pixels, mask)
  # A crop wide enough for the whole region, upright, at the scale of a crop of 128 px.
  longest = max(width, height)
  upright = Frame(
    np.array([left + longest / 2, top + longest / 2]),
    longest,
    np.array([1.0, 0.0]),
    np.array([0.0, 1.0]),
  )
  size = max(1, round(longest / frame.side * _FACE))
  crop = cut(picture, upright, size)
  changed = _pixelated(crop, block) if method == 'pixelate' else _blurred(crop, kernel)
  smooth = Image.Resampling.NEAREST if method == 'pixelate' else Image.Resampling.BILINEAR
  large = Image.fromarray(changed).resize((longest, longest), smooth)
  return Patch(left, top, np.asarray(large)[:height, :width], mask)


def region(face: Face, frame: Frame, width: int, height: int) -> tuple[int, int, np.ndarray]:
  """Returns left, top and a bool mask [h, w] of the pixels that are covered.

  The last row and column of a picture belong to it like all others.
  """
  left, top, right, bottom = face.box
  margin_x, margin_y = _BOX_MARGIN * (right - left), _BOX_MARGIN * (bottom - top)
  box = (
    math.floor(left - margin_x),
    math.floor(top - margin_y),
    math.ceil(right + margin_x),
    math.ceil(bottom + margin_y),
  )
  inner = Frame(frame.centre, _SHARE * frame.side, frame.across, frame.down)
  square = inner.bounds(width, height)
  whole = (
    max(0, min(box[0], square[0])),
    max(0, min(box[1], square[1])),
    min(width, max(box[2], square[2])),
    min(height, max(box[3], square[3])),
  )
  if whole[0] >= whole[2] or whole[1] >= whole[3]:
    return 0, 0, np.zeros((0, 0), bool)
  x = np.arange(whole[0], whole[2]) + 0.5
  y = np.arange(whole[1], whole[3]) + 0.5
  in_box = ((x > box[0]) & (x < box[2]))[None, :] & ((y > box[1]) & (y < box[3]))[:, None]
  x, y = x[None, :] - frame.centre[0], y[:, None] - frame.centre[1]
  reach = inner.side / 2 + 0.5
  across = np.abs(x * frame.across[0] + y * frame.across[1]) <= reach
  down = np.abs(x * frame.down[0] + y * frame.down[1]) <= reach
  return whole[0], whole[1], in_box | (across & down)


def _pixelated(crop: np.ndarray, block: int) -> np.ndarray:
  """Replaces each block by its mean; the last ones may be smaller."""
  image = Image.fromarray(crop)
  small = image.reduce(min(block, *image.size))
  large = small.resize((small.width * block, small.height * block), Image.Resampling.NEAREST)
  return np.asarray(large)[: crop.shape[0], : crop.shape[1]]


def _blurred(crop: np.ndarray, kernel: int) -> np.ndarray:
  """Replaces each pixel by the mean of a square about it; the border is repeated."""
  half = kernel // 2
  padded = np.pad(crop.astype(np.float64), ((half, half), (half, half), (0, 0)), mode='edge')
  for axis in (0, 1):
    sums = np.cumsum(padded, axis=axis)
    sums = np.insert(sums, 0, 0.0, axis=axis)
    count = crop.shape[axis]
    high = np.take(sums, np.arange(kernel, kernel + count), axis=axis)
    padded = (high - np.take(sums, np.arange(count), axis=axis)) / kernel
  return np.round(padded).astype(np.uint8)
