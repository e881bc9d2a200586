"""The SHA-256 of every file of a checkpoint.

A manifest is a text that `sha256sum --check MANIFEST.sha256` reads, too. Its first line names the
step, so that a folder under another's name is noticed; its last line is the SHA-256 of the lines
before it, so that a damaged manifest is noticed as such.
"""

import hashlib
import json
import os
import pathlib
from typing import NamedTuple

from anon_jax.durable import settle

NAME = 'MANIFEST.sha256'
PROMISE = {'manifest': NAME}
"""What the metadata of a checkpoint say of its manifest: one without it has lost it."""

_METADATA = '_CHECKPOINT_METADATA'  # Orbax's; checkpoints of before there were manifests have it


class Verdict(NamedTuple):
  """What was found in a checkpoint's folder.

  Attributes:
    damage: one phrase a file that is not as it was written; empty where there is none.
    verified: whether there was a manifest to compare with.
  """

  damage: tuple[str, ...]
  verified: bool


def write(folder: pathlib.Path, step: int) -> None:
  """Hashes all files below `folder` and writes its manifest; all of it is on disk afterwards.

  Args:
    folder: of a checkpoint that nobody writes to any more.
    step: updates that its state has had.

  Raises:
    OSError: the disk is full, or a file cannot be read.
  """
  names = sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())
  lines = {name: _digest(folder / name, settle=True) for name in names if name != NAME}
  with (folder / NAME).open('w') as file:
    file.write(_text(step, lines))
    file.flush()
    os.fsync(file.fileno())
  for path in [folder, *(path for path in folder.rglob('*') if path.is_dir())]:
    settle(path)


def examine(folder: pathlib.Path, step: int) -> Verdict:
  """Compares a checkpoint's files with its manifest.

  Files that the manifest does not name do no harm and are ignored.

  Args:
    folder: of the checkpoint.
    step: that its name says.

  Returns:
    The damage, file by file. A checkpoint from before there were manifests has none that can be
    told, and is not verified.
  """
  try:
    text = (folder / NAME).read_text()
  except FileNotFoundError:
    if _is_older(folder):
      return Verdict((), verified=False)
    return Verdict((f'{NAME} is missing',), verified=False)
  except (OSError, UnicodeDecodeError) as error:
    return Verdict((f'{NAME} cannot be read ({type(error).__name__})',), verified=False)
  lines = dict(
    (name, digest) for digest, _, name in (line.partition('  ') for line in text.splitlines()[1:-1])
  )
  if text != _text(step, lines):
    return Verdict((f'{NAME} is not what was written for step {step}',), verified=False)
  found = (_damage(folder / name, name, digest) for name, digest in lines.items())
  return Verdict(tuple(damage for damage in found if damage), verified=True)


def _text(step: int, lines: dict[str, str]) -> str:
  body = f'# anon_jax checkpoint of step {step}\n'
  body += ''.join(f'{digest}  {name}\n' for name, digest in lines.items())
  return f'{body}# {hashlib.sha256(body.encode()).hexdigest()}\n'


def _digest(path: pathlib.Path, *, settle: bool = False) -> str:
  with path.open('rb') as file:
    digest = hashlib.file_digest(file, 'sha256').hexdigest()
    if settle:
      os.fsync(file.fileno())
  return digest


def _damage(path: pathlib.Path, name: str, digest: str) -> str:
  try:
    return '' if _digest(path) == digest else f'{name} is not what was written'
  except FileNotFoundError:
    return f'{name} is missing'
  except OSError as error:
    return f'{name} cannot be read ({error.strerror})'


def _is_older(folder: pathlib.Path) -> bool:
  try:
    metadata = json.loads((folder / _METADATA).read_text())
    return not (metadata.get('custom_metadata') or {}).get('manifest')
  except (OSError, ValueError, AttributeError):
    return False
