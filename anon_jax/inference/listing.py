"""Which files are read, and where what becomes of each is written; decided before any work."""

import collections
import dataclasses
import os
import pathlib
import stat
from collections.abc import Sequence

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import (
  absolute,
  folded,
  identity,
  is_folder,
  is_link,
  mode,
  real_path,
  shown,
)

# Kind that an output of that extension is written as.
EXTENSIONS = {
  **dict.fromkeys(('.jpg', '.jpeg', '.jpe', '.jfif', '.mpo'), 'JPEG'),
  **dict.fromkeys(('.png', '.apng'), 'PNG'),
  '.webp': 'WEBP',
  **dict.fromkeys(('.tif', '.tiff'), 'TIFF'),
  **dict.fromkeys(('.bmp', '.dib'), 'BMP'),
  '.gif': 'GIF',
}
VIDEO = 'VIDEO'
VIDEO_EXTENSIONS = {'.mp4': VIDEO, '.mov': VIDEO}  # of outputs
_KINDS = EXTENSIONS | VIDEO_EXTENSIONS
VIDEOS = (
  *('.mp4', '.m4v', '.mkv', '.mov', '.avi', '.webm', '.mpg', '.mpeg', '.flv', '.3gp'),
  *('.ts', '.mts', '.m2ts', '.ogv', '.vob'),
)
_OTHER_VIDEOS = ('.wmv', '.asf', '.rm', '.rmvb')
_OTHER_PICTURES = (
  *('.heic', '.heif', '.avif', '.jxl', '.jp2', '.psd', '.svg'),
  *('.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2', '.raf'),
)
# Left in folders of pictures by file managers.
_LITTER = ('thumbs.db', 'desktop.ini')
# Beside pictures there are notes and tables; a face is in none of these.
_TEXTS = ('.txt', '.md', '.csv', '.tsv', '.json', '.xml', '.xmp', '.yaml', '.yml', '.log')


@dataclasses.dataclass(frozen=True)
class Job:
  """One picture or video to be anonymized.

  Attributes:
    source: the file to read.
    target: the file to write.
    kind: what its extension says that the target is: one of structure.KINDS, or VIDEO.
    exists: whether there is a target already; that it is complete is not said.
  """

  source: pathlib.Path
  target: pathlib.Path
  kind: str
  exists: bool


@dataclasses.dataclass
class Plan:
  """Every file and folder that was found: nothing is passed over in silence.

  Attributes:
    jobs: ordered by the inputs, within a folder by name.
    refused: what was asked for and will not be done, with the reason; a plan without jobs has some.
    ignored: what nobody wants done (hidden files, litter, text, outputs), with the reason.
  """

  jobs: list[Job] = dataclasses.field(default_factory=list)
  refused: list[tuple[pathlib.Path, str]] = dataclasses.field(default_factory=list)
  ignored: list[tuple[pathlib.Path, str]] = dataclasses.field(default_factory=list)


def plan(
  inputs: Sequence[str | os.PathLike[str]],
  output: str | os.PathLike[str] | None,
  *,
  in_place: bool = False,
) -> Plan:
  """Finds the pictures, and gives each its output.

  Names are taken as they are, never as patterns. A folder is searched with all that is below it.

  - One picture: `output` is a file if it is no folder and has an extension, else a folder.
  - One folder: what is below it appears below `output` under the same names.
  - Several inputs: `output` is a folder; files appear in it, folders as folders of their names.

  Args:
    inputs: files and folders.
    output: file or folder; need not exist. None with `in_place`: every picture's own file.
    in_place: allow outputs that replace their inputs.

  Raises:
    InferenceError: nothing was given, or `output` cannot take what was.
  """
  if not inputs:
    raise InferenceError('no input was given; name pictures or folders.')
  if output is None and not in_place:
    raise InferenceError('no output was given; name a file or a folder, or work in place.')
  sources = [pathlib.Path(path) for path in inputs]
  folders = [is_folder(path) for path in sources]
  root = _output_folder(output, len(inputs) > 1 or any(folders), sources, in_place)
  found = Plan()
  candidates: list[tuple[pathlib.Path, pathlib.Path]] = []
  for source, searched in zip(sources, folders, strict=True):
    before = len(candidates), len(found.refused)
    if searched:
      own = real_path(source).name if len(inputs) > 1 else ''
      candidates += _search(source, root / own if root else source, root, found)
      if before == (len(candidates), len(found.refused)):
        found.refused.append((source, 'holds no picture'))
    elif reason := _reason_against(source, linked=output is not None):
      found.refused.append((source, reason))
    elif root:
      candidates.append((source, _named(root / source.name)))
    else:
      candidates.append((source, source if output is None else pathlib.Path(output)))
  _settle(candidates, root, in_place, found)
  return found


def _output_folder(
  output: str | os.PathLike[str] | None,
  several: bool,
  sources: Sequence[pathlib.Path],
  in_place: bool,
) -> pathlib.Path | None:
  """Returns the folder that outputs go to, without links; None where the output is one file."""
  if output is None:
    return None
  path = pathlib.Path(output)
  takes_many = is_folder(path) or os.fspath(output).endswith(os.sep)
  if not takes_many and os.path.lexists(path) and several:
    raise InferenceError(f'{shown(path)} is a file; give a folder for what becomes of the inputs.')
  if not takes_many and path.suffix.lower() in _KINDS and several:
    raise InferenceError(
      f'{shown(path)} has the name of one file; give a folder for what becomes of the inputs.'
    )
  if not takes_many and not several and (path.suffix or os.path.lexists(path)):
    if path.suffix.lower() not in _KINDS:
      raise InferenceError(
        f'{shown(path)} has no extension of a picture or video; end it by one of '
        f'{", ".join(_KINDS)}, or by / for a folder.'
      )
    return None
  folder = real_path(path)
  for source in sources:
    if is_folder(source) and real_path(source) == folder and not in_place:
      raise InferenceError(
        f'{shown(path)} is input and output; give another folder, or work in place.'
      )
  return folder


def _reason_against(path: pathlib.Path, linked: bool) -> str | None:
  """Says why a file is not taken, by its name and nature; None if it is.

  Args:
    path: a file, or whatever is not a folder.
    linked: whether it may be a link.
  """
  try:
    if not linked and is_link(path):
      return 'is a link, and what it points to would stay as it is; name that'
    is_regular = stat.S_ISREG(path.stat().st_mode)
  except (OSError, ValueError) as error:
    return f'cannot be found ({getattr(error, "strerror", None) or error})'
  if not is_regular:
    return 'is no regular file'
  extension = path.suffix.lower()
  if extension in _OTHER_VIDEOS:
    return 'is a video of a kind that is not taken; convert it to MP4'
  if extension in _OTHER_PICTURES:
    return 'is a picture of a kind that is not taken; convert it to JPEG, PNG or TIFF'
  if extension not in EXTENSIONS and extension not in VIDEOS:
    names = ', '.join([*EXTENSIONS, *VIDEOS])
    return f'is neither a picture nor a video by its name; those end by {names}'
  return None


def _search(
  source: pathlib.Path, target: pathlib.Path, root: pathlib.Path | None, found: Plan
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """Lists (picture, output) of a folder and all below; the rest goes into `found`."""
  home = real_path(source)
  candidates = []
  todo = [(source, target)]
  while todo:
    folder, goal = todo.pop()
    try:
      with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    except OSError as error:
      found.refused.append((folder, f'cannot be searched ({error.strerror})'))
      continue
    below = []
    for name in names:
      path = folder / name
      if name.startswith('.') or name.lower() in _LITTER:
        found.ignored.append((path, 'is hidden' if name[0] == '.' else 'belongs to a file manager'))
      elif is_link(path) and (reason := _reason_against_link(path, home)):
        found.refused.append((path, reason))
      elif is_folder(path) and real_path(path) == root:
        found.ignored.append((path, 'is the folder of the outputs'))
      elif is_folder(path):
        below.append((path, goal / name))
      elif path.suffix.lower() in _TEXTS and not is_link(path):
        found.ignored.append((path, 'is text by its name'))
      elif reason := _reason_against(path, linked=root is not None):
        found.refused.append((path, reason))
      else:
        candidates.append((path, _named(goal / name) if root else path))
    todo += reversed(below)
  return candidates


def _named(target: pathlib.Path) -> pathlib.Path:
  """Returns an output's place: videos of all kinds become MP4 or MOV."""
  extension = target.suffix.lower()
  return target.with_suffix('.mp4') if extension in VIDEOS and extension not in _KINDS else target


def _reason_against_link(path: pathlib.Path, home: pathlib.Path) -> str | None:
  """Says why a link below a folder is not followed; None if it leads to a file inside of it."""
  try:
    end = path.resolve(strict=True)
  except (OSError, RuntimeError):
    return 'is a link that leads nowhere'
  if not end.is_relative_to(home):
    return 'is a link that leads out of the folder; name what it points to as an input'
  return 'is a link to a folder, which is taken where it lies' if is_folder(end) else None


def _settle(
  candidates: Sequence[tuple[pathlib.Path, pathlib.Path]],
  root: pathlib.Path | None,
  in_place: bool,
  found: Plan,
) -> None:
  """Turns candidates into jobs, unless an output would hurt an input or another output."""
  # an input that is named twice is one
  unique = {(absolute(source), absolute(to)): (source, to) for source, to in candidates}
  rivals = collections.defaultdict(list)
  for source, target in unique.values():
    rivals[folded(target)].append(source)
  inputs = {identity(source): source for source, _ in unique.values()}
  inputs.pop(None, None)
  for source, target in unique.values():
    others = [other for other in rivals[folded(target)] if other != source]
    hurt = inputs.get(identity(target))
    is_own = hurt is not None and identity(source) == identity(target)
    reason: str | None
    if others:
      reason = f'has the same output {shown(target)} as {shown(others[0])}; rename one of them'
    elif is_own and not in_place:
      reason = f'would be replaced by its output {shown(target)}; choose another, or work in place'
    elif hurt is not None and not is_own:
      reason = f'has the output {shown(target)}, which would replace the input {shown(hurt)}'
    else:
      reason = _reason_against_kind(source, target) or _reason_against_target(target, root)
    if reason:
      found.refused.append((source, reason))
    else:
      kind = _KINDS[target.suffix.lower()]
      found.jobs.append(Job(source, target, kind, os.path.lexists(target)))


def _reason_against_kind(source: pathlib.Path, target: pathlib.Path) -> str | None:
  """Says why one kind of file cannot become the other."""
  video = source.suffix.lower() in VIDEOS
  if video == (target.suffix.lower() in VIDEO_EXTENSIONS):
    return None
  wanted = ', '.join(VIDEO_EXTENSIONS if video else EXTENSIONS)
  what = 'video' if video else 'picture'
  return f'is a {what}, and its output {shown(target)} is none; end that by one of {wanted}'


def _reason_against_target(target: pathlib.Path, root: pathlib.Path | None) -> str | None:
  """Says why an output cannot be written: through a link it would land who knows where."""
  if root is not None and not target.is_relative_to(root):
    return f'has the output {shown(target)} outside of {shown(root)}'
  found = mode(target, follow=False)
  if stat.S_ISLNK(found):
    return f'has the output {shown(target)}, which is a link; remove it'
  if found and not stat.S_ISREG(found):
    return f'has the output {shown(target)}, which is no regular file; remove it'
  for folder in target.parents if root else ():
    if folder == root:
      break
    found = mode(folder, follow=False)
    if found and not stat.S_ISDIR(found):
      return f'has an output below {shown(folder)}, which is a link or a file; remove it'
  return None
