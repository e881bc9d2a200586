"""Reads the text lists that come with CelebA, wherever its download keeps them."""

import pathlib
from collections.abc import Iterable

from anon_jax.data.errors import DatasetError

PARTITION = 'list_eval_partition.txt'
IDENTITY = 'identity_CelebA.txt'
LANDMARKS = 'list_landmarks_celeba.txt'
SPLITS = ('train', 'validation', 'test')  # by CelebA's partition number
# The download sorts its files into these folders; mirrors often put all of them side by side.
_FOLDERS = ('', 'Anno', 'Eval', 'Img')


def find(folder: pathlib.Path, names: Iterable[str]) -> pathlib.Path | None:
  """Returns the first of `names` that exists in `folder` or in CelebA's own subfolders of it."""
  for name in names:
    for part in _FOLDERS:
      path = folder / part / name
      if path.exists():
        return path
  return None


def read_columns(path: pathlib.Path, columns: int, header: int = 0) -> dict[str, tuple[float, ...]]:
  """Reads lines `FILE NUMBER ...` into {stem of FILE: numbers}.

  Args:
    path: the list.
    columns: how many numbers a line holds.
    header: how many lines to skip at the start.

  Raises:
    DatasetError: naming the first line that is laid out otherwise.
  """
  rows: dict[str, tuple[float, ...]] = {}
  for number, line in enumerate(path.read_text().splitlines(), 1):
    if number <= header or not line.strip():
      continue
    name, *values = line.split()
    try:
      row = tuple(map(float, values))
    except ValueError:
      row = ()
    if len(row) != columns:
      raise DatasetError(
        f'{path}, line {number} is {line.strip()!r}; expected a file name and {columns} number'
        f'{"s" if columns > 1 else ""}.'
      )
    rows[pathlib.PurePath(name).stem] = row
  return rows


def read_partition(path: pathlib.Path) -> dict[str, str]:
  """Returns {stem: split} of list_eval_partition.txt."""
  splits = {}
  for stem, (number,) in read_columns(path, 1).items():
    if number not in range(len(SPLITS)):
      raise DatasetError(f'{path} puts {stem} into part {number:g}; expected 0, 1 or 2.')
    splits[stem] = SPLITS[int(number)]
  return splits


def require_same(
  listed: Iterable[str], there: Iterable[str], path: pathlib.Path, folder: pathlib.Path
) -> None:
  """Raises unless a list and a folder hold the same pictures; nothing is left out silently."""
  listed, there = set(listed), set(there)
  if unlisted := sorted(there - listed):
    raise DatasetError(
      f'{path} does not list {len(unlisted)} of the pictures in {folder} (first: {unlisted[0]}).'
    )
  if missing := sorted(listed - there):
    raise DatasetError(
      f'{folder} lacks {len(missing)} of the {len(listed)} pictures that {path} lists '
      f'(first: {missing[0]}); complete the download, or shorten the list to the pictures you have.'
    )
