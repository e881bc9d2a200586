"""Reads a camera; as a process of its own, as what comes over a network may do anything.

The process is started by `camera.Camera`, imports NumPy and PyAV only and limits itself. It decodes
whatever the camera gives, as fast as it comes, and hands out the newest frame each time that it is
asked for one: what nobody asked for meanwhile is dropped here. A message about the camera comes
first; then a message a frame with its pixels behind it; then the end, or an error.
"""

import contextlib
import gc
import json
import math
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import av
import av.container
from av.video.reformatter import VideoReformatter

from anon_jax.inference import video_decoding
from anon_jax.inference.child import HungUp, limit, limit_seconds, receive_message, send
from anon_jax.inference.video_clock import Clock
from anon_jax.inference.video_pixels import RefusedVideo, matrix_of, to_rgb, turn_of, upright

_TIMEOUT = 10  # seconds without a byte from the network


def options(kind: str, address: str) -> tuple[str, dict[str, str]]:
  """Returns the demuxer and the options with which FFmpeg opens a device or an address.

  The demuxer is fixed, so the address is never taken for anything else, and so is what it may open
  besides: nothing for a device, a TCP connection (for rtsps:// with TLS) for the network.
  """
  if kind == 'device':
    return 'video4linux2', {'protocol_whitelist': 'pipe'}
  tls = address.lower().startswith('rtsps:')
  return 'rtsp', {
    'protocol_whitelist': 'tls,tcp' if tls else 'tcp',
    'format_whitelist': 'rtsp',
    'rtsp_transport': 'tcp',
    'allowed_media_types': 'video',
    'timeout': str(_TIMEOUT * 1_000_000),
    # It begins with the first frame: nobody needs to know how many there are in a second.
    'fpsprobesize': '0',
    'analyzeduration': '1000000',
  }


def _opened(asked: dict[str, Any]) -> av.container.InputContainer:
  if asked['kind'] == 'file':
    return video_decoding.opened(os.fdopen(asked['file'], 'rb'))
  demuxer, chosen = options(asked['kind'], asked['address'])
  try:
    return av.open(asked['address'], 'r', format=demuxer, options=chosen, metadata_errors='ignore')
  except MemoryError:
    raise
  except (av.FFmpegError, ValueError) as error:
    raise RefusedVideo(f'cannot be opened ({_reason(error)})') from None


def _frames(
  container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
  """Decodes whatever can be decoded whole.

  Raises:
    RefusedVideo: the camera has gone.
  """
  packets = container.demux(stream)
  while True:
    try:
      packet = next(packets, None)
    except MemoryError:
      raise
    except av.FFmpegError as error:
      raise RefusedVideo(f'broke off ({_reason(error)})') from None
    if packet is None:
      return
    decoded: list[av.VideoFrame] = []
    # Packets get lost, and cameras begin in the middle: what cannot be decoded is dropped, and so
    # is what is decoded in part, in which a face may not be found.
    with contextlib.suppress(av.error.InvalidDataError):
      decoded = packet.decode() if not packet.is_corrupt else []
    yield from (frame for frame in decoded if not frame.is_corrupt)


def _paced(frames: Iterator[av.VideoFrame], stream: av.VideoStream) -> Iterator[av.VideoFrame]:
  """Holds each frame of a file back until it is due, as a camera gives none before."""
  base, clock, begin, first = float(stream.time_base or 1), Clock(stream), 0.0, 0
  for number, frame in enumerate(frames):
    due, _ = clock.time(frame, number)
    if number:
      time.sleep(max(0.0, begin + (due - first) * base - time.monotonic()))
    yield frame
    if not number:  # it is held until somebody asks for it
      begin, first = time.monotonic(), due


def _is_asked(connection: socket.socket) -> bool:
  """Tells whether the other side waits for a frame; raises HungUp if there is none any more."""
  if not select.select([connection], [], [], 0)[0]:
    return False
  receive_message(connection)
  return True


def serve(connection: socket.socket, asked: dict[str, Any]) -> None:
  """Reads a camera until it ends, or until nobody listens.

  Raises:
    RefusedVideo: there is no picture, or no more.
    HungUp: the other side ended.
  """
  container = _opened(asked)
  stream, _ = video_decoding.choose(container)
  video_decoding.check_pixels(stream.width, stream.height)
  frames = _frames(container, stream)
  if asked['kind'] == 'file':
    frames = _paced(frames, stream)
  reformatter = VideoReformatter()
  number, size, wanted, begin = 0, (0, 0), False, 0.0
  for frame in frames:
    turn = turn_of(frame)
    shape = (frame.height, frame.width) if turn[0] else (frame.width, frame.height)
    if not number:
      video_decoding.check_pixels(*shape)
      size = shape
      send(connection, {'camera': {'size': size, 'matrix': matrix_of(frame)}})
      if asked['kind'] == 'file':
        receive_message(connection)
        wanted = True
    if shape != size:
      raise RefusedVideo(f'changed its size from {size[0]} x {size[1]} to {shape[0]} x {shape[1]}')
    arrived = time.monotonic()
    begin = begin or arrived
    number += 1
    wanted = _is_asked(connection) or wanted
    if wanted:
      pixels = upright(to_rgb(frame, reformatter), turn)
      moment = round((arrived - begin) * 1000)
      send(
        connection,
        {'number': number, 'time': moment, 'arrived': arrived},
        pixels.data.cast('B'),
      )
      wanted = False
    limit_seconds(asked['seconds'])
    del frame  # else it holds itself, see `video_decoding.serve`
    gc.collect()
  if not number:
    raise RefusedVideo('gives no frame that can be decoded')
  send(connection, {'end': number})


def _reason(error: Exception) -> str:
  return ' '.join(str(getattr(error, 'strerror', None) or error).split())[:100]


def main() -> None:
  """Reads one camera: arguments are the socket and, as JSON, what is asked for."""
  connection = socket.socket(fileno=int(sys.argv[1]))
  asked = json.loads(sys.argv[2])
  asked['seconds'] = math.ceil(asked['seconds'])
  limit(resource.RLIMIT_AS, asked['memory'])
  limit(resource.RLIMIT_CORE, 0)  # a dump would hold frames
  limit(resource.RLIMIT_FSIZE, 0)
  limit_seconds(asked['seconds'])
  av.logging.set_level(None)
  gc.freeze()  # what is here now need not be looked through after every frame
  send(connection, {'ready': True})
  with contextlib.suppress(HungUp, BrokenPipeError, ConnectionResetError):
    try:
      serve(connection, asked)
    except RefusedVideo as error:
      send(connection, {'error': str(error)})
    except MemoryError:
      send(connection, {'error': 'needs more memory than is granted; choose a smaller picture'})


if __name__ == '__main__':
  main()
