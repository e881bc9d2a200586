"""A real tiny training in a process of its own, and what it leaves; for `kill_training.py`."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from anon_jax.checkpoints import folder as folders
from anon_jax.checkpoints import manifest

ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = 60
TINY = {
  'preset': 'tiny',
  'perceptual_network': 'none',
  'discriminator_width': 8,
  'discriminator_layers': 2,
  'image_size': 32,
  'batch_size': 4,
  'eval_batch_size': 4,
  'procedural_faces': 24,
  'eval_examples': 8,
  'sample_examples': 2,
  'log_every_steps': 1,
  'checkpoint_every_steps': 2,
  'eval_every_steps': 0,
  'sample_every_steps': 0,
  'num_train_steps': STEPS,
}
ONE_DEVICE = '--xla_force_host_platform_device_count=1'
QUICKLY = f'{ONE_DEVICE} --xla_backend_optimization_level=0'  # compiled: where no bits are compared
FAILED: list[str] = []


def check(held: bool, text: str) -> None:
  """Prints a line of the report and remembers it if it does not hold."""
  print(('  ok      ' if held else '  FAILED  ') + text, flush=True)
  if not held:
    FAILED.append(text)


def start(
  workdir: pathlib.Path,
  *more: str,
  program: Sequence[str] = ('-m', 'anon_jax.main'),
  quickly: bool = False,
  **fields: Any,
) -> subprocess.Popen[str]:
  """Starts a training in a process of its own; its stderr goes to WORKDIR.log."""
  values = [f'--config.{name}={value}' for name, value in (TINY | fields).items()]
  cache = workdir.parent / 'programs'
  environment = os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': QUICKLY if quickly else ONE_DEVICE,
    'JAX_COMPILATION_CACHE_DIR': str(cache),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  command = [sys.executable, *program, f'--config={ROOT}/configs/quickstart.py', *values]
  log = workdir.with_name(f'{workdir.name}{"".join(more[-1:])}.log').open('w')
  return subprocess.Popen(
    [*command, f'--workdir={workdir}', *more],
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=log,
    text=True,
  )


def log_of(workdir: pathlib.Path, more: str = '') -> str:
  """Returns what a training has said on stderr."""
  return workdir.with_name(f'{workdir.name}{more}.log').read_text()


def newest(workdir: pathlib.Path) -> int:
  """Returns the newest visible step, 0 where there is none."""
  return max(folders.steps(workdir / 'checkpoints'), default=0)


def reached(workdir: pathlib.Path, step: int) -> bool:
  """Tells whether a step is visible."""
  return newest(workdir) >= step


def damaged(workdir: pathlib.Path) -> list[str]:
  """Holds every visible checkpoint against its manifest; lists what does not agree."""
  found = []
  for step in folders.steps(workdir / 'checkpoints'):
    verdict = manifest.examine(workdir / 'checkpoints' / str(step), step)
    found += [f'{step}: {damage}' for damage in verdict.damage]
    found += [] if verdict.verified else [f'{step}: not verified']
  return found


def state_of(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
  """Reads all arrays of a checkpoint, by name, without the training's own code."""
  path = (workdir / 'checkpoints' / str(step) / 'state').resolve()
  with ocp.PyTreeCheckpointer() as checkpointer:
    description = checkpointer.metadata(path).item_metadata.tree
    arguments = ocp.tree.to_flat_dict(description)
    restored = checkpointer.restore(
      path,
      args=ocp.args.PyTreeRestore(
        restore_args=_map(description, lambda _: ocp.RestoreArgs(restore_type=np.ndarray))
      ),
    )
  assert arguments
  return {'.'.join(map(str, k)): _plain(v) for k, v in ocp.tree.to_flat_dict(restored).items()}


def _map(tree: Any, change: Callable[[Any], Any]) -> Any:
  if isinstance(tree, dict):
    return {name: _map(value, change) for name, value in tree.items()}
  if isinstance(tree, list | tuple):
    return type(tree)(_map(value, change) for value in tree)
  return tree if tree is None else change(tree)


def _plain(leaf: Any) -> np.ndarray:
  is_key = hasattr(leaf, 'dtype') and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
  return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def same(first: pathlib.Path, second: pathlib.Path, step: int) -> bool:
  """Tells whether two runs have saved the same step bit for bit, and read the same data."""
  one, two = state_of(first, step), state_of(second, step)
  assert len(one) > 10
  equal = one.keys() == two.keys() and all(
    one[name].dtype == two[name].dtype and one[name].tobytes() == two[name].tobytes()
    for name in one
  )
  places = [
    (run / 'checkpoints' / str(step) / 'data' / 'process_0-of-1.json').read_text()
    for run in (first, second)
  ]
  return equal and places[0] == places[1]


def wait_for(what: Callable[[], object], process: subprocess.Popen[str], seconds: float) -> bool:
  """Waits until something is so; False where the process ended or the time was up before."""
  end = time.monotonic() + seconds
  while time.monotonic() < end and process.poll() is None:
    if what():
      return True
    time.sleep(0.001)
  return bool(what())


def touched(path: pathlib.Path) -> float:
  """Returns when a file was last written, 0 where there is none."""
  return path.stat().st_mtime if path.exists() else 0.0


def newer(path: pathlib.Path, moment: float) -> bool:
  """Tells whether a file was written after a moment."""
  return touched(path) > moment


def writing(workdir: pathlib.Path) -> dict[str, tuple[int, int]]:
  """Lists checkpoints that are half written, and what tells them from others of the name."""
  folder = workdir / 'checkpoints'
  with contextlib.suppress(FileNotFoundError):
    parts = [p for p in folder.iterdir() if '.part' in p.name]
    return {p.name: (p.stat().st_ino, p.stat().st_ctime_ns) for p in parts}
  return {}


def begun(workdir: pathlib.Path, before: dict[str, tuple[int, int]]) -> list[str]:
  """Lists checkpoints that are half written now and were not before: killed runs leave some."""
  return [name for name, mark in writing(workdir).items() if mark not in before.values()]


def free_port() -> int:
  """Returns a port of this machine that nobody listens on."""
  with socket.socket() as listening:
    listening.bind(('127.0.0.1', 0))
    return int(listening.getsockname()[1])


def start_two(workdir: pathlib.Path, **fields: Any) -> list[subprocess.Popen[str]]:
  """Starts two processes of one run."""
  port = free_port()
  return [
    start(
      workdir,
      f'--coordinator=127.0.0.1:{port}',
      '--num_processes=2',
      f'--process_id={index}',
      quickly=True,
      **fields,
    )
    for index in (0, 1)
  ]
