"""What all builders of face data sets share: the features and the writing loop."""

import abc
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from anon_jax.data import pictures, semantic
from anon_jax.data.raw_builder import RawBuilder, picture_features


@dataclasses.dataclass(frozen=True)
class Item:
  """One picture of a raw data set.

  Attributes:
    name: unique name inside the data set; usually the picture's file name.
    picture: the picture's file.
    masks: the files that its semantic map is made of; empty when it has none.
    identity: the data set's number of the person, -1 when unknown.
    points: five landmarks (x, y) in pixels, or empty.
  """

  name: str
  picture: pathlib.Path
  masks: tuple[pathlib.Path, ...] = ()
  identity: int = -1
  points: tuple[tuple[float, float], ...] = ()


class FaceBuilder(RawBuilder):
  """Writes faces with their semantic maps; a subclass knows one raw layout.

  Features: `image` (encoded RGB), `map` (PNG of classes [h, w, 1], all IGNORE without a mask),
  `has_map`, `identity` (int64, -1 when unknown) and `name`.
  """

  @classmethod
  @abc.abstractmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    """Returns {split: items} of a raw folder, without splits that have none."""

  @classmethod
  @abc.abstractmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    """Decodes an item: RGB picture, its file's bytes if unchanged, uint8 map [h, w] or None."""

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Faces with semantic maps of the classes ' + ', '.join(semantic.CLASSES) + '.',
      features=tfds.features.FeaturesDict(
        {
          **picture_features(),
        }
      ),
    )

  def _generate_examples(
    self, split: str, items: list[Item]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in tqdm(items, desc=f'preparing {split}', unit=' pictures', mininterval=0.5):
      picture, data, semantic_map = self.read_item(item)
      has_map = semantic_map is not None
      if semantic_map is None:
        semantic_map = np.full(picture.size[::-1], semantic.IGNORE, np.uint8)
      else:
        semantic.check_map(semantic_map, ', '.join(map(str, item.masks[:1])))
      size = pictures.reduced_size(picture.size, self.max_side)
      yield (
        item.name,
        {
          'image': pictures.encode_picture(picture, data, self.max_side),
          'map': pictures.encode_map(semantic_map, size),
          'has_map': has_map,
          'identity': item.identity,
          'name': item.name,
        },
      )
