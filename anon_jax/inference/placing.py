"""Puts files in their places so that a name shows all of a file or what was there before."""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator

from anon_jax.durable import settle
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown

# Begins with a dot, so that a folder's listing shows finished files only.
_PART = '.anon-jax-{}.part'


class PartFile:
  """A new file beside its final place, under a temporary name; a context manager.

  Leaving it before `finish` is done, for whatever reason, removes the file.

  Attributes:
    part: where it is.
    file: open for writing.
    kept: whether it stays, under its temporary name, where it would be removed.

  Args:
    path: the final name. Missing folders are made.

  Raises:
    InferenceError: the final name is a link: what that points to is another's file.
    OSError, ValueError: it cannot be made; `named_errors` says so to people.
  """

  def __init__(self, path: str | os.PathLike[str]):
    self._path = pathlib.Path(path)
    self.part = self._path.with_name(_PART.format(secrets.token_hex(8)))
    if self._path.is_symlink():
      raise InferenceError(f'{shown(self._path)} is a link; remove it, or give another name.')
    self._path.parent.mkdir(parents=True, exist_ok=True)
    # Made by this call or not at all, with the rights that the user's umask leaves.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    self.file = os.fdopen(os.open(self.part, flags, 0o666), 'wb')
    self.kept = False

  def __enter__(self) -> 'PartFile':
    return self

  def __exit__(self, *_: object) -> None:
    with contextlib.suppress(OSError):  # what could not be flushed is removed
      self.file.close()
    if not self.kept:
      self.part.unlink(missing_ok=True)

  def finish(self, check: Callable[[pathlib.Path], None] | None = None) -> None:
    """Brings the file to the disk, checks it, and gives it its name.

    Args:
      check: is given the written file's place, and raises if it is not right.
    """
    with self.file:
      self.file.flush()
      os.fsync(self.file.fileno())
    if check:
      check(self.part)
    self.part.replace(self._path)
    settle(self._path.parent)


@contextlib.contextmanager
def named_errors(path: str | os.PathLike[str]) -> Iterator[None]:
  """Turns errors of writing into one that names the file.

  Raises:
    InferenceError: it cannot be written.
  """
  try:
    yield
  except (OSError, ValueError) as error:
    if isinstance(error, InferenceError):
      raise
    reason = getattr(error, 'strerror', None) or error
    raise InferenceError(
      f'{shown(path)} cannot be written ({reason}); make room there, or give another place.'
    ) from None
