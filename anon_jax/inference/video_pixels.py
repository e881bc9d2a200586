"""From a decoded frame to upright RGB, and back: exact colours, by the frame's own tags."""

from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation, VideoReformatter

from anon_jax.inference.colour import MATRICES, UNSPECIFIED, Colour, usual_matrix

# Unlike its fast paths, which change luma by 1.6 in the mean, these keep what is converted to RGB
# and back within 1 of 255 (measured).
EXACT = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)
# swscale's names of matrices differ from H.273's in one.
SWS_MATRIX = {matrix: 5 if matrix == 6 else matrix for matrix in MATRICES}
LIMITED, FULL = 1, 2


class RefusedVideo(ValueError):
  """A video file that is not taken; the message goes on after the file's name."""


def matrix_of(frame: av.VideoFrame) -> int:
  """Returns a frame's matrix as H.273 counts, guessed by its size if it does not say."""
  said = frame.colorspace
  if frame.format.is_rgb or said in (0, UNSPECIFIED, 3):
    return usual_matrix(frame.width, frame.height)
  if said not in MATRICES:
    raise RefusedVideo(f'has colours of kind {said} of H.273; convert it to BT.709')
  return said


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
  """Returns a frame's pixels, uint8 [h, w, 3], as they are stored."""
  full = frame.color_range == FULL or frame.format.name.startswith('yuvj') or frame.format.is_rgb
  rgb = reformatter.reformat(
    frame,
    format='rgb24',
    src_colorspace=SWS_MATRIX[matrix_of(frame)],
    src_color_range=FULL if full else LIMITED,
    dst_color_range=FULL,
    interpolation=EXACT,
    threads=1,
  )
  plane = rgb.planes[0]
  rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
  return rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)


def turn_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
  """Returns how a frame is made upright: swap rows and columns, then flip rows, then columns."""
  matrix = cast(Any, frame.side_data).get(Type.DISPLAYMATRIX)
  if matrix is None:
    return False, False, False
  a, b, _, c, d, _ = (float(v) for v in np.frombuffer(matrix, np.int32, 6))
  swap = abs(b) > abs(a)
  large, small = ((b, c), (a, d)) if swap else ((a, d), (b, c))
  if not all(large) or max(map(abs, small)) > 0.01 * min(map(abs, large)):
    raise RefusedVideo('is to be shown askew; convert it so that it needs no turning')
  # row vector times matrix: x' = a x + c y, y' = b x + d y
  return (True, b < 0, c < 0) if swap else (False, d < 0, a < 0)


def upright(pixels: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
  """Returns pixels [h, w, 3] turned as `turn_of` says, contiguous."""
  swap, rows, columns = turn
  pixels = pixels.swapaxes(0, 1) if swap else pixels
  pixels = pixels[::-1] if rows else pixels
  return np.ascontiguousarray(pixels[:, ::-1] if columns else pixels)


def to_yuv(pixels: np.ndarray, colour: Colour, reformatter: VideoReformatter) -> av.VideoFrame:
  """Returns pixels, uint8 [h, w, 3], as a tagged yuv420p frame of limited range.

  A last row or column without a partner is repeated, as chroma belongs to two of them.
  """
  height, width = pixels.shape[:2]
  if height % 2 or width % 2:
    pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
  frame = reformatter.reformat(
    av.VideoFrame.from_ndarray(pixels, 'rgb24'),
    format='yuv420p',
    src_color_range=FULL,
    dst_colorspace=SWS_MATRIX[colour.matrix],
    dst_color_range=LIMITED,
    interpolation=EXACT,
    threads=1,
  )
  frame.colorspace, frame.color_range = colour.matrix, LIMITED
  frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
  return frame
