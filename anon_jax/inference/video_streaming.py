"""Writes a video into a pipe, for whoever reads it at the same time."""

import contextlib
import os
from fractions import Fraction
from typing import Any

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.video_writing import VideoWriter


class VideoStreamer(VideoWriter):
  """Writes one video, frame by frame, as Matroska that needs no seeking; a context manager.

  Each frame is handed on with the one after it. What has been read cannot be taken back, so
  nothing is checked in the end.

  Args:
    descriptor: of the pipe; it stays open.
    width: see `VideoWriter`, as for the others.
    height: of the frames.
    time_base: of their times; Matroska rounds them to milliseconds.
    options: see `VideoWriter`.

  Raises:
    InferenceError: here, in `write` or on leaving: it cannot be written so, or nobody reads it.
  """

  def __init__(self, descriptor: int, width: int, height: int, time_base: Fraction, **options: Any):
    self._descriptor = descriptor
    super().__init__('standard output', width, height, time_base, live=True, **options)

  def _kind(self) -> str:
    return 'matroska'

  def _place(self, stack: contextlib.ExitStack) -> int:
    descriptor = os.dup(self._descriptor)
    stack.callback(os.close, descriptor)
    return descriptor

  def _keep(self, error: InferenceError) -> None:
    pass

  def _put(self) -> None:
    pass

  def _error(self, what: str) -> InferenceError:
    if 'Broken pipe' in what:
      return InferenceError('nobody reads the standard output any more.')
    return super()._error(what)
