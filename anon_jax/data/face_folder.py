"""A plain folder of faces: pictures, masks of the project's classes, and optional lists."""

import hashlib
import pathlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image

from anon_jax.data import pictures
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import FaceBuilder, Item

SPLITS = ('train', 'validation', 'test')
_VALIDATION_SHARE = 0.05


class FaceFolder(FaceBuilder):
  """`images/` and `masks/` with equal stems; optional lists say split, identity, missing masks.

  `masks_missing.txt` lists pictures that are left out because they have no mask on purpose (one
  name a line, anything after it is a reason); `split.txt` has lines `NAME train|validation|test`
  and must then name every picture; without it, 5 % of the pictures, chosen by the SHA-256 of their
  name, are for validation. `identities.txt` has lines `NAME ID`; who is not listed is unknown.
  A name may be written with or without its extension.
  """

  LAYOUT = (
    'A face_folder holds images/NAME.jpg (.jpeg, .png), masks/NAME.png with the class number of '
    'each pixel, and optionally masks_missing.txt, split.txt and identities.txt.'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    return list_masked(folder, cls.require)

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    yield from masked_parts(folder, cls.require)

  @classmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    picture, data = pictures.read_picture(item.picture)
    (mask,) = item.masks
    semantic_map = pictures.read_map(mask)
    pictures.check_same_size(picture, item.picture, semantic_map, mask)
    return picture, data, semantic_map


def list_masked(
  folder: pathlib.Path, require: Callable[[pathlib.Path], pathlib.Path]
) -> dict[str, list[Item]]:
  """Lists the pictures of a folder with masks by split, as `FaceFolder` describes it.

  Args:
    folder: holds images/, masks/ and lists.
    require: returns the path that it is given, or raises if there is nothing.

  Raises:
    DatasetError: naming the picture, mask or line that is missing or wrong.
  """
  found = pictures.list_pictures(require(folder / 'images'))
  masks = _masks(require(folder / 'masks'))
  missing = _missing(folder / 'masks_missing.txt', found)
  split_of = _assignments(folder / 'split.txt', found)
  identity_of = _assignments(folder / 'identities.txt', found)
  splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
  for stem, path in found.items():
    if stem in missing:
      continue
    if stem not in masks:
      raise DatasetError(
        f'{path} has no mask: {folder / "masks" / (stem + ".png")} is missing; add it, or list '
        f'{path.name} in {folder / "masks_missing.txt"} to leave the picture out.'
      )
    split = _split(path, split_of, folder / 'split.txt')
    identity = _identity(identity_of.get(stem, '-1'), path, folder / 'identities.txt')
    splits[split].append(Item(path.name, path, (masks[stem],), identity))
  if missing:
    print(f'{folder}: {len(missing)} pictures listed in masks_missing.txt are left out.')
  if not split_of and len(splits['train']) > 1 and not splits['validation']:
    # Few pictures: one is held out all the same, because a run is measured on it.
    splits['train'].sort(key=lambda item: _share(item.name))
    splits['validation'].append(splits['train'].pop(0))
  kept = {split: items for split, items in splits.items() if items}
  if not kept:
    raise DatasetError(f'{folder}: every picture is listed in masks_missing.txt; none is left.')
  return kept


def masked_parts(
  folder: pathlib.Path, require: Callable[[pathlib.Path], pathlib.Path]
) -> Iterator[bytes]:
  """Yields what tells a folder of pictures with masks from another one: names, sizes, lists."""
  for part in ('images', 'masks'):
    for path in pictures.list_files(require(folder / part)):
      yield f'{part}/{path.name} {path.stat().st_size}'.encode()
  for name in ('masks_missing.txt', 'split.txt', 'identities.txt'):
    yield '\n'.join(pictures.read_lines(folder / name)).encode()


def _masks(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  masks: dict[str, pathlib.Path] = {}
  for path in pictures.list_files(folder):
    if path.suffix.lower() == '.png':
      if path.stem in masks:
        raise DatasetError(f'{masks[path.stem]} and {path} share one stem; remove one of them.')
      masks[path.stem] = path
  return masks


def _stem(name: str, known: Iterable[str]) -> str | None:
  """Returns the stem of the picture that a list calls `name`, or None if there is none."""
  stem = name
  for extension in pictures.EXTENSIONS:
    if name.lower().endswith(extension):
      stem = name[: -len(extension)]
  return next((candidate for candidate in (name, stem) if candidate in known), None)


def _missing(path: pathlib.Path, found: dict[str, pathlib.Path]) -> set[str]:
  """Returns the stems that masks_missing.txt lists."""
  missing = set()
  for line in pictures.read_lines(path):
    # A name may hold spaces; a reason follows the first space of a name without.
    stem = _stem(line, found) or _stem(line.split(maxsplit=1)[0], found)
    if stem is None:
      raise DatasetError(f'{path} lists {line!r}, which names no picture; remove the line.')
    missing.add(stem)
  return missing


def _assignments(path: pathlib.Path, found: dict[str, pathlib.Path]) -> dict[str, str]:
  """Returns {stem: value} of a list with lines `NAME VALUE`; empty without the list."""
  values: dict[str, str] = {}
  for line in pictures.read_lines(path):
    name, value = [*line.rsplit(maxsplit=1), ''][:2]
    stem = _stem(name.strip(), found)
    if stem is None:
      raise DatasetError(f'{path} has the line {line!r}; expected `NAME VALUE` of a picture.')
    if stem in values:
      raise DatasetError(f'{path} names {found[stem].name} twice; keep one of the lines.')
    values[stem] = value
  if path.exists() and not values:
    raise DatasetError(f'{path} is empty; remove it, or list every picture.')
  return values


def _split(picture: pathlib.Path, split_of: dict[str, str], path: pathlib.Path) -> str:
  """Returns the listed split, or the one drawn from the SHA-256 of the name without a list."""
  if not split_of:
    return 'validation' if _share(picture.name) < _VALIDATION_SHARE else 'train'
  split = split_of.get(picture.stem)
  if split not in SPLITS:
    given = 'does not name' if split is None else f'puts into {split!r}'
    raise DatasetError(
      f'{path} {given} the picture {picture.name}; expected one of {", ".join(SPLITS)}.'
    )
  return split


def _share(name: str) -> float:
  """Returns a number in [0, 1) that is fixed by the name's SHA-256."""
  return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big') / 2**64


def _identity(value: str, picture: pathlib.Path, path: pathlib.Path) -> int:
  if not value.removeprefix('-').isdecimal() or not -(2**31) <= int(value) < 2**31:
    raise DatasetError(
      f'{path} gives {picture.name} the identity {value!r}; expected a whole number of 32 bits.'
    )
  return int(value)
