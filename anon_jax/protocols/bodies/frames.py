"""The frames of an evaluation of bodies: sequences of one person each, and where that person is."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from anon_jax.data import body_crops, pictures, prepare
from anon_jax.data.errors import DatasetError
from anon_jax.protocols import outputs

Box = tuple[float, float, float, float]


class Frames(NamedTuple):
  """Frames of sequences, in their order.

  Attributes:
    folder: of the source frames.
    names: of the frames below it, SEQUENCE/NAME.jpg.
    masks: the file of each frame's mask.
    people: int [n], the sequence, which shows one person.
    times: int [n], the number of the frame in its sequence.
    sequences: names of the sequences, by number.
  """

  folder: pathlib.Path
  names: tuple[str, ...]
  masks: tuple[pathlib.Path, ...]
  people: np.ndarray
  times: np.ndarray
  sequences: tuple[str, ...]

  def read(self, name: str) -> np.ndarray:
    """Returns the pixels of a source frame, uint8 [h, w, 3]."""
    return outputs.read(self.folder / name)

  def mask(self, name: str) -> np.ndarray:
    """Returns where the person is in a frame, bool [h, w].

    Raises:
      DatasetError: a broken mask, or one of another size.
    """
    path = self.masks[self.names.index(name)]
    found = pictures.read_stencil(path)
    picture, _ = pictures.read_picture(self.folder / name)
    pictures.check_same_size(picture, self.folder / name, found, path)
    return found

  def blocks(self, length: int) -> np.ndarray:
    """Returns numbers of runs of `length` consecutive frames of one sequence, int [n]."""
    pairs = np.stack([self.people, self.times // length], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def load(folder: pathlib.Path, masks: str, most: int) -> tuple[Frames, Mapping[str, Box]]:
  """Reads which frames there are, and the boxes of the persons in them.

  Args:
    folder: of DAVIS 2016, or with `masks` of source frames: a folder a sequence, or the frames of
      one.
    masks: folder of masks under the frames' names; '' for DAVIS.
    most: frames of a sequence, the first ones; 0 takes all.

  Returns:
    The frames that show somebody, and by name the least box around that person's pixels.

  Raises:
    DatasetError: missing or broken data, or nobody is in any frame.
  """
  found = _davis(folder) if not masks else _given(folder, pathlib.Path(masks).expanduser())
  kept: list[tuple[str, pathlib.Path, int, int]] = []
  boxes: dict[str, Box] = {}
  for number, (sequence, pairs) in enumerate(found.items()):
    for time, (picture, mask) in enumerate(pairs[: most or None]):
      name = f'{sequence}/{picture.name}' if sequence else picture.name
      box = body_crops.mask_box(pictures.read_stencil(mask))
      if box is not None:
        kept.append((name, mask, number, time))
        boxes[name] = box
  if not kept:
    raise DatasetError(f'no mask of {folder} shows anybody: all of them are black.')
  names, paths, people, times = zip(*kept, strict=True)
  root = folder / 'JPEGImages' / '480p' if not masks else folder
  return Frames(root, names, paths, np.array(people), np.array(times), tuple(found)), boxes


_Pairs = Mapping[str, list[tuple[pathlib.Path, pathlib.Path]]]


def _davis(folder: pathlib.Path) -> _Pairs:
  found: dict[str, list[tuple[pathlib.Path, pathlib.Path]]] = {}
  for portraits in prepare.builder_class('davis').list_items(folder).values():
    for portrait in portraits:
      item = portrait.item
      found.setdefault(item.picture.parent.name, []).append((item.picture, item.masks[0]))
  return dict(sorted(found.items()))


def _given(folder: pathlib.Path, masks: pathlib.Path) -> _Pairs:
  if not masks.is_dir():
    raise DatasetError(f'config.masks={str(masks)!r} is not a folder; give that of the masks.')
  inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
  found = {}
  for sequence in inner or ['']:
    frames = pictures.list_pictures(folder / sequence)
    found[sequence] = [(path, masks / sequence / f'{stem}.png') for stem, path in frames.items()]
    missing = [mask for _, mask in found[sequence] if not mask.is_file()]
    if missing:
      raise DatasetError(
        f'{missing[0]} is missing; each frame of {folder / sequence} needs its mask there.'
      )
  return found
