"""Takes both sides of each entry in turns, and collects what they and the other workers say."""

import datetime
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from speed.entries import ENTRIES, OTHERS, Entry
from speed.processes import Process, WorkerError

_PAUSE = 0.2  # seconds in which the other side's threads stop spinning
_DEVICES = (1, 2, 4, 8)
_SPARED = ('chain-small', 'anonymize-base', 'harmonize-base')  # no data, or those of other entries


class Effort(NamedTuple):
  """How much is measured.

  Attributes:
    quick: tiny networks, one turn, no torch.compile: for tests.
    least: turns that an entry has at least.
    most: turns that it has at most.
    seconds: after which no more turns than the least begin.
    compile_limit: seconds that torch.compile may take for an entry.
  """

  quick: bool
  least: int
  most: int
  seconds: float
  compile_limit: float = 180.0


class Workers(NamedTuple):
  """The processes; `jax` and `torch` are the pair that takes turns."""

  jax: Process
  torch: Process
  data: Process
  scaling: Process

  def close(self) -> None:
    """Ends them all."""
    for process in self:
      process.close()


def measure_entry(entry: Entry, workers: Workers, effort: Effort) -> dict[str, Any]:
  """Measures one entry.

  Raises:
    WorkerError: JAX or eager PyTorch fail; where torch.compile does, the result says so.
    AssertionError: a network of the twin has another number of parameters.
  """
  found: dict[str, Any] = {'title': entry.title, 'changes': dict(entry.changes), **now()}
  prepared = workers.jax.ask('prepare', name=entry.name, quick=effort.quick)
  found |= {name: prepared[name] for name in ('counts', 'gflop', 'compile_seconds', 'memory')}
  if not entry.timed:
    return found
  found['device'] = workers.jax.ask('device') | workers.torch.ask('device')
  variants, found['compiled'] = _prepare_torch(entry, workers.torch, prepared, effort)
  turns = _take_turns(workers, variants, effort)
  found |= turns
  found['peak_mib'] = {
    side: getattr(workers, side).ask('memory')['peak_mib'] for side in ('jax', 'torch')
  }
  return found | {'load_after': round(os.getloadavg()[0], 1)}


def _prepare_torch(
  entry: Entry, process: Process, prepared: Mapping[str, Any], effort: Effort
) -> tuple[list[str], dict[str, Any]]:
  """Builds the twin and compiles it; returns its variants, and what came of compiling."""
  given = {'name': entry.name, 'quick': effort.quick, 'spec': prepared['spec']}

  def build() -> None:
    counts = process.ask('prepare', **given)['counts']
    assert counts == prepared['counts'], f'{entry.name}: {counts} are not {prepared["counts"]}'

  build()
  if effort.quick:
    return ['eager'], {'failed': 'not asked for'}
  try:
    return ['eager', 'compiled'], process.ask('compile', limit=effort.compile_limit)
  except WorkerError as error:
    build()  # in a new process where the old one had to be ended
    return ['eager'], {'failed': f'{error} (load {os.getloadavg()[0]:.1f})'}


def _take_turns(workers: Workers, variants: list[str], effort: Effort) -> dict[str, Any]:
  """Runs JAX, PyTorch, and a product of matrices on both, again and again."""
  side = 256 if effort.quick else 2048
  if workers.jax.ask('device')['platform'] != 'cpu':
    side = 8192
  calls = [('jax', 'run', 'jit'), *(('torch', 'run', variant) for variant in variants)]
  found: dict[str, Any] = {variant: {'seconds': [], 'cpu_seconds': []} for _, _, variant in calls}
  rates: dict[str, list[float]] = {'jax': [], 'torch': []}
  start = None
  for turn in range(-1, effort.most):  # the first one warms up
    if turn == 0:
      start = time.monotonic()
    if start and turn >= effort.least and time.monotonic() - start > effort.seconds:
      break
    for worker, call, variant in calls:
      time.sleep(_PAUSE)
      taken = getattr(workers, worker).ask(call, variant=variant)
      if turn >= 0:
        for name, values in found[variant].items():
          values.append(round(taken[name], 6))
    for worker, values in rates.items():
      taken = getattr(workers, worker).ask('matrix', side=side)
      if turn >= 0:
        values.append(round(taken['gflops'], 1))
  return {'runs': found, 'matrix_gflops': rates, 'matrix_side': side}


def measure_data(workers: Workers, effort: Effort) -> list[dict[str, Any]]:
  """Measures the input pipeline of each timed entry that has one of its own."""
  datasets = ['procedural_faces']
  if os.environ.get('ANON_JAX_DATA') and not effort.quick:
    datasets.append('celeba')
  rows = []
  for entry in ENTRIES.values():
    if not entry.timed or entry.name in _SPARED:
      continue
    for dataset in datasets:
      row: dict[str, Any] = {'entry': entry.name, 'dataset': dataset, **now()}
      asked = {'name': entry.name, 'dataset': dataset, 'quick': effort.quick}
      try:
        row |= workers.data.ask('pipeline', seconds=0.2 if effort.quick else 6.0, **asked)
      except WorkerError as error:
        row['failed'] = str(error)
      rows.append(row)
  return rows


def measure_scaling(workers: Workers, effort: Effort) -> list[dict[str, Any]]:
  """Measures a tiny step on more and more virtual devices."""
  turns = 2 if effort.quick else 15
  devices = _DEVICES[:2] if effort.quick else _DEVICES
  return [
    {'devices': count, **workers.scaling.ask('scale', devices=count, turns=turns), **now()}
    for count in devices
  ]


def now() -> dict[str, Any]:
  """Says when something was measured, and what else the machine had to do."""
  moment = datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%d %H:%M UTC')
  return {'when': moment, 'load': round(os.getloadavg()[0], 1)}


def choose(names: str) -> list[str]:
  """Reads `--only`.

  Raises:
    ValueError: an unknown name.
  """
  known = [*ENTRIES, *OTHERS]
  chosen = [name.strip() for name in names.split(',') if name.strip()] or known
  unknown = [name for name in chosen if name not in known]
  if unknown:
    raise ValueError(f'--only names {", ".join(unknown)}; choose of {", ".join(known)}.')
  return chosen
