"""The process that runs the JAX side; `speed.worker` calls its functions by name."""

import gc
import time
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import compiling, parallel, train
from speed import stages, usage
from speed.chain import Chain
from speed.entries import ENTRIES, batch_of


class Worker:
  """Holds one compiled entry at a time."""

  def __init__(self) -> None:
    self._mesh = parallel.make_mesh(1)
    self._run: Any = None
    self._product: Any = None

  def device(self) -> dict[str, Any]:
    """Says what it runs on."""
    device = jax.devices()[0]
    return {'platform': device.platform, 'kind': device.device_kind, 'jax': jax.__version__}

  def prepare(self, name: str, quick: bool) -> dict[str, Any]:
    """Builds and compiles an entry.

    Returns:
      `spec` for the twin, `counts` of parameters by network, `compile_seconds`, `gflop` of one
      step by XLA's count, `memory` in MiB by XLA's analysis.
    """
    self._run = None
    gc.collect()
    entry = ENTRIES[name].quick() if quick else ENTRIES[name]
    batch = parallel.put_batch(batch_of(entry), self._mesh)
    if not entry.config:
      return self._prepare_chain(Chain(entry), batch)
    stage, spec = stages.build(entry)
    if entry.timed:
      state = train.new_state(stage, 0, self._mesh)
    else:  # its shapes are enough
      state = jax.eval_shape(stage.init, jax.random.key(0)).replace(frozen=stage.frozen)
    counts = {name: _count(net.params) for name, net in state.nets.items() if name != 'centring'}
    counts |= {name: _count(params) for name, params in state.frozen.items()}
    compiled = parallel.compile_step(stage.step, state, batch, self._mesh, time.perf_counter)
    if entry.timed:
      self._run = self._stepping(compiled.run, state, batch)
    return {
      'spec': spec,
      'counts': counts,
      'compile_seconds': compiled.seconds,
      'gflop': compiled.flops / 1e9,
      'memory': _memory(compiled.run),
    }

  def _prepare_chain(self, chain: Chain, batch: Any) -> dict[str, Any]:
    params = parallel.init_sharded(chain.init, self._mesh, jax.random.key(0))
    start = time.perf_counter()
    lowered = compiling.jit(chain.run).lower(params, batch)
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    self._run = lambda: jax.block_until_ready(compiled(params, batch))
    return {
      'spec': chain.spec,
      'counts': {name: _count(net) for name, net in params.items()},
      'compile_seconds': seconds,
      'gflop': (lowered.cost_analysis() or {}).get('flops', 0.0) / 1e9,
      'memory': _memory(compiled),
    }

  def _stepping(self, compiled: Any, state: Any, batch: Any) -> Any:
    held = [state]  # the program takes the old state's memory for the new one

    def run() -> None:
      new, metrics = compiled(held.pop(), batch)
      held.append(jax.block_until_ready((new, metrics))[0])

    return run

  def run(self, variant: str) -> dict[str, float]:
    """Runs one step; returns its seconds, and those of processors."""
    assert variant == 'jit'
    return _timed(self._run)

  def memory(self) -> dict[str, float]:
    """Runs one step more; returns the peak of resident memory in MiB, or of the device's."""
    device = jax.devices()[0]
    usage.forget_peak()
    self._run()
    if device.platform == 'cpu':
      return {'peak_mib': usage.peak_mib()}
    return {'peak_mib': (device.memory_stats() or {}).get('peak_bytes_in_use', 0) / 2**20}

  def matrix(self, side: int) -> dict[str, float]:
    """Times a product of two matrices: float32 on a CPU, bfloat16 elsewhere."""
    if self._product is None:
      dtype = jnp.float32 if jax.default_backend() == 'cpu' else jnp.bfloat16
      first = jax.random.normal(jax.random.key(0), (side, side), dtype)
      multiply = jax.jit(lambda a, b: a @ b)
      self._product = lambda: jax.block_until_ready(multiply(first, first))
      self._product()
    seconds = _timed(self._product)
    return {**seconds, 'gflops': 2 * side**3 / 1e9 / seconds['seconds']}


def _timed(run: Any) -> dict[str, float]:
  used, start = usage.cpu_seconds(), time.perf_counter()
  run()
  return {'seconds': time.perf_counter() - start, 'cpu_seconds': usage.cpu_seconds() - used}


def _count(params: Any) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def _memory(compiled: Any) -> dict[str, float]:
  """Returns MiB by kind; outputs that take an argument's place are not counted twice."""
  found = compiled.memory_analysis()
  sizes = {
    kind: getattr(found, f'{kind}_size_in_bytes') / 2**20
    for kind in ('temp', 'argument', 'output', 'alias')
  }
  sizes['all'] = sizes['temp'] + sizes['argument'] + sizes['output'] - sizes['alias']
  return sizes
