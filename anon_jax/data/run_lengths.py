"""Masks as COCO's compressed run lengths, as MOTS has them; decoded by pycocotools."""

import importlib
import importlib.util
import warnings

import numpy as np

from anon_jax.data.errors import DatasetError

# A character holds 5 bits of a number, and whether the number goes on, above this one.
_FIRST = ord('0')
_BITS, _MORE, _SIGN = 5, 0x20, 0x10


def decode(counts: str, height: int, width: int) -> np.ndarray:
  """Decodes a mask.

  Args:
    counts: COCO's compressed run lengths, down the columns.
    height: of the mask.
    width: of the mask.

  Returns:
    bool [height, width].

  Raises:
    DatasetError: not run lengths, or not of height x width pixels; or pycocotools is missing.
  """
  # Where runs end early, pycocotools fills the mask with what was in memory, without a word.
  runs = lengths(counts)
  if min(runs, default=0) < 0:
    raise DatasetError(f'the run lengths hold a run of {min(runs)} pixels: they are damaged.')
  if sum(runs) != height * width:
    raise DatasetError(
      f'the run lengths cover {sum(runs)} pixels; expected {height} x {width} = {height * width}, '
      'height x width as given with them.'
    )
  if importlib.util.find_spec('pycocotools') is None:
    raise DatasetError("Run lengths need pycocotools; run: pip install 'anon-jax[train]'")
  mask = importlib.import_module('pycocotools.mask')
  with warnings.catch_warnings():  # pycocotools 2.0.11 is older than NumPy's `copy` of __array__
    warnings.filterwarnings('ignore', '__array__ implementation', DeprecationWarning)
    decoded = mask.decode({'size': [height, width], 'counts': counts.encode()})
  return decoded.astype(bool)


def lengths(counts: str) -> list[int]:
  """Returns the lengths of the runs, of background and mask in turn; negative ones are broken.

  Raises:
    DatasetError: a character that is none of run lengths, or an unfinished number.
  """
  runs: list[int] = []
  number = shift = 0
  for character in counts:
    value = ord(character) - _FIRST
    if not 0 <= value < 2 * _MORE:
      raise DatasetError(f"{character!r} is no character of COCO's compressed run lengths.")
    number |= (value & (_MORE - 1)) << shift
    shift += _BITS
    if value & _MORE:
      continue
    if value & _SIGN:
      number -= 1 << shift
    # From the fourth on, a run is stored as its difference to the one before the last.
    runs.append(number + (runs[-2] if len(runs) > 2 else 0))
    number = shift = 0
  if shift:
    raise DatasetError('the run lengths end inside a number: they are cut short.')
  return runs
