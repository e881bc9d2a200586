"""Signals that stop a run without losing its last step."""

import signal
import threading
from typing import Any


class Interrupt:
  """Turns the first SIGINT or SIGTERM into a flag, so that a step is finished and saved.

  A second signal ends the process as it would without this class.
  """

  def __init__(self) -> None:
    self.signal: signal.Signals | None = None
    self._before: dict[signal.Signals, Any] = {}

  def __enter__(self) -> 'Interrupt':
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGINT, signal.SIGTERM):
        self._before[number] = signal.signal(number, self._note)
    return self

  def _note(self, number: int, frame: Any) -> None:
    self.signal = signal.Signals(number)
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def __exit__(self, *_: Any) -> None:
    self._restore()
