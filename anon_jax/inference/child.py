"""A child process for what may crash, hang or fill up, and the messages that go to and fro.

A message is JSON behind its length in four bytes; pixels may follow it.
"""

import contextlib
import json
import math
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from anon_jax.inference.errors import InferenceError

_START_SECONDS = 60.0
_LONGEST_MESSAGE = 1 << 16


class Crash(Exception):
  """The other side talks nonsense."""


class HungUp(Crash):
  """The other side ended."""


def send(connection: socket.socket, message: dict[str, Any], pixels: memoryview | None = None):
  """Sends a message, with bytes behind it; waits while the other side is busy."""
  text = json.dumps(message).encode()
  connection.sendall(struct.pack('>I', len(text)) + text)
  if pixels is not None:
    connection.sendall(pixels)


def receive(connection: socket.socket, into: memoryview, deadline: float = math.inf) -> None:
  """Fills a buffer.

  Args:
    connection: to the other side.
    into: bytes to be filled.
    deadline: on time.monotonic's clock.

  Raises:
    TimeoutError: at the deadline.
    HungUp: the other side ended.
  """
  while into:
    left = deadline - time.monotonic()
    if left <= 0:
      raise TimeoutError
    connection.settimeout(None if left == math.inf else left)
    count = connection.recv_into(into)
    if not count:
      raise HungUp('it hung up')
    into = into[count:]


def receive_message(connection: socket.socket, deadline: float = math.inf) -> dict[str, Any]:
  """Receives a message; raises as `receive`, and Crash for what is none."""
  head = bytearray(4)
  receive(connection, memoryview(head), deadline)
  (length,) = struct.unpack('>I', head)
  if length > _LONGEST_MESSAGE:
    raise Crash('a message without end')
  text = bytearray(length)
  receive(connection, memoryview(text), deadline)
  with sense():
    message = json.loads(text)
    if not isinstance(message, dict):
      raise Crash('no message')
    return message


@contextlib.contextmanager
def sense() -> Iterator[None]:
  """Takes what does not make sense for a crash."""
  try:
    yield
  except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
    raise Crash(f'nonsense: {error}') from None


def limit(kind: int, value: int) -> None:
  """Sets one of the `resource.RLIMIT_*` of this process."""
  hard = resource.getrlimit(kind)[1]
  resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def limit_seconds(seconds: float) -> None:
  """Grants this process so many more seconds of computing: without its parent, too, it ends."""
  used = resource.getrusage(resource.RUSAGE_SELF)
  limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 1)


class Child:
  """A Python module that runs as a process of its own.

  Its arguments are the number of its socket and what `arguments` holds; it says {'ready': True}
  when it begins.

  Attributes:
    connection: to the child.

  Args:
    module: name of the module.
    arguments: for it.
    descriptors: open files that it is given, under the same numbers.
  """

  def __init__(self, module: str, arguments: Sequence[object], descriptors: Sequence[int] = ()):
    self._module = module
    self.connection, theirs = socket.socketpair()
    with theirs:
      command = [sys.executable, '-P', '-m', module, str(theirs.fileno()), *map(str, arguments)]
      self._process = subprocess.Popen(
        command,
        pass_fds=(theirs.fileno(), *descriptors),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the command, which ends its child itself.
        start_new_session=True,
        env={
          **os.environ,
          'PYTHONPATH': os.pathsep.join(os.path.abspath(folder) for folder in sys.path),  # noqa: PTH100
          # every thread of theirs would take from the addresses
          'OPENBLAS_NUM_THREADS': '1',
          'OMP_NUM_THREADS': '1',
        },
      )
    self._greeted = False

  def greet(self, what: str) -> None:
    """Waits until the child is ready, the first time that it is called.

    Args:
      what: the child does, for the message.

    Raises:
      InferenceError: it does not start.
    """
    if self._greeted:
      return
    try:
      receive_message(self.connection, time.monotonic() + _START_SECONDS)
    except (Crash, OSError) as error:
      raise InferenceError(
        f'the process that {what} does not start ({self.last_words(error)}); try '
        f'{sys.executable} -m {self._module}.'
      ) from None
    except BaseException:
      self.close()
      raise
    self._greeted = True

  @property
  def pid(self) -> int:
    """Process number."""
    return self._process.pid

  @property
  def ended(self) -> bool:
    """Whether it has ended by itself."""
    return self._process.poll() is not None

  def close(self) -> int | None:
    """Ends the child; returns its exit code, None if it had not ended by itself."""
    self.connection.close()
    code = self._process.poll()
    if code is None:
      self._process.kill()
      self._process.wait()
    return code

  def last_words(self, error: Exception) -> str:
    """Ends the child and says how it ended by itself."""
    if isinstance(error, (HungUp, OSError)):
      with contextlib.suppress(subprocess.TimeoutExpired):
        self._process.wait(1)  # it is about to end
    code = self.close()
    if not code:
      return str(error)
    return signal.Signals(-code).name if code < 0 else f'exit code {code}'
