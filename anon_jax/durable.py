"""What makes names in a folder outlast a loss of power; whoever writes files syncs those."""

import errno
import os
import pathlib


def settle(folder: pathlib.Path) -> None:
  """Has the system write the names in a folder to the disk.

  Raises:
    OSError: the folder is gone, or the disk fails.
  """
  descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives know no such thing
      raise
  finally:
    os.close(descriptor)
