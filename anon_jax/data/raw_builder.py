"""What all builders share: how one raw folder is told from another, and what is said of no file."""

import abc
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from anon_jax.data.errors import DatasetError


@dataclasses.dataclass
class SizeConfig(tfds.core.BuilderConfig):
  """A builder config that also limits the stored size.

  Attributes:
    max_side: longest side of a stored picture, in pixels; 0 stores pictures as they are.
  """

  max_side: int = 0


def picture_features() -> dict[str, Any]:
  """Returns the features that all data sets have."""
  return {
    'image': tfds.features.Image(shape=(None, None, 3)),
    'map': tfds.features.Image(shape=(None, None, 1), encoding_format='png'),
    'has_map': np.bool_,
    'identity': np.int64,
    'name': tfds.features.Text(),
  }


class RawBuilder(tfds.core.GeneratorBasedBuilder):
  """Reads one raw layout and writes a prepared data set; what its examples are, a subclass says."""

  VERSION = tfds.core.Version('1.0.0')
  # One line: the expected layout, where the data come from, and on which terms.
  LAYOUT: ClassVar[str] = ''

  @classmethod
  @abc.abstractmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Any]]:
    """Returns {split: items} of a raw folder, without splits that have none."""

  @classmethod
  @abc.abstractmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterable[bytes]:
    """Yields what tells this raw folder from another one."""

  @abc.abstractmethod
  def _generate_examples(
    self, split: str, items: list[Any]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (unique name, example) of the items of one split."""

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

  @property
  def max_side(self) -> int:
    """Longest side of a stored picture in pixels, 0 for no limit."""
    return getattr(self.builder_config, 'max_side', 0)

  # TFDS announces unknown download sizes here; prepare() says what is going on instead.
  def _log_download_bytes(self) -> None:
    pass

  def _log_download_done(self) -> None:
    pass

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    splits = self.list_items(pathlib.Path(dl_manager.manual_dir))
    return {split: self._generate_examples(split, items) for split, items in splits.items()}
