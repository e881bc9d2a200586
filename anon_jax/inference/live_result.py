"""What became of a live picture, in numbers whose memory does not grow with its length."""

import collections
import dataclasses
from typing import Any

from anon_jax.inference.decisions import Decision
from anon_jax.inference.track import Tracked

_BINS = 100  # a second


@dataclasses.dataclass
class LiveResult:
  """What became of the frames of a live picture.

  Attributes:
    received: frames that the camera gave until the last one that was taken.
    seconds: until then, since the first frame.
    searched: frames that were taken and searched for faces.
    shown: frames that were written.
    without_faces: of these, those in which there was nothing to replace.
    dropped: frames that were searched and not written, by reason.
    states: faces in written frames by 'detected', 'bridged' and 'held'.
    actions: the same by 'synthesized', 'filled', 'pixelated' and 'blurred'.
    reasons: the same by the reason why they were filled.
    tracks: how many faces were followed.
    left_out: detections of tracks that count as none.
    broken: why there were no more of them; '' where nothing broke.
  """

  received: int = 0
  seconds: float = 0.0
  searched: int = 0
  shown: int = 0
  without_faces: int = 0
  dropped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  states: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  reasons: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  tracks: int = 0
  left_out: int = 0
  broken: str = ''
  _delays: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)

  def show(self, delay: float, has_faces: bool) -> None:
    """Counts a frame that was written so many seconds after it arrived."""
    self.shown += 1
    self.without_faces += not has_faces
    self._delays[round(delay * _BINS)] += 1

  def count(self, tracked: Tracked, decision: Decision) -> None:
    """Counts a face."""
    self.tracks = max(self.tracks, tracked.track + 1)
    self.states[tracked.state] += 1
    self.actions[decision.action] += 1
    if decision.reason:
      self.reasons[decision.reason] += 1

  def delay(self, share: float) -> float:
    """Returns the seconds within which a share of the frames was written, to a hundredth."""
    wanted, seen = share * self._delays.total(), 0
    for hundredths, count in sorted(self._delays.items()):
      seen += count
      if seen >= wanted:
        return hundredths / _BINS
    return 0.0

  @property
  def dropped_in_all(self) -> int:
    """Frames of the camera that are not in the output."""
    return self.received - self.shown

  @property
  def rate(self) -> float:
    """Frames a second that were written."""
    return self.shown / self.seconds if self.seconds else 0.0

  def record(self) -> dict[str, Any]:
    """Returns what the manifest says of it."""
    return {
      'seconds': round(self.seconds, 3),
      'frames_received': self.received,
      'frames_searched': self.searched,
      'frames_written': self.shown,
      'frames_without_faces': self.without_faces,
      'dropped': dict(self.dropped) | {'not searched': self.received - self.searched},
      'delay': {'median': self.delay(0.5), 'p95': self.delay(0.95), 'most': self.delay(1.0)},
      'tracks': self.tracks,
      'states': dict(self.states),
      'actions': dict(self.actions),
      'reasons': dict(self.reasons),
      'detections_left_out': self.left_out,
    }
