"""What all builders of face data sets share: the features, the configs and the writing loop."""

import abc
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from anon_jax.data import pictures, semantic
from anon_jax.data.errors import DatasetError


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


@dataclasses.dataclass
class FaceConfig(tfds.core.BuilderConfig):
  """A builder config that also limits the stored size.

  Attributes:
    max_side: longest side of a stored picture, in pixels; 0 stores pictures as they are.
  """

  max_side: int = 0


class FaceBuilder(tfds.core.GeneratorBasedBuilder):
  """Writes faces with their semantic maps; a subclass knows one raw layout.

  Features: `image` (encoded RGB), `map` (PNG of classes [h, w, 1], all IGNORE without a mask),
  `has_map`, `identity` (int64, -1 when unknown) and `name`.
  """

  VERSION = tfds.core.Version('1.0.0')
  # One line: the expected layout, where the data come from, and on which terms.
  LAYOUT: ClassVar[str] = ''

  @classmethod
  @abc.abstractmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    """Returns {split: items} of a raw folder, without splits that have none."""

  @classmethod
  @abc.abstractmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterable[bytes]:
    """Yields what tells this raw folder from another one."""

  @classmethod
  @abc.abstractmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    """Decodes an item: RGB picture, its file's bytes if unchanged, uint8 map [h, w] or None."""

  @classmethod
  def fingerprint(cls, folder: pathlib.Path) -> str:
    """Returns 10 hex digits that differ between raw folders with different contents."""
    digest = hashlib.sha256()
    for part in cls.raw_parts(folder):
      digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:10]

  @classmethod
  def require(cls, path: pathlib.Path) -> pathlib.Path:
    """Returns `path`, or raises naming it, the expected layout and the data set's source."""
    if not path.exists():
      raise DatasetError(f'{path} is missing. {cls.LAYOUT}')
    return path

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Faces with semantic maps of the classes ' + ', '.join(semantic.CLASSES) + '.',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(shape=(None, None, 3)),
          'map': tfds.features.Image(shape=(None, None, 1), encoding_format='png'),
          'has_map': np.bool_,
          'identity': np.int64,
          'name': tfds.features.Text(),
        }
      ),
    )

  # TFDS announces unknown download sizes here; prepare() says what is going on instead.
  def _log_download_bytes(self) -> None:
    pass

  def _log_download_done(self) -> None:
    pass

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    splits = self.list_items(pathlib.Path(dl_manager.manual_dir))
    return {split: self._generate_examples(split, items) for split, items in splits.items()}

  def _generate_examples(
    self, split: str, items: list[Item]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    max_side = getattr(self.builder_config, 'max_side', 0)
    for item in tqdm(items, desc=f'preparing {split}', unit=' pictures', mininterval=0.5):
      picture, data, semantic_map = self.read_item(item)
      has_map = semantic_map is not None
      if semantic_map is None:
        semantic_map = np.full(picture.size[::-1], semantic.IGNORE, np.uint8)
      else:
        semantic.check_map(semantic_map, ', '.join(map(str, item.masks[:1])))
      size = pictures.reduced_size(picture.size, max_side)
      yield (
        item.name,
        {
          'image': pictures.encode_picture(picture, data, max_side),
          'map': pictures.encode_map(semantic_map, size),
          'has_map': has_map,
          'identity': item.identity,
          'name': item.name,
        },
      )
