"""Several processes of one run: how they find each other, and how they agree.

With one process, which needs no start, every function answers for it alone.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

FROM_CLUSTER = 'auto'
LOST = 4
"""Exit code of a process that has lost another one."""


class ProcessesError(ValueError):
  """Processes that cannot train together; the message is for the user."""


def start(coordinator: str, count: int, index: int) -> None:
  """Joins the processes of a run; has to come before anything else asks JAX for devices.

  Args:
    coordinator: 'HOST:PORT' of the first process; 'auto' takes it, and the other two, from the
      cluster: SLURM, Open MPI, Cloud TPU or GKE, as far as JAX detects them; '' stays alone.
    count: processes in all; with 'auto' not given (0).
    index: this process's place, from 0; with 'auto' not given (-1).

  Raises:
    ProcessesError: arguments that do not go together, no cluster, or nobody there.
  """
  if not coordinator:
    if count or index >= 0:
      raise ProcessesError(
        '--num_processes and --process_id are given without --coordinator; give HOST:PORT of '
        'process 0 to all of them, or --coordinator=auto on a cluster.'
      )
    return
  if coordinator == FROM_CLUSTER:
    if count or index >= 0:
      raise ProcessesError(
        '--coordinator=auto takes the number of processes from the cluster; leave out '
        '--num_processes and --process_id, or give HOST:PORT.'
      )
    _initialize()
    return
  if count < 1 or not 0 <= index < count:
    raise ProcessesError(
      f'--num_processes={count} and --process_id={index} name no place; give the number of '
      'processes, and to each its own number from 0.'
    )
  if not coordinator.rpartition(':')[0] or not coordinator.rpartition(':')[2].isdecimal():
    raise ProcessesError(f'--coordinator={coordinator} is no HOST:PORT; give host:12345, or auto.')
  _initialize(coordinator_address=coordinator, num_processes=count, process_id=index)


def _initialize(**arguments: Any) -> None:
  try:
    jax.distributed.initialize(**arguments)
  except (ValueError, RuntimeError) as error:
    reason = ' '.join(str(error).split())[:200]
    raise ProcessesError(
      f'the processes did not find each other ({type(error).__name__}: {reason}); check that all '
      'are started with the same --coordinator and can reach it, or give it, --num_processes and '
      '--process_id where no cluster is detected.'
    ) from error


def is_first() -> bool:
  """Tells whether this process writes what is written once."""
  return bool(jax.process_index() == 0)


def meet(place: str) -> None:
  """Waits until every process has come here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(place)


def all_say(yes: bool) -> bool:
  """Tells every process whether all of them say yes."""
  if jax.process_count() == 1:
    return yes
  return bool(np.all(multihost_utils.process_allgather(np.asarray(yes))))


def gathered(fact: Any) -> list[Any]:
  """Returns what each process has, in their order; JSON values."""
  if jax.process_count() == 1:
    return [fact]
  text = np.frombuffer(json.dumps(fact, sort_keys=True).encode(), np.uint8)
  lengths = multihost_utils.process_allgather(np.asarray(len(text)))
  padded = np.zeros(int(lengths.max()), np.uint8)
  padded[: len(text)] = text
  rows = multihost_utils.process_allgather(padded)
  return [
    json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths.ravel(), strict=True)
  ]


def require_alike(facts: Mapping[str, Any]) -> None:
  """Compares JSON values over all processes.

  Raises:
    ProcessesError: in all of them, naming the first fact that differs and two of its values.
  """
  everyone = gathered(dict(facts))
  for name in sorted({name for known in everyone for name in known}):
    for place, known in enumerate(everyone):
      if known.get(name) != everyone[0].get(name):
        raise ProcessesError(
          f'the processes disagree on {name}: {everyone[0].get(name)!r} in process 0 and '
          f'{known.get(name)!r} in process {place}; start all with the same command and the same '
          'files, on one shared --workdir.'
        )


def require_shards(index: int, count: int) -> None:
  """Compares which share of each batch the processes read.

  Raises:
    ProcessesError: not every share is read by exactly one of them.
  """
  shares = gathered([index, count])
  if sorted(shares) != [[place, jax.process_count()] for place in range(jax.process_count())]:
    raise ProcessesError(
      f'the data are split as {shares} (share, of how many) over {jax.process_count()} processes; '
      'each has to read its own share.'
    )


@contextlib.contextmanager
def ending_with_the_others() -> Iterator[None]:
  """Ends this process, with code `LOST` and one line, when another one of the run is gone.

  At once, and not as Python ends: JAX would wait for the other process for minutes and then abort.
  Alone, errors are raised as ever.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1:
      raise
    reason = ' '.join(str(error).split())[:200]
    sys.stdout.flush()
    print(
      f'\nanon_jax: process {jax.process_index()} of {jax.process_count()} cannot go on, because '
      f'another one is gone or failed ({reason}); start all of them again to go on from the last '
      'checkpoint.',
      file=sys.stderr,
      flush=True,
    )
    os._exit(LOST)


def is_started() -> bool:
  """Tells whether `start` has joined others, and so taken over SIGTERM."""
  return bool(jax.distributed.is_initialized())


def stop_wanted(step: int) -> bool:
  """Tells all processes at the same step that one of them got SIGTERM.

  Args:
    step: updates applied; every process asks at every step.
  """
  return bool(multihost_utils.reached_preemption_sync_point(step))
