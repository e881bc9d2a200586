"""The clips of an evaluation, and what systems make of them."""

import itertools
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from anon_jax.data.errors import DatasetError
from anon_jax.inference import detection
from anon_jax.inference.faces import Detector
from anon_jax.inference.listing import VIDEOS
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter
from anon_jax.inference.videos import NoFaceError, anonymize_video
from anon_jax.protocols.systems import FILL, METHOD, ORIGINAL, SYSTEMS, System

# What the encoder does to a clip in which nothing is replaced: the floor of every measure.
REENCODED = System('reencoded', 'nothing replaced, written again', 'fill')
ROWS = (
  ORIGINAL,
  REENCODED,
  *(system for system in SYSTEMS if system.name == 'blur_17'),
  METHOD,
  FILL,
)
_FINE = 10  # rate factor of shortened sources: nobody sees a difference


def find(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the video files of a folder by their names without extension, in their order.

  Raises:
    DatasetError: there is none, or two have one name.
  """
  found: dict[str, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    if path.suffix.lower() not in VIDEOS:
      continue
    if path.stem in found:
      raise DatasetError(f'{found[path.stem]} and {path} have one name; rename one of them.')
    found[path.stem] = path
  if not found:
    raise DatasetError(f'{folder} holds no video; give a folder of clips ({", ".join(VIDEOS)}).')
  return found


def shortened(source: pathlib.Path, target: pathlib.Path, frames: int) -> pathlib.Path:
  """Returns a clip's first frames, written anew; 0: the clip itself.

  Raises:
    VideoError: the clip cannot be read.
  """
  if not frames:
    return source
  if target.is_file():
    return target
  with VideoReader(source) as reader:
    found = reader.outline
    colour = found.colour
    with VideoWriter(
      target, found.width, found.height, found.time_base, colour=colour, crf=_FINE
    ) as writer:
      for frame in itertools.islice(reader, frames):
        writer.write(frame.pixels, frame.time, frame.duration)
  return target


class Maker:
  """Makes a system's clips, those that are not there yet.

  Args:
    system: one that changes pictures, or REENCODED.
    folder: for its clips.
    weights: folder of trained networks; '' for the package's own.
    key: of the draws of control identities.
  """

  def __init__(self, system: System, folder: pathlib.Path, weights: str, key: bytes):
    self._system, self._folder = system, folder
    self._weights, self._key = weights, key

  def make(self, clips: Mapping[str, pathlib.Path]) -> dict[str, pathlib.Path]:
    """Returns its clips by name.

    Raises:
      DatasetError: no face is found in a clip, or a clip of another system is missing.
      InferenceError: a clip cannot be read or written.
    """
    if self._system is ORIGINAL:
      return dict(clips)
    if self._system.folder is not None:
      given = find(self._system.folder)
      if missing := sorted(clips.keys() - given.keys()):
        raise DatasetError(f'{self._system.folder} has no clip {missing[0]!r}; complete it.')
      return {name: given[name] for name in clips}
    made = {name: self._folder / f'{name}.mp4' for name in clips}
    lacking = [name for name in clips if not made[name].is_file()]
    if lacking:
      anonymizer = self._anonymizer()
      for number, name in enumerate(lacking, 1):
        title = f'{self._system.title}, {number}/{len(lacking)} {name}'
        with tqdm(desc=title, unit=' frames', file=sys.stderr, disable=None) as bar:
          self._write(anonymizer, clips[name], made[name], name, bar)
    return made

  def _anonymizer(self) -> Any:
    detector: Detector = detection.load_detector()
    if self._system is REENCODED:
      detector = _nobody
    return self._system.anonymizer(self._weights, self._key, detector)

  def _write(
    self, anonymizer: Any, source: pathlib.Path, target: pathlib.Path, name: str, bar: Any
  ) -> None:
    try:
      anonymize_video(
        source,
        target,
        anonymizer,
        allow_no_faces=self._system is REENCODED,
        name=name,
        tell=bar.update,
        expect=bar.reset,
      )
    except NoFaceError:
      raise DatasetError(f'no face is found in {source}; take it out of the folder.') from None


def _nobody(picture: Any) -> list[Any]:
  return []
