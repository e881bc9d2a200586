"""Opens files that may be anything: regular ones, and nothing else is even touched."""

import contextlib
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import BinaryIO

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown


@contextlib.contextmanager
def opened(
  path: str | os.PathLike[str], error: type[InferenceError], what: str
) -> Iterator[BinaryIO]:
  """Opens a regular file for reading; a FIFO would wait for its writer, a device never end.

  Args:
    path: of the file.
    error: what is raised if it is none.
    what: what it should be, for the message: 'picture' or 'video'.
  """
  try:
    if not stat.S_ISREG(pathlib.Path(path).stat().st_mode):
      raise error(f'{shown(path)} is no regular file; give a {what} file.')
    # Without O_NONBLOCK, should it have become a FIFO meanwhile, this would wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  except (OSError, ValueError) as trouble:
    if isinstance(trouble, InferenceError):
      raise
    reason = getattr(trouble, 'strerror', None) or trouble
    raise error(f'{shown(path)} cannot be opened ({reason}); give a readable file.') from None
  with os.fdopen(descriptor, 'rb') as file:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
      raise error(f'{shown(path)} is no regular file; give a {what} file.')
    yield file
