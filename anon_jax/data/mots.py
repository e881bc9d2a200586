"""MOTS: pedestrians in films, with masks and tracks (Voigtlaender et al., CVPR 2019)."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from anon_jax.data import body_crops, joints, openpose, pictures, run_lengths, semantic
from anon_jax.data.body_builder import BodyBuilder, Person
from anon_jax.data.body_classes import PERSON
from anon_jax.data.errors import DatasetError
from anon_jax.data.mots_files import (
  CAR,
  IGNORED,
  IGNORED_INSTANCE,
  KIND,
  LAYOUT,
  PEDESTRIAN,
  Line,
  find_sequences,
  numbered,
  read_lines,
)


class Frame(NamedTuple):
  """One picture of a sequence.

  Attributes:
    name: 'SEQUENCE/NNNNNN'.
    sequence: the sequence's number.
    picture: its file.
    annotation: its lines, or its map of instances.
    poses: the folder of its joints, or None.
  """

  name: str
  sequence: int
  picture: pathlib.Path
  annotation: tuple[Line, ...] | pathlib.Path
  poses: pathlib.Path | None


class Mots(BodyBuilder):
  """KITTI MOTS and MOTSChallenge: a crop of each pedestrian in each picture.

  Maps have the classes background and `person`; cars and other pedestrians are background, and
  ignored regions (number 10000, class 10) are labelled by nobody. `identity` is the sequence's
  number x 10000 + the track's; `name` is SEQUENCE/NNNNNN_TRACK. Pedestrians lower than 64 pixels
  are left out. Joints are OpenPose's, given to pedestrians by overlap (see `openpose.match_poses`).
  """

  LAYOUT = LAYOUT
  MANUAL_DOWNLOAD_INSTRUCTIONS = LAYOUT
  LEAST_HEIGHT = 64

  @classmethod
  def list_items(cls, folder: pathlib.Path) -> dict[str, list[Frame]]:
    splits: dict[str, list[Frame]] = {}
    for sequence in find_sequences(folder):
      annotations = _annotations(sequence.annotation, sequence.pictures)
      for number, annotation in annotations.items():
        path = sequence.pictures[number]
        splits.setdefault(sequence.split, []).append(
          Frame(f'{sequence.name}/{path.stem}', sequence.number, path, annotation, sequence.poses)
        )
    if not splits:
      raise DatasetError(f'{folder}: no picture has an instance in its annotation. {LAYOUT}')
    return splits

  @classmethod
  def raw_parts(cls, folder: pathlib.Path) -> Iterator[bytes]:
    yield '\n'.join(pictures.read_lines(folder / 'split.txt')).encode()
    for sequence in find_sequences(folder):
      yield f'{sequence.name} {len(sequence.pictures)} pictures'.encode()
      if sequence.annotation.is_file():
        yield sequence.annotation.read_bytes()
      for part in (sequence.annotation, sequence.poses):
        for path in pictures.list_files(part) if part and part.is_dir() else ():
          yield f'{path.name} {path.stat().st_size}'.encode()

  @classmethod
  def read_item(cls, item: Frame) -> tuple[np.ndarray, Iterator[Person]]:
    picture, _ = pictures.read_picture(item.picture)
    instances, pedestrians = _instances(item, picture.size)
    boxes = {}
    for number in pedestrians:
      box = body_crops.mask_box(instances == number)
      if box is not None:
        boxes[number] = box
    poses: dict[int, np.ndarray] = {}
    if item.poses is not None and boxes:
      path = openpose.pose_file(item.poses, item.picture.stem)
      poses = openpose.match_poses(openpose.read_poses(path), instances, boxes)
    return np.asarray(picture), _people(item, instances, list(boxes), poses)


def _people(
  frame: Frame, instances: np.ndarray, pedestrians: list[int], poses: dict[int, np.ndarray]
) -> Iterator[Person]:
  ignored = np.where(instances == IGNORED_INSTANCE, np.uint8(semantic.IGNORE), np.uint8(0))
  for number in pedestrians:
    yield Person(
      f'{frame.name}_{number}',
      np.where(instances == number, np.uint8(PERSON), ignored),
      frame.sequence * IGNORED_INSTANCE + number,
      poses.get(number, joints.none()),
    )


def _annotations(
  path: pathlib.Path, found: dict[int, pathlib.Path]
) -> dict[int, tuple[Line, ...] | pathlib.Path]:
  """Returns the annotation of each annotated picture by its number.

  Args:
    path: a text file, or a folder of maps.
    found: the sequence's pictures by number.
  """
  annotations: dict[int, tuple[Line, ...] | pathlib.Path] = {}
  if path.is_dir():
    maps = numbered(path)
    for number in sorted(found.keys() ^ maps.keys()):
      there = found.get(number) or maps[number]
      raise DatasetError(
        f'{there} is there, and its {"map of instances" if number in found else "picture"} is '
        f'missing; add it, or remove the file. {LAYOUT}'
      )
    annotations.update(maps)
    return annotations
  # A picture without lines shows nobody: so it is published.
  for number, lines in sorted(read_lines(path).items()):
    if number not in found:
      raise DatasetError(
        f'{lines[0].where} is about picture {number}, which the sequence does not have ('
        f'{len(found)} pictures, {min(found)} to {max(found)}); add it, or remove the line.'
      )
    annotations[number] = tuple(lines)
  return annotations


def _instances(frame: Frame, size: tuple[int, int]) -> tuple[np.ndarray, list[int]]:
  """Returns the instance number of each pixel, int32 [h, w], and the pedestrians' numbers."""
  if isinstance(frame.annotation, pathlib.Path):
    return _from_map(frame.annotation, frame.picture, size)
  width, height = size
  instances = np.zeros((height, width), np.int32)
  pedestrians = []
  for line in frame.annotation:
    if (line.width, line.height) != size:
      raise DatasetError(
        f'{line.where} is for a picture of {line.width} x {line.height}, but {frame.picture} is '
        f'{width} x {height}; use the pictures that belong to it.'
      )
    try:
      mask = run_lengths.decode(line.counts, height, width)
    except DatasetError as error:
      raise DatasetError(f'{line.where}: {error}') from None
    if (others := instances[mask]).any():
      raise DatasetError(
        f'{line.where}: the masks of {line.instance} and {others[others > 0][0]} overlap, and '
        'those of MOTS never do; use the annotation as it is published.'
      )
    if line.kind == PEDESTRIAN:
      pedestrians.append(line.instance)
    instances[mask] = IGNORED_INSTANCE if line.kind == IGNORED else line.instance
  return instances, pedestrians


def _from_map(
  path: pathlib.Path, picture: pathlib.Path, size: tuple[int, int]
) -> tuple[np.ndarray, list[int]]:
  instances = pictures.read_instances(path)
  height, width = instances.shape
  if (width, height) != size:
    raise DatasetError(
      f'{path} is {width} x {height} but its picture {picture} is {size[0]} x {size[1]}; a map of '
      'instances must have the size of its picture.'
    )
  numbers = np.unique(instances[instances > 0]).tolist()
  strange = [number for number in numbers if number // KIND not in (CAR, PEDESTRIAN, IGNORED)]
  if strange:
    raise DatasetError(
      f'{path}: pixel values {", ".join(map(str, strange[:8]))} are no instances; expected class x '
      f'{KIND} + number with class {CAR} (car) or {PEDESTRIAN} (pedestrian), or {IGNORED_INSTANCE}.'
    )
  instances[instances // KIND == IGNORED] = IGNORED_INSTANCE
  return instances, [number for number in numbers if number // KIND == PEDESTRIAN]
