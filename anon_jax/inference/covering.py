"""Which pixels of a face are replaced; and faces covered instead: solid fill, and the baselines of
the paper's Table 2.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

from anon_jax.inference import crops
from anon_jax.inference.crops import Frame, Patch
from anon_jax.inference.faces import Face

METHODS = ('fill', 'pixelate', 'blur')
FILL = 127  # says nothing about the face, which its mean colour would
BLOCKS = (8, 16)
KERNELS = (9, 17)
_FACE = 128  # pixels of a crop in which blocks and kernels are counted, as in the paper
# Covered square as a share of the crop's side: the face box has 60 %, chin and forehead more.
_SHARE = 0.7
_BOX_MARGIN = 0.1  # of the box's sides, on each of them

# By how much S's foreground is grown, as a share of the crop's side: where its border runs inside
# the face's, a line of the face would be left. At .015 dots of shade were left along some jaws.
_GROWN = 0.025


def replaced_by(foreground: np.ndarray, frame: Frame, width: int, height: int) -> np.ndarray:
  """Finds the pixels of a crop that a new face replaces: the foreground, and all that shows it.

  Args:
    foreground: bool [s, s], as S finds it.
    frame: where the crop lies.
    width: of the picture in pixels.
    height: of the picture.

  Returns:
    bool [s, s].
  """
  wide = crops.grown(foreground, max(1, round(_GROWN * len(foreground))))
  return wide | crops.shows(crops.touched(wide, frame, width, height), frame, len(foreground))


def cover(
  picture: np.ndarray,
  face: Face,
  frame: Frame,
  method: str,
  block: int = 16,
  kernel: int = 17,
  mask: np.ndarray | None = None,
) -> Patch:
  """Returns what covers a face: its box with a margin, the turned square about it, and a mask.

  Args:
    picture: uint8 [h, w, 3], the original.
    face: whose box is covered.
    frame: the face's crop.
    method: 'fill' (mid grey: safe), 'pixelate' or 'blur' (baselines: people can be recognised).
    block: of 'pixelate', least side of a block in pixels of a crop of 128 px.
    kernel: of 'blur', side of the box filter in pixels of a crop of 128 px; odd.
    mask: bool [h, w], what is covered besides; None: nothing.
  """
  height, width = picture.shape[:2]
  left, top, covered = region(face, frame, width, height, mask)
  height, width = covered.shape
  if not covered.size:
    return Patch(left, top, np.zeros((0, 0, 3), np.uint8), covered)
  part = picture[top : top + height, left : left + width]
  return Patch(left, top, changed(part, method, _FACE / frame.side, block, kernel), covered)


def changed(
  part: np.ndarray, method: str, scale: float, block: int = 16, kernel: int = 17
) -> np.ndarray:
  """Returns a rectangle of a picture pixelated, blurred or filled, uint8 [h, w, 3].

  Args:
    part: uint8 [h, w, 3].
    method: one of METHODS.
    scale: pixels of a crop of 128 px for one of the part, in which the next two are counted.
    block: of 'pixelate', least side of a block.
    kernel: of 'blur', side of the box filter; odd.
  """
  height, width = part.shape[:2]
  if method == 'fill':
    return np.full_like(part, FILL)
  image = Image.fromarray(part)
  if method == 'pixelate':
    # whole blocks of the asked size or larger, and two pixels at least
    blocks = [max(1, min(side // 2, int(side * scale / block))) for side in (width, height)]
    small = image.resize((blocks[0], blocks[1]), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))
  return np.asarray(image.filter(ImageFilter.BoxBlur(max(1, (kernel / scale - 1) / 2))))


def region(
  face: Face, frame: Frame, width: int, height: int, mask: np.ndarray | None = None
) -> tuple[int, int, np.ndarray]:
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
  parts = [box, inner.bounds(width, height)]
  if mask is not None and mask.any():
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    parts.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
  low, high = np.min(parts, axis=0)[:2], np.max(parts, axis=0)[2:]
  left, top = (int(v) for v in np.maximum(low, 0))
  right, bottom = (int(v) for v in np.minimum(high, (width, height)))
  if left >= right or top >= bottom:
    return 0, 0, np.zeros((0, 0), bool)
  x, y = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
  covered = ((x > box[0]) & (x < box[2])) & ((y > box[1]) & (y < box[3]))[:, None]
  x, y = x - frame.centre[0], y[:, None] - frame.centre[1]
  # and every pixel that the square touches
  reach = inner.side / 2 + abs(frame.across).sum() / 2
  across = abs(x * frame.across[0] + y * frame.across[1]) < reach
  down = abs(x * frame.down[0] + y * frame.down[1]) < reach
  covered |= across & down
  if mask is not None:
    covered |= mask[top:bottom, left:right]
  return left, top, covered
