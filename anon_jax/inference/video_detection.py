"""Finds the faces of a video's frames ahead of what becomes of them, several frames at a time."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from anon_jax.inference import scenes
from anon_jax.inference.faces import Face
from anon_jax.inference.video_reading import Frame


class Searched(NamedTuple):
  """A frame and what was found in it.

  Attributes:
    frame: as it was given.
    faces: its detections.
    thumbnail: by `scenes.thumbnail`.
  """

  frame: Frame
  faces: Sequence[Face]
  thumbnail: np.ndarray


class Search:
  """Searches frames on threads and gives them back in order; a context manager.

  onnxruntime computes without Python's lock, so the threads compute beside each other and beside
  whoever takes the frames. So many frames wait that each thread has its next one at hand.

  Args:
    detect: finds the faces of uint8 [h, w, 3]; told whether a quick look is enough.
    threads: how many; with 1 nothing is called from another thread than the caller's.
  """

  def __init__(self, detect: Callable[[np.ndarray, bool], Sequence[Face]], threads: int):
    self._detect = detect
    self._ahead = threads + 1 if threads > 1 else 0
    self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
    self._waiting: deque[Future[Searched]] = deque()

  def __enter__(self) -> 'Search':
    return self

  def __exit__(self, *_: object) -> None:
    if self._pool:
      self._pool.shutdown(cancel_futures=True)

  def push(self, frame: Frame, quick: bool) -> list[Searched]:
    """Takes the next frame; returns those that are done by turn, waiting for them.

    Raises:
      InferenceError: the detector failed.
    """
    if not self._pool:
      return [self._search(frame, quick)]
    self._waiting.append(self._pool.submit(self._search, frame, quick))
    return self._done(self._ahead)

  def flush(self) -> list[Searched]:
    """Returns the frames that are left; raises as `push`."""
    return self._done(0)

  def _done(self, left: int) -> list[Searched]:
    return [self._waiting.popleft().result() for _ in range(len(self._waiting) - left)]

  def _search(self, frame: Frame, quick: bool) -> Searched:
    faces = self._detect(frame.pixels, quick)
    return Searched(frame, faces, scenes.thumbnail(frame.pixels))
