"""LFW: pairs of photographs of one person or of two, in the folds of its official protocol."""

import pathlib
from typing import NamedTuple

import numpy as np

from anon_jax.data.errors import DatasetError

PAIRS = 'pairs.txt'
_FOLDERS = ('lfw-deepfunneled', 'lfw-funneled', 'lfw_funneled', 'lfw')
LAYOUT = (
  'LFW is expected as pairs.txt beside one of the folders '
  f'{", ".join(_FOLDERS)}, with NAME/NAME_0001.jpg in it. Obtain it from '
  'https://vis-www.cs.umass.edu/lfw (research on face verification).'
)


class Pairs(NamedTuple):
  """The pairs of a list, in its order.

  Attributes:
    folder: of the pictures.
    first: their names below it, such as 'Ann_Lee/Ann_Lee_0001.jpg'.
    second: the same of the second pictures.
    same: bool [n], whether both show one person.
    fold: int [n], from 0.
  """

  folder: pathlib.Path
  first: tuple[str, ...]
  second: tuple[str, ...]
  same: np.ndarray
  fold: np.ndarray


def read_pairs(folder: pathlib.Path) -> Pairs:
  """Reads pairs.txt: of any number of folds, and no pair is ever left out.

  The first line has the number of folds and that of pairs of each kind in a fold, or only the
  latter (one fold). In each fold come first the pairs of one person, `NAME I J`, then those of two,
  `NAME I OTHER J`.

  Args:
    folder: that holds pairs.txt and the folder of pictures.

  Raises:
    DatasetError: a file is missing, or a line is laid out otherwise; it is named.
  """
  path = folder / PAIRS
  pictures = next((folder / name for name in _FOLDERS if (folder / name).is_dir()), None)
  if not path.is_file() or pictures is None:
    raise DatasetError(f'{folder} holds no LFW. {LAYOUT}')
  try:
    text = path.read_text(encoding='utf-8-sig')
  except (OSError, UnicodeDecodeError) as error:
    raise DatasetError(f'{path} cannot be read as UTF-8 text ({error}); copy it again.') from None
  header, *lines = text.splitlines() or ['']
  numbers = header.split()
  if not (1 <= len(numbers) <= 2 and all(number.isdecimal() for number in numbers)):
    raise DatasetError(
      f'{path}, line 1 is {header!r}; expected the numbers of folds and of pairs in a fold.'
    )
  folds, each = (1, int(numbers[0])) if len(numbers) == 1 else map(int, numbers)
  rows = [(number, line.split()) for number, line in enumerate(lines, 2) if line.strip()]
  if len(rows) != folds * 2 * each or not rows:
    raise DatasetError(
      f'{path} has {len(rows)} pairs; its first line promises {folds} x 2 x {each}.'
    )
  first, second, same = [], [], []
  for place, (number, words) in enumerate(rows):
    alike = place % (2 * each) < each
    if len(words) != (3 if alike else 4):
      raise DatasetError(
        f'{path}, line {number} is {" ".join(words)!r}; expected '
        f'{"NAME I J" if alike else "NAME I OTHER J"}.'
      )
    name, other = words[0], words[-2] if not alike else words[0]
    first.append(_picture(pictures, name, words[1], path, number))
    second.append(_picture(pictures, other, words[-1], path, number))
    same.append(alike)
  fold = np.repeat(np.arange(folds), 2 * each)
  return Pairs(pictures, tuple(first), tuple(second), np.array(same), fold)


def _picture(folder: pathlib.Path, name: str, number: str, path: pathlib.Path, line: int) -> str:
  if not number.isdecimal():
    raise DatasetError(f'{path}, line {line}: {number!r} is not the number of a picture.')
  found = f'{name}/{name}_{int(number):04d}.jpg'
  if not (folder / found).is_file():
    raise DatasetError(
      f'{folder / found} is missing, which line {line} of {path} names: no pair is left out, since '
      'that would move the folds.'
    )
  return found
