"""Finds the faces of a video's frames ahead of what becomes of them, several frames at a time."""

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from anon_jax.inference import scenes
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.looks import LATE, SEARCHED, Look, Outlook
from anon_jax.inference.video_reading import Frame

# So many pixels of frames wait at most, where that is more than each thread needs: who takes them
# does so by the dozen, and the threads shall compute meanwhile.
_PIXELS = 12_000_000


class Searched(NamedTuple):
  """A frame and what was found in it.

  Attributes:
    frame: as it was given.
    faces: its detections.
    look: how it was searched.
    thumbnail: by `scenes.thumbnail`.
    failed: why the detector could not search it; '' if it could.
  """

  frame: Frame
  faces: Sequence[Face]
  look: Look
  thumbnail: np.ndarray
  failed: str = ''


class Search:
  """Searches frames on threads and gives them back in order; a context manager.

  onnxruntime computes without Python's lock, so the threads compute beside each other and beside
  whoever takes the frames.

  Args:
    detect: finds the faces of uint8 [h, w, 3], told how thoroughly.
    threads: how many; with 1 nothing is called from another thread than the caller's.
    tolerant: whether a frame that the detector fails on comes back as `failed`, and others go on.
    searched: see `Outlook`.
  """

  def __init__(
    self,
    detect: Callable[[np.ndarray, Look], Sequence[Face]],
    threads: int,
    tolerant: bool = False,
    searched: int = SEARCHED,
  ):
    self._detect = detect
    self._threads, self._tolerant = threads, tolerant
    self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
    self._waiting: deque[Future[Searched]] = deque()
    self._outlook = Outlook(searched)

  def __enter__(self) -> 'Search':
    return self

  def __exit__(self, *_: object) -> None:
    if self._pool:
      self._pool.shutdown(cancel_futures=True)

  def push(self, frame: Frame) -> list[Searched]:
    """Takes the next frame; returns those that are done by turn, waiting for them if need be.

    Raises:
      InferenceError: the detector failed.
    """
    self.offer(frame)
    if not self._pool:
      return self._done(0)
    height, width = frame.pixels.shape[:2]
    wait = min(max(_PIXELS // (height * width), self._threads + 1), LATE - 1)
    return self._done(wait)

  def offer(self, frame: Frame) -> None:
    """Takes the next frame and waits for none; raises as `push` where there is one thread."""
    height, width = frame.pixels.shape[:2]
    look = self._outlook.next((width, height))
    if self._pool:
      self._waiting.append(self._pool.submit(self._search, frame, look))
    else:
      done: Future[Searched] = Future()
      done.set_result(self._search(frame, look))
      self._waiting.append(done)

  @property
  def waiting(self) -> int:
    """How many frames have been taken and not given back."""
    return len(self._waiting)

  def ready(self, seconds: float) -> list[Searched]:
    """Returns the frames that are done by turn, waiting so long for the first; raises as `push`."""
    if self._waiting:
      futures.wait([self._waiting[0]], seconds)
    done = itertools.takewhile(lambda future: future.done(), self._waiting)
    return self._done(len(self._waiting) - sum(1 for _ in done))

  def flush(self) -> list[Searched]:
    """Returns the frames that are left; raises as `push`."""
    return self._done(0)

  def _done(self, left: int) -> list[Searched]:
    return [
      self._learnt(self._waiting.popleft().result()) for _ in range(len(self._waiting) - left)
    ]

  def _learnt(self, searched: Searched) -> Searched:
    self._outlook.learn(searched.faces)
    return searched

  def _search(self, frame: Frame, look: Look) -> Searched:
    faces: Sequence[Face] = ()
    failed = ''
    try:
      faces = self._detect(frame.pixels, look)
    except (InferenceError, MemoryError, RuntimeError) as error:
      if not self._tolerant:
        raise
      failed = str(error) or type(error).__name__
    return Searched(frame, faces, look, scenes.thumbnail(frame.pixels), failed)
