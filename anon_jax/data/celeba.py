"""CelebA: aligned, in the wild, or cut to squares beforehand; with or without semantic maps."""

import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from anon_jax.data import alignment, celeba_lists, pictures
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import FaceBuilder, Item

_ALIGNED_SIZE = (178, 218)
# Rows 20 to 197: the square of the aligned pictures that holds the whole face.
_ALIGNED_BOX = (0, 20, 178, 198)
_PICTURES = ('images', 'img_align_celeba', 'img_celeba')


class Celeba(FaceBuilder):
  """CelebA (Liu et al., ICCV 2015) by its own train, validation and test parts.

  Square pictures are taken as they are. The aligned pictures of 178 x 218 are cut to their square
  rows 20 to 197. All others are photographs in the wild: the landmarks in
  list_landmarks_celeba.txt turn them upright and say where to cut (see `alignment`). Masks, if
  there are any, have the size of the uncut picture and are cut along with it.
  """

  LAYOUT = (
    'CelebA is expected as images/, img_align_celeba/ or img_celeba/ (NNNNNN.jpg), '
    'identity_CelebA.txt and list_eval_partition.txt, in one folder or sorted into Img/, Anno/ and '
    'Eval/; list_landmarks_celeba.txt for img_celeba/; optionally masks/NNNNNN.png. Obtain it from '
    'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (non-commercial research only).'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    partition, identity, images = cls._files(folder)
    found = pictures.list_pictures(images)
    split_of = celeba_lists.read_partition(partition)
    identity_of = celeba_lists.read_columns(identity, 1)
    celeba_lists.require_same(split_of, found, partition, images)
    if unknown := sorted(set(found) - set(identity_of)):
      raise DatasetError(f'{identity} gives no identity for {unknown[0]}.')
    points_of = {}
    if landmarks := celeba_lists.find(folder, [celeba_lists.LANDMARKS]):
      points_of = celeba_lists.read_columns(landmarks, 10, header=2)
    masks = _masks(folder)
    splits: dict[str, list[Item]] = {}
    for stem, path in found.items():
      numbers = points_of.get(stem, ())
      item = Item(
        name=path.name,
        picture=path,
        masks=(masks[stem],) if stem in masks else (),
        identity=int(identity_of[stem][0]),
        points=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
      )
      splits.setdefault(split_of[stem], []).append(item)
    if masks and len(masks) < len(found):
      print(f'{folder}: {len(found) - len(masks)} of {len(found)} pictures have no mask.')
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    *lists, images = cls._files(folder)
    landmarks = celeba_lists.find(folder, [celeba_lists.LANDMARKS])
    for path in [*lists, *([landmarks] if landmarks else [])]:
      yield path.read_bytes()
    count = sum(1 for _ in images.iterdir())
    yield f'{images.name} {count}, {len(_masks(folder))} masks'.encode()

  @classmethod
  def _files(cls, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """Returns the partition list, the identity list and the folder of pictures."""

    def get(*names: str) -> pathlib.Path:
      return cls.require(celeba_lists.find(folder, names) or folder / names[0])

    return get(celeba_lists.PARTITION), get(celeba_lists.IDENTITY), get(*_PICTURES)

  @classmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    picture, data = pictures.read_picture(item.picture)
    semantic_map = None
    if item.masks:
      semantic_map = pictures.read_map(item.masks[0])
      pictures.check_same_size(picture, item.picture, semantic_map, item.masks[0])
    if picture.width == picture.height:
      return picture, data, semantic_map
    if picture.size == _ALIGNED_SIZE:
      left, top, right, bottom = _ALIGNED_BOX
      if semantic_map is not None:
        semantic_map = semantic_map[top:bottom, left:right]
      return picture.crop(_ALIGNED_BOX), None, semantic_map
    if not item.points:
      raise DatasetError(
        f'{item.picture} is {picture.width} x {picture.height}, neither square nor aligned '
        f'(178 x 218), and {celeba_lists.LANDMARKS}, which says where to cut it, does not list it; '
        'add the list to the raw folder.'
      )
    try:
      cut, semantic_map = alignment.cut_crop(picture, semantic_map, item.points)
    except DatasetError as error:
      raise DatasetError(f'{item.picture}: {error}; correct {celeba_lists.LANDMARKS}.') from None
    return cut, None, semantic_map


def _masks(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  masks = folder / 'masks'
  if not masks.exists():
    return {}
  return {path.stem: path for path in sorted(masks.iterdir()) if path.suffix.lower() == '.png'}
