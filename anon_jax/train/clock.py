"""Where the time of a run goes."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass
class Clock:
  """Splits wall-clock time into waiting for data and the rest, between two logs."""

  waited: float = 0.0
  paused: float = 0.0
  start: float = dataclasses.field(default_factory=time.monotonic)
  steps: int = 0

  @contextlib.contextmanager
  def pause(self) -> Iterator[None]:
    """Leaves evaluation, pictures and saves out of the rate."""
    begin = time.monotonic()
    yield
    self.paused += time.monotonic() - begin

  def draw(self, data: Iterator[Any]) -> Any:
    """Takes a batch and counts the time until it came."""
    begin = time.monotonic()
    batch = next(data)
    self.waited += time.monotonic() - begin
    return batch

  def rates(self, batch_size: int) -> dict[str, float]:
    """Returns rates since the last call."""
    seconds = max(time.monotonic() - self.start - self.paused, 1e-9)
    rates = {
      'steps_per_s': self.steps / seconds,
      'examples_per_s': self.steps * batch_size / seconds,
      'data_wait_share': self.waited / seconds,
    }
    self.waited, self.paused, self.steps, self.start = 0.0, 0.0, 0, time.monotonic()
    return rates
