"""The official layouts of KITTI MOTS and MOTSChallenge: which picture has which annotation."""

import pathlib
import re
from typing import NamedTuple

from anon_jax.data import pictures
from anon_jax.data.errors import DatasetError

LAYOUT = (
  'MOTS is expected as published: KITTI MOTS as training/image_02/SEQ/NNNNNN.png with '
  'instances_txt/SEQ.txt or instances/SEQ/NNNNNN.png; MOTSChallenge as images/SEQ/NNNNNN.jpg with '
  'the same (in train/ or not), or as MOTS20-NN/img1/NNNNNN.jpg with MOTS20-NN/gt/gt.txt; '
  "optionally OpenPose's joints as openpose/SEQ/NNNNNN_keypoints.json beside image_02 or images, "
  'or in MOTS20-NN/openpose. Obtain it from https://www.vision.rwth-aachen.de/page/mots and '
  'https://www.cvlibs.net/datasets/kitti/eval_tracking.php (non-commercial research only).'
)
CAR, PEDESTRIAN, IGNORED = 1, 2, 10
KIND = 1000  # an instance's number is its class x 1000 + its own
IGNORED_INSTANCE = KIND * IGNORED
SPLITS = ('train', 'validation', 'test')
# The validation sequences that KITTI MOTS was published with. MOTSChallenge has none: the sequence
# that is held out of its four is our choice.
_KITTI_HELD_OUT = {2, 6, 7, 8, 10, 13, 14, 16, 18}
_CHALLENGE_HELD_OUT = {9}
_BASES = ('.', 'training', 'train')


class Line(NamedTuple):
  """One annotation of a text file: an instance in one picture.

  Attributes:
    where: file and number of the line, for messages.
    instance: its number; that of an ignored region is 10000.
    kind: CAR, PEDESTRIAN or IGNORED.
    height: of the picture.
    width: of the picture.
    counts: compressed run lengths.
  """

  where: str
  instance: int
  kind: int
  height: int
  width: int
  counts: str


class Sequence(NamedTuple):
  """A film: its pictures by number, its annotation and its joints.

  Attributes:
    name: as its folder is called.
    number: of the sequence, different for each of a folder.
    split: one of SPLITS.
    pictures: file of each picture by its number.
    annotation: a text file, or a folder of maps of instances.
    poses: folder of OpenPose's output, or None without joints.
  """

  name: str
  number: int
  split: str
  pictures: dict[int, pathlib.Path]
  annotation: pathlib.Path
  poses: pathlib.Path | None


def find_sequences(root: pathlib.Path) -> list[Sequence]:
  """Finds the annotated sequences of a folder in any of the official layouts.

  Raises:
    DatasetError: the layout is none of these, or pictures, annotation or joints of a sequence are
      missing; the message names them.
  """
  found = _challenge(root) or _by_kind(root)
  split_of = _read_splits(root / 'split.txt', [name for name, *_ in found])
  ends = [re.search(r'\d+$', name) for name, *_ in found]
  numbers = [int(end[0]) if end else -1 for end in ends]
  if -1 in numbers or len(set(numbers)) < len(numbers):
    numbers = list(range(len(found)))
  sequences = []
  for number, (name, folder, annotation, poses) in zip(numbers, found, strict=True):
    held_out = _KITTI_HELD_OUT if folder.parent.name == 'image_02' else _CHALLENGE_HELD_OUT
    split = split_of.get(name, 'validation' if number in held_out else 'train')
    sequences.append(Sequence(name, number, split, numbered(folder), annotation, poses))
  return sequences


# (name, folder of pictures, annotation, folder of joints) of a sequence.
_Found = tuple[str, pathlib.Path, pathlib.Path, pathlib.Path | None]


def _challenge(root: pathlib.Path) -> list[_Found]:
  """Finds MOTS20-NN/{img1,gt/gt.txt,openpose}."""
  for base in _BASES:
    folders = sorted(path.parent for path in (root / base).glob('*/img1') if path.is_dir())
    joined = any((folder / 'openpose').is_dir() for folder in folders)
    if folders:
      return [
        (
          folder.name,
          folder / 'img1',
          _require(folder / 'gt' / 'gt.txt'),
          _require(folder / 'openpose') if joined else None,
        )
        for folder in folders
      ]
  return []


def _by_kind(root: pathlib.Path) -> list[_Found]:
  """Finds pictures, annotations and joints in folders of their own."""
  films = _first(root, ('image_02', 'images')) or _require(root / 'training' / 'image_02')
  annotations = _first(root, ('instances_txt', 'instances')) or _require(root / 'instances_txt')
  poses = films.parent / 'openpose'
  text = annotations.name == 'instances_txt'
  named = {
    path.stem if text else path.name: path
    for path in sorted(annotations.glob('[!.]*'))
    if (path.suffix == '.txt' if text else path.is_dir())
  }
  shown = {path.name: path for path in sorted(films.glob('[!.]*')) if path.is_dir()}
  for name in sorted(named.keys() ^ shown.keys()):
    missing = films / name if name in named else annotations / (f'{name}.txt' if text else name)
    raise DatasetError(
      f'{missing} is missing, and {named.get(name) or shown[name]} is there; add it, or remove the '
      f'sequence. {LAYOUT}'
    )
  return [
    (name, shown[name], named[name], _require(poses / name) if poses.is_dir() else None)
    for name in shown
  ]


def _first(root: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
  places = (root / base / name for name in names for base in _BASES)
  return next((place for place in places if place.is_dir()), None)


def _require(path: pathlib.Path) -> pathlib.Path:
  if not path.exists():
    raise DatasetError(f'{path} is missing. {LAYOUT}')
  return path


def numbered(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """Returns {number: file} of the pictures in a folder.

  Raises:
    DatasetError: a file is no picture or not named by a number, or two have one number.
  """
  found: dict[int, pathlib.Path] = {}
  for stem, path in pictures.list_pictures(folder).items():
    if not stem.isdecimal():
      raise DatasetError(f'{path} is not named by its number, NNNNNN.png or .jpg; rename it.')
    if int(stem) in found:
      raise DatasetError(f'{found[int(stem)]} and {path} have one number; remove one of them.')
    found[int(stem)] = path
  return found


def _read_splits(path: pathlib.Path, names: list[str]) -> dict[str, str]:
  """Returns {sequence: split} of lines `SEQ SPLIT`; empty without the list."""
  split_of = {}
  for line in pictures.read_lines(path):
    name, split = [*line.split(maxsplit=1), ''][:2]
    if name not in names or split not in SPLITS:
      raise DatasetError(f'{path} has the line {line!r}; expected `SEQ {"|".join(SPLITS)}`.')
    split_of[name] = split
  if split_of and (unnamed := [name for name in names if name not in split_of]):
    raise DatasetError(f'{path} does not name the sequence {unnamed[0]}; add `{unnamed[0]} train`.')
  return split_of


def read_lines(path: pathlib.Path) -> dict[int, list[Line]]:
  """Reads `time_frame id class_id img_height img_width rle` lines as MOTS numbers them.

  Returns:
    Picture's number -> its annotations, in the order of the file; no masks are decoded.

  Raises:
    DatasetError: a line is laid out otherwise, or one picture has an instance twice.
  """
  frames = read_any_lines(path)
  for line in (line for lines in frames.values() for line in lines):
    if line.kind not in (CAR, PEDESTRIAN, IGNORED):
      raise DatasetError(
        f'{line.where} has class {line.kind}; expected {CAR} (car), {PEDESTRIAN} (pedestrian) or '
        f'{IGNORED} (ignored).'
      )
    if line.instance // KIND != line.kind:
      raise DatasetError(
        f'{line.where} has instance {line.instance} of class {line.kind}; expected class x {KIND} '
        f'+ a number below {KIND}.'
      )
  return frames


def read_any_lines(path: pathlib.Path) -> dict[int, list[Line]]:
  """Reads the same lines with classes and instances of any numbers; see `read_lines`."""
  frames: dict[int, list[Line]] = {}
  for number, text in enumerate(pictures.read_lines(path), 1):
    where = f'{path}, line {number}'
    fields = text.split()
    if len(fields) != 6 or not all(field.isdecimal() for field in fields[:5]):
      raise DatasetError(
        f'{where} is {text[:60]!r}; expected `time_frame id class_id img_height img_width rle`.'
      )
    frame, instance, kind, height, width = map(int, fields[:5])
    lines = frames.setdefault(frame, [])
    if any(line.instance == instance for line in lines):
      raise DatasetError(f'{where} names instance {instance} a second time in picture {frame}.')
    lines.append(Line(where, instance, kind, height, width, fields[5]))
  return frames
