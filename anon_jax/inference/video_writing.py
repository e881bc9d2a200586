"""Writes videos so that a file is either whole or not there, and holds nothing but its frames."""

import contextlib
import hashlib
import json
import os
import pathlib
import struct
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from anon_jax.inference.child import Child, Crash, receive_message, send
from anon_jax.inference.colour import Colour, usual_matrix
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.inference.placing import PartFile, named_errors
from anon_jax.inference.video_reading import VideoReader, opened

SECONDS = 120.0  # the last answer waits for all that the encoder looked ahead
MEMORY = 8 << 30  # addresses: an encoder looks 50 frames ahead
# Both hold times exactly; Matroska, for one, rounds them to milliseconds.
KINDS = {'.mp4': 'mp4', '.mov': 'mov'}
_ENCODER = 'anon_jax.inference.video_encoding'


class VideoWriter:
  """Writes one video, frame by frame; a context manager.

  Leaving it without an error checks the file by decoding all of it, compares every time, and puts
  it in its place; leaving it by an error, Ctrl-C included, leaves nothing behind. Frames are
  encoded in a child process, less than a frame behind `write` and what the encoder looks ahead;
  memory does not grow with length.

  The file holds one video stream in yuv420p (8 bits, limited range) and nothing else: no tags, no
  creation time, no name or settings of the encoder. Of frames with an odd width or height the last
  column or row is written twice, so that the file has one more: H.264 could not hide it again, as
  it crops by two.

  Attributes:
    sound: name of the codec of the sound that is copied, None without.

  Args:
    path: the file's final name, ending with .mp4 or .mov; a file there is replaced as a whole.
      Missing folders are made.
    width: of the frames, in pixels.
    height: of the frames, in pixels.
    time_base: seconds that one unit of a frame's time lasts.
    aspect: width of a pixel over its height.
    colour: what the pixels' numbers mean, and with which matrix they become luma and chroma; None
      for the usual one by size.
    rate: frames a second in the mean, if known: a hint.
    codec: name of an encoder of FFmpeg that knows `crf`.
    crf: the encoder's constant rate factor; lower is better and larger.
    sound_from: a video file, of whose first audio stream all packets are copied bit for bit, with
      their times; without one there, `sound` stays None.
    live: written in fragments of a second, without looking ahead: a file whose writer was killed
      can be played up to there. If it cannot be written any further, that much of it stays, under
      its temporary name.

  Raises:
    InferenceError: here, in `write` or on leaving: it cannot be written so.
  """

  sound: str | None

  def __init__(
    self,
    path: str | os.PathLike[str],
    width: int,
    height: int,
    time_base: Fraction,
    *,
    aspect: Fraction = Fraction(1),
    colour: Colour | None = None,
    rate: Fraction | None = None,
    codec: str = 'libx264',
    crf: int = 18,
    sound_from: str | os.PathLike[str] | None = None,
    live: bool = False,
  ):
    self._path, self._size, self._time_base = pathlib.Path(path), (width, height), time_base
    self._aspect, self._sound_from, self._live = aspect, sound_from, live
    self._count, self._times = 0, hashlib.sha256()
    self._last, self._duration = 0, 0
    self._usual = max(1, round(1 / (rate * time_base))) if rate else 1
    kind = self._kind()
    if width < 1 or height < 1 or time_base <= 0 or aspect <= 0:
      raise self._error(
        f'{width} x {height} pixels of aspect {aspect} in units of {time_base} s are no video'
      )
    with contextlib.ExitStack() as stack:
      stack.enter_context(named_errors(path))
      opened_file = self._place(stack)
      asked: dict[str, Any] = {
        'file': opened_file,
        'sound': None,
        'kind': kind,
        'codec': codec,
        'crf': crf,
        'size': self._size,
        'time_base': time_base.as_integer_ratio(),
        'rate': (rate or 1 / (time_base * self._usual)).as_integer_ratio(),
        'aspect': aspect.as_integer_ratio(),
        'colour': _code_points(colour or Colour(usual_matrix(width, height))),
        'memory': MEMORY,
        'seconds': SECONDS,
        'live': live,
      }
      with contextlib.ExitStack() as source:
        if sound_from is not None:
          asked['sound'] = source.enter_context(opened(sound_from)).fileno()
        descriptors = [n for n in (asked['file'], asked['sound']) if n is not None]
        self._child = Child(_ENCODER, [json.dumps(asked)], descriptors)
      stack.callback(self._child.close)
      self._child.greet('encodes videos')
      with self._faults():
        self.sound = self._answer('sound')
      self._stack = stack.pop_all()

  def __enter__(self) -> 'VideoWriter':
    return self

  def __exit__(
    self, kind: type[BaseException] | None, error: BaseException | None, _: object
  ) -> None:
    with self._stack:
      if kind is None:
        self._finish()
      elif isinstance(error, InferenceError) and self._live and self._count:
        self._keep(error)

  @property
  def pid(self) -> int:
    """Process number of the child."""
    return self._child.pid

  def write(self, pixels: np.ndarray, time: int, duration: int = 0) -> None:
    """Adds a frame.

    Args:
      pixels: uint8 [height, width, 3], RGB.
      time: when it is shown, in units of the time base, from 0; later than the frame before it.
      duration: in units of the time base; 0 for as long as the frame before it. It counts for the
        last frame only: any other lasts until the next.
    """
    width, height = self._size
    if pixels.dtype != np.uint8 or pixels.shape != (height, width, 3):
      raise self._error(
        f'a frame is {pixels.dtype} {list(pixels.shape)}; give uint8 {[height, width, 3]}'
      )
    if (self._count and time <= self._last) or duration < 0:
      raise self._error(
        f'frame {self._count + 1} is shown at {time} for {duration}, the one before it at '
        f'{self._last}; give times that go forward'
      )
    gap = time - self._last if self._count else self._usual
    self._duration = duration or gap
    self._last = time
    self._count += 1
    self._times.update(struct.pack('>q', time))
    message = {'time': time, 'duration': self._duration}
    with self._faults():
      self._child.connection.settimeout(SECONDS)
      send(self._child.connection, message, np.ascontiguousarray(pixels).data.cast('B'))

  def _kind(self) -> str:
    """Returns FFmpeg's name of the format that the path asks for."""
    kind = KINDS.get(self._path.suffix.lower())
    if kind is None:
      raise self._error(f'its name ends with none of {", ".join(KINDS)}; give it such a name')
    return kind

  def _place(self, stack: contextlib.ExitStack) -> int:
    """Returns the descriptor that is written to."""
    self._new = stack.enter_context(PartFile(self._path))
    return self._new.file.fileno()

  def _finish(self) -> None:
    if not self._count:
      raise self._error('no frame was given; give at least one')
    with self._faults():
      self._child.connection.settimeout(SECONDS)
      send(self._child.connection, {'end': True})
      self._answer('end')
    self._child.close()
    self._put()

  def _keep(self, error: InferenceError) -> None:
    """Leaves what was written of a live picture, which nobody can take again, and says where."""
    self._new.kept = True
    raise InferenceError(
      f'{str(error).rstrip(".")}; what was recorded until then is in {shown(self._new.part)}, '
      f'which can be played when it is named *{self._path.suffix}.'
    ) from None

  def _put(self) -> None:
    """Gives what was written its name."""
    self._new.finish(self._check)

  def _check(self, part: pathlib.Path) -> None:
    """Raises unless a file decodes to the frames that were to be written."""
    times, count, end = hashlib.sha256(), 0, Fraction(0)
    try:
      with VideoReader(part, pixels=False) as reader:
        found = reader.outline
        base = found.time_base / self._time_base
        for frame in reader:
          count += 1
          end = (frame.time + frame.duration) * base
          time = frame.time * base
          times.update(struct.pack('>q', int(time)) if time == int(time) else b'between')
    except InferenceError as error:
      reason = str(error).removeprefix(shown(part))
      raise self._error(f'what was written {reason.strip(" .")}') from None
    width, height = self._size
    wanted = (width + width % 2, height + height % 2, self._aspect)
    whole = count == self._count and end == self._last + self._duration
    if not whole or times.digest() != self._times.digest():
      raise self._error(
        f'what was written decodes to {count} frames until {float(end * self._time_base):.6f} s; '
        f'expected {self._count} until '
        f'{float((self._last + self._duration) * self._time_base):.6f} s, each at its time'
      )
    if (found.width, found.height, found.aspect) != wanted:
      raise self._error('what was written has another size or aspect than was given')

  def _answer(self, key: str) -> str | None:
    message = receive_message(self._child.connection, time.monotonic() + SECONDS)
    if 'error' in message:
      what = shown(str(message['error']))[:400]
      if message.get('of_sound'):
        raise InferenceError(f'{shown(self._sound_from or "")} {what}.')
      raise self._error(what)
    if key not in message:
      raise Crash('no answer')
    return message[key]

  @contextlib.contextmanager
  def _faults(self) -> Iterator[None]:
    """Turns whatever the child does wrong into an error of one line."""
    try:
      yield
      return
    except TimeoutError:
      what = f'a frame took longer than {SECONDS:g} s to encode; reduce it'
    except (Crash, OSError) as error:
      with contextlib.suppress(Crash, OSError):  # it may have said why before it ended
        self._answer('end')
      what = f'the encoder broke down ({self._child.last_words(error)}); try another codec'
    raise self._error(what)

  def _error(self, what: str) -> InferenceError:
    return InferenceError(f'{shown(self._path)} cannot be written: {what}.')


def _code_points(colour: Colour) -> tuple[int, int, int]:
  return colour.matrix, colour.primaries, colour.transfer
