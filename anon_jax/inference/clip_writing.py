"""A clip_folder that is being made: each video's clips appear whole, and what is done is noted."""

import contextlib
import fcntl
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.telemetry import write_whole

RECORD = 'clips.json'
HELD_OUT = ('validation', 'test')
_PARTS, _LOCK = '.parts', '.lock'
_MOVED = ('images', 'masks', 'split.txt', '.split.txt.part', f'.{RECORD}.part')
_VALIDATION_SHARE = 0.1


class ClipWriter:
  """Writes clips video by video; a context manager. What was broken off is gone on with.

  clips.json notes how the clips are made, and which clips each video has given. split.txt puts all
  clips of one video into one split.

  Args:
    folder: new, empty, or made in the same way before.
    made: how clips are made; what changes any of them.

  Raises:
    InferenceError: the folder holds other things, or clips that were made otherwise, or another
      process writes into it.
  """

  def __init__(self, folder: pathlib.Path, made: Mapping[str, Any]):
    self._folder, self._made = folder, dict(made)
    self._videos: dict[str, dict[str, Any]]
    path = folder / RECORD
    if not path.is_file() and folder.exists() and not _is_new(folder):
      raise InferenceError(
        f'{shown(folder)} holds something else than clips ({RECORD} is missing); give a new folder.'
      )
    folder.mkdir(parents=True, exist_ok=True)
    self._lock = (folder / _LOCK).open('w')
    try:
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      self._videos = self._read(path) if path.is_file() else {}
    except BlockingIOError:
      self._lock.close()
      raise InferenceError(
        f'another process writes into {shown(folder)}; wait for it, or give another folder.'
      ) from None
    except BaseException:
      self._lock.close()
      raise

  def __enter__(self) -> 'ClipWriter':
    return self

  def __exit__(self, *_: object) -> None:
    self._lock.close()

  def done(self, video: str, size: int, split: str) -> bool:
    """Tells whether a video's clips are there; they go into the split that is asked for now.

    Args:
      video: its name.
      size: of its file in bytes: another one is cut again.
      split: where its clips belong; '' where nothing says so.
    """
    entry = self._videos.get(video)
    if entry is None or entry.get('bytes') != size:
      return False
    if entry['split'] != split:
      entry['split'] = split
      self._write()
    return True

  @property
  def frames(self) -> dict[str, int]:
    """Frames of each clip of the folder."""
    return {clip: n for video in self._videos.values() for clip, n in video['clips'].items()}

  @contextlib.contextmanager
  def part(self) -> Iterator[pathlib.Path]:
    """Gives a folder for the clips of one video; it is removed at the end."""
    part = self._folder / _PARTS
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    for kind in ('images', 'masks'):
      (part / kind).mkdir(parents=True)
    try:
      yield part
    finally:
      shutil.rmtree(part, ignore_errors=True)

  def add(
    self, video: str, size: int, part: pathlib.Path, clips: Mapping[str, int], split: str
  ) -> None:
    """Moves the clips of a video into their places and notes that it is done.

    Args:
      video: its name.
      size: of its file in bytes.
      part: the folder from `part` that holds them.
      clips: frames of each.
      split: where it belongs; '' for a video that no list names.
    """
    for clip in self._videos.pop(video, {'clips': {}})['clips']:  # of a file that was another one
      for kind in ('images', 'masks'):
        shutil.rmtree(self._folder / kind / clip, ignore_errors=True)
    # masks first: a clip is there when its images are
    for kind in ('masks', 'images'):
      (self._folder / kind).mkdir(exist_ok=True)
      for clip in clips:
        target = self._folder / kind / clip
        shutil.rmtree(target, ignore_errors=True)  # moved before the process was killed
        (part / kind / clip).rename(target)
    self._videos[video] = {'bytes': size, 'split': split, 'clips': dict(clips)}
    self._write()

  def _write(self) -> None:
    """Writes split.txt and the record."""
    self._write_split()
    record = {'made': self._made, 'videos': self._videos}
    write_whole(self._folder / RECORD, (json.dumps(record, indent=1) + '\n').encode())

  def _read(self, path: pathlib.Path) -> dict[str, dict[str, Any]]:
    try:
      record = json.loads(path.read_text())
      made, videos = dict(record['made']), dict(record['videos'])
    except (OSError, ValueError, KeyError, TypeError) as error:
      raise InferenceError(
        f'{shown(path)} cannot be read ({type(error).__name__}); give a new folder.'
      ) from None
    for name, value in self._made.items():
      if made.get(name) != value:
        raise InferenceError(
          f'{shown(self._folder)} holds clips with {name} {made.get(name)!r}, and now it would be '
          f'{value!r}; give a new folder, or the same options.'
        )
    return videos

  def _write_split(self) -> None:
    own = splits({v: str(entry['split']) for v, entry in self._videos.items() if entry['clips']})
    lines = [f'{clip} {own[v]}\n' for v in own for clip in self._videos[v]['clips']]
    write_whole(self._folder / 'split.txt', ''.join(sorted(lines)).encode())


def _is_new(folder: pathlib.Path) -> bool:
  """Tells whether a folder holds nothing, or what is left of a first video that was broken off."""
  left = {path.name for path in folder.iterdir()} if folder.is_dir() else {''}
  return left <= {_PARTS, _LOCK} or (_LOCK in left and left <= {_PARTS, _LOCK, *_MOVED})


def splits(videos: Mapping[str, str]) -> dict[str, str]:
  """Gives a split to each video.

  Args:
    videos: split by name. '' where none is given: then, if no video is for validation, a tenth of
      those, chosen by the SHA-256 of their names, is, at least one of several; the others are for
      training.

  Returns:
    'train', 'validation' or 'test' by name.
  """
  free = [name for name, split in videos.items() if not split]
  held_out: list[str] = []
  if len(free) > 1 and not set(videos.values()) & set(HELD_OUT):
    free.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = free[: max(1, round(_VALIDATION_SHARE * len(free)))]
  chosen = {name: 'validation' if name in held_out else 'train' for name in free}
  return {name: split or chosen[name] for name, split in videos.items()}
