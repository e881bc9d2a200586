"""What became of a video and of each face and body in it."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.inference.decisions import BodyDecision


@dataclasses.dataclass
class Track:
  """What became of one face or body of a video.

  Attributes:
    number: of the track.
    first: first frame that it is in, from 0.
    states: frames by 'detected', 'bridged' and 'held'; of a body by 'given' and 'found'.
    actions: frames by 'synthesized', 'filled', 'pixelated', 'blurred' and 'left out'.
    reasons: frames by the reason why they were filled or left out.
  """

  number: int
  first: int
  states: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  reasons: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

  def leave_out(self) -> None:
    """Counts a frame in which it was detected, and is no face."""
    self.states['detected'] += 1
    self.actions['left out'] += 1
    self.reasons['a closer look sees no face'] += 1

  def record(self) -> dict[str, Any]:
    """Returns what the manifest says of it; `action` is that of most frames."""
    reason = self.reasons.most_common(1)
    return {
      'track': self.number,
      'first_frame': self.first,
      'frames': self.states.total(),
      'states': dict(self.states),
      'action': self.actions.most_common(1)[0][0],
      'actions': dict(self.actions),
      'reason': reason[0][0] if reason else '',
    }


@dataclasses.dataclass
class VideoResult:
  """What became of a video.

  Attributes:
    frames: written.
    without_faces: frames in which there was nothing to replace.
    tracks: by number.
    bodies: tracks of bodies by their numbers; their states are whose their masks are.
    sound: name of the codec of the sound that was copied; None without.
    left_out: what else the source held.
  """

  frames: int = 0
  without_faces: int = 0
  tracks: dict[int, Track] = dataclasses.field(default_factory=dict)
  bodies: dict[int, Track] = dataclasses.field(default_factory=dict)
  sound: str | None = None
  left_out: Sequence[str] = ()

  @property
  def found(self) -> bool:
    """Whether any frame had a face."""
    return self.without_faces < self.frames

  def track(self, number: int, frame: int) -> Track:
    """Returns a track, a new one where it is in a frame for the first time."""
    return self.tracks.setdefault(number, Track(number, frame))

  def body(self, decision: BodyDecision, frame: int) -> None:
    """Counts what became of a body in a frame."""
    track = self.bodies.setdefault(decision.number, Track(decision.number, frame))
    track.states[decision.state] += 1
    track.actions[decision.action] += 1
    if decision.reason:
      track.reasons[decision.reason] += 1

  def records(self) -> list[Mapping[str, Any]]:
    """Returns what the manifest says of its faces."""
    return [track.record() for _, track in sorted(self.tracks.items())]

  def body_records(self) -> list[Mapping[str, Any]]:
    """Returns what the manifest says of its bodies."""
    return [track.record() for _, track in sorted(self.bodies.items())]
