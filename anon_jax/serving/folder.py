"""The private folder of one start: wiped when it ends, and by the next start if it was killed."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator

_PREFIX, _LOCK = 'anon-jax-serve-', 'lock'
# A folder without a lock is one that another start is just making.
_MAKING_SECONDS = 60.0


@contextlib.contextmanager
def private_folder(root: pathlib.Path | None = None) -> Iterator[pathlib.Path]:
  """Makes a folder that only this user can look into, and wipes it on leaving.

  Folders of starts that were killed are wiped first: theirs is not locked any more.

  Args:
    root: where; None takes the system's folder for temporary files.
  """
  root = root or pathlib.Path(tempfile.gettempdir())
  wipe_abandoned(root)
  folder = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
  try:
    with _locked(folder / _LOCK):
      yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def wipe_abandoned(root: pathlib.Path) -> None:
  """Wipes the folders of this user's starts that no process holds any more."""
  for folder in root.glob(f'{_PREFIX}*'):
    try:
      found = folder.lstat()
      if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        continue
      with _locked(folder / _LOCK, make=False):
        shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:
      if time.time() - found.st_mtime > _MAKING_SECONDS:
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # it is in use, or not ours to judge
      continue


@contextlib.contextmanager
def _locked(path: pathlib.Path, make: bool = True) -> Iterator[None]:
  """Holds the lock of a folder; raises BlockingIOError where another process does."""
  flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if make else 0)
  descriptor = os.open(path, flags, 0o600)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
  finally:
    os.close(descriptor)
