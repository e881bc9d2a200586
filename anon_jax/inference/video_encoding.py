"""Encodes a video; as a process of its own, as it also takes the sound out of a foreign file.

The process is started by `video_writing.VideoWriter`, imports NumPy and PyAV only and limits
itself. A message a frame comes in with its pixels behind it, then the end.
"""

import json
import math
import os
import resource
import socket
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import VideoReformatter

from anon_jax.inference import video_decoding
from anon_jax.inference.child import (
  HungUp,
  limit,
  limit_seconds,
  receive,
  receive_message,
  send,
)
from anon_jax.inference.colour import Colour
from anon_jax.inference.video_pixels import LIMITED, RefusedVideo, to_yuv

# Encoders write their name, version and settings into supplemental information (SEI).
_WITHOUT_SEI = {'h264': 'filter_units=remove_types=6', 'hevc': 'filter_units=remove_types=39|40'}
# How many frames later a player can begin in a live stream.
_BEGINNINGS = 50
_FRAGMENT = 1_000_000  # microseconds
_LIVE = {'libx264': {'tune': 'zerolatency'}, 'libx265': {'tune': 'zerolatency'}}
_OPTIONS = {
  # Half the time of the default at equal size, and 0.8 dB of 49 less (measured at crf 18).
  'libx264': {'preset': 'veryfast'},
  # It writes its name into the header as well.
  'libx265': {'preset': 'veryfast', 'x265-params': 'info=0:log-level=none'},
}


class _RefusedSound(ValueError):
  """Sound that is not taken; the message goes on after its file's name."""


class _Sound:
  """The first audio stream of a file, packet by packet."""

  def __init__(self, file: BinaryIO, output: av.container.OutputContainer):
    try:
      container = video_decoding.opened(file)
    except RefusedVideo as error:
      raise _RefusedSound(str(error)) from None
    self.codec: str | None = None
    self._packets: Iterator[av.Packet] = iter(())
    self._next: av.Packet | None = None
    self._output = output
    if not container.streams.audio:
      return
    stream = container.streams.audio[0]
    if not stream.codec_context:
      raise _RefusedSound('has sound of an unknown kind; convert it, or leave the sound out')
    self.codec = stream.codec_context.codec.canonical_name
    try:
      self._stream = output.add_stream_from_template(stream)
    except ValueError:
      raise _RefusedSound(
        f'has sound of kind {self.codec}, which {output.format.name} does not hold; convert it to '
        'AAC, or leave the sound out'
      ) from None
    self._packets = self._demuxed(container, stream)

  def start(self) -> None:
    self._next = next(self._packets, None)

  def copy(self, until: Fraction | None) -> None:
    """Writes what begins before a time in seconds, or the rest: memory stays what it is."""
    while self._next is not None and (until is None or self._time(self._next) < until):
      self._next.stream = self._stream
      self._output.mux(self._next)
      self._next = next(self._packets, None)

  @staticmethod
  def _time(packet: av.Packet) -> Fraction:
    return (packet.dts or 0) * packet.time_base

  @staticmethod
  def _demuxed(container: Any, stream: av.AudioStream) -> Iterator[av.Packet]:
    try:
      for packet in container.demux(stream):
        if packet.is_corrupt:
          raise _RefusedSound('has sound that is cut short; give a sound copy, or leave it out')
        if packet.size:
          yield packet
    except av.FFmpegError as error:
      raise _RefusedSound(
        f'has damaged sound ({error.strerror}); give a sound copy, or leave it out'
      ) from None


class _Picture:
  """The video stream that is written."""

  def __init__(self, asked: dict[str, Any], output: av.container.OutputContainer):
    self._output = output
    self._time_base = Fraction(*asked['time_base'])
    self._colour = Colour(*asked['colour'])
    self._reformatter = VideoReformatter()
    self._durations: dict[int, int] = {}
    width, height = asked['size']
    try:
      if av.Codec(asked['codec'], 'w').type != 'video':
        raise RefusedVideo(f'{asked["codec"]!r} encodes no video; choose libx264')
      stream = output.add_stream(
        asked['codec'],
        rate=Fraction(*asked['rate']),
        width=width + width % 2,
        height=height + height % 2,
        time_base=self._time_base,
        options={
          'crf': str(asked['crf']),
          **_OPTIONS.get(asked['codec'], {}),
          **(_LIVE.get(asked['codec'], {}) if asked['live'] else {}),
        },
      )
    except av.codec.codec.UnknownCodecError:
      raise RefusedVideo(f'this FFmpeg has no encoder {asked["codec"]!r}; choose libx264') from None
    except ValueError as error:
      if isinstance(error, RefusedVideo):
        raise
      raise RefusedVideo(f'{error}; choose libx264') from None
    context = stream.codec_context
    context.pix_fmt = 'yuv420p'
    # Frames are stored in the order in which they are shown: else MP4's durations, which are those
    # of storing, do not add up to the video's where frames last differently.
    context.max_b_frames = 0
    context.sample_aspect_ratio = Fraction(*asked['aspect'])
    context.color_range, context.colorspace = LIMITED, self._colour.matrix
    context.color_primaries = self._colour.primaries
    context.color_trc = self._colour.transfer
    if asked['live']:
      context.gop_size = _BEGINNINGS
    self._stream = stream
    self._filter: BitStreamFilterContext | None = None

  def start(self) -> None:
    """After the file's header was written."""
    if 'crf' in self._stream.options:  # it would have been taken out
      raise RefusedVideo(f'{self._stream.codec_context.name} knows no crf; choose libx264')
    without = _WITHOUT_SEI.get(self._stream.codec_context.codec.canonical_name)
    self._filter = BitStreamFilterContext(without, self._stream) if without else None

  def write(self, pixels: np.ndarray, time: int, duration: int) -> None:
    frame = to_yuv(pixels, self._colour, self._reformatter)
    frame.pts, frame.time_base = time, self._time_base
    self._durations[time] = duration
    self._mux(self._stream.encode(frame))

  def finish(self) -> None:
    self._mux(self._stream.encode(None))

  def _mux(self, packets: list[av.Packet]) -> None:
    for packet in packets:
      packet.duration = self._durations.pop(packet.pts or 0)
      for out in self._filter.filter(packet) if self._filter else [packet]:
        out.stream, out.time_base = self._stream, self._time_base
        self._output.mux(out)


def _container_options(kind: str, scale: int, live: bool) -> dict[str, str]:
  # bitexact: without the encoder's name.
  options = {'fflags': '+bitexact'}
  if kind != 'matroska':
    # For edit lists, which say when a track begins: in milliseconds, else.
    options['movie_timescale'] = str(scale)
  if live:
    options['flush_packets'] = '1'
  if live and kind == 'matroska':
    options['live'] = '1'
    options['cluster_time_limit'] = (
      '0'  # a frame is handed on with the next one, not after a second
    )
  elif live:
    options['movflags'] = '+frag_keyframe+empty_moov+default_base_moof'
    options['frag_duration'] = str(_FRAGMENT)
  return options


def serve(connection: socket.socket, asked: dict[str, Any]) -> None:
  """Writes the file that is asked for, from the frames that come in.

  Raises:
    RefusedVideo: it cannot be written so.
    _RefusedSound: the sound cannot be copied.
    HungUp: the other side ended, and no more frames come.
  """
  height, width = asked['size'][::-1]
  scale = Fraction(*asked['time_base']).denominator
  while scale < 10_000:  # as FFmpeg does with tracks
    scale *= 2
  with os.fdopen(asked['file'], 'wb') as file:
    output = av.open(
      file,
      'w',
      format=asked['kind'],
      container_options=_container_options(asked['kind'], scale, asked['live']),
    )
    picture = _Picture(asked, output)
    sound = None
    if asked['sound'] is not None:
      sound = _Sound(os.fdopen(asked['sound'], 'rb'), output)
    output.start_encoding()
    picture.start()
    if sound:
      sound.start()
    send(connection, {'sound': sound and sound.codec})
    pixels = np.empty((height, width, 3), np.uint8)
    while 'end' not in (message := receive_message(connection)):
      limit_seconds(asked['seconds'])
      receive(connection, pixels.reshape(-1).data)
      if sound:
        sound.copy(message['time'] * Fraction(*asked['time_base']))
      picture.write(pixels, message['time'], message['duration'])
      if asked['live']:
        file.flush()
    picture.finish()
    if sound:
      sound.copy(None)
    output.close()
  send(connection, {'end': True})


def main() -> None:
  """Writes one file: arguments are the socket and, as JSON, what is asked for."""
  connection = socket.socket(fileno=int(sys.argv[1]))
  asked = json.loads(sys.argv[2])
  limit(resource.RLIMIT_AS, asked['memory'])
  limit(resource.RLIMIT_CORE, 0)  # a dump would hold frames
  limit_seconds(math.ceil(asked['seconds']))
  av.logging.set_level(None)
  send(connection, {'ready': True})
  try:
    serve(connection, asked)
  except RefusedVideo as error:
    send(connection, {'error': str(error)})
  except _RefusedSound as error:
    send(connection, {'error': str(error), 'of_sound': True})
  except MemoryError:
    send(connection, {'error': 'it needs more memory than is granted; reduce it'})
  except (av.FFmpegError, OSError) as error:
    send(connection, {'error': f'{error.strerror or error}; make room there'})
  except HungUp:
    pass


if __name__ == '__main__':
  main()
