"""Tracks of faces through a video: every frame of every face is covered.

A detector misses faces for a few frames, and finds others for a few frames only. The tracker is fed
the detections of one frame after another, and gives the frames back in order, a fixed number of
frames late, so that it knows what comes after each of them:

  detected  the face was found in this frame;
  bridged   it was missed for up to `bridge` frames between two detections of its track;
  held      it was not found yet, or no more, for up to `hold` frames before the first and after the
            last detection of its track; `late` where only thorough searches find it.

Every detection belongs to a track, whatever its score: one that nothing continues is a track of its
own. It is left out where closer looks (`confirming`) see no face in it on average. A track that
jumps, to where it was not expected, may have gone over to another face: what lies beyond the jump
is covered as if one track ended and another began. Nothing goes on over a scene cut, a change of
the picture's size or the end of the stream.
"""

import dataclasses
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anon_jax.inference import association, scenes
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.track import Settings, Track, Tracked


@dataclasses.dataclass(frozen=True)
class TrackedFrame:
  """The faces of one frame.

  Attributes:
    index: of the frame in the stream, from 0.
    begins_scene: whether a scene cut lies before it.
    faces: in the order of their tracks.
    left_out: numbers of the tracks that have a detection here and count as none.
  """

  index: int
  begins_scene: bool
  faces: tuple[Tracked, ...]
  left_out: tuple[int, ...] = ()


class _Waiting(NamedTuple):
  """A frame of which it is not known yet whether it begins a scene."""

  faces: tuple[Face, ...]
  size: tuple[int, int]
  resized: bool
  thorough: bool


class _Known(NamedTuple):
  """A frame whose detections belong to tracks."""

  number: int
  scene: int
  size: tuple[int, int]
  begins_scene: bool


class Tracker:
  """Finds the tracks of the faces of one stream; its memory is bounded by the lookahead.

  Args:
    settings: how far it looks.
  """

  def __init__(self, settings: Settings | None = None):
    self._settings = settings or Settings()
    self._scenes = scenes.Scenes()
    self._waiting: deque[_Waiting] = deque()
    self._known: deque[_Known] = deque()
    self._tracks: list[Track] = []
    self._pushed = self._joined = self._numbered = self._scene = 0
    self._size: tuple[int, int] | None = None

  def push(
    self,
    faces: Sequence[Face],
    thumbnail: np.ndarray,
    size: tuple[int, int],
    thorough: bool = False,
  ) -> list[TrackedFrame]:
    """Takes the next frame.

    Args:
      faces: its detections, in its pixels.
      thumbnail: of the frame, by `scenes.thumbnail`.
      size: width and height of the frame.
      thorough: whether it was searched more thoroughly than most.

    Returns:
      The frame `lookahead` frames ago; nothing for the first ones of a stream.

    Raises:
      InferenceError: the thumbnail is none.
    """
    resized = self._size is not None and size != self._size
    self._size = size
    self._waiting.append(_Waiting(tuple(faces), size, resized, thorough))
    self._pushed += 1
    for begins in self._scenes.push(thumbnail) if self._settings.cuts else [False]:
      self._join(begins)
    late = self._pushed - self._settings.lookahead
    return [self._finish() for _ in range(self._known[0].number < late if self._known else 0)]

  def early(self) -> TrackedFrame:
    """Returns the oldest frame before its turn: what comes later has no more say in it.

    Raises:
      InferenceError: there is none of which it is known whether it begins a scene.
    """
    if not self._known:
      raise InferenceError('no frame can be given away yet; push another.')
    return self._finish()

  @property
  def alive(self) -> frozenset[int]:
    """The numbers of the tracks that later frames may have."""
    return frozenset(track.number for track in self._tracks)

  def flush(self) -> list[TrackedFrame]:
    """Returns the frames that are left, after the end of the stream."""
    for begins in self._scenes.flush() if self._settings.cuts else []:
      self._join(begins)
    return [self._finish() for _ in range(len(self._known))]

  def _join(self, begins: bool) -> None:
    """Has the tracks take the detections of the first frame that waits."""
    waiting, frame = self._waiting.popleft(), self._joined
    self._joined += 1
    begins |= waiting.resized
    self._scene += begins
    self._known.append(_Known(frame, self._scene, waiting.size, begins))
    alive = [
      track
      for track in self._tracks
      if track.scene == self._scene and frame - track.path.last <= self._settings.bridge + 1
    ]
    expected = [track.expected(frame) for track in alive]
    reach = [association.reach(frame - track.path.last - 1, track.steady) for track in alive]
    tracks = association.pairs(expected, reach, waiting.faces)
    for place, face in enumerate(waiting.faces):
      if place in tracks:
        alive[tracks[place]].add(frame, face, waiting.thorough)
      else:
        track = Track(self._numbered, self._scene, frame, face, waiting.thorough)
        self._tracks.append(track)
        self._numbered += 1

  def _finish(self) -> TrackedFrame:
    """Gives the oldest frame away, and forgets what no later one needs."""
    index, scene, size, begins = self._known.popleft()
    settings = self._settings
    tracks = [track for track in self._tracks if track.scene == scene]
    found = [track.at(index, size, settings) for track in tracks]
    left_out = tuple(
      track.number
      for track in tracks
      if track.path.away(index) == 0 and track.doubted(index, settings)
    )
    reach = settings.reach + 1
    self._tracks = [track for track in self._tracks if index - track.path.last <= reach]
    for track in self._tracks:
      track.path.forget(index - 2 * reach - settings.smooth)
    return TrackedFrame(index, begins, tuple(face for face in found if face is not None), left_out)
