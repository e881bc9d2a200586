"""Reads a file that nobody vouches for: once, no link, no pipe, and no more than it may hold."""

import errno
import os
import pathlib
import stat

from anon_jax.nets.frozen import WeightsError


def read_plain(path: pathlib.Path, most: int) -> bytes:
  """Reads a regular file of up to `most` bytes, following no link; one open, so one file.

  Raises:
    WeightsError: it is no such file, or cannot be read.
  """
  flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
  try:
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, 'rb') as file:
      status = os.fstat(descriptor)
      if not stat.S_ISREG(status.st_mode):
        raise WeightsError(f'{path} is not a file.')
      raw = b'' if status.st_size > most else file.read(most + 1)
  except OSError as error:
    reason = 'it is a link' if error.errno == errno.ELOOP else error.strerror
    raise WeightsError(f'{path} cannot be read ({reason}); put the file itself there.') from None
  if status.st_size > most or len(raw) > most:
    raise WeightsError(f'{path} has more than the {most} bytes that are allowed; copy it again.')
  return raw
