"""Reads photographs that anybody may have made: in a child process with limits, or not at all."""

import dataclasses
import datetime
import math
import os
import socket
import time
from typing import Any, BinaryIO

import numpy as np

from anon_jax.inference import decoding
from anon_jax.inference.capture import Capture, Position
from anon_jax.inference.child import Child, Crash, receive, receive_message, sense
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.opening import opened
from anon_jax.inference.paths import shown
from anon_jax.inference.structure import KINDS, RefusedPicture

SECONDS = 10.0
MEMORY = 3 << 29  # 1.5 GiB of addresses: 50 megapixels of the most wasteful kinds need about 1


class PictureError(InferenceError):
  """A file that is no picture, or none that is taken: named, with what is wrong and a way out."""


@dataclasses.dataclass(frozen=True)
class PictureFile:
  """A picture file's content.

  Attributes:
    frames: uint8 [h, w, 3], RGB, upright, all of one size; pages of a TIFF, frames of an animation.
    durations: of an animation, milliseconds a frame; else empty.
    loop: how often an animation is shown; 0 for ever.
    kind: 'JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP' or 'GIF', by its content.
    capture: when and where it was taken.
    left_out: what else the file holds, for people: it is no part of `frames`.
  """

  frames: tuple[np.ndarray, ...]
  durations: tuple[int, ...]
  loop: int
  kind: str
  capture: Capture
  left_out: tuple[str, ...]


class Reader:
  """Reads many files in one child process; a context manager.

  The child is started on entering, and anew after a file that brought it down.

  Args:
    seconds: that one file may take.
    memory: bytes of addresses that the child may have.
  """

  def __init__(self, seconds: float = SECONDS, memory: int = MEMORY):
    self._seconds = seconds
    self._memory = memory
    self._child: Child | None = None

  def __enter__(self) -> 'Reader':
    self._start()
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  @property
  def pid(self) -> int | None:
    """Process number of the child, None where there is none."""
    return self._child.pid if self._child else None

  def close(self) -> None:
    """Ends the child."""
    if self._child:
      self._child.close()
    self._child = None

  def read(self, path: str | os.PathLike[str]) -> PictureFile:
    """Reads one file completely.

    Args:
      path: of a file, whatever its extension.

    Raises:
      PictureError: it is no regular file, none of the six kinds, too large, cut short or damaged.
    """
    with opened(path, PictureError, 'picture') as file:
      child = self._child
      if child is None or child.ended:
        self.close()
        child = self._start()
      try:
        child.greet('decodes pictures')
        return self._ask(child.connection, file)
      except TimeoutError:
        self.close()
        what = f'took longer than {self._seconds:g} s to decode; reduce or remove it'
      except (Crash, OSError) as error:
        what = f'brought the decoder down ({child.last_words(error)}); replace or remove it'
        self.close()
      except RefusedPicture as error:
        what = str(error)
      except BaseException:
        self.close()  # half an answer may be on its way, and must not be taken for the next one
        raise
    raise PictureError(f'{shown(path)} {what}.')

  def _start(self) -> Child:
    arguments = (self._memory, math.ceil(self._seconds))
    self._child = Child(decoding.__name__, arguments)
    return self._child

  def _ask(self, connection: socket.socket, file: BinaryIO) -> PictureFile:
    deadline = time.monotonic() + self._seconds
    connection.settimeout(self._seconds)
    socket.send_fds(connection, [b'.'], [file.fileno()])
    frames: list[np.ndarray] = []
    durations: list[int] = []
    left = decoding.MAX_PIXELS_OF_ALL_FRAMES
    while True:
      message = receive_message(connection, deadline)
      if 'error' in message:
        if message.get('spoilt'):
          self.close()
        raise RefusedPicture(shown(str(message['error']))[:400])
      with sense():
        if 'end' in message:
          return _picture_file(frames, durations, message['end'])
        height, width = map(int, message['frame'])
        durations.append(int(message['duration']))
        # What a hostile file made of the child must not decide how much is received here.
        left -= height * width
        if height < 1 or width < 1 or left < 0 or len(frames) >= decoding.MAX_FRAMES:
          raise Crash('more pixels than are allowed')
        if frames and frames[0].shape[:2] != (height, width):
          raise Crash('frames of different sizes')
      frame = np.empty((height, width, 3), np.uint8)
      receive(connection, frame.data.cast('B'), deadline)
      frames.append(frame)


def read_picture_file(path: str | os.PathLike[str]) -> PictureFile:
  """Reads one file in a child process of its own; `Reader` is for many.

  Raises:
    PictureError: as Reader.read.
  """
  with Reader() as reader:
    return reader.read(path)


def _picture_file(frames: list[np.ndarray], durations: list[int], end: Any) -> PictureFile:
  if not frames or end['kind'] not in KINDS:
    raise Crash('no picture')
  taken, position = end['time'], end['position']
  return PictureFile(
    tuple(frames),
    tuple(durations) if end['animated'] else (),
    int(end['loop']),
    end['kind'],
    Capture(
      None if taken is None else datetime.datetime.fromisoformat(taken),
      None if position is None else Position(*position),
    ),
    tuple(shown(str(text)) for text in end['left_out']),
  )
