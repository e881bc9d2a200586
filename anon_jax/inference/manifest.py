"""The manifest: what became of every input and of every face, and what can be resumed from it."""

import dataclasses
import hashlib
import hmac
import json
import math
import os
import pathlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anon_jax
from anon_jax.inference.decisions import BodyDecision, Decision
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.mask_sources import Source
from anon_jax.inference.paths import identity, shown

ANONYMIZED, NO_FACE, REFUSED, NOT_REACHED = 'anonymized', 'no face', 'refused', 'not reached'
_MOST_BYTES = 500_000_000
# What a record needs to be gone on from, with the types that JSON gives it.
_NEEDED = {
  'target': str,
  'status': str,
  'written': bool,
  'frames': int,
  'faces': list,
  'source_sha256': str,
  'target_sha256': str,
}


@dataclasses.dataclass
class Entry:
  """One input.

  Attributes:
    source: the file that was read.
    target: the file that was written, or would have been.
    status: 'anonymized', 'no face', 'refused' or 'not reached'.
    written: whether `target` was written, by this run or by the one that it goes on from.
    message: why an input was not written; '' otherwise.
    frames: pictures in the file.
    faces: decisions by frame.
    bodies: the same of bodies; None where they were not asked for.
    tracks: of a video, what became of each face, as `videos.Track.record` says it.
    body_tracks: of a video, the same of each body.
    without_faces: of a video, frames in which there was nothing to replace.
    left_out: what else the source held, which is in no output.
    masks_sha256: of the masks of its bodies.
    source_sha256: of the bytes that were read; '' where none were.
    target_sha256: of the bytes that were written; '' where none were.
    earlier: an earlier run's record of the same target; it holds until this run gets there.
    resumed: whether it still holds then.
  """

  source: pathlib.Path
  target: pathlib.Path
  status: str = NOT_REACHED
  written: bool = False
  message: str = ''
  frames: int = 0
  faces: Sequence[Sequence[Decision]] = ()
  bodies: Sequence[Sequence[BodyDecision]] | None = None
  tracks: Sequence[Mapping[str, Any]] = ()
  body_tracks: Sequence[Mapping[str, Any]] = ()
  without_faces: int = 0
  left_out: Sequence[str] = ()
  masks_sha256: str = ''
  source_sha256: str = ''
  target_sha256: str = ''
  earlier: Mapping[str, Any] | None = None
  resumed: bool = False

  def resume(self) -> None:
    """Takes over what the earlier run has done."""
    assert self.earlier is not None
    self.status, self.written, self.resumed = self.earlier['status'], True, True

  def record(self) -> dict[str, Any]:
    """Returns what the manifest says of it."""
    if self.earlier is not None and (self.resumed or self.status == NOT_REACHED):
      return {**self.earlier, 'source': shown(self.source)}
    record = {
      'source': shown(self.source),
      'target': shown(self.target),
      'status': self.status,
      'written': self.written,
      'message': self.message,
      'frames': self.frames,
      'frames_without_faces': self.without_faces,
      'faces': [*self.tracks, *self._decisions()],
      'left_out': list(self.left_out),
      'source_sha256': self.source_sha256,
      'target_sha256': self.target_sha256,
    }
    if self.bodies is not None:
      record['bodies'] = [*self.body_tracks, *_body_records(self.bodies)]
      record['masks_sha256'] = self.masks_sha256
    return record

  def _decisions(self) -> Iterator[dict[str, Any]]:
    for frame, decisions in enumerate(self.faces):
      for decision in decisions:
        yield {
          'frame': frame,
          'box': [_number(value, 1) for value in decision.face.box],
          'score': _number(decision.face.score, 4),
          'action': decision.action,
          'reason': decision.reason,
          'similarity': _number(decision.similarity, 4),
          'draws': decision.draws,
        }


def _body_records(frames: Sequence[Sequence[BodyDecision]]) -> Iterator[dict[str, Any]]:
  for frame, decisions in enumerate(frames):
    for decision in decisions:
      yield {
        'frame': frame,
        'number': decision.number,
        'box': list(decision.box),
        'pixels': decision.pixels,
        'mask': decision.state,
        'action': decision.action,
        'reason': decision.reason,
      }


def _number(value: float | None, digits: int) -> float | None:
  """Returns a number that JSON can hold: it has none that is not finite."""
  return None if value is None or not math.isfinite(value) else round(float(value), digits)


def write_up(
  records: Sequence[Mapping[str, Any]],
  refused: Sequence[tuple[pathlib.Path, str]],
  ignored: Sequence[tuple[pathlib.Path, str]],
  settings: Mapping[str, Any],
  key_check: str = '',
) -> str:
  """Returns the manifest's text: every input, refused or done, and every file passed over."""
  content = {
    'anon_jax': anon_jax.__version__,
    'settings': dict(settings),
    'key_check': key_check,
    'inputs': [dict(record) for record in records],
    'refused': [{'path': shown(path), 'reason': reason} for path, reason in refused],
    'ignored': [{'path': shown(path), 'reason': reason} for path, reason in ignored],
  }
  return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def key_check(key: bytes | None, salt: bytes | None = None) -> str:
  """Returns what tells later whether a key is the same one, and nothing about it; '' for none.

  Trying keys against it takes a tenth of a second each. The salt is new each time, so that two
  manifests do not show that they have the same key.
  """
  if key is None:
    return ''
  salt = salt or secrets.token_bytes(16)
  return f'{salt.hex()}:{hashlib.scrypt(key, salt=salt, n=2**14, r=8, p=2).hex()}'


def _same_key(key: bytes | None, check: str) -> bool:
  salt, _, _ = check.partition(':')
  return hmac.compare_digest(key_check(key, bytes.fromhex(salt)), check)


def resumable(
  path: pathlib.Path, settings: Mapping[str, Any], key: bytes | None = None
) -> dict[str, dict[str, Any]]:
  """Reads what an earlier run with the same settings and key has written, by target.

  Raises:
    InferenceError: there is a file that is no manifest; it would be overwritten.
  """
  if not os.path.lexists(path):
    return {}
  try:
    if path.stat().st_size > _MOST_BYTES:
      raise ValueError('it is too large')
    content = json.loads(path.read_text('utf-8'))
    same = content['settings'] == dict(settings) and content['anon_jax'] == anon_jax.__version__
    records = [record for record in content['inputs'] if _is_usable(record)]
    same = same and _same_key(key, content['key_check'])
  except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
    raise InferenceError(
      f'{shown(path)} is no manifest of this command ({" ".join(str(error).split())[:80]}); remove '
      'it, or name another --manifest.'
    ) from None
  return {record['target']: record for record in records} if same else {}


def _is_usable(record: Any) -> bool:
  return (
    isinstance(record, dict)
    and all(type(record.get(name)) is kind for name, kind in _NEEDED.items())
    and record['written']
    and record['status'] in (ANONYMIZED, NO_FACE)
    and all(
      isinstance(face, dict) and type(face.get('frame', face.get('track'))) is int
      for face in (*record['faces'], *_bodies_of(record))
    )
  )


def _bodies_of(record: Mapping[str, Any]) -> Sequence[Any]:
  bodies = record.get('bodies', [])
  return bodies if isinstance(bodies, list) else [bodies]  # which is no record of a body


def same_masks(record: Mapping[str, Any], masks: Source, source: pathlib.Path) -> bool:
  """Tells whether a record's bodies are those of masks as they are now."""
  if not _bodies_of(record) and not masks.allow_none:
    return False
  return bool(record.get('masks_sha256') == masks.sha256_of(source))


def has_frame_without_face(record: Mapping[str, Any]) -> bool:
  """Tells whether what was written has a picture in which no face was found.

  A video counts as one picture: nobody wants each of its frames to show a face.
  """
  if any('track' in each for each in (*record['faces'], *_bodies_of(record))):
    return False
  found = [*record['faces'], *_bodies_of(record)]
  return record['frames'] > len({each['frame'] for each in found})


def still_there(record: Mapping[str, Any], source: pathlib.Path, target: pathlib.Path) -> bool:
  """Tells whether a source and what was made of it are byte for byte those of a record."""
  if not record['target_sha256'] or sha256_of(target) != record['target_sha256']:
    return False
  if identity(target) == identity(source):
    return True  # in place: of the source nothing else is left
  return bool(record['source_sha256']) and sha256_of(source) == record['source_sha256']


def sha256_of(path: pathlib.Path, most_bytes: int | None = None) -> str:
  """Returns the SHA-256 of a regular file; '' for what is none, is larger or cannot be read."""
  try:
    if not path.is_file() or (most_bytes is not None and path.stat().st_size > most_bytes):
      return ''
    with path.open('rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError:
    return ''
