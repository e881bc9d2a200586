"""Which file or folder of masks belongs to which input."""

import collections
import hashlib
import os
import pathlib
from collections.abc import Sequence

from anon_jax.inference.mask_files import MaskError
from anon_jax.inference.paths import absolute, is_folder, mode, shown

TEXT = '.txt'


class Places:
  """Finds the masks of inputs in a folder, or in one file for all.

  Of NAME.jpg they are NAME.png; of a video or an animation NAME the folder NAME, with a PNG for
  each frame; of each of them NAME.txt; of pictures in a folder FOLDER the file FOLDER.txt as well.
  Folders lie in folders as in the inputs: of one input as below it, of several in a folder of the
  input's name. Of one video the folder may be that of its frames.

  Args:
    place: the folder or file.
    inputs: of the command.

  Raises:
    MaskError: there is nothing of that name.
  """

  def __init__(self, place: pathlib.Path, inputs: Sequence[str | os.PathLike[str]]):
    if not mode(place):
      raise MaskError(f'the masks {shown(place)} are not there; name a folder or a file.')
    self._place, self._roots = place, [pathlib.Path(path) for path in inputs]
    self._owners: dict[str, pathlib.Path] = {}

  def of(self, source: pathlib.Path) -> pathlib.Path:
    """Returns where the masks of an input lie.

    Raises:
      MaskError: nowhere.
    """
    if not is_folder(self._place):
      return self._place
    name = self._below(source)
    wanted = [
      self._place / name.with_suffix('.png'),
      self._place / name.with_suffix(''),
      self._place / name.with_suffix(TEXT),
    ]
    if name.parent.name:
      wanted.append((self._place / name.parent).with_name(f'{name.parent.name}{TEXT}'))
    if len(self._roots) == 1 and not is_folder(self._roots[0]):
      wanted.append(self._place)
    found = next((path for path in wanted if mode(path)), None)
    if found is None:
      raise MaskError(
        f'{shown(source)} has no mask: {shown(wanted[0])} is missing; add it, black where nobody '
        'is, or leave the input out.'
      )
    return found

  def claim(self, path: pathlib.Path, source: pathlib.Path) -> None:
    """Notes whose mask a file is; raises MaskError where it was another input's."""
    owner = self._owners.setdefault(absolute(path), source)
    if absolute(owner) != absolute(source):
      raise MaskError(
        f'{shown(path)} would be the mask of {shown(owner)} and of {shown(source)}; give a folder '
        'with a mask for each, under names of their own.'
      )

  def sha256_of(self, source: pathlib.Path) -> str:
    """Returns what changes with the masks of an input; '' where they cannot be read."""
    found = hashlib.sha256()
    try:
      path = self.of(source)
      for each in sorted(path.iterdir()) if is_folder(path) else [path]:
        with each.open('rb') as file:
          digest = hashlib.file_digest(file, 'sha256').digest()
        found.update(os.fsencode(each.name) + b'\0' + digest)
    except (MaskError, OSError):
      return ''
    return found.hexdigest()

  def _below(self, source: pathlib.Path) -> pathlib.Path:
    """Returns the name of an input below the folder of masks."""
    for root in self._roots:
      if is_folder(root) and source.is_relative_to(root):
        name = source.relative_to(root)
        return root.resolve().name / name if len(self._roots) > 1 else name
    return pathlib.Path(source.name)


def numbered(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """Returns the masks of a film by the numbers that they are named by.

  Raises:
    MaskError: a name is no number, two have one number, or there is none.
  """
  found = collections.defaultdict(list)
  for path in sorted(folder.iterdir()):
    if path.name.startswith('.'):
      continue
    if path.suffix.lower() != '.png' or not (path.stem.isascii() and path.stem.isdecimal()):
      raise MaskError(f'{shown(path)} is not named by its frame, as 00000.png is; rename it.')
    found[int(path.stem)].append(path)
  for number, paths in found.items():
    if len(paths) > 1:
      raise MaskError(f'{shown(paths[0])} and {shown(paths[1])} both are frame {number}.')
  if not found:
    raise MaskError(f'{shown(folder)} holds no mask; add one for each frame, as 00000.png.')
  return {number: path for number, (path,) in found.items()}
