"""DAVIS 2016: the films whose moving thing is one person, with binary masks."""

import pathlib
from collections.abc import Iterator

import numpy as np

from anon_jax.data import body_classes, openpose, pictures
from anon_jax.data.body_builder import BodyBuilder, Person
from anon_jax.data.body_folder import Portrait, pose_parts, read_portrait
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import Item

# Sequence -> our split. DAVIS's own training part and its validation part, which is our `test`.
# In the sequences that are not named here an animal, a vehicle or a group moves, or a person
# together with a thing.
SEQUENCES = {
  'breakdance': 'test',
  'breakdance-flare': 'train',
  'dance-jump': 'train',
  'dance-twirl': 'test',
  'hike': 'train',
  'lucia': 'train',
  'parkour': 'test',
}
_SIZE = '480p'


class Davis(BodyBuilder):
  """DAVIS 2016 (Perazzi et al., CVPR 2016): persons in motion, a film each, without parts.

  `identity` is the place of the sequence in `SEQUENCES`, `name` is SEQUENCE/NNNNN. Sequences that
  show no single person are left out, and named. Joints are read from
  openpose/480p/SEQ/NNNNN_keypoints.json, where openpose is there beside JPEGImages.
  """

  LAYOUT = (
    'DAVIS 2016 is expected as JPEGImages/480p/SEQ/NNNNN.jpg and Annotations/480p/SEQ/NNNNN.png '
    '(0, and 255 on the person), with some SEQ among ' + ', '.join(SEQUENCES) + '; optionally '
    'openpose/480p/SEQ/NNNNN_keypoints.json. Obtain it from https://davischallenge.org (for '
    'research; cite its paper).'
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Portrait]]:
    films = cls.require(folder / 'JPEGImages' / _SIZE)
    cls.require(folder / 'Annotations' / _SIZE)
    there = sorted(path.name for path in films.iterdir() if path.is_dir())
    splits: dict[str, list[Portrait]] = {}
    for name in there:
      if name not in SEQUENCES:
        continue
      poses = _poses(folder, name)
      for stem, path in pictures.list_pictures(films / name).items():
        mask = cls.require(folder / 'Annotations' / _SIZE / name / f'{stem}.png')
        item = Item(f'{name}/{stem}', path, (mask,), list(SEQUENCES).index(name))
        splits.setdefault(SEQUENCES[name], []).append(Portrait(item, poses))
    if not splits:
      raise DatasetError(f'{films} holds no sequence of a single person. {cls.LAYOUT}')
    if others := [name for name in there if name not in SEQUENCES]:
      print(f'{folder}: left out, as no single person moves in them: {", ".join(others)}.')
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    for name in SEQUENCES:
      for part in ('JPEGImages', 'Annotations'):
        place = cls.require(folder / part / _SIZE) / name
        for path in pictures.list_files(place) if place.is_dir() else ():
          yield f'{part}/{name}/{path.name} {path.stat().st_size}'.encode()
      yield from pose_parts(_poses(folder, name))

  @classmethod
  def read_item(cls, item: Portrait) -> tuple[np.ndarray, list[Person]]:
    stencil = pictures.read_stencil(item.item.masks[0])
    return read_portrait(item, np.where(stencil, np.uint8(body_classes.PERSON), np.uint8(0)))


def _poses(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  """Returns the folder of a sequence's joints, None where nobody has made any."""
  every = folder / 'openpose' / _SIZE
  if not every.is_dir() or not (folder / 'JPEGImages' / _SIZE / name).is_dir():
    return None
  return openpose.require_folder(every / name)
