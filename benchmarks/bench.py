"""Measures training steps and inference against PyTorch, and what else a run's speed depends on.

  python benchmarks/bench.py [--quick] [--only NAME,...] [--cores N] [--turns N]
                             [--compile-limit SECONDS] [--out FOLDER]

Writes bench.json, and its tables into results.md between two marker lines; the rest of that file
is kept. `--only` measures some parts anew and keeps the others' figures, if they are of the same
machine. `--quick` is for tests: tiny networks, and nothing is written into this folder. Two
processes, JAX and PyTorch, take turns; while one measures the other waits. On a machine that
others use at the same time give one core: two threads that wait for each other there measure the
others' work.
"""

import argparse
import json
import pathlib
import platform
import sys
from typing import Any

_HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE))

from speed import measuring, report  # noqa: E402
from speed.entries import ENTRIES  # noqa: E402
from speed.processes import Process, WorkerError  # noqa: E402


def main() -> int:
  """Measures, and returns the exit code: 1 where a part failed, 2 for a wrong argument."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--quick', action='store_true', help='tiny networks, one turn: for tests')
  parser.add_argument('--only', default='', help='parts, parted by commas; default: all')
  parser.add_argument('--cores', type=int, default=2, help='processors, and threads of each side')
  parser.add_argument('--turns', type=int, default=15, help='turns of an entry at most')
  parser.add_argument(
    '--compile-limit', type=float, default=180.0, help='seconds for torch.compile an entry'
  )
  parser.add_argument('--out', type=pathlib.Path, help='folder of bench.json and results.md')
  given = parser.parse_args()
  try:
    chosen = measuring.choose(given.only)
  except ValueError as error:
    parser.error(str(error))
  out = given.out or (_HERE.parent / '.out' / 'bench' if given.quick else _HERE)
  out.mkdir(parents=True, exist_ok=True)
  effort = measuring.Effort(False, min(5, given.turns), given.turns, 40.0, given.compile_limit)
  if given.quick:
    effort = measuring.Effort(True, 1, 1, 0.0)
  log = out / 'bench.log'
  log.write_text('')
  workers = measuring.Workers(
    *(Process(kind, log, given.cores) for kind in measuring.Workers._fields)
  )
  path = out / 'bench.json'
  kept = given.only and path.exists()
  found: dict[str, Any] = json.loads(path.read_text()) if kept else {}
  failed = 0
  try:
    machine = _machine(workers, given.cores)
    if found.setdefault('machine', machine) != machine:
      print(f'{path} is of another machine: {found["machine"]}; leave out --only.', file=sys.stderr)
      return 2
    for name in chosen:
      failed += not _measure(name, workers, effort, found)
      path.write_text(json.dumps(found, indent=1) + '\n')
      report.write_section(out / 'results.md', found)
  finally:
    workers.close()
  return 1 if failed else 0


def _measure(
  name: str, workers: measuring.Workers, effort: measuring.Effort, found: dict[str, Any]
) -> bool:
  """Measures one part into `found`; returns whether that went well."""
  print(f'{name} ...', file=sys.stderr, flush=True)
  try:
    if name == 'data':
      found['data'] = measuring.measure_data(workers, effort)
    elif name == 'scaling':
      found['scaling'] = measuring.measure_scaling(workers, effort)
    else:
      entry = ENTRIES[name].quick() if effort.quick else ENTRIES[name]
      found.setdefault('entries', {})[name] = measuring.measure_entry(entry, workers, effort)
  except WorkerError as error:
    print(f'{name}: {error}', file=sys.stderr)
    return False
  return True


def _machine(workers: measuring.Workers, cores: int) -> dict[str, Any]:
  """Says what is measured on."""
  device = workers.jax.ask('device') | {'torch': workers.torch.ask('device')['torch']}
  gpu = device['platform'] != 'cpu'
  names = [
    line.partition(':')[2].strip()
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    if line.startswith('model name')
  ]
  return {
    'cpu': device['kind'] if gpu else (names[0] if names else platform.processor()),
    'cores': cores,
    'platform': platform.system(),
    'gpu': gpu,
    'jax': device['jax'],
    'torch': device['torch'],
    'dtype': 'bfloat16' if gpu else 'float32',
  }


if __name__ == '__main__':
  sys.exit(main())
