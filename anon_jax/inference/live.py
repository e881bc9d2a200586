"""Anonymizes a live picture: with a bounded delay, dropping frames rather than showing a face.

The camera gives more frames than there is time for; the newest is taken each time. A frame that was
searched waits, so that what is found in later ones can still cover a face that was missed in it,
and is shown before it is older than the delay. It is dropped, and never shown as it is, where

  the camera gave it while others were being searched;
  the detector failed on it, or it could not be painted;
  it would be older than the delay, or too few later frames have been searched;
  no face has been found since the beginning, unless that is allowed.

A face that was found and is no more stays covered where it was, and where it may have gone, for as
long as an offline video would bridge.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from anon_jax.inference import looks
from anon_jax.inference.camera import Camera, CameraError, Shot
from anon_jax.inference.decisions import Decision
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.live_result import LiveResult
from anon_jax.inference.replacing import Ready, Replacing, without_doubles
from anon_jax.inference.track import Settings, Tracked
from anon_jax.inference.tracking import TrackedFrame, Tracker
from anon_jax.inference.video_detection import Search, Searched
from anon_jax.inference.video_writing import VideoWriter

if TYPE_CHECKING:  # it imports jax, which the covering methods need not wait for
  from anon_jax.inference.anonymizer import Anonymizer

DELAY = 1.5
TIME_BASE = Fraction(1, 1000)
# A search takes as long as ten other frames, and those behind it wait: there are half as many as of
# an offline video. Two for the same kind of faces are no further apart than what is bridged.
_SEARCHED = 10
# As of an offline video, but that nobody knows what comes: what is no more found stays covered for
# as long as it might be bridged, is filled rather than painted in a guessed place, and grows for
# longer, as fewer frames a second are searched. A camera has no scene cuts. What closer looks doubt
# is left out only when there were several of them.
SETTINGS = Settings(
  lookahead=1000,  # frames are given away by their age instead
  linger=20,
  late=2 * _SEARCHED - 1,
  cuts=False,
  looks=5,
  painted=2,
  growing=5,
)
# A face that the detector misses in so many frames, when it appears, is covered all the same.
_LEAST_AFTER = 2
_MOST_AFTER = 25  # more say nothing about a frame
_MOST_PIXELS = 60_000_000  # of frames that wait
_WAIT = 0.02  # seconds for whatever comes next
# The longest of so many turns of the loop is reckoned with, so many times: what else runs on the
# machine makes some longer than all before.
_TURNS, _SPARE = 25, 2
_TOGETHER = 4  # frames that are painted at a time
_MOST_FAILURES = 25
_FAILURES = (InferenceError, MemoryError, RuntimeError)
# Of the reckoned seconds for a frame the share that stays, where it took less.
_KEPT = 0.8
_WARM_FACES, _WARM_SIDE = (1, 4, 16), 256


def anonymize_live(
  camera: Camera,
  writer: VideoWriter,
  anonymizer: 'Anonymizer',
  *,
  delay: float = DELAY,
  duration: float | None = None,
  allow_no_faces: bool = False,
  name: str = '',
  stopped: Callable[[], bool] = lambda: False,
  tell: Callable[[LiveResult], object] = lambda result: None,
) -> LiveResult:
  """Anonymizes what a camera gives, until it ends.

  Args:
    camera: gives the frames.
    writer: takes them, of the camera's size, with times in `TIME_BASE` from 0.
    anonymizer: with a detector.
    delay: most seconds from a frame's arrival until it is written.
    duration: seconds of the camera's time after which it ends; None: never by itself.
    allow_no_faces: show frames before the first face is found, too.
    name: tells its faces from those of other sources where a key is given.
    stopped: whether somebody wants it to end; asked between frames.
    tell: is given how it stands after each frame that was written.

  Returns:
    What became of the frames; `broken` says why there were no more of them: the camera has gone,
    or many in a row could not be searched or painted.

  Raises:
    InferenceError: the writer failed.
  """
  with Search(anonymizer.detect, anonymizer.threads, tolerant=True, searched=_SEARCHED) as search:
    live = _Live(camera, writer, anonymizer, search, delay, allow_no_faces, name, tell)
    for work in (lambda: live.run(duration, stopped), live.finish, live.give):
      try:  # what came before an error is given all the same
        work()
      except (CameraError, _Failing) as error:
        live.result.broken = live.result.broken or str(error)
  return live.result


def warm(anonymizer: 'Anonymizer', size: tuple[int, int]) -> None:
  """Has everything compiled that would have frames wait for it, for frames of a width and height.

  Raises:
    InferenceError: the detector failed, or faces cannot be painted.
  """
  for look in (looks.SEARCH, looks.GLANCE):
    anonymizer.detect(np.zeros((*size[::-1], 3), np.uint8), look)
  if anonymizer.method == 'synthesize':
    noise = np.random.default_rng(0).integers(0, 256, (_WARM_SIDE, _WARM_SIDE, 3), np.uint8)
    for count in _WARM_FACES:
      anonymizer.anonymize(noise, [(64.0, 64.0, 160.0, 192.0)] * count)


class _Failing(Exception):
  """Many frames in a row could not be searched or painted."""


class _Live:
  """One live picture on its way."""

  def __init__(
    self,
    camera: Camera,
    writer: VideoWriter,
    anonymizer: 'Anonymizer',
    search: Search,
    delay: float,
    allow_no_faces: bool,
    name: str,
    tell: Callable[[LiveResult], object],
  ):
    self._camera, self._writer, self._search = camera, writer, search
    self._delay, self._tell = delay, tell
    self._replaced = Replacing(anonymizer, name, self._count)
    self._tracker = Tracker(SETTINGS)
    self._known: deque[Shot] = deque()  # searched, in the tracker
    # One more than there are threads: none of them waits for another's frame to be taken.
    self._ahead = anonymizer.threads + 1
    width, height = camera.size
    self._most = min(_MOST_AFTER, max(_LEAST_AFTER, _MOST_PIXELS // (width * height)))
    self._shows = allow_no_faces
    self._turns: deque[float] = deque([_WAIT], _TURNS)
    self._work = 0.0  # seconds that it takes to paint and write a frame
    self._failed = 0
    self._first: int | None = None  # time of the first frame that was written
    self._last = -1
    self.result = LiveResult()

  def run(self, duration: float | None, stopped: Callable[[], bool]) -> None:
    """Takes and gives frames until somebody stops it; raises as the camera and the writer do."""
    while not stopped() and not self._camera.ended:
      begin = time.monotonic()
      if self._search.waiting < self._ahead:
        shot = self._camera.next(_WAIT)
        if shot is not None:
          if duration is not None and shot.time >= 1000 * duration:
            return
          self.result.received, self.result.seconds = shot.number, shot.time / 1000
          self._search.offer(shot)
        self._take(self._search.ready(0))
      else:
        self._take(self._search.ready(_WAIT))
      self._release()
      self._turns.append(time.monotonic() - begin)

  def finish(self) -> None:
    """Waits for what is being searched."""
    self._take(self._search.flush())

  def give(self) -> None:
    """Gives what is left; the last frames are dropped, as none after them were searched."""
    self._release(final=True)
    self._drop(len(self._known), 'the last ones')

  def _take(self, searched: Sequence[Searched]) -> None:
    """Takes the next frames and the faces in them."""
    for each in searched:
      self.result.searched += 1
      if each.failed:
        self._fail(1, 'the detector failed', each.failed)
        continue
      self._failed = 0
      assert isinstance(each.frame, Shot)
      self._known.append(each.frame)
      self._tracker.push(each.faces, each.thumbnail, self._camera.size, not each.look.glance)

  def _release(self, final: bool = False) -> None:
    """Shows or drops the frames that cannot wait any longer."""
    ready: list[tuple[Shot, TrackedFrame]] = []
    while self._known:
      shot, after = self._known[0], len(self._known) - 1
      left = shot.arrived + self._delay - time.monotonic() - self._work * (len(ready) + 1)
      due = final or after >= self._most or left < _SPARE * max(self._turns)
      if left >= 0 and (after < _LEAST_AFTER or not due):
        break
      self._known.popleft()
      followed = without_doubles(self._tracker.early())
      self.result.left_out += len(followed.left_out)
      self._shows |= bool(followed.faces)
      if left < 0:
        self._drop(1, 'too late')
      elif not self._shows:
        self._drop(1, 'before the first face')
      else:
        ready.append((shot, followed))
        if len(ready) == _TOGETHER:
          self._show(ready)
          ready = []
    self._show(ready)

  def _show(self, ready: Sequence[tuple[Shot, TrackedFrame]]) -> None:
    """Paints and writes frames."""
    if not ready:
      return
    begin = time.monotonic()
    try:
      images = list(self._replaced([Ready(*each) for each in ready]))
    except _FAILURES as error:
      self._fail(len(ready), 'not painted', str(error) or type(error).__name__)
      return
    for (shot, followed), image in zip(ready, images, strict=True):
      if time.monotonic() > shot.arrived + self._delay:
        self._drop(1, 'too late')
        continue
      self._first = shot.time if self._first is None else self._first
      self._last = max(self._last + 1, shot.time - self._first)
      self._writer.write(image, self._last)
      self.result.show(time.monotonic() - shot.arrived, bool(followed.faces))
    took = (time.monotonic() - begin) / len(ready)
    self._work = max(took, _KEPT * self._work + (1 - _KEPT) * took)
    self._replaced.keep(self._tracker.alive)
    self._tell(self.result)

  def _fail(self, count: int, reason: str, why: str) -> None:
    """Drops frames because of an error; raises _Failing when it happens again and again."""
    self._drop(count, reason)
    self._failed += count
    if self._failed >= _MOST_FAILURES:
      raise _Failing(f'{self._failed} frames in a row: {reason} ({why.rstrip(".")}).')

  def _drop(self, count: int, reason: str) -> None:
    if count:
      self.result.dropped[reason] += count

  def _count(self, index: int, tracked: Tracked, decision: Decision) -> None:
    self.result.count(tracked, decision)
