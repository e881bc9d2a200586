"""Puts a folder of files in its place: its name shows all of them, or what was there before."""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping

from anon_jax.durable import settle
from anon_jax.telemetry import write_whole


def put(
  folder: pathlib.Path,
  contents: Mapping[str, bytes],
  check: Callable[[pathlib.Path], object] | None = None,
) -> None:
  """Writes files into a folder beside `folder`, and puts that in its place.

  Should the machine stop between two renamings, the old folder lies beside as `.NAME.NUMBER.old`.

  Args:
    folder: may be there; what it holds is gone afterwards.
    contents: by file name.
    check: is called with the new folder before that takes the place; if it raises, nothing changes.
  """
  part, old = (folder.with_name(f'.{folder.name}.{os.getpid()}.{end}') for end in ('part', 'old'))
  folder.parent.mkdir(parents=True, exist_ok=True)
  try:
    part.mkdir()
    for name, content in contents.items():
      write_whole(part / name, content)
    settle(part)
    if check is not None:
      check(part)
    if folder.exists():
      folder.rename(old)
    part.rename(folder)
    settle(folder.parent)
  finally:
    if old.exists() and not folder.exists():
      old.rename(folder)
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
