"""Signals that stop a run without losing its last step."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from anon_jax import processes


class BrokenOff(Exception):
  """Work that can be done without was broken off by a signal; the state is whole."""


class Interrupt:
  """Turns the first SIGINT or SIGTERM into a flag, so that a step is finished and saved.

  A second signal ends the process as it would without this class. With several processes JAX's
  own handler of SIGTERM stays in place, which tells the other processes; SIGINT is handed to it.
  """

  def __init__(self) -> None:
    self.signal: signal.Signals | None = None
    self._before: dict[signal.Signals, Any] = {}
    self._shared = processes.is_started()
    self._breakable = False

  def __enter__(self) -> 'Interrupt':
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGINT,) if self._shared else (signal.SIGINT, signal.SIGTERM):
        self._before[number] = signal.signal(number, self._note)
    return self

  def wanted(self, step: int) -> bool:
    """Tells whether to stop before the step after `step`: in all processes at the same one."""
    if self._shared and processes.stop_wanted(step):
      self.signal = self.signal or signal.SIGTERM
      return True
    return self.signal is not None and not self._shared

  @contextlib.contextmanager
  def breaks(self) -> Iterator[None]:
    """Lets a signal raise `BrokenOff` in here: an evaluation can take longer than it may wait.

    Not with several processes: the others would wait for this one's part.
    """
    if self.signal and not self._shared:
      raise BrokenOff
    self._breakable = not self._shared
    try:
      yield
    finally:
      self._breakable = False

  def _note(self, number: int, frame: Any) -> None:
    self.signal = signal.Signals(number)
    self._restore()
    if self._shared:
      os.kill(os.getpid(), signal.SIGTERM)
    if self._breakable:
      raise BrokenOff

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def __exit__(self, *_: Any) -> None:
    self._restore()
