"""Masks as COCO's compressed run lengths, as MOTS has them."""

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
    DatasetError: not run lengths, or not of height x width pixels.
  """
  runs = lengths(counts)
  if min(runs, default=0) < 0:
    raise DatasetError(f'the run lengths hold a run of {min(runs)} pixels: they are damaged.')
  if sum(runs) != height * width:
    raise DatasetError(
      f'the run lengths cover {sum(runs)} pixels; expected {height} x {width} = {height * width}, '
      'height x width as given with them.'
    )
  inside = np.arange(len(runs)) % 2 == 1
  return np.repeat(inside, runs).reshape(width, height).T


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
