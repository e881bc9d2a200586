"""Paths: how they are shown to people, and what lies under them; bad ones raise nothing."""

import os
import pathlib
import stat
import unicodedata


def shown(path: str | os.PathLike[str]) -> str:
  r"""Returns a path as printable text.

  A file name may hold any byte: line breaks and escape codes would forge lines of a report, and
  bytes that are not UTF-8 cannot be printed or put into JSON. They are shown as `\n`, `\x1b`, ...
  """
  text = os.fsencode(path).decode('utf-8', 'backslashreplace')
  return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)


def mode(path: pathlib.Path, follow: bool = True) -> int:
  """Returns the type and rights of what lies under a path; 0 if that cannot be told."""
  try:
    return path.stat(follow_symlinks=follow).st_mode
  except (OSError, ValueError):
    return 0


def is_folder(path: pathlib.Path) -> bool:
  """Tells folders and links to them."""
  return stat.S_ISDIR(mode(path))  # Path.is_dir raises where a folder above is locked


def is_link(path: pathlib.Path) -> bool:
  """Tells symbolic links."""
  return stat.S_ISLNK(mode(path, follow=False))


def real_path(path: pathlib.Path) -> pathlib.Path:
  """Returns a path without links, as far as it leads."""
  return pathlib.Path(os.path.realpath(path))  # Path.resolve raises for links in a circle


def identity(path: pathlib.Path) -> tuple[int, int] | None:
  """Returns what is equal for all names of one file, links included; None where there is none."""
  try:
    status = path.stat()
  except (OSError, ValueError):
    return None
  return status.st_dev, status.st_ino


def absolute(path: pathlib.Path) -> str:
  """Returns a path from the root, without `..`, links left as they are."""
  return os.path.normpath(path.absolute())


def folded(path: pathlib.Path) -> str:
  """Returns what is equal for paths that some file system takes for one."""
  return unicodedata.normalize('NFC', absolute(path)).casefold()
