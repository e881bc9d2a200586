"""LFW as a prepared data set: every picture with its person, and the pairs of the protocol."""

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from anon_jax.data import lfw, pictures
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import FaceBuilder, Item

_NUMBERED = re.compile(r'(.+)_(\d{4,})')


class Lfw(FaceBuilder):
  """Labeled Faces in the Wild (Huang et al. 2007), for evaluation: its one split is `test`.

  All pictures of the folder are stored as they are; the pairs need not name all of them. `name` is
  NAME/NAME_0001.jpg, `identity` the place of NAME in the alphabetical order of all persons, and
  there are no maps. The prepared folder also holds the list of pairs, see `read_prepared_pairs`.
  """

  LAYOUT = lfw.LAYOUT
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    pairs = lfw.read_pairs(folder)  # raises where a pair's picture is missing
    items: list[Item] = []
    persons = sorted(path for path in pairs.folder.iterdir() if not _is_litter(path))
    for identity, person in enumerate(persons):
      if not person.is_dir():
        raise DatasetError(
          f'{person} is no folder of a person; {pairs.folder} may hold nothing else; remove it.'
        )
      for stem, path in pictures.list_pictures(person).items():
        numbered = _NUMBERED.fullmatch(stem)
        if numbered is None or numbered[1] != person.name or path.suffix != '.jpg':
          raise DatasetError(
            f'{path} is not called {person.name}_NNNN.jpg, as LFW has it; rename or remove it.'
          )
        items.append(Item(f'{person.name}/{path.name}', path, identity=identity))
    return {'test': items}

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    pairs = lfw.read_pairs(folder)
    yield (folder / lfw.PAIRS).read_bytes()
    for item in cls.list_items(folder)['test']:
      yield f'{pairs.folder.name}/{item.name} {item.picture.stat().st_size}'.encode()

  @classmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    return *pictures.read_picture(item.picture), None

  def _info(self) -> tfds.core.DatasetInfo:
    info = super()._info()
    return tfds.core.DatasetInfo(
      builder=self,
      description='Faces without semantic maps, and pairs of them for verification.',
      features=info.features,
      metadata=tfds.core.MetadataDict(),
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    pairs = lfw.read_pairs(pathlib.Path(dl_manager.manual_dir))
    # TFDS writes them into the prepared folder, as metadata.json
    self.info.metadata.update(
      first=pairs.first, second=pairs.second, same=pairs.same.tolist(), fold=pairs.fold.tolist()
    )
    return super()._split_generators(dl_manager)


def read_prepared_pairs(folder: pathlib.Path) -> lfw.Pairs:
  """Reads the list of pairs of a prepared folder, all of them in the order of pairs.txt.

  Args:
    folder: from `prepare('lfw', ...)`.

  Returns:
    The pairs; `first` and `second` are values of `name` in the split `test`, and `folder` is the
    prepared one.

  Raises:
    DatasetError: the folder holds no prepared LFW.
  """
  path = folder / 'metadata.json'
  try:
    fields = json.loads(path.read_text('utf-8'))
    first, second = tuple(fields['first']), tuple(fields['second'])
    same, fold = np.array(fields['same'], bool), np.array(fields['fold'], np.int64)
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DatasetError(
      f'{path} holds no pairs of a prepared LFW ({error!r}); delete {folder} and prepare it again.'
    ) from None
  if not len(first) == len(second) == len(same) == len(fold):
    raise DatasetError(f'{path} is damaged: its lists have different lengths; prepare it again.')
  return lfw.Pairs(folder, first, second, same, fold)


def _is_litter(path: pathlib.Path) -> bool:
  return path.name.startswith('.') or path.name.lower() in pictures.LITTER
