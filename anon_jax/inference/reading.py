"""Reads photographs that anybody may have made: in a child process with limits, or not at all."""

import contextlib
import dataclasses
import datetime
import json
import math
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from anon_jax.inference import decoding
from anon_jax.inference.capture import Capture, Position
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.inference.structure import KINDS, RefusedPicture

SECONDS = 10.0
MEMORY = 3 << 29  # 1.5 GiB of addresses: 50 megapixels of the most wasteful kinds need about 1
_START_SECONDS = 60.0
_LONGEST_MESSAGE = 1 << 16


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


class _Crash(Exception):
  """The child talks nonsense."""


class _HungUp(_Crash):
  """The child ended."""


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
    self._process: subprocess.Popen[bytes] | None = None
    self._connection: socket.socket | None = None
    self._greeted = False

  def __enter__(self) -> 'Reader':
    self._start()
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  @property
  def pid(self) -> int | None:
    """Process number of the child, None where there is none."""
    return self._process.pid if self._process else None

  def close(self) -> int | None:
    """Ends the child; returns its exit code, or None if there was none."""
    if self._connection:
      self._connection.close()
    code = None
    if self._process:
      code = self._process.poll()
      if code is None:
        self._process.kill()
        self._process.wait()
    self._process = self._connection = None
    self._greeted = False
    return code

  def read(self, path: str | os.PathLike[str]) -> PictureFile:
    """Reads one file completely.

    Args:
      path: of a file, whatever its extension.

    Raises:
      PictureError: it is no regular file, none of the six kinds, too large, cut short or damaged.
    """
    with _opened(path) as file:
      if self._process is None or self._process.poll() is not None:
        self.close()
        self._start()
      try:
        self._greet()
        return self._ask(file)
      except TimeoutError:
        self.close()
        what = f'took longer than {self._seconds:g} s to decode; reduce or remove it'
      except (_Crash, OSError) as error:
        what = f'brought the decoder down ({self._last_words(error)}); replace or remove it'
      except RefusedPicture as error:
        what = str(error)
      except BaseException:
        self.close()  # half an answer may be on its way, and must not be taken for the next one
        raise
    raise PictureError(f'{shown(path)} {what}.')

  def _start(self) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
      command = (sys.executable, '-P', '-m', decoding.__name__)
      self._connection = ours
      self._process = subprocess.Popen(
        [*command, str(theirs.fileno()), str(self._memory), str(math.ceil(self._seconds))],
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the command, which ends its child itself.
        start_new_session=True,
        env={
          **os.environ,
          'PYTHONPATH': os.pathsep.join(os.path.abspath(folder) for folder in sys.path),  # noqa: PTH100
          # every thread of theirs would take from the addresses
          'OPENBLAS_NUM_THREADS': '1',
          'OMP_NUM_THREADS': '1',
        },
      )

  def _greet(self) -> None:
    if not self._greeted:
      try:
        self._message(time.monotonic() + _START_SECONDS)
      except (_Crash, OSError) as error:
        raise InferenceError(
          f'the process that decodes pictures does not start ({self._last_words(error)}); try '
          f'{sys.executable} -m {decoding.__name__}.'
        ) from None
      self._greeted = True

  def _ask(self, file: BinaryIO) -> PictureFile:
    assert self._connection is not None
    deadline = time.monotonic() + self._seconds
    self._connection.settimeout(self._seconds)
    socket.send_fds(self._connection, [b'.'], [file.fileno()])
    frames: list[np.ndarray] = []
    durations: list[int] = []
    left = decoding.MAX_PIXELS_OF_ALL_FRAMES
    while True:
      message = self._message(deadline)
      if 'error' in message:
        if message.get('spoilt'):
          self.close()
        raise RefusedPicture(shown(str(message['error']))[:400])
      with _sense():
        if 'end' in message:
          return _picture_file(frames, durations, message['end'])
        height, width = map(int, message['frame'])
        durations.append(int(message['duration']))
        # What a hostile file made of the child must not decide how much is received here.
        left -= height * width
        if height < 1 or width < 1 or left < 0 or len(frames) >= decoding.MAX_FRAMES:
          raise _Crash('more pixels than are allowed')
        if frames and frames[0].shape[:2] != (height, width):
          raise _Crash('frames of different sizes')
      frame = np.empty((height, width, 3), np.uint8)
      self._receive(frame.data.cast('B'), deadline)
      frames.append(frame)

  def _message(self, deadline: float) -> dict[str, Any]:
    head = bytearray(4)
    self._receive(memoryview(head), deadline)
    (length,) = struct.unpack('>I', head)
    if length > _LONGEST_MESSAGE:
      raise _Crash('a message without end')
    text = bytearray(length)
    self._receive(memoryview(text), deadline)
    with _sense():
      message = json.loads(text)
      if not isinstance(message, dict):
        raise _Crash('no message')
      return message

  def _receive(self, into: memoryview, deadline: float) -> None:
    """Fills a buffer; raises TimeoutError at the deadline, _HungUp if the child ends."""
    assert self._connection is not None
    while into:
      left = deadline - time.monotonic()
      if left <= 0:
        raise TimeoutError
      self._connection.settimeout(left)
      count = self._connection.recv_into(into)
      if not count:
        raise _HungUp('it hung up')
      into = into[count:]

  def _last_words(self, error: Exception) -> str:
    """Ends the child and says how it ended by itself."""
    if self._process and isinstance(error, (_HungUp, OSError)):
      with contextlib.suppress(subprocess.TimeoutExpired):
        self._process.wait(1)  # it is about to end
    code = self.close()
    if not code:
      return str(error)
    return signal.Signals(-code).name if code < 0 else f'exit code {code}'


def read_picture_file(path: str | os.PathLike[str]) -> PictureFile:
  """Reads one file in a child process of its own; `Reader` is for many.

  Raises:
    PictureError: as Reader.read.
  """
  with Reader() as reader:
    return reader.read(path)


@contextlib.contextmanager
def _sense() -> Iterator[None]:
  """Takes what does not make sense for a crash."""
  try:
    yield
  except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
    raise _Crash(f'nonsense: {error}') from None


def _picture_file(frames: list[np.ndarray], durations: list[int], end: Any) -> PictureFile:
  if not frames or end['kind'] not in KINDS:
    raise _Crash('no picture')
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


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
  """Opens a regular file; nothing else is even touched: a FIFO would wait for its writer."""
  try:
    if not stat.S_ISREG(pathlib.Path(path).stat().st_mode):
      raise PictureError(f'{shown(path)} is no regular file; give a picture file.')
    # Without O_NONBLOCK, should it have become a FIFO meanwhile, this would wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  except (OSError, ValueError) as error:
    if isinstance(error, PictureError):
      raise
    reason = getattr(error, 'strerror', None) or error
    raise PictureError(
      f'{shown(path)} cannot be opened ({reason}); give a readable file.'
    ) from None
  with os.fdopen(descriptor, 'rb') as file:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
      raise PictureError(f'{shown(path)} is no regular file; give a picture file.')
    yield file
