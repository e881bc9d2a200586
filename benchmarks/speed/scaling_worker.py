"""The process with virtual devices; `speed.worker` calls its functions by name.

XLA_FLAGS=--xla_force_host_platform_device_count=8 is in its environment.
"""

import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np

from anon_jax import parallel, train
from speed import stages
from speed.entries import ENTRIES, batch_of

_EACH = 4  # examples a device
_STEPS = 3


class Worker:
  """Runs one tiny step of I, which takes means over the whole batch, on more and more devices."""

  def scale(self, devices: int, turns: int) -> dict[str, float]:
    """Takes a batch of four examples a device to `devices` devices and to one, in turns.

    Returns:
      `seconds` of a step on the devices, `single_seconds` of the same batch on one, their `ratio`
      (what division costs: the cores are the same), and `off`, by what share the loss or the
      gradient's norm of the third step differs. Not parameters: Adam makes a rate's length of a
      gradient that is nothing but rounding.
    """
    entry = ENTRIES['identity-small'].quick()
    size = {'batch_size': _EACH * devices, 'identities_per_batch': _EACH * devices // 2}
    entry = dataclasses.replace(entry, changes={**entry.changes, **size})
    stage, _ = stages.build(entry)
    runs = [_Run(stage, batch_of(entry), count) for count in (devices, 1)]
    for run in runs:
      for _ in range(_STEPS):
        run.step()
    many, one = (jax.device_get(run.metrics) for run in runs)
    off = max(abs(float(many[name] / one[name]) - 1) for name in ('loss', 'grad_norm'))
    pairs = [tuple(run.step() for run in runs) for _ in range(turns)]
    return {
      'seconds': statistics.median(pair[0] for pair in pairs),
      'single_seconds': statistics.median(pair[1] for pair in pairs),
      'ratio': statistics.median(a / b for a, b in pairs),
      'off': off,
    }


class _Run:
  """A stage on some devices."""

  def __init__(self, stage: Any, batch: dict[str, np.ndarray], devices: int):
    mesh = parallel.make_mesh(devices)
    self._batch = parallel.put_batch(batch, mesh)
    self.state = train.new_state(stage, 0, mesh)
    compiled = parallel.compile_step(stage.step, self.state, self._batch, mesh, time.perf_counter)
    self._compiled = compiled.run
    self.metrics: dict[str, jax.Array] = {}

  def step(self) -> float:
    """Runs one step; returns its seconds."""
    start = time.perf_counter()
    self.state, self.metrics = jax.block_until_ready(self._compiled(self.state, self._batch))
    return time.perf_counter() - start
