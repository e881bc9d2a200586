"""FASSEG: heads from profile to profile, labelled by hand (Khan et al., ICIP 2015, ICME 2017)."""

import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from anon_jax.data import pictures, semantic
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import FaceBuilder, Item
from anon_jax.data.fasseg_names import person_of

_EYES, _MOUTH = semantic.CLASSES.index('eyes'), semantic.CLASSES.index('mouth')
# The side of a crop and where its centre lies below the eyes, in distances from eyes to mouth: the
# same as `alignment` takes for photographs in the wild, so that crops of both look alike.
_SIDE = 1.6 * 2.87
_CENTRE = 0.3
# The source has a training and a test part only. Of its seven training persons the last one is
# held out, so that a run can be watched without looking at the test persons.
VALIDATION_PERSON = 7


class Fasseg(FaceBuilder):
  """`images/`, `labels/` (the project's class numbers) and `split.txt`, `NAME train|test` a line.

  Each head shot is cut to the project's square crop by its labels (see `crop_square`). The eyes are
  not brought level: heads are upright, and a profile has one eye. `identity` is the person of the
  multi-pose part V3; the frontal part V2 does not tell who is who. Person 7 of V3, a training
  person, is the validation split.
  """

  LAYOUT = (
    'FASSEG is expected as images/NAME.jpg, labels/NAME.png with the class number of each pixel '
    '(skin takes in ears and neck) and split.txt with lines `NAME train|test`, where NAME is '
    'v2_PART_NN (frontal) or v3_pPP_sS_yaw+YY (multi-pose). Obtain it from '
    'https://github.com/massimomauro/FASSEG-repository (no licence stated; research only, cite '
    'its papers) and turn its colours into class numbers.'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Item]]:
    found = pictures.list_pictures(cls.require(folder / 'images'))
    labels = cls.require(folder / 'labels')
    split_of = _read_split(cls.require(folder / 'split.txt'))
    if strange := sorted(set(split_of) - set(found)):
      raise DatasetError(f'{folder / "split.txt"} lists {strange[0]}, which images/ does not hold.')
    splits: dict[str, list[Item]] = {}
    for stem, path in found.items():
      if stem not in split_of:
        raise DatasetError(f'{folder / "split.txt"} does not list {stem}; add `{stem} train`.')
      person = person_of(stem)
      split = split_of[stem]
      if split == 'train' and person == VALIDATION_PERSON:
        split = 'validation'
      mask = cls.require(labels / f'{stem}.png')
      splits.setdefault(split, []).append(Item(path.name, path, (mask,), person))
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    yield cls.require(folder / 'split.txt').read_bytes()
    for part in ('images', 'labels'):
      for path in sorted(cls.require(folder / part).iterdir()):
        yield f'{part}/{path.name} {path.stat().st_size}'.encode()

  @classmethod
  def read_item(cls, item: Item) -> tuple[Image.Image, bytes | None, np.ndarray | None]:
    picture, _ = pictures.read_picture(item.picture)
    (mask,) = item.masks
    labels = pictures.read_map(mask)
    pictures.check_same_size(picture, item.picture, labels, mask)
    try:
      left, top, side = crop_square(labels)
    except DatasetError as error:
      raise DatasetError(f'{mask}: {error}') from None
    cut, semantic_map = pictures.cut_square(np.asarray(picture), labels, left, top, side)
    return Image.fromarray(cut), None, semantic_map


def crop_square(labels: np.ndarray) -> tuple[int, int, int]:
  """Finds the project's square crop of an upright head from its labels.

  With d the vertical distance between the centres of the eyes' and the mouth's pixels, the side is
  4.6 d, so that a face box of 2.87 d fills 62 % of it, and the centre lies 0.3 d below the eyes.
  Sideways it is the middle of the foreground between the rows of eyes and mouth: of a frontal face
  its middle, of a profile the middle between nose and ear, as in a face detector's box.

  Args:
    labels: uint8 [h, w].

  Returns:
    Left, top and side in pixels; the square may reach beyond the picture.

  Raises:
    DatasetError: no eyes, no mouth, or the mouth not below the eyes.
  """
  rows = {}
  for part in (_EYES, _MOUTH):
    y, _ = np.nonzero(labels == part)
    if not len(y):
      raise DatasetError(f'no pixel is labelled {semantic.CLASSES[part]}; nothing says how to cut.')
    rows[part] = y.mean() + 0.5
  distance = rows[_MOUTH] - rows[_EYES]
  if distance < 1:
    raise DatasetError('the mouth is not below the eyes; turn picture and labels upright.')
  band = labels[int(rows[_EYES]) : int(rows[_MOUTH]) + 1]
  _, x = np.nonzero(np.isin(band, semantic.FOREGROUND))
  centre_x = (x.min() + x.max() + 1) / 2
  centre_y = rows[_EYES] + _CENTRE * distance
  side = round(_SIDE * distance)
  return round(centre_x - side / 2), round(centre_y - side / 2), side


def _read_split(path: pathlib.Path) -> dict[str, str]:
  split_of = {}
  for line in path.read_text().splitlines():
    name, split = [*line.split(maxsplit=1), '', ''][:2]
    if not name:
      continue
    if split.strip() not in ('train', 'test'):
      raise DatasetError(f'{path} has the line {line.strip()!r}; expected `NAME train|test`.')
    split_of[name] = split.strip()
  return split_of
