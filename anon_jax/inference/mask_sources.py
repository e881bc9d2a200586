"""The masks of each picture and of each frame of a film: the user's own, or a segmenter's.

A picture is a film of one frame. What its people are called, and what they remember, is told here:
in a film each keeps its name from frame to frame.
"""

import pathlib
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from anon_jax.inference import mask_files, mask_places
from anon_jax.inference.bodies import Body, Follower, parted
from anon_jax.inference.decisions import Cast
from anon_jax.inference.mask_files import PLAIN, Lines, MaskError, Masks, Size
from anon_jax.inference.mask_places import TEXT, Places
from anon_jax.inference.paths import is_folder, shown

Segment: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Finds the people of an RGB picture: uint8 [h, w, 3] -> bool [h, w]."""
Read: TypeAlias = Callable[[int, Size], Masks]
_ALLOW = 'look at it, and give --allow-no-bodies if that is right'


class Story(NamedTuple):
  """What the frames of a film have in common.

  Attributes:
    name: of the film.
    cast: control identities of its people.
    follower: tells who is who where masks do not.
  """

  name: str
  cast: Cast
  follower: Follower


class Film:
  """The masks of one input, frame by frame.

  Attributes:
    cast: control identities that its people keep; None where a picture stands for itself.
  """

  def __init__(self, source: pathlib.Path, story: Story | None, state: str, allow_none: bool):
    self.cast = story.cast if story else None
    self._source, self._story, self._state = source, story, state
    self._allow_none = allow_none
    self._count = self._people = 0

  def take(self, picture: np.ndarray) -> list[Body]:
    """Returns the bodies of the next frame, uint8 [h, w, 3].

    Raises:
      InferenceError: its mask is missing or cannot be used, or the segmenter failed.
    """
    bodies = list(self._named(self._masks(picture)))
    self._count += 1
    self._people += len(bodies)
    return bodies

  def finish(self) -> None:
    """Checks, after the last frame, that it was one.

    Raises:
      MaskError: there are masks of further frames, or nobody is masked in any.
    """
    if not self._people and not self._allow_none:
      frames = f' in any of its {self._count} frames' if self._count > 1 else ''
      raise MaskError(
        f'{shown(self._source)} has no body{frames} by its masks, so it was not written; {_ALLOW}.'
      )

  def _masks(self, picture: np.ndarray) -> Masks:
    raise NotImplementedError

  def _named(self, masks: Masks) -> Iterable[Body]:
    """Yields the bodies that masks say, those of a plain mask one by one."""
    film = self._story.name if self._story else f'{self._source.name} {self._count}'
    for number, (mask, reason) in masks.items():
      own, numbers = [mask], [number]
      if number == PLAIN:
        own = parted(mask)
        numbers = self._story.follower.follow(own) if self._story else list(range(len(own)))
      for each, name in zip(own, numbers, strict=True):
        yield Body(each, name, f'{film} body {name}', self._state, reason)
    if not masks and self._story:
      self._story.follower.follow([])


class _GivenFilm(Film):
  """Masks that are numbered as the frames are, from 0 or from 1.

  Args:
    numbers: of the masks that there are.
    read: reads one.
    complete: whether a frame without any is a mistake, and not one without people.
    only: the one number that is asked for; None for all, one after the other.
  """

  def __init__(
    self,
    source: pathlib.Path,
    story: Story | None,
    allow_none: bool,
    *,
    numbers: Collection[int],
    read: Read,
    complete: bool,
    only: int | None = None,
  ):
    super().__init__(source, story, 'given', allow_none)
    self._numbers, self._read, self._complete, self._only = numbers, read, complete, only
    self._first = 0 if 0 in numbers else 1

  def finish(self) -> None:
    super().finish()
    if self._only is not None:
      return
    last, end = max(self._numbers), self._first + self._count - 1
    # Without a mask of frame 0, that they count from 1 shows in the last one only.
    if last > end or (self._first and last != end):
      raise MaskError(
        f'{shown(self._source)} has {self._count} frames, and its masks are numbered '
        f'{min(self._numbers)} to {last}; number them from 0, or from 1, to the last frame.'
      )

  def _masks(self, picture: np.ndarray) -> Masks:
    number = self._first + self._count if self._only is None else self._only
    height, width = picture.shape[:2]
    if number in self._numbers:
      return self._read(number, (width, height))
    if self._complete or not self._allow_none:
      way = 'add it, black where nobody is' if self._complete else _ALLOW
      raise MaskError(f'{shown(self._source)} has no mask numbered {number}; {way}.')
    return Masks()


class _FoundFilm(Film):
  """What a segmenter finds; in a film, where it was found a frame before, too."""

  def __init__(self, source: pathlib.Path, story: Story | None, allow_none: bool, segment: Segment):
    super().__init__(source, story, 'found', allow_none)
    self._segment, self._before = segment, np.zeros((0, 0), bool)

  def _masks(self, picture: np.ndarray) -> Masks:
    found = self._segment(picture)
    # It misses people in single frames.
    mask = found | self._before if self._before.shape == found.shape else found
    self._before = found
    return Masks({PLAIN: (mask, '')}) if mask.any() else Masks()


class Source(Protocol):
  """Gives each input its masks.

  Attributes:
    allow_none: whether inputs without anybody are taken.
  """

  allow_none: bool

  def film(self, source: pathlib.Path, frames: int) -> Film:
    """Returns the masks of an input; `frames` is 0 for a video, of which nobody knows how many.

    Raises:
      MaskError: they are missing, or of another kind.
    """

  def sha256_of(self, source: pathlib.Path) -> str:
    """Returns what changes with the masks of an input."""


class _Stories:
  """The films: a video, an animation, or a folder of pictures that is one."""

  def __init__(self, sequence: bool):
    self._sequence = sequence
    self._of_folder: dict[pathlib.Path, Story] = {}

  def of(self, source: pathlib.Path, frames: int, sequence: bool = False) -> Story | None:
    """Returns what an input remembers; None for a picture that stands for itself."""
    if frames != 1:
      return Story(source.name, Cast(), Follower())
    if not (sequence or self._sequence):
      return None
    folder = source.absolute().parent
    return self._of_folder.setdefault(folder, Story(folder.name, Cast(), Follower()))


class FoundMasks:
  """Masks that a segmenter finds.

  Args:
    segment: the network.
    allow_none: take inputs in which it finds nobody.
    sequence: whether the pictures of a folder are the frames of a film.
  """

  def __init__(self, segment: Segment, allow_none: bool = False, sequence: bool = False):
    self._segment, self.allow_none, self._stories = segment, allow_none, _Stories(sequence)

  def film(self, source: pathlib.Path, frames: int) -> Film:
    """Returns the masks of an input."""
    story = self._stories.of(source, frames)
    return _FoundFilm(source, story, self.allow_none, self._segment)

  def sha256_of(self, source: pathlib.Path) -> str:
    """Returns '': a segmenter finds the same in the same input."""
    del source
    return ''


class GivenMasks:
  """Masks that lie in files; `Places` says which one is whose.

  Args:
    places: where they lie.
    allow_none: take inputs without anybody, and frames of which a text file has no line.
    sequence: whether the pictures of a folder are the frames of a film; those with a text file are.
  """

  def __init__(self, places: Places, allow_none: bool = False, sequence: bool = False):
    self._places, self.allow_none, self._stories = places, allow_none, _Stories(sequence)
    self._texts: dict[pathlib.Path, Lines] = {}

  def film(self, source: pathlib.Path, frames: int) -> Film:
    """Returns the masks of an input; see `Source`."""
    path = self._places.of(source)
    numbers: Collection[int]
    read: Read
    if path.suffix.lower() == TEXT:
      lines = self._lines(path)
      only = _number_of(source) if frames == 1 else None
      # numbered pictures of two folders would be taken for frames of one film
      self._places.claim(path, source if only is None else source.parent)
      numbers, read = lines, lambda number, size: mask_files.decoded(lines.get(number, ()), size)
      story = self._stories.of(source, frames, sequence=True)
      return self._given(source, story, numbers=numbers, read=read, complete=False, only=only)
    self._places.claim(path, source)
    several = is_folder(path)
    if several == (frames == 1):
      what = 'is one picture' if frames == 1 else 'has several frames'
      wanted = 'a PNG' if frames == 1 else 'a folder with a PNG for each, or a text file'
      raise MaskError(f'{shown(source)} {what}, and its mask is {shown(path)}; give {wanted}.')
    files = mask_places.numbered(path) if several else {0: path}
    story = self._stories.of(source, frames)
    return self._given(
      source,
      story,
      numbers=files,
      read=lambda number, size: mask_files.read_picture(files[number], size),
      complete=True,
    )

  def sha256_of(self, source: pathlib.Path) -> str:
    """Returns what changes with the masks of an input."""
    return self._places.sha256_of(source)

  def _given(self, source: pathlib.Path, story: Story | None, **more: Any) -> Film:
    return _GivenFilm(source, story, self.allow_none, **more)

  def _lines(self, path: pathlib.Path) -> Lines:
    if path not in self._texts:
      self._texts[path] = mask_files.read_text(path)
    return self._texts[path]


def _number_of(source: pathlib.Path) -> int:
  """Returns the number that a frame of a film is named by."""
  if not (source.stem.isascii() and source.stem.isdecimal()):
    raise MaskError(
      f'{shown(source)} is not named by a number, as 000000.png is, and its masks are lines of a '
      'text file; rename it, or give a PNG.'
    )
  return int(source.stem)
