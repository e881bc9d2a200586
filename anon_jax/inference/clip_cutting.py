"""Cuts the faces of a video to clips that a `clip_folder` can hold: smoothed crops, and their maps.

A clip is a run of consecutive frames of one track in which its face was found, or missed between
two frames in which it was. It ends where the face's crop jumps, gets too small or too doubtful, or
where S finds no face in it. Short clips are left out.
"""

import dataclasses
import pathlib
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from anon_jax.data import pictures, semantic
from anon_jax.inference import association, crops, scenes
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Detector
from anon_jax.inference.inputs import FACE_SHARE
from anon_jax.inference.segmenting import Segmenter, segment_crops
from anon_jax.inference.tracking import TrackedFrame, Tracker
from anon_jax.inference.video_reading import Frame, VideoReader

_BATCH = 16  # crops that S is shown together
# Least score in the frame itself: false alarms, and faces behind somebody, hardly ever get so much.
_SURE = 0.5
# From one frame to the next a face's box keeps so much (intersection over union), or it is a jump.
_KEPT = 0.5
_LEAST_FOREGROUND = 0.05  # of a crop; a face has a quarter to a half


@dataclasses.dataclass(frozen=True)
class Cutting:
  """How clips are cut.

  Attributes:
    size: side of a crop in pixels.
    face_share: share of a crop's side that the face box has, about.
    length: fewest frames of a clip.
  """

  size: int = 128
  face_share: float = FACE_SHARE
  length: int = 16

  def __post_init__(self) -> None:
    if not 32 <= self.size <= 1024:
      raise InferenceError(f'--size {self.size}; give 32 to 1024 pixels.')
    if not 0.4 <= self.face_share <= 0.8:
      raise InferenceError(
        f'--face-share {self.face_share:g}; give 0.4 to 0.8: S knows no other views.'
      )
    if self.length < 1:
      raise InferenceError(f'--length {self.length}; give 1 frame or more.')


class _Open(NamedTuple):
  """A clip to which frames may come: its name, its last frame, and where the face was in it."""

  name: str
  last: int
  box: np.ndarray


class _Waiting(NamedTuple):
  """A frame of a clip that waits for its map."""

  track: int
  number: int
  box: np.ndarray
  crop: np.ndarray
  for_s: np.ndarray


def cut_video(
  source: pathlib.Path,
  folder: pathlib.Path,
  name: str,
  detector: Detector,
  segmenter: Segmenter,
  cutting: Cutting,
  tell: Callable[[int], object] = lambda frames: None,
) -> dict[str, int]:
  """Cuts one video, in constant memory.

  Args:
    source: a video file.
    folder: an empty one, laid out as a clip_folder by this.
    name: begins the names of its clips.
    detector: finds upright faces.
    segmenter: S.
    cutting: how.
    tell: is given the number of frames that have been done since it was called before.

  Returns:
    The number of frames of each clip.

  Raises:
    InferenceError: the video cannot be read to its end, or the detector failed.
  """
  with VideoReader(source) as reader:
    work = _Work(folder, name, segmenter, cutting)
    tracker, late = Tracker(), deque[Frame]()

    def gather(followed: Sequence[TrackedFrame]) -> None:
      for tracked in followed:
        work.take(late.popleft().pixels, tracked)
      tell(len(followed))

    for frame in reader:
      height, width = frame.pixels.shape[:2]
      late.append(frame)
      faces = detector(frame.pixels)
      gather(tracker.push(faces, scenes.thumbnail(frame.pixels), (width, height)))
    gather(tracker.flush())
  return work.finish()


class _Work:
  """The clips of one video on their way."""

  def __init__(self, folder: pathlib.Path, name: str, segmenter: Segmenter, cutting: Cutting):
    self._folder, self._name = folder, name
    self._segmenter, self._cutting = segmenter, cutting
    self._open: dict[int, _Open] = {}  # by track
    self._waiting: list[_Waiting] = []
    self._parts: dict[int, int] = {}  # clips of each track
    self._frames: dict[str, int] = {}

  def take(self, picture: np.ndarray, followed: TrackedFrame) -> None:
    """Cuts the faces of a frame."""
    for tracked in followed.faces:
      face, size = tracked.face, self._cutting.size
      frame = crops.frame_of(face)
      frame = dataclasses.replace(frame, side=frame.side * FACE_SHARE / self._cutting.face_share)
      # Half the size: what is enlarged by more is blur, which is nothing to learn from.
      sure = min(part.score for part in tracked.regions) >= _SURE
      if tracked.state == 'held' or not sure or frame.side < size / 2:
        continue
      own = [crops.cut(picture, frame, side) for side in (size, self._segmenter.size)]
      box = np.array(face.box).reshape(1, 2, 2)
      self._waiting.append(_Waiting(tracked.track, followed.index, box, *own))
      if len(self._waiting) == _BATCH:
        self._write()

  def finish(self) -> dict[str, int]:
    """Writes what is left, and removes what is too short."""
    self._write()
    for clip, frames in list(self._frames.items()):
      if frames < self._cutting.length:
        del self._frames[clip]
        for part in ('images', 'masks'):
          shutil.rmtree(self._folder / part / clip)
    return self._frames

  def _write(self) -> None:
    views = [waiting.for_s for waiting in self._waiting]
    maps = segment_crops(self._segmenter, views, self._cutting.size, _BATCH)
    for waiting, semantic_map in zip(self._waiting, maps, strict=True):
      if np.isin(semantic_map, semantic.FOREGROUND).mean() < _LEAST_FOREGROUND:
        continue
      clip = self._clip(waiting)
      file = f'{waiting.number:06d}.png'
      # PNG: a JPEG's noise is another one in each frame, and would be learned as flicker
      Image.fromarray(waiting.crop).save(self._folder / 'images' / clip / file)
      content = pictures.encode_map(semantic_map, semantic_map.shape[::-1])
      (self._folder / 'masks' / clip / file).write_bytes(content)
      self._frames[clip] += 1
    self._waiting = []

  def _clip(self, waiting: _Waiting) -> str:
    """Returns the clip that a frame belongs to: that of the frame before it, or a new one."""
    before = self._open.get(waiting.track)
    if (
      before is not None
      and before.last == waiting.number - 1
      and association.overlaps(before.box, waiting.box)[0, 0] >= _KEPT
    ):
      clip = before.name
    else:
      part = self._parts[waiting.track] = self._parts.get(waiting.track, 0) + 1
      clip = f'{self._name}-face{waiting.track:03d}-{part}'
      for kind in ('images', 'masks'):
        (self._folder / kind / clip).mkdir(parents=True)
      self._frames[clip] = 0
    self._open[waiting.track] = _Open(clip, waiting.number, waiting.box)
    return clip
