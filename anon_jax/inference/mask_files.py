"""Files of masks: pictures that say whose each pixel is, and MOTS's text files of run lengths."""

import pathlib
from typing import Any

import numpy as np
from PIL import Image

from anon_jax.data import mots_files, run_lengths
from anon_jax.data.errors import DatasetError
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.opening import opened
from anon_jax.inference.paths import shown

Size = tuple[int, int]
Lines = dict[int, list[mots_files.Line]]
PLAIN = -1  # number of a mask that does not tell people apart
_WHITE, _WHITE_16 = 255, 65535
_MOST = 500  # instances of one picture
_MODES = ('1', 'L', 'P', 'RGB', 'I;16', 'I')
# What Pillow raises for PNG files that are damaged.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class MaskError(InferenceError):
  """A mask that is missing, damaged or of another size: whose it is and what lies there."""


class Masks(dict[int, tuple[np.ndarray, str]]):
  """The masks of one picture: number, or PLAIN -> bool [h, w], and why it is filled or ''."""


def read_picture(path: pathlib.Path, size: Size) -> Masks:
  """Reads a PNG whose pixels say whose they are; black is nobody's.

  A black and white picture, whatever greys it has besides, is one plain mask: all that is not
  black. Numbers without white, the indices of a palette, and numbers of 16 bits are instances.

  Args:
    path: of the file.
    size: width and height of what it belongs to; nothing is decoded of another size.

  Raises:
    MaskError: it cannot be read, is no such PNG, or has another size.
  """
  with opened(path, MaskError, 'PNG') as file:
    try:
      image = Image.open(file, formats=('PNG',))
      if image.size != size:
        raise MaskError(
          f'{shown(path)} is {image.width} x {image.height}, and what it masks is {size[0]} x '
          f'{size[1]} upright; give a mask of that size.'
        )
      if image.mode not in _MODES or getattr(image, 'n_frames', 1) > 1:
        raise MaskError(
          f'{shown(path)} has pixels of kind {image.mode}; expected a PNG that is grey, indexed or '
          'black and white, without transparency or further frames.'
        )
      image.load()
    except Image.UnidentifiedImageError:
      raise MaskError(f'{shown(path)} is no PNG; give masks as PNG, which loses nothing.') from None
    except _BROKEN as error:
      if isinstance(error, MaskError):
        raise
      reason = ' '.join(str(error).split())[:100]
      raise MaskError(f'{shown(path)} is damaged ({reason}); replace it.') from None
  values = np.asarray(image)
  if image.mode in ('1', 'RGB'):
    return _plain(np.asarray(values.any(axis=2)) if values.ndim == 3 else values)
  masks = _instances(values, indexed=image.mode == 'P')
  if masks is None:
    raise MaskError(
      f'{shown(path)} has more than {_MOST} different values, and none is white ({_WHITE}, or '
      f'{_WHITE_16} of 16 bits); give numbers of people, or black and white.'
    )
  return masks


def _plain(mask: np.ndarray) -> Masks:
  return Masks({PLAIN: (mask, '')}) if mask.any() else Masks()


def _instances(values: np.ndarray, indexed: bool) -> Masks | None:
  numbers = [int(number) for number in np.flatnonzero(np.bincount(values.ravel())) if number]
  white = _WHITE_16 if numbers and numbers[-1] > _WHITE else _WHITE
  if numbers and numbers[-1] == white and (not indexed or len(numbers) == 1):
    return _plain(values != 0)
  if len(numbers) > _MOST:
    return None
  return Masks(
    {number: (values == number, _reason(number // mots_files.KIND)) for number in numbers}
  )


def _reason(kind: int) -> str:
  """Says why an instance of a class is no person; '' where it is one, or has no class."""
  if kind in (0, mots_files.PEDESTRIAN):
    return ''
  return f'class {kind} is no pedestrian ({mots_files.PEDESTRIAN})'


def read_text(path: pathlib.Path) -> Lines:
  """Reads lines `time_frame id class_id img_height img_width rle`; no mask is decoded.

  Raises:
    MaskError: another layout, an instance that is twice in a frame, or no line at all.
  """
  try:
    with opened(path, MaskError, 'text'):  # it is no folder, FIFO or device
      lines = mots_files.read_any_lines(path)
  except DatasetError as error:
    raise MaskError(str(error)) from None
  if not lines:
    raise MaskError(f'{shown(path)} has no line; give one for each person in each frame.')
  return lines


def decoded(lines: Any, size: Size) -> Masks:
  """Decodes the lines of one picture.

  Args:
    lines: of type `mots_files.Line`.
    size: width and height of the picture.

  Raises:
    MaskError: run lengths of another size, or damaged ones.
  """
  masks = Masks()
  for line in lines:
    if (line.width, line.height) != size:
      raise MaskError(
        f'{line.where} has a mask of {line.width} x {line.height}, and what it masks is {size[0]} '
        f'x {size[1]} upright; give masks of that size.'
      )
    try:
      mask = run_lengths.decode(line.counts, line.height, line.width)
    except DatasetError as error:
      raise MaskError(f'{line.where}: {error}') from None
    if mask.any():
      masks[line.instance] = (mask, _reason(line.kind))
  return masks
