"""Clothing Co-Parsing: street photographs of whole persons with clothes labelled by the pixel."""

import hashlib
import pathlib
from collections.abc import Iterator

import numpy as np

from anon_jax.data import body_classes, pictures
from anon_jax.data.body_builder import BodyBuilder, Person
from anon_jax.data.body_folder import Portrait, pose_parts, poses_beside, read_portrait
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import Item

_VALIDATION_SHARE = 0.1
_LIST = 'label_list.txt'  # an item's second mask: it says what the numbers of the first one mean


class Ccp(BodyBuilder):
  """Clothing Co-Parsing (Yang, Luo, Lin, CVPR 2014): one person a photograph, with parts.

  Labels are grouped by the names in label_list.txt (`body_classes.CCP`). The source says neither
  who is who nor which pictures are for training: `identity` is the photograph's number, as if each
  showed somebody else, and a tenth of the photographs, chosen by the SHA-256 of their names, is the
  split `validation`. Joints are read from openpose/NNNN_keypoints.json where that folder is there.
  """

  LAYOUT = (
    'Clothing Co-Parsing is expected as photos/NNNN.jpg, labels/NNNN.png with the label of each '
    f'pixel (indexed, 0 to 58) and {_LIST} with lines `INDEX NAME`; optionally '
    'openpose/NNNN_keypoints.json. Obtain it from '
    'https://github.com/bearpaw/clothing-co-parsing (Apache-2.0), and write the labels of its .mat '
    'files as PNG.'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Portrait]]:
    found = pictures.list_pictures(cls.require(folder / 'photos'))
    names = cls.require(folder / _LIST)
    cls.require(folder / 'labels')
    poses = poses_beside(folder / 'photos')
    held_out = _held_out(list(found))
    splits: dict[str, list[Portrait]] = {}
    for stem, path in found.items():
      if not stem.isdecimal():
        raise DatasetError(f'{path} is not named by its number, NNNN.jpg; rename or remove it.')
      mask = cls.require(folder / 'labels' / f'{stem}.png')
      item = Item(path.name, path, (mask, names), int(stem))
      split = 'validation' if stem in held_out else 'train'
      splits.setdefault(split, []).append(Portrait(item, poses))
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    yield cls.require(folder / _LIST).read_bytes()
    for part in ('photos', 'labels'):
      for path in pictures.list_files(cls.require(folder / part)):
        yield f'{part}/{path.name} {path.stat().st_size}'.encode()
    yield from pose_parts(poses_beside(folder / 'photos'))

  @classmethod
  def read_item(cls, item: Portrait) -> tuple[np.ndarray, list[Person]]:
    mask, names = item.item.masks
    labels = pictures.read_map(mask)
    class_of = _read_list(names)
    unnamed = sorted(set(np.unique(labels).tolist()) - set(class_of))
    if unnamed:
      raise DatasetError(f'{mask} holds the label {unnamed[0]}, which {names} does not name.')
    table = np.zeros(256, np.uint8)
    table[list(class_of)] = list(class_of.values())
    return read_portrait(item, table[labels])


def _held_out(stems: list[str]) -> set[str]:
  """Returns a tenth of the names, at least one where there are two, by their SHA-256."""
  by_hash = sorted(stems, key=lambda stem: hashlib.sha256(stem.encode()).digest())
  count = max(round(_VALIDATION_SHARE * len(stems)), 1) if len(stems) > 1 else 0
  return set(by_hash[:count])


def _read_list(path: pathlib.Path) -> dict[int, int]:
  """Returns {label: our class} of lines `INDEX NAME`."""
  class_of = {}
  for line in pictures.read_lines(path):
    index, name = [*line.split(maxsplit=1), ''][:2]
    if not index.isdecimal() or int(index) > 255 or name not in body_classes.CCP:
      raise DatasetError(
        f'{path} has the line {line!r}; expected `INDEX NAME` with an index below 256 and one of '
        f'the {len(body_classes.CCP)} names of Clothing Co-Parsing.'
      )
    class_of[int(index)] = body_classes.CCP[name]
  return class_of
