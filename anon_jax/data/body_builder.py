"""What all builders of data sets of bodies share: the features and the writing loop."""

import abc
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from anon_jax.data import body_classes, body_crops, joints, pictures
from anon_jax.data.errors import DatasetError
from anon_jax.data.raw_builder import RawBuilder, picture_features


class Person(NamedTuple):
  """One person of a picture.

  Attributes:
    name: unique name inside the data set.
    body_map: uint8 [h, w] of `body_classes`, of the picture's size; others are background.
    identity: the data set's number of the person, -1 when unknown.
    joints: float32 [18, 3] in pixels of the picture; zeros where none are known.
  """

  name: str
  body_map: np.ndarray
  identity: int
  joints: np.ndarray


class BodyBuilder(RawBuilder):
  """Writes one crop a person (see `body_crops`); a subclass knows one raw layout.

  Features: `image` (encoded RGB, twice as high as wide), `map` (PNG of `body_classes` [h, w, 1]),
  `has_map` (always true), `joints` float32 [18, 3] in pixels of the stored picture, `has_joints`
  (where it is false, joints are zeros), `identity` (int64, -1 when unknown) and `name`.
  """

  # Persons of whom fewer rows are seen are left out, and their number is printed.
  LEAST_HEIGHT: ClassVar[int] = 1

  @classmethod
  @abc.abstractmethod
  def read_item(cls, item: Any) -> tuple[np.ndarray, Iterable[Person]]:
    """Decodes a picture, uint8 [h, w, 3], and the persons in it."""

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Persons with maps of the classes ' + ', '.join(body_classes.CLASSES) + '.',
      features=tfds.features.FeaturesDict(
        {
          **picture_features(),
          'joints': tfds.features.Tensor(shape=(joints.NUM_JOINTS, 3), dtype=np.float32),
          'has_joints': np.bool_,
        }
      ),
    )

  def _generate_examples(
    self, split: str, items: list[Any]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    written = small = posed = 0
    for item in tqdm(items, desc=f'preparing {split}', unit=' pictures', mininterval=0.5):
      picture, people = self.read_item(item)
      for person in people:
        box = body_crops.person_box(person.body_map)
        if box is None or box[3] - box[1] < self.LEAST_HEIGHT:
          small += 1
          continue
        example = self._example(picture, person, box)
        written += 1
        posed += example['has_joints']
        yield person.name, example
    if not written:
      raise DatasetError(
        f'none of the {len(items)} pictures of the split {split!r} shows a person who is '
        f'{self.LEAST_HEIGHT} pixels high or more. {self.LAYOUT}'
      )
    left_out = f'; {small} lower than {self.LEAST_HEIGHT} pixels are left out' if small else ''
    print(f'{split}: {written} crops of persons, {posed} of them with joints{left_out}.')

  def _example(
    self, picture: np.ndarray, person: Person, box: tuple[int, int, int, int]
  ) -> dict[str, Any]:
    region = body_crops.stored_region(box)
    crop = body_crops.cut_person(picture, person.body_map, person.joints, region)
    size = pictures.reduced_size((region.width, region.height), self.max_side)
    scale_x, scale_y = size[0] / region.width, size[1] / region.height
    return {
      'image': pictures.encode_picture(Image.fromarray(crop.image), None, self.max_side),
      'map': pictures.encode_map(crop.body_map, size),
      'has_map': True,
      'joints': joints.moved(crop.joints, 0, 0, scale_x, scale_y),
      'has_joints': bool((crop.joints[:, 2] > 0).any()),
      'identity': person.identity,
      'name': person.name,
    }
