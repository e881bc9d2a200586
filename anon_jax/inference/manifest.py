"""The manifest: what became of every input and of every face, and what can be resumed from it."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import anon_jax
from anon_jax.inference.decisions import Decision
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown

ANONYMIZED, NO_FACE, REFUSED, NOT_REACHED = 'anonymized', 'no face', 'refused', 'not reached'
_MOST_BYTES = 500_000_000


@dataclasses.dataclass
class Entry:
  """One input.

  Attributes:
    source: the file that was read.
    target: the file that was written, or would have been.
    status: 'anonymized', 'no face', 'refused' or 'not reached'.
    written: whether `target` was written, by this run or by the one that it goes on from.
    message: why an input was refused; '' otherwise.
    frames: pictures in the file.
    faces: decisions by frame.
    left_out: what else the source held, which is in no output.
    source_sha256: of the bytes that were read; '' where none were.
    target_sha256: of the bytes that were written; '' where none were.
  """

  source: pathlib.Path
  target: pathlib.Path
  status: str = NOT_REACHED
  written: bool = False
  message: str = ''
  frames: int = 0
  faces: Sequence[Sequence[Decision]] = ()
  left_out: Sequence[str] = ()
  source_sha256: str = ''
  target_sha256: str = ''

  def record(self) -> dict[str, Any]:
    """Returns what the manifest says of it."""
    return {
      'source': shown(self.source),
      'target': shown(self.target),
      'status': self.status,
      'written': self.written,
      'message': self.message,
      'frames': self.frames,
      'faces': [
        {
          'frame': frame,
          'box': [round(value, 1) for value in decision.face.box],
          'score': round(decision.face.score, 4),
          'action': decision.action,
          'reason': decision.reason,
          'similarity': None if decision.similarity is None else round(decision.similarity, 4),
          'draws': decision.draws,
        }
        for frame, decisions in enumerate(self.faces)
        for decision in decisions
      ],
      'left_out': list(self.left_out),
      'source_sha256': self.source_sha256,
      'target_sha256': self.target_sha256,
    }


def write_up(
  records: Sequence[Mapping[str, Any]],
  refused: Sequence[tuple[pathlib.Path, str]],
  ignored: Sequence[tuple[pathlib.Path, str]],
  settings: Mapping[str, Any],
) -> str:
  """Returns the manifest's text: every input, refused or done, and every file passed over."""
  content = {
    'anon_jax': anon_jax.__version__,
    'settings': dict(settings),
    'inputs': [dict(record) for record in records],
    'refused': [{'path': shown(path), 'reason': reason} for path, reason in refused],
    'ignored': [{'path': shown(path), 'reason': reason} for path, reason in ignored],
  }
  return json.dumps(content, indent=1, ensure_ascii=False) + '\n'


def resumable(path: pathlib.Path, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Reads which targets an earlier run with the same settings has written, by target.

  Raises:
    InferenceError: there is a file that is no manifest; it would be overwritten.
  """
  if not os.path.lexists(path):
    return {}
  try:
    if path.stat().st_size > _MOST_BYTES:
      raise ValueError('it is too large')
    content = json.loads(path.read_text())
    earlier, same = content['inputs'], content['settings'] == dict(settings)
    same = same and content['anon_jax'] == anon_jax.__version__
    return {record['target']: record for record in earlier if record['written']} if same else {}
  except (OSError, ValueError, TypeError, KeyError) as error:
    raise InferenceError(
      f'{shown(path)} is no manifest of this command ({" ".join(str(error).split())[:80]}); remove '
      'it, or name another --manifest.'
    ) from None


def still_there(record: Mapping[str, Any], source: pathlib.Path, target: pathlib.Path) -> bool:
  """Tells whether a source and what was made of it are byte for byte those of a record."""
  try:
    return (
      sha256_of(source) == record['source_sha256'] and sha256_of(target) == record['target_sha256']
    )
  except (OSError, KeyError):
    return False


def sha256_of(path: pathlib.Path) -> str:
  """Returns the SHA-256 of a regular file, '' for anything else."""
  if not path.is_file() or path.is_symlink():
    return ''
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
