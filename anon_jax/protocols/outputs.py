"""What each system makes of the pictures of an evaluation, kept in the workdir.

An evaluation that was broken off goes on: a picture that is there whole is not made again. If the
networks, the key or the version have changed, all of them are.
"""

import json
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from anon_jax import __version__
from anon_jax.data.errors import DatasetError
from anon_jax.data.pictures import read_picture
from anon_jax.inference.decisions import Request
from anon_jax.inference.faces import Face
from anon_jax.protocols.networks import fingerprint
from anon_jax.protocols.systems import System
from anon_jax.telemetry import write_whole

_TOGETHER = 16


class Outputs:
  """The pictures that a system makes.

  Args:
    system: one that changes pictures.
    folder: for them, in the workdir.
    weights: folder of trained networks; '' for the package's own.
    key: of the draws of control identities.
  """

  def __init__(self, system: System, folder: pathlib.Path, weights: str, key: bytes):
    self._system, self._folder = system, folder
    self._weights, self._key = weights, key
    if system.folder is None:
      keep_or_clear(folder, made_by(system, weights, key))

  def read(self, name: str) -> np.ndarray:
    """Returns the pixels of a picture, uint8 [h, w, 3]."""
    return read(self._path(name))

  def make(
    self,
    faces: Mapping[str, Sequence[Face]],
    read: Callable[[str], np.ndarray],
    main: Callable[[str], int | None],
  ) -> dict[str, str]:
    """Makes what is not there yet.

    Args:
      faces: all faces of each picture, by its name.
      read: gives the original pixels of a name.
      main: the place of a picture's main face; None where it has none.

    Returns:
      What became of the main face of each picture, such as 'synthesized' or 'filled'.

    Raises:
      DatasetError: a picture of another system is missing or of another size.
    """
    if self._system.folder is not None:
      return {name: self._given(name, read(name)) for name in faces}
    actions = self._actions()
    missing = [name for name in faces if name not in actions or not self._path(name).is_file()]
    if missing:
      anonymizer = self._system.anonymizer(self._weights, self._key)
      bar = tqdm(total=len(missing), desc=self._system.title, unit=' pictures', disable=None)
      for start in range(0, len(missing), _TOGETHER):
        names = missing[start : start + _TOGETHER]
        requests = [Request(read(name), faces[name], name=name) for name in names]
        for name, done in zip(names, anonymizer.anonymize_many(requests), strict=True):
          place = main(name)
          actions[name] = 'no face' if place is None else done.faces[place].action
          _save(done.image, self._path(name))
        write_whole(self._folder / 'actions.json', json.dumps(actions).encode())
        bar.update(len(names))
      bar.close()
    return {name: actions[name] for name in faces}

  def _path(self, name: str) -> pathlib.Path:
    if self._system.folder is not None:
      return under_any_extension(self._system.folder / name)
    return self._folder / f'{name}.png'

  def _given(self, name: str, original: np.ndarray) -> str:
    if self.read(name).shape != original.shape:
      raise DatasetError(
        f'{self._path(name)} is {self.read(name).shape}; the original is {original.shape}.'
      )
    return 'given'

  def _actions(self) -> dict[str, str]:
    path = self._folder / 'actions.json'
    return json.loads(path.read_text()) if path.is_file() else {}


def keep_or_clear(folder: pathlib.Path, made: Mapping[str, Any]) -> None:
  """Begins a folder anew where what is there was made in another way.

  Args:
    folder: of outputs.
    made: what they depend on, as JSON holds it.
  """
  path = folder / 'system.json'
  if path.is_file() and json.loads(path.read_text()) == made:
    return
  if folder.exists():
    print(f'{folder} was made in another way; it is made anew.', file=sys.stderr)
    shutil.rmtree(folder)
  folder.mkdir(parents=True)
  write_whole(path, json.dumps(made).encode())


def made_by(system: System, weights: str, key: bytes) -> dict[str, Any]:
  """Returns what a system's outputs depend on, for `keep_or_clear`."""
  made: dict[str, Any] = {
    'version': __version__,
    'system': [system.method, system.size],
    'weights': fingerprint(weights) if system.method == 'synthesize' else '',
    'key': key.hex(),
  }
  if system.networks is not None:
    folder, names = system.networks
    made['networks'] = [fingerprint(str(folder)), *names]
  return made


def read(path: pathlib.Path) -> np.ndarray:
  """Reads a picture of a data set, uint8 RGB [h, w, 3].

  Raises:
    DatasetError: it is missing or broken.
  """
  return np.asarray(read_picture(path)[0])


def _save(pixels: np.ndarray, path: pathlib.Path) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f'.{path.name}.part')
  Image.fromarray(pixels).save(part, format='PNG', compress_level=1)
  part.replace(path)


def under_any_extension(path: pathlib.Path) -> pathlib.Path:
  """Returns a picture of that name, or of its stem and another usual extension."""
  for candidate in (path, *(path.with_suffix(suffix) for suffix in ('.png', '.jpg', '.jpeg'))):
    if candidate.is_file():
      return candidate
  raise DatasetError(f'{path} is missing, and so are the same name with .png and .jpg.')
