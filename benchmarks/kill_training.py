"""Kills, stops, poisons and starves a real tiny training, and checks what is left each time.

  python benchmarks/kill_training.py [--kills 20] [--seed 0] [--only NAME] [--stages 'A B']

Everything runs through `python -m anon_jax.main` on procedural faces, in processes of its own:

  kills    SIGKILL at random moments, every second one while a checkpoint is being written; after
           each, every visible checkpoint has to agree with its manifest; the run is started again,
           and its last checkpoint has to be bit for bit that of a run that nobody killed
  signals  SIGTERM to one process, and to one of two: exit code 143, and the seconds until it
  nan      NaN in the loss of H, the loss of D, the gradients and the parameters: exit code 3
  full     a file system that is too small for the next checkpoint (needs root)
  alike    two processes against one after 20 steps of every stage's test config

The last line says whether all held; the exit code is 1 where one did not.
"""

import argparse
import functools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from tiny_training import (
  FAILED,
  QUICKLY,
  ROOT,
  STEPS,
  begun,
  check,
  damaged,
  free_port,
  log_of,
  newer,
  newest,
  reached,
  same,
  start,
  start_two,
  touched,
  wait_for,
  writing,
)


def unbroken(folder: pathlib.Path) -> pathlib.Path:
  """Trains the run that nobody kills, once."""
  workdir = folder / 'unbroken'
  if newest(workdir) < STEPS:
    process = start(workdir)
    process.communicate()
    check(process.returncode == 0 and newest(workdir) == STEPS, f'an unbroken run of {STEPS} steps')
  return workdir


def kills(folder: pathlib.Path, count: int, rng: random.Random) -> None:
  """SIGKILLs a run again and again, then lets it end."""
  expected, workdir = unbroken(folder), folder / 'killed'
  inside, number, lines = 0, 0, workdir / 'metrics.jsonl'
  while number < count:
    before, left_over = newest(workdir), writing(workdir)
    process = start(workdir)
    if number % 2 == 0:
      # now and then the second save of a start: the first follows the start too regularly
      aim = before + 2 * rng.randint(0, 1)
      wait_for(functools.partial(reached, workdir, aim), process, 180)
      wait_for(functools.partial(begun, workdir, left_over), process, 60)
      time.sleep(rng.uniform(0, 0.03))
    elif rng.random() < 0.3:
      time.sleep(rng.uniform(0.5, 10))  # perhaps before the first step
    else:
      wait_for(functools.partial(newer, lines, touched(lines)), process, 180)
      time.sleep(rng.uniform(0, 2))
    if process.poll() is not None:
      check(process.returncode == 0, f'the run ended by itself before kill {number + 1}')
      break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    number += 1
    part = begun(workdir, left_over)
    inside += bool(part)
    bad = damaged(workdir)
    resumed = 'starting' if not before else f'resuming from step {before}'
    said = log_of(workdir)
    right = resumed in said or 'parameters:' not in said
    where = f'inside the save of {part[0].split(".")[0]}' if part else 'outside a save'
    left = f'left {newest(workdir)}, {bad or "verified"}'
    held = not bad and right and newest(workdir) >= before
    check(held, f'kill {number:2d} {where}; went on from {before}, {left}')
  process = start(workdir)
  process.communicate()
  check(process.returncode == 0 and newest(workdir) == STEPS, 'the run ends after all')
  check(not damaged(workdir) and not writing(workdir), 'no checkpoint is damaged or half written')
  check(
    same(expected, workdir, STEPS), 'its last checkpoint is bit for bit that of the unbroken run'
  )
  check(number >= count, f'{number} SIGKILLs of {count}')
  check(inside >= 5, f'{inside} of them inside a save, 5 are wanted')


def signals(folder: pathlib.Path) -> None:
  """Sends SIGTERM to one process, and to one of two."""
  expected, workdir = unbroken(folder), folder / 'stopped'
  process = start(workdir)
  wait_for(lambda: newest(workdir) >= 4, process, 180)
  begin = time.monotonic()
  process.send_signal(signal.SIGTERM)
  process.communicate()
  seconds, step = time.monotonic() - begin, newest(workdir)
  check(
    process.returncode == 143 and seconds < 30 and f'SIGTERM: saved step {step}' in log_of(workdir),
    f'SIGTERM to one process: saved step {step}, exit code {process.returncode}, {seconds:.1f} s',
  )
  start(workdir).communicate()
  check(same(expected, workdir, STEPS), 'and going on ends bit for bit as the unbroken run')
  for victim in (1, 0):
    workdir = folder / f'stopped_two_{victim}'
    pair = start_two(workdir, log_every_steps=50, checkpoint_every_steps=1000)
    wait_for(lambda w=workdir: 'compiled in' in log_of(w, '--process_id=0'), pair[0], 180)
    time.sleep(2)
    begin = time.monotonic()
    pair[victim].send_signal(signal.SIGTERM)
    for process in pair:
      process.communicate()
    seconds, step = time.monotonic() - begin, newest(workdir)
    codes = [process.returncode for process in pair]
    files = {p.name for p in (workdir / 'checkpoints' / str(step) / 'data').iterdir()}
    both = {'process_0-of-2.json', 'process_1-of-2.json'} <= files
    check(
      codes == [143, 143] and both and not damaged(workdir) and seconds < 30,
      f'SIGTERM to process {victim} of two: both saved step {step}, exit codes {codes}, '
      f'{seconds:.1f} s',
    )


def nan(folder: pathlib.Path) -> None:
  """Poisons the first step after a checkpoint in four places."""
  expected = unbroken(folder)
  told = {
    'g_loss': 'g_loss',
    'd_loss': 'd_loss',
    'gradients': 'gradients of generator',
    'parameters': 'parameters of generator',
  }
  for place, name in told.items():
    workdir = folder / f'nan_{place}'
    shutil.copytree(expected, workdir)
    program = (str(ROOT / 'benchmarks' / 'poisoned_training.py'), place)
    fields = {'num_train_steps': STEPS + 10, 'checkpoint_every_steps': 5}
    process = start(workdir, program=program, quickly=True, **fields)
    process.communicate()
    line = log_of(workdir).strip().splitlines()[-1]
    right = line.startswith(f'anon_jax: not finite at step {STEPS + 1}: ') and name in line
    untouched = newest(workdir) == STEPS and same(expected, workdir, STEPS)
    check(
      process.returncode == 3 and right and untouched and not damaged(workdir),
      f'NaN in {place}: exit code {process.returncode}, "{line[10:].partition(";")[0]}", step '
      f'{newest(workdir)} untouched',
    )


def full(folder: pathlib.Path) -> None:
  """Trains on a file system with room for about three checkpoints."""
  expected = unbroken(folder)
  size = sum(f.stat().st_size for f in (expected / 'checkpoints' / '60').rglob('*') if f.is_file())
  workdir = folder / 'full'  # only the workdir is small: log and compiled programs lie beside it
  workdir.mkdir()
  options = f'size={int(size * 3.5) // 1024}k'
  mounted = subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', options, 'none', str(workdir)], capture_output=True, check=False
  )
  if mounted.returncode:
    print('  not run: a small file system cannot be mounted here')
    return
  try:
    process = start(workdir, keep_checkpoints=5)
    process.communicate()
    line = log_of(workdir).strip().splitlines()[-1]
    left = newest(workdir)
    check(
      process.returncode == 1 and 'could not be saved' in line and left > 0,
      f'a full disk: exit code {process.returncode}, "{line[10:170]}"',
    )
    check(not damaged(workdir), f'step {left}, the last before it, agrees with its manifest')
  finally:
    subprocess.run(['umount', str(workdir)], check=False)


def alike(folder: pathlib.Path, stages: list[str]) -> None:
  """Trains stages (none: every one) for 20 steps in two processes of a device each, and in one.

  Against one process of two devices nothing may differ by more than 1e-5. Against one of a single
  device only the sums over a batch have another order; what Adam makes of a gradient that is
  nothing but rounding is told, and not judged.
  """
  program = str(ROOT / 'benchmarks' / 'stages_alike.py')

  def run(name: str, port: int, count: int, devices: int) -> list[subprocess.Popen[str]]:
    (folder / name).mkdir(exist_ok=True)
    flags = QUICKLY.replace('count=1', f'count={devices}')
    environment = os.environ | {
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': flags,
      'JAX_COMPILATION_CACHE_DIR': str(folder / 'programs'),
    }
    return [
      subprocess.Popen(
        [sys.executable, program, str(folder / name), str(port), str(count), str(index), *stages],
        cwd=ROOT,
        env=environment,
        text=True,
        stderr=(folder / f'{name}.{index}.log').open('w'),
      )
      for index in range(count)
    ]

  started = run('alone', 0, 1, 1), run('devices', 0, 1, 2), run('together', free_port(), 2, 1)
  for process in (process for group in started for process in group):
    process.communicate()
    check(process.returncode == 0, f'a training of all stages ended with {process.returncode}')
  compare(folder)


def compare(folder: pathlib.Path) -> None:
  """Compares what `alike` has trained."""
  for path in sorted((folder / 'together').glob('*.npz')):
    two, told = np.load(path), []
    for name in ('devices', 'alone'):
      one = np.load(folder / name / path.name)
      apart = np.concatenate([np.abs(one[n] - two[n]).ravel() for n in two.files])
      told.append((float(apart.max()), int((apart > 1e-5).sum()), apart.size))
    (same_devices, _, _), (worst, many, count) = told
    check(
      same_devices <= 1e-5,
      f'{path.stem}: two processes differ from one of two devices by {same_devices:.0e} after 20 '
      f'steps, from one of one device by {worst:.0e} ({many} of {count} numbers by more than 1e-5)',
    )


def main() -> int:
  """Runs the parts; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--only', default='')
  parser.add_argument('--folder', default='')
  parser.add_argument('--stages', default='', help='of part alike, with spaces between')
  arguments = parser.parse_args()
  folder = pathlib.Path(arguments.folder or tempfile.mkdtemp(prefix='kill_training_'))
  folder.mkdir(parents=True, exist_ok=True)
  parts: dict[str, Callable[[], None]] = {
    'kills': lambda: kills(folder, arguments.kills, random.Random(arguments.seed)),
    'signals': lambda: signals(folder),
    'nan': lambda: nan(folder),
    'full': lambda: full(folder),
    'alike': lambda: alike(folder, arguments.stages.split()),
  }
  for name, part in parts.items():
    if arguments.only in ('', name):
      begin = time.monotonic()
      print(f'{name}:', flush=True)
      part()
      print(f'  ({time.monotonic() - begin:.0f} s)', flush=True)
  print('all held' if not FAILED else f'{len(FAILED)} did not hold', f'(logs in {folder})')
  return int(bool(FAILED))


if __name__ == '__main__':
  sys.exit(main())
