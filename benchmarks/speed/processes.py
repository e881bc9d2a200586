"""The measuring processes from the outside."""

import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
from typing import Any

_FOLDER = pathlib.Path(__file__).resolve().parents[1]


class WorkerError(RuntimeError):
  """A worker could not do what it was asked to; the message is one line."""


class Process:
  """A measuring process, started when it is first asked.

  Args:
    kind: one of `worker.KINDS`.
    log: where its standard error goes.
    cores: processors that it may use, and threads that it has.
  """

  def __init__(self, kind: str, log: pathlib.Path, cores: int):
    self._kind, self._log, self._cores = kind, log, cores
    self._cache = tempfile.TemporaryDirectory(prefix='anon_jax_bench_')
    self._child: subprocess.Popen | None = None

  def ask(self, call: str, limit: float | None = None, **given: Any) -> dict[str, Any]:
    """Calls a function of the worker.

    Args:
      call: its name.
      limit: seconds after which the process is killed; the next call starts another.
      **given: its arguments.

    Raises:
      WorkerError: the function failed, took longer than `limit`, or the process died.
    """
    child = self._child or self._start()
    assert child.stdin and child.stdout
    child.stdin.write(json.dumps({'call': call, 'with': given}) + '\n')
    child.stdin.flush()
    with selectors.DefaultSelector() as waiting:
      waiting.register(child.stdout, selectors.EVENT_READ)
      if not waiting.select(limit):
        self.close(kill=True)
        raise WorkerError(f'took more than {limit:.0f} s')
    line = child.stdout.readline()
    if not line:
      self.close(kill=True)
      raise WorkerError(f'the {self._kind} process ended; {self._log} has its last words')
    answer = json.loads(line)
    if 'error' in answer:
      raise WorkerError(answer['error'])
    return answer['result']

  def close(self, kill: bool = False) -> None:
    """Ends the process."""
    child, self._child = self._child, None
    if child is None:
      return
    if kill:
      os.killpg(child.pid, signal.SIGKILL)  # with the compilers that torch.compile started
    child.communicate()

  def _start(self) -> subprocess.Popen:
    environment = dict(os.environ)
    environment['PYTHONPATH'] = os.pathsep.join(
      [str(_FOLDER), str(_FOLDER.parent), environment.get('PYTHONPATH', '')]
    )
    environment.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    # torch.compile keeps what it compiled: an empty folder, or its seconds would be those of a read
    environment['TORCHINDUCTOR_CACHE_DIR'] = self._cache.name
    if self._kind == 'scaling':
      environment['JAX_PLATFORMS'] = 'cpu'
      environment['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'
    with self._log.open('a') as log:
      self._child = subprocess.Popen(
        [sys.executable, '-m', 'speed.worker', self._kind, str(self._cores)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment,
        start_new_session=True,
      )
    return self._child
