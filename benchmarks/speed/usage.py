"""What a process has used: seconds of processors, peak memory; and on which processors it runs."""

import ctypes
import os
import pathlib
import resource


def take_cores(number: int) -> None:
  """Keeps this process to the first processors that it may use; to be called before imports.

  XLA and PyTorch both start as many threads as there are such processors.
  """
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])


def cpu_seconds() -> float:
  """Returns the processor seconds that all threads of this process have used."""
  used = resource.getrusage(resource.RUSAGE_SELF)
  return used.ru_utime + used.ru_stime


def forget_peak() -> None:
  """Gives unused memory back and starts the peak of resident memory anew."""
  ctypes.CDLL('libc.so.6').malloc_trim(0)
  pathlib.Path('/proc/self/clear_refs').write_text('5')


def peak_mib() -> float:
  """Returns the peak of resident memory since `forget_peak`, in MiB."""
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith('VmHWM'):
      return int(line.split()[1]) / 1024
  return 0.0
