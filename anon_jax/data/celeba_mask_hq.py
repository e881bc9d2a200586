"""CelebAMask-HQ: 30,000 faces of CelebA at 1024 px, with 18 parts labelled by hand at 512 px."""

import pathlib
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from anon_jax.data import celeba_lists, pictures, semantic
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import FaceBuilder, Item

_PICTURES = 'CelebA-HQ-img'
_MASKS = 'CelebAMask-HQ-mask-anno'
_MAPPING = 'CelebA-HQ-to-CelebA-mapping.txt'
_PARTS = semantic.TABLES['celeba_mask_hq']
_MASK_NAME = re.compile(r'(\d+)_(\w+)\.png', re.IGNORECASE)


class CelebaMaskHq(FaceBuilder):
  """CelebAMask-HQ (Lee et al., CVPR 2020), split as the CelebA pictures that it is made of.

  The parts of a picture are painted into one map in the order of `semantic.TABLES`, and the map is
  brought to the size of the stored picture by nearest. Identities need identity_CelebA.txt.
  """

  LAYOUT = (
    f'CelebAMask-HQ is expected as {_PICTURES}/N.jpg, {_MASKS}/*/NNNNN_part.png and {_MAPPING}, '
    'with list_eval_partition.txt and optionally identity_CelebA.txt of CelebA beside them. Obtain '
    'it from https://github.com/switchablenorms/CelebAMask-HQ and the lists from '
    'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (both non-commercial research only).'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    mapping, partition, identity = cls._lists(folder)
    found: dict[int, pathlib.Path] = {}
    for path in pictures.list_pictures(folder / _PICTURES).values():
      if (number := _number(path)) in found:
        raise DatasetError(f'{found[number]} and {path} have one number; remove one of them.')
      found[number] = path
    original = _read_mapping(mapping)
    celeba_lists.require_same(map(str, original), map(str, found), mapping, folder / _PICTURES)
    split_of = celeba_lists.read_partition(partition)
    identity_of = celeba_lists.read_columns(identity, 1) if identity else {}
    masks = _masks(folder / _MASKS)
    splits: dict[str, list[Item]] = {}
    for number, path in sorted(found.items()):
      stem = original[number]
      if number not in masks:
        raise DatasetError(f'{path} has no part {number:05d}_*.png anywhere in {folder / _MASKS}.')
      if stem not in split_of:
        raise DatasetError(f'{partition} does not list {stem}, which {mapping} gives {path.name}.')
      if identity_of and stem not in identity_of:
        raise DatasetError(f'{identity} does not list {stem}, which {mapping} gives {path.name}.')
      item = Item(
        name=path.name,
        picture=path,
        masks=tuple(masks[number][part] for part in _PARTS if part in masks[number]),
        identity=int(identity_of[stem][0]) if identity_of else -1,
      )
      splits.setdefault(split_of[stem], []).append(item)
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    mapping, partition, identity = cls._lists(folder)
    yield mapping.read_bytes()
    yield partition.read_bytes()
    yield identity.read_bytes() if identity else b''
    yield str(sum(1 for _ in (folder / _PICTURES).iterdir())).encode()

  @classmethod
  def _lists(cls, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path | None]:
    """Returns the mapping, CelebA's partition and its identities, if they are there."""
    for name in (_PICTURES, _MASKS):
      cls.require(folder / name)
    mapping = cls.require(folder / _MAPPING)
    found = celeba_lists.find(folder, [celeba_lists.PARTITION])
    partition = cls.require(found or folder / celeba_lists.PARTITION)
    return mapping, partition, celeba_lists.find(folder, [celeba_lists.IDENTITY])

  @classmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    picture, data = pictures.read_picture(item.picture)
    semantic_map: np.ndarray | None = None
    for path in item.masks:
      stencil = pictures.read_stencil(path)
      if semantic_map is None:
        semantic_map = np.zeros(stencil.shape, np.uint8)
      if stencil.shape != semantic_map.shape:
        raise DatasetError(
          f'{path} is {_shown(stencil)} but {item.masks[0]} is {_shown(semantic_map)}; the '
          'parts of one picture must have one size.'
        )
      semantic_map[stencil] = _PARTS[_part(path)[1]]
    assert semantic_map is not None  # list_items gives every picture at least one part
    height, width = semantic_map.shape
    larger, smaller = max(picture.width, width), min(picture.width, width)
    if picture.width * height != picture.height * width or larger % smaller:
      raise DatasetError(
        f'{item.masks[0]} is {_shown(semantic_map)} but its picture {item.picture} is '
        f'{picture.width} x {picture.height}; one must be a whole multiple of the other.'
      )
    return picture, data, semantic_map


def _shown(array: np.ndarray) -> str:
  return f'{array.shape[1]} x {array.shape[0]}'


def _number(path: pathlib.Path) -> int:
  if not path.stem.isdecimal():
    raise DatasetError(f'{path} is not named by a number; expected {_PICTURES}/N.jpg.')
  return int(path.stem)


def _part(path: pathlib.Path) -> tuple[int, str]:
  """Returns the picture's number and the part's name of a mask file."""
  match = _MASK_NAME.fullmatch(path.name)
  if match is None or match[2].lower() not in _PARTS:
    raise DatasetError(
      f'{path} is not the mask of a part; expected NNNNN_part.png with a part among '
      f'{", ".join(_PARTS)}.'
    )
  return int(match[1]), match[2].lower()


def _masks(folder: pathlib.Path) -> dict[int, dict[str, pathlib.Path]]:
  """Returns {picture's number: {part: file}} of all folders of masks."""
  masks: dict[int, dict[str, pathlib.Path]] = {}
  for path in folder.glob('*/*'):
    if path.name.startswith('.') or path.name.lower() in pictures.LITTER:
      continue
    number, part = _part(path)
    masks.setdefault(number, {})[part] = path
  return masks


def _read_mapping(path: pathlib.Path) -> dict[int, str]:
  """Returns {number: stem of the CelebA picture} of lines `idx orig_idx orig_file`."""
  original = {}
  for number, line in enumerate(path.read_text().splitlines(), 1):
    columns = line.split()
    if not columns or columns[0] == 'idx':
      continue
    if len(columns) != 3 or not columns[0].isdecimal():
      raise DatasetError(
        f'{path}, line {number} is {line.strip()!r}; expected `idx orig_idx orig_file`.'
      )
    original[int(columns[0])] = pathlib.PurePath(columns[2]).stem
  return original
