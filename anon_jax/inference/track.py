"""One face through one scene: in which frames it is, and what is covered because of it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from anon_jax.inference import association, covering, crops, scenes
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.smoothing import Path, centre, enlarged, moved, widened

_GAIN = 0.75  # of a track's velocity, for what was measured last
# By so much of its sides the box of a face that was not found grows on each side, for each frame
# that the nearest detection is away, up to `Settings.growing`: faces do not move on straight lines.
# It is as large as the largest of its track around, besides: some frames are searched in other
# ways, and boxes differ. docs/anonymize.md says how often that is not enough; growing on exposed no
# less.
_GROWN = 0.1
# A track counts as far as closer looks are so sure of it, on average.
_CONFIRMED = 0.1
# Shares of the way that a held face would have gone: it may be anywhere on it.
_WAY = (0.5, 1.0)
# On a long way there is a place for each so many sides of the face, up to so many places.
_STEP, _STEPS = 0.7, 8


@dataclasses.dataclass(frozen=True)
class Settings:
  """How far a tracker looks, in frames.

  Attributes:
    lookahead: by how many frames the result is late, at most.
    bridge: longest gap between two detections of one track: three that are missed of a face that
      is found in every fifth frame only leave one of 19.
    hold: by how many frames a track is prolonged at either end.
    smooth: radius of the window in which crops are smoothed; 0: not at all.
    late: by how many it is where only thorough searches found it there, so many frames apart.
    linger: by how many it is after its last detection so far, where results are wanted before it
      is known what comes; from `bridge` on nothing that would be bridged is missed by that.
    cuts: whether the stream may have scene cuts, beyond which nothing goes on.
    looks: how many detections there have to be before closer looks can leave a track out.
    painted: how many frames a face may be from its nearest detection and still be painted; beyond,
      it is `lost`, and its places are to be filled.
    growing: for how many frames the box of a face that is not found grows.
  """

  lookahead: int = 25
  bridge: int = 20
  hold: int = 5
  smooth: int = 4
  late: int = 0
  linger: int = 0
  cuts: bool = True
  looks: int = 1
  painted: int = 25
  growing: int = 3

  def __post_init__(self) -> None:
    reaches = {name: getattr(self, name) for name in ('bridge', 'hold', 'smooth', 'late')}
    given = ', '.join(f'{name}={frames}' for name, frames in reaches.items())
    if min(reaches.values()) < 0:
      raise InferenceError(f'{given}; give 0 frames or more.')
    # what lingers needs no look ahead
    least = 0 if self.linger >= self.bridge and not self.cuts else max(reaches.values())
    least += scenes.DELAY if self.cuts else 0
    if self.lookahead < least:
      raise InferenceError(
        f'lookahead={self.lookahead}; give {least} frames or more: {scenes.DELAY} for scene cuts '
        f'beside {given}.'
      )

  @property
  def reach(self) -> int:
    """The most frames that a detection has a say in, before it or after it."""
    return max(self.bridge, self.hold, self.late, self.linger)


@dataclasses.dataclass(frozen=True)
class Tracked:
  """A face of a track in one frame.

  Attributes:
    track: number of its track; tracks are numbered from 0 through the stream.
    face: where its crop is cut, smoothed along the track. Its score is the greatest of the track
      within `bridge` or `hold` frames: a face that was just seen well is not a doubtful one.
    regions: what has to be covered, as faces: the detection of this frame; of a bridged face the
      detections before and after it and what lies between them; of a held one the detection at
      the end of its track, and where it would have moved and half of the way there. Besides, for
      `hold` frames, what lies beyond a jump of its track.
    state: 'detected', 'bridged' or 'held'.
    lost: whether it is too far from any detection to be painted.
  """

  track: int
  face: Face
  regions: tuple[Face, ...]
  state: Literal['detected', 'bridged', 'held']
  lost: bool = False

  def covered(self, width: int, height: int) -> np.ndarray:
    """Returns the pixels to be covered in a picture of that size, bool [height, width].

    They are the union of what covers `face` and each of `regions` alone.
    """
    mask = np.zeros((height, width), bool)
    for face in (self.face, *self.regions):
      left, top, part = covering.region(face, crops.frame_of(face), width, height)
      mask[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return mask


class Track:
  """A face through one scene."""

  def __init__(self, number: int, scene: int, frame: int, face: Face, thorough: bool):
    self.number, self.scene = number, scene
    self.path = Path()
    self.path.add(frame, face, True, thorough)
    self.newest = face
    self._velocity: np.ndarray | None = None

  @property
  def steady(self) -> bool:
    """Whether a velocity is known."""
    return self._velocity is not None

  def expected(self, frame: int) -> tuple[Face, Face]:
    """Returns where the face is by its velocity, and where it is if it has stopped."""
    if self._velocity is None:
      return self.newest, self.newest
    return moved(self.newest, self._velocity * (frame - self.path.last)), self.newest

  def add(self, frame: int, face: Face, thorough: bool) -> None:
    """Takes the track's next detection."""
    sure = association.sure(self.expected(frame), face)
    measured = (centre(face) - centre(self.newest)) / (frame - self.path.last)
    old = measured if self._velocity is None else self._velocity
    self._velocity = old + _GAIN * (measured - old)
    self.path.add(frame, face, sure, thorough)
    self.newest = face

  def doubted(self, frame: int, settings: Settings) -> bool:
    """Tells whether closer looks see no face in its detections around a frame."""
    if self.path.near(frame, settings.reach) < settings.looks:
      return False
    return self.path.confirmed(frame, settings.reach) < _CONFIRMED

  def at(self, frame: int, size: tuple[int, int], settings: Settings) -> Tracked | None:
    """Returns the face in a frame of its scene; None where it has none."""
    path = self.path
    end = min(max(frame, path.first), path.last)
    late = settings.late if path.elusive(end, settings.late) else 0
    most = max(settings.hold, late, settings.linger if frame > end else 0)
    if abs(frame - end) > most or self.doubted(end, settings):
      return None
    regions = path.around(end)
    state: Literal['detected', 'bridged', 'held'] = 'detected'
    if frame != end:
      state = 'held'
      way = path.velocity(frame > end) * (frame - end)
      if not _shows(moved(regions[0], way).box, size):
        return None
      regions = (*regions, *self._onwards(regions[0], way, frame, settings, abs(frame - end)))
    elif len(regions) > 1:
      state = 'bridged'
      between = self._doubtful(path.interpolated(frame), frame, settings, path.away(frame))
      regions = (regions[0], between, regions[1])
    for other, way, away in path.beyond(frame, settings.hold):
      regions = (*regions, other, *self._onwards(other, way, frame, settings, away))
    face = path.smoothed(end, settings.smooth, path.score(frame, settings.reach))
    return Tracked(self.number, face, regions, state, path.away(frame) > settings.painted)

  def _onwards(
    self, face: Face, way: np.ndarray, frame: int, settings: Settings, away: int
  ) -> list[Face]:
    """Returns where a face may be that was seen so many frames away, if it went on such a way."""
    shares: Sequence[float] = _WAY
    if settings.linger:  # it may be long
      sides = (face.box[2] - face.box[0], face.box[3] - face.box[1])
      steps = max(len(_WAY), min(math.ceil((abs(way) / sides).max() / _STEP), _STEPS))
      shares = [step / steps for step in range(1, steps + 1)]
    return [self._doubtful(moved(face, way * share), frame, settings, away) for share in shares]

  def _doubtful(self, face: Face, frame: int, settings: Settings, away: int) -> Face:
    """Returns a face that was not detected in a frame, as large as it may be there."""
    extent = self.path.extent(frame, settings.reach)
    return enlarged(widened(face, extent), _GROWN * min(away, settings.growing))


def _shows(box: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
  """Tells whether a box lies in a picture with any part."""
  return box[0] < size[0] and box[1] < size[1] and box[2] > 0 and box[3] > 0
