"""The process that runs the PyTorch side; `speed.worker` calls its functions by name."""

import gc
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from twin import copying

from speed import torch_side, usage
from speed.entries import ENTRIES, batch_of


class Worker:
  """Holds one entry's twin at a time, eager and, where asked for, compiled."""

  def __init__(self) -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_float32_matmul_precision('high')  # on a GPU; JAX takes TF32 there too
    self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
    self._runs: dict[str, Callable[[], Any]] = {}
    self._product: Any = None

  def device(self) -> dict[str, Any]:
    """Says what it runs on."""
    return {'platform': self._device, 'torch': torch.__version__}

  def prepare(self, name: str, quick: bool, spec: dict[str, Any]) -> dict[str, Any]:
    """Builds an entry's twin; returns the `counts` of its parameters by network."""
    self._runs.clear()
    torch.compiler.reset()
    gc.collect()
    self._entry, self._spec = ENTRIES[name].quick() if quick else ENTRIES[name], spec
    twin = self._add('eager')
    return {'counts': {part: copying.count(net) for part, net in twin.nets.items()}}

  def compile(self) -> dict[str, Any]:
    """Compiles a second twin by running it once; returns the seconds that this took."""
    start = time.perf_counter()
    self._add('compiled')
    self._runs['compiled']()
    return {'compile_seconds': time.perf_counter() - start}

  def run(self, variant: str) -> dict[str, float]:
    """Runs one step; returns its seconds (on a GPU by CUDA's events), and those of processors."""
    return self._timed(self._runs[variant])

  def memory(self) -> dict[str, float]:
    """Runs one eager step more; returns the peak of resident memory in MiB, or of the device's."""
    self._runs.pop('compiled', None)
    gc.collect()
    if self._device == 'cuda':
      torch.cuda.reset_peak_memory_stats()
      self._runs['eager']()
      return {'peak_mib': torch.cuda.max_memory_allocated() / 2**20}
    usage.forget_peak()
    self._runs['eager']()
    return {'peak_mib': usage.peak_mib()}

  def matrix(self, side: int) -> dict[str, float]:
    """Times a product of two matrices: float32 on a CPU, bfloat16 on a GPU."""
    if self._product is None:
      dtype = torch.float32 if self._device == 'cpu' else torch.bfloat16
      first = torch.randn(side, side, dtype=dtype, device=self._device)
      self._product = lambda: first @ first
      self._product()
    seconds = self._timed(self._product)
    return {**seconds, 'gflops': 2 * side**3 / 1e9 / seconds['seconds']}

  def _add(self, variant: str) -> Any:
    twin = torch_side.build(self._spec, self._device)
    if variant == 'compiled':
      twin.compile()
    batch = twin.place(batch_of(self._entry))
    self._runs[variant] = lambda: twin.step(batch)
    return twin

  def _timed(self, run: Callable[[], Any]) -> dict[str, float]:
    used, start = usage.cpu_seconds(), time.perf_counter()
    if self._device == 'cuda':
      begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
      begin.record()
      run()
      end.record()
      torch.cuda.synchronize()
      seconds = begin.elapsed_time(end) / 1000
    else:
      run()
      seconds = time.perf_counter() - start
    return {'seconds': seconds, 'cpu_seconds': usage.cpu_seconds() - used}
