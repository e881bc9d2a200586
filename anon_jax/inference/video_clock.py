"""When frames are shown, where a file does not say it or says it wrongly."""

from fractions import Fraction

import av

from anon_jax.inference.video_pixels import RefusedVideo


class Rhythm:
  """Times of AVI, by when frames are decoded: what FFmpeg takes for more is wrong with B-frames."""

  def __init__(self) -> None:
    self._first: int | None = None
    self._delay: int | None = None

  def start(self, packet: av.Packet) -> None:
    """Is told of every packet before it is decoded."""
    if self._first is None:
      self._first = packet.dts

  def time(self, frame: av.VideoFrame) -> int | None:
    """Returns when a frame is shown, None for the last ones, which no packet brought out."""
    if frame.dts is None or self._first is None:
      return None
    if self._delay is None:
      self._delay = frame.dts - self._first
    return frame.dts - self._delay


class Clock:
  """Times that only go forward, in a stream's time base.

  A frame without a time follows the one before it by that one's duration, and so does one that is
  late by less.
  """

  def __init__(self, stream: av.VideoStream):
    self._base = Fraction(stream.time_base or 1)
    rate = stream.average_rate or stream.guessed_rate
    self._usual = max(1, round(1 / (rate * self._base))) if rate else 1
    self._last: int | None = None
    self._step = self._usual

  def time(self, frame: av.VideoFrame, number: int) -> tuple[int, int]:
    """Returns when frame `number` is shown, and its duration, 0 if that is unknown.

    Raises:
      RefusedVideo: it is earlier than that by more.
    """
    duration = max(0, frame.duration)
    time = frame.pts
    if self._last is None:
      time = 0 if time is None else time
    elif time is None:
      time = self._last + self._step
    elif time <= self._last:
      if time <= self._last - self._step:
        back = float((self._last - time) * self._base)
        raise RefusedVideo(
          f'has a clock that jumps back by {back:.3g} s at frame {number + 1}; cut it there'
        )
      time = self._last + self._step
    self._last, self._step = time, duration or self._usual
    return time, duration
