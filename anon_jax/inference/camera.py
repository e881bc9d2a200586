"""Cameras, and whatever gives pictures as one does: the newest frame, whenever there is time."""

import contextlib
import dataclasses
import json
import math
import select
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from anon_jax.inference.child import Child, Crash, receive, receive_message, send, sense
from anon_jax.inference.colour import MATRICES
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.inference.sources import Source
from anon_jax.inference.video_reading import MAX_PIXELS, MEMORY, Frame, opened

_OPEN_SECONDS = 30.0  # until the first frame: a network camera waits for a whole picture
_SECONDS = 10.0
_DECODER = 'anon_jax.inference.camera_decoding'


class CameraError(InferenceError):
  """A camera that cannot be opened, or that gives no more frames."""


@dataclasses.dataclass(frozen=True)
class Shot(Frame):
  """A frame of a camera; `time` is in milliseconds since its first frame, `duration` is 0.

  Attributes:
    number: how many frames the camera has given so far, this one included.
    arrived: when it came from the camera, on time.monotonic's clock.
  """

  number: int
  arrived: float


class Camera:
  """Reads one camera; a context manager.

  A child process takes every frame from the camera as it comes, so that none waits: `next` gives
  the newest one, and those that came since the last call are dropped. Frames that cannot be decoded
  whole are dropped as well.

  Attributes:
    size: width and height of an upright frame, in pixels.
    matrix: of its colours, as H.273 counts.
    ended: whether the source has come to its end, as only a file does.

  Args:
    source: what to read.
    seconds: that it may be silent.
    memory: bytes of addresses that the child may have.

  Raises:
    CameraError: here or in `next`: it cannot be opened, or it has gone.
  """

  def __init__(self, source: Source, seconds: float = _SECONDS, memory: int = MEMORY):
    self._source, self._seconds, self.ended = source, seconds, False
    self._asked, self._since = False, 0.0  # whether a frame was asked for, and when
    asked: dict[str, Any] = {
      'kind': source.kind,
      'address': source.address,
      'memory': memory,
      'seconds': max(seconds, _OPEN_SECONDS),
    }
    with contextlib.ExitStack() as files:
      descriptors = []
      if source.kind == 'file':
        asked['file'] = files.enter_context(opened(source.address)).fileno()
        descriptors.append(asked['file'])
      self._child = Child(_DECODER, [json.dumps(asked)], descriptors)
    try:
      self._child.greet('reads cameras')
      with self._faults(_OPEN_SECONDS):
        message = self._message(time.monotonic() + _OPEN_SECONDS)
        with sense():
          width, height = map(int, message['camera']['size'])
          self.size, self.matrix = (width, height), int(message['camera']['matrix'])
          if min(self.size) < 1 or width * height > MAX_PIXELS or self.matrix not in MATRICES:
            raise Crash('no camera')
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> 'Camera':
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

  def next(self, wait: float) -> Shot | None:
    """Returns the newest frame that was not given before, None if none comes in so many seconds.

    Raises:
      CameraError: the camera has gone, or is silent.
    """
    if self.ended:
      return None
    with self._faults(self._seconds):
      if not self._asked:
        self._child.connection.settimeout(self._seconds)
        # It may have said its last and gone: that is read below.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
          send(self._child.connection, {'next': True})
        self._asked, self._since = True, time.monotonic()
      if not select.select([self._child.connection], [], [], wait)[0]:
        if time.monotonic() - self._since > self._seconds:
          raise TimeoutError
        return None
      deadline = time.monotonic() + self._seconds
      message = self._message(deadline)
      if 'end' in message:
        self.ended = True
        return None
      with sense():
        time_, number = int(message['time']), int(message['number'])
        arrived = min(float(message['arrived']), time.monotonic())
        if not math.isfinite(arrived) or not 0 <= time_ < 2**53 or not 0 < number < 2**53:
          raise Crash('no time')
      pixels = np.empty((*self.size[::-1], 3), np.uint8)
      receive(self._child.connection, pixels.reshape(-1).data, deadline)
    self._asked = False
    return Shot(pixels, time_, 0, number, arrived)

  def _message(self, deadline: float) -> dict[str, Any]:
    message = receive_message(self._child.connection, deadline)
    if 'error' in message:
      raise CameraError(f'{self._source.name} {shown(str(message["error"]))[:400]}.')
    return message

  @contextlib.contextmanager
  def _faults(self, seconds: float) -> Iterator[None]:
    """Turns whatever the child does wrong into an error of one line."""
    try:
      yield
      return
    except TimeoutError:
      what = f'gave no frame for {seconds:g} s; see whether it is still there'
    except (Crash, OSError) as error:
      what = f'brought the decoder down ({self._child.last_words(error)})'
    except BaseException:
      self.close()  # half a frame may be on its way, and must not be taken for the next one
      raise
    self.close()
    raise CameraError(f'{self._source.name} {what}.')
