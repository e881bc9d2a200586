"""Decodes a video file; as a process of its own, the one that may crash, hang or fill up.

The process is started by `video_reading.VideoReader`, imports NumPy and PyAV only and limits
itself. What is sent is one message about the video, then a message a frame with its pixels behind
it, then the end: the socket's small buffer keeps it less than one frame ahead of the reader.
"""

import gc
import json
import math
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.container
from av.codec.context import Flags
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from anon_jax.inference.child import limit, limit_seconds, send
from anon_jax.inference.colour import UNSPECIFIED
from anon_jax.inference.video_clock import Clock, Rhythm
from anon_jax.inference.video_pixels import RefusedVideo, matrix_of, to_rgb, turn_of, upright

MAX_PIXELS = 50_000_000
# Names of FFmpeg's demuxers. Not among them: all that name other files (playlists, concat scripts),
# devices, and pictures.
FORMATS = 'mov,matroska,avi,mpegts,mpeg,flv,ogg'
# Of these, every packet is one picture that is shown: a decoder that leaves one out is noticed.
_ONE_PICTURE_A_PACKET = ('h264', 'hevc')
# Seconds by which a file has to last longer than what it shows, for its list of frames to count.
_LEAST_MISSING = 0.2


def opened(file: BinaryIO) -> av.container.InputContainer:
  """Opens a video file of a kind in FORMATS; nothing in it can make FFmpeg open another file.

  Raises:
    RefusedVideo: it is none.
  """
  try:
    return av.open(
      file,
      'r',
      options={'protocol_whitelist': 'pipe', 'format_whitelist': FORMATS},
      metadata_errors='ignore',
    )
  except MemoryError:
    raise
  except av.FFmpegError as error:
    raise RefusedVideo(
      f'cannot be read as a video ({_reason(error)}); give a whole MP4, MOV, MKV, WebM, AVI, '
      'MPEG, FLV or Ogg file'
    ) from None


def choose(container: av.container.InputContainer) -> tuple[av.VideoStream, list[str]]:
  """Returns the video stream, and the names of all else that the file holds.

  Of several the one marked as default is taken, of these the largest, of these the first.
  """
  pictures = Disposition.attached_pic | Disposition.timed_thumbnails
  videos = [s for s in container.streams.video if s.codec_context and not s.disposition & pictures]
  if not videos:
    raise RefusedVideo('holds no video stream that can be decoded; give a video')

  def rank(stream: av.VideoStream) -> tuple[bool, int]:
    return bool(stream.disposition & Disposition.default), stream.width * stream.height

  best = max(videos, key=rank)
  left_out = []
  for stream in container.streams:
    if stream.index != best.index:
      codec = f' ({stream.codec_context.codec.canonical_name})' if stream.codec_context else ''
      kind = 'picture' if stream.disposition & pictures else stream.type
      left_out.append(f'{kind} stream {stream.index}{codec}')
  if container.chapters():
    left_out.append('chapters')
  return best, left_out


def prepared(stream: av.VideoStream) -> None:
  """Sets a stream up so that what is damaged comes out marked, and is not left out."""
  check_pixels(stream.width, stream.height)
  stream.codec_context.flags |= Flags.output_corrupt
  if not stream.time_base:
    raise RefusedVideo('has no clock; convert it to MP4')


def check_pixels(width: int, height: int) -> None:
  """Raises RefusedVideo for frames without pixels or with too many."""
  if not 0 < width * height <= MAX_PIXELS:
    raise RefusedVideo(
      f'has frames of {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are '
      'taken: reduce it'
    )


def frames(
  container: av.container.InputContainer,
  stream: av.VideoStream,
  complaints: Callable[[], bytes] = bytes,
) -> Iterator[tuple[av.VideoFrame, int, int]]:
  """Decodes all frames, in the order in which they are shown.

  A frame without a time follows the one before it by that one's duration, and so does one that is
  late by less. AVI knows only when frames are decoded: they are shown in the same rhythm.

  Args:
    container: of the stream.
    stream: set up by `prepared`.
    complaints: returns what FFmpeg found wrong with the structure of the file so far.

  Yields:
    Frame, its time and its duration (0 if that is unknown) in the stream's time base.

  Raises:
    RefusedVideo: a part is damaged, or the size or the clock jumps.
  """
  number, packets, first, end, clock = 0, 0, 0, 0, Clock(stream)
  size: tuple[int, int] | None = None
  rhythm = Rhythm() if container.format.name == 'avi' else None
  try:
    for packet in container.demux(stream):
      if packet.is_corrupt:
        raise _damaged(number, 'its data is incomplete')
      if complaints():
        raise _damaged(number, 'its structure is broken')
      packets += packet.size > 0 and not packet.is_discard
      if rhythm:
        rhythm.start(packet)
      for frame in packet.decode():
        if frame.is_corrupt:
          raise _damaged(number, 'it cannot be decoded completely')
        size = size or (frame.width, frame.height)
        if size != (frame.width, frame.height):
          raise RefusedVideo(
            f'changes its size at frame {number + 1}, from {size[0]} x {size[1]} to '
            f'{frame.width} x {frame.height}; convert it to one size'
          )
        if rhythm:
          frame.pts = rhythm.time(frame)
        time, duration = clock.time(frame, number)
        yield frame, time, duration
        first, end = first if number else time, time + duration
        number += 1
  except MemoryError:
    raise
  except av.FFmpegError as error:
    raise _damaged(number, _reason(error)) from None
  if not number:
    raise RefusedVideo('holds no frame that can be decoded; give a whole video')
  if stream.codec_context.name in _ONE_PICTURE_A_PACKET and number < packets:
    raise RefusedVideo(
      f'is damaged: {packets - number} of its {packets} frames do not decode; give a sound copy'
    )
  _require_whole(stream, packets, end - first)


def _require_whole(stream: av.VideoStream, packets: int, shown: int) -> None:
  """Raises RefusedVideo where a file lists more frames than it has, and lasts longer, too.

  Each alone means nothing: a list of edits may leave frames out, and sound may last longer.
  """
  container: Any = stream.container
  length = (container.duration or 0) / av.time_base
  missing = length - float(shown * (stream.time_base or 0))
  if packets < stream.frames and missing > _LEAST_MISSING:
    raise RefusedVideo(
      f'is damaged: of its {stream.frames} frames there are {packets}; give a sound copy'
    )


def _damaged(number: int, reason: str) -> RefusedVideo:
  return RefusedVideo(
    f'is cut short or damaged at frame {number + 1} ({reason}); give a sound copy'
  )


def _reason(error: av.FFmpegError) -> str:
  return ' '.join(str(error.strerror or error).split())[:100]


def _outline(stream: av.VideoStream, frame: av.VideoFrame, left_out: list[str]) -> dict[str, Any]:
  """Returns what is said about a video, known with its first frame."""
  aspect = stream.sample_aspect_ratio or Fraction(1)
  swap = turn_of(frame)[0]
  width, height = (frame.height, frame.width) if swap else (frame.width, frame.height)
  rate = stream.average_rate or stream.guessed_rate or 0
  if any(component.bits > 8 for component in frame.format.components):
    left_out = [*left_out, 'all but 8 bits a channel']
  return {
    'size': (width, height),
    'time_base': Fraction(stream.time_base or 1).as_integer_ratio(),
    'rate': Fraction(rate).as_integer_ratio(),
    'aspect': (1 / aspect if swap else aspect).as_integer_ratio(),
    'colour': (matrix_of(frame), _defined(frame.color_primaries), _defined(frame.color_trc)),
    'left_out': left_out,
    'frames': _said_frames(stream, Fraction(rate)),
  }


def _said_frames(stream: av.VideoStream, rate: Fraction) -> int:
  """Returns how many frames a file says that it has, or by its length may have; 0 unknown."""
  container: Any = stream.container
  length = max(container.duration or 0, 0)
  return max(stream.frames, 0) or round(rate * length / av.time_base)


def _hearing() -> Callable[[], bytes]:
  """Returns a function for what FFmpeg complains of in the structure of Matroska and FLV files.

  Where one is broken, FFmpeg says so on stderr, leaves a part out, and goes on.
  """
  listening, speaking = os.pipe()
  for end in (listening, speaking):
    os.set_blocking(end, False)
  os.dup2(speaking, 2)
  av.logging.restore_default_callback()
  av.logging.set_libav_level(av.logging.ERROR)

  def complaints() -> bytes:
    try:
      said = os.read(listening, 1 << 16)
    except BlockingIOError:
      return b''
    return said if b'[matroska,webm @' in said or b'[flv @' in said else b''

  return complaints


def _defined(code_point: int) -> int:
  """Returns a code point, or that nothing is said where H.273 reserves it: no encoder takes it."""
  return code_point if code_point in (1, *range(4, 23)) else UNSPECIFIED


def serve(file: BinaryIO, emit: Callable[..., None], pixels: bool, seconds: float) -> None:
  """Decodes a file and tells `emit` (a message, and pixels or None) all about it.

  Raises:
    RefusedVideo: the file is not taken, and why.
  """
  complaints = _hearing()
  container = opened(file)
  stream, left_out = choose(container)
  prepared(stream)
  reformatter = VideoReformatter()
  count = 0
  for frame, time, duration in frames(container, stream, complaints):
    check_pixels(frame.width, frame.height)
    if not count:
      emit({'video': _outline(stream, frame, left_out)}, None)
    count += 1
    content = None
    if pixels:
      content = upright(to_rgb(frame, reformatter), turn_of(frame)).data.cast('B')
    emit({'time': time, 'duration': duration}, content)
    limit_seconds(seconds)
    # A frame whose side data was looked at holds itself, and would stay until many have gathered.
    del frame
    gc.collect()
  emit({'end': count}, None)


def main() -> None:
  """Decodes one file: arguments are the socket and, as JSON, file, bytes, seconds and pixels."""
  connection = socket.socket(fileno=int(sys.argv[1]))
  asked = json.loads(sys.argv[2])
  limit(resource.RLIMIT_AS, asked['memory'])
  limit(resource.RLIMIT_CORE, 0)  # a dump would hold frames
  limit(resource.RLIMIT_FSIZE, 0)
  limit_seconds(asked['seconds'])
  gc.freeze()  # what is here now need not be looked through after every frame
  send(connection, {'ready': True})
  try:
    with os.fdopen(asked['file'], 'rb') as file:
      serve(
        file, lambda *what: send(connection, *what), asked['pixels'], math.ceil(asked['seconds'])
      )
  except RefusedVideo as error:
    send(connection, {'error': str(error)})
  except MemoryError:
    send(connection, {'error': 'needs more memory than is granted; reduce it'})


if __name__ == '__main__':
  main()
