"""Reads videos that anybody may have made: frame by frame, from a child process with limits."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from anon_jax.inference import opening
from anon_jax.inference.child import Child, Crash, receive, receive_message, sense
from anon_jax.inference.colour import MATRICES, Colour
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown

SECONDS = 30.0
MEMORY = 4 << 30  # addresses: a decoder may keep 16 frames of 50 megapixels
MAX_PIXELS = 50_000_000
_LARGEST = 2**62  # of times: what is added to them stays within 64 bits
_DECODER = 'anon_jax.inference.video_decoding'


class VideoError(InferenceError):
  """A file that is no video, or none that is taken: named, with what is wrong and a way out."""


@dataclasses.dataclass(frozen=True)
class Outline:
  """What is known of a video with its first frame.

  Attributes:
    width: of an upright frame, in pixels.
    height: of an upright frame, in pixels.
    time_base: seconds that one unit of a frame's time and duration lasts.
    rate: frames a second, in the mean, as the file says; None if it does not.
    aspect: width of a pixel over its height, upright.
    colour: what the pixels' numbers mean.
    left_out: what else the file holds, for people: it is no part of the frames.
    frames: how many the file says that it has, for people to know how long it may take: it may be
      anything; 0 if it does not say.
  """

  width: int
  height: int
  time_base: Fraction
  rate: Fraction | None
  aspect: Fraction
  colour: Colour
  left_out: tuple[str, ...]
  frames: int = 0


@dataclasses.dataclass(frozen=True)
class Frame:
  """A frame of a video.

  Attributes:
    pixels: uint8 [h, w, 3], RGB, upright; [0, 0, 3] where pixels were not asked for.
    time: when it is shown, in the video's time base; later than the frame before it.
    duration: in the video's time base, as the file says; 0 if it does not.
  """

  pixels: np.ndarray
  time: int
  duration: int


class VideoReader:
  """Reads one video; a context manager, and an iterable of its frames, once.

  Taken are MP4 and MOV, Matroska and WebM, AVI, MPEG transport and program streams, FLV and Ogg, by
  their content. Frames come in the order in which they are shown. Whatever is damaged, cut short or
  changes its size ends in an error, at the latest after the last frame that is sound: only who
  iterates to the end knows that a video is whole. A file that ends between two of its packets, in a
  format that does not say how many there are, cannot be told from a whole one.

  The child decodes less than a frame ahead of who iterates; memory does not grow with length.

  Attributes:
    outline: what is known before the first frame is taken.

  Args:
    path: of a regular file, whatever its extension.
    seconds: that one frame may take.
    memory: bytes of addresses that the child may have.
    pixels: False for times only: everything is decoded, and nothing is converted.

  Raises:
    VideoError: here or while iterating: it is no regular file, none of these kinds, too large, cut
      short or damaged, or the decoder crashes or takes too long.
  """

  outline: Outline

  def __init__(
    self,
    path: str | os.PathLike[str],
    seconds: float = SECONDS,
    memory: int = MEMORY,
    pixels: bool = True,
  ):
    self._path = path
    self._seconds = seconds
    self._pixels = pixels
    with opened(path) as file:
      asked = {'file': file.fileno(), 'memory': memory, 'seconds': seconds, 'pixels': pixels}
      self._child = Child(_DECODER, [json.dumps(asked)], [file.fileno()])
    try:
      self._child.greet('decodes videos')
      with self._faults():
        message = self._message(time.monotonic() + seconds)
        with sense():
          self.outline = _outline(message['video'])
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> 'VideoReader':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  @property
  def pid(self) -> int:
    """Process number of the child."""
    return self._child.pid

  def close(self) -> None:
    """Ends the child."""
    self._child.close()

  def __iter__(self) -> Iterator[Frame]:
    shape = (self.outline.height, self.outline.width, 3) if self._pixels else (0, 0, 3)
    count, last = 0, -_LARGEST
    while True:
      with self._faults():
        deadline = time.monotonic() + self._seconds
        message = self._message(deadline)
        with sense():
          if 'end' in message:
            if message['end'] != count:
              raise Crash('it lost frames')
            break
          frame = Frame(np.empty(shape, np.uint8), int(message['time']), int(message['duration']))
          if not last < frame.time < _LARGEST or not 0 <= frame.duration < _LARGEST:
            raise Crash('times that go back')
        receive(self._child.connection, frame.pixels.reshape(-1).data, deadline)
      count, last = count + 1, frame.time
      yield frame
    self.close()

  def _message(self, deadline: float) -> dict[str, Any]:
    message = receive_message(self._child.connection, deadline)
    if 'error' in message:
      self.close()
      raise VideoError(f'{shown(self._path)} {shown(str(message["error"]))[:400]}.')
    return message

  @contextlib.contextmanager
  def _faults(self) -> Iterator[None]:
    """Turns whatever the child does wrong into an error of one line."""
    try:
      yield
      return
    except TimeoutError:
      self.close()
      what = f'took longer than {self._seconds:g} s to decode a frame; reduce or remove it'
    except (Crash, OSError) as error:
      words = self._child.last_words(error)
      what = f'brought the decoder down ({words}); replace or remove it'
    except BaseException:
      self.close()  # half a frame may be on its way, and must not be taken for the next one
      raise
    raise VideoError(f'{shown(self._path)} {what}.')


def _outline(said: dict[str, Any]) -> Outline:
  width, height = map(int, said['size'])
  # What a hostile file made of the child must not decide how much is received here.
  if width < 1 or height < 1 or width * height > MAX_PIXELS:
    raise Crash('more pixels than are allowed')
  time_base, rate, aspect = (Fraction(*map(int, said[n])) for n in ('time_base', 'rate', 'aspect'))
  colour = Colour(*map(int, said['colour']))
  if time_base <= 0 or aspect <= 0 or rate < 0 or colour.matrix not in MATRICES:
    raise Crash('no outline')
  if not all(0 < code_point < 256 for code_point in (colour.primaries, colour.transfer)):
    raise Crash('no colours')
  left_out = tuple(shown(str(text))[:80] for text in said['left_out'])
  frames = min(max(int(said['frames']), 0), _LARGEST)
  return Outline(width, height, time_base, rate or None, aspect, colour, left_out, frames)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
  """Opens a regular file that is not empty; nothing else is even touched.

  Raises:
    VideoError: it is none.
  """
  with opening.opened(path, VideoError, 'video') as file:
    if not os.fstat(file.fileno()).st_size:
      raise VideoError(f'{shown(path)} is empty; give a video file.')
    yield file
