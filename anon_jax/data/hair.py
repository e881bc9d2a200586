"""Where hair is around a face: what tells which control identities suit a picture.

A face that a stranger's hair surrounds looks pasted, above all where hair says one sex and the face
the other. So each control identity is known by where its own hair is, on average over its training
pictures, and a picture draws among those whose hair is like its own.
"""

import json
import math
import pathlib
import re

import numpy as np

from anon_jax.data import semantic

_FILE = 'hair.json'
_ROWS, _COLUMNS = 6, 3  # cells of half a crop: left and right are averaged
CELLS = _ROWS * _COLUMNS
_LEVELS = 255
# Share of the control identities that suit a picture, and how many do at least.
_SHARE, _LEAST = 0.25, 12
_HAIR = semantic.CLASSES.index('hair')


def shares(semantic_map: np.ndarray) -> np.ndarray:
  """Measures which share of each cell is hair.

  Args:
    semantic_map: uint8 [s, s] of a crop in whose height the face box has .6.

  Returns:
    float32 [CELLS] in [0, 1]; a picture and its mirror image have the same.
  """
  found = (semantic_map == _HAIR).astype(np.float32)
  both = (found + found[:, ::-1]) / 2
  rows = np.array_split(both, _ROWS)
  return np.array(
    [cell.mean() for row in rows for cell in np.array_split(row, 2 * _COLUMNS, axis=1)[:_COLUMNS]],
    np.float32,
  )


def suited(known: np.ndarray, semantic_map: np.ndarray) -> np.ndarray:
  """Finds the control identities whose hair is most like that of a picture.

  Args:
    known: float32 [identities, CELLS], the mean `shares` of each.
    semantic_map: uint8 [s, s], as `shares` takes it.

  Returns:
    int64 [n], their places, ascending: a quarter of all, but twelve or more where there are.
  """
  distances = np.square(known - shares(semantic_map)).sum(axis=1)
  count = max(math.ceil(_SHARE * len(known)), min(_LEAST, len(known)))
  return np.sort(np.argsort(distances, kind='stable')[:count])


def encode(known: np.ndarray) -> str:
  """Writes mean shares [identities, CELLS] in [0, 1] as text, two hexadecimal digits a cell."""
  return np.round(known * _LEVELS).astype(np.uint8).tobytes().hex()


def decode(code: str) -> np.ndarray:
  """Reads what `encode` wrote, float32 [identities, CELLS]."""
  raw = np.frombuffer(bytes.fromhex(code), np.uint8)
  return raw.reshape(-1, CELLS).astype(np.float32) / _LEVELS


def is_code(text: str) -> bool:
  """Tells whether a text is one of `encode`; '' is, of nobody."""
  return re.fullmatch(f'([0-9a-f]{{{2 * CELLS}}})*', text) is not None


def count(code: str) -> int:
  """Returns of how many control identities a text of `encode` is."""
  return len(code) // (2 * CELLS)


def read(workdir: pathlib.Path) -> str:
  """Reads what a run measured of its control identities; '' if it did not.

  Raises:
    ValueError: the file holds something else.
  """
  path = workdir / _FILE
  try:
    code = json.loads(path.read_text())['hair']
  except FileNotFoundError:
    return ''
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path} cannot be read ({type(error).__name__})') from None
  if not isinstance(code, str) or not is_code(code):
    raise ValueError(f'{path} does not hold what a run measured of hair')
  return code


def contents(known: np.ndarray) -> bytes:
  """Returns the bytes of the file that `read` reads."""
  return (json.dumps({'hair': encode(known)}) + '\n').encode()


def path_in(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the file that `read` reads."""
  return workdir / _FILE
