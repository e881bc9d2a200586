"""Live videos: in fragments that can be played up to any of them, or into a pipe as they come."""

import contextlib
import io
import os
import re
import signal
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_streaming import VideoStreamer
from anon_jax.inference.video_writing import VideoWriter

MS = Fraction(1, 1000)
WIDTH, HEIGHT = 32, 24
TIMES = [0, 40, 50, 51, 500, 1000, 1001, 2400, 2440, 7000]


def _frame(number):
  return np.full((HEIGHT, WIDTH, 3), 20 + 20 * number, np.uint8)


@pytest.mark.parametrize('name', ['a.mp4', 'a.mov'])
def test_every_time_is_kept_exactly_in_fragments_and_nothing_else_is_there(tmp_path, name):
  with VideoWriter(tmp_path / name, WIDTH, HEIGHT, MS, live=True) as writer:
    for number, moment in enumerate(TIMES):
      writer.write(_frame(number), moment)
  with VideoReader(tmp_path / name) as reader:
    found = list(reader)
    assert [f.time * reader.outline.time_base for f in found] == [t * MS for t in TIMES]
    assert (reader.outline.width, reader.outline.height) == (WIDTH, HEIGHT)
  for number, frame in enumerate(found):
    assert np.abs(frame.pixels.astype(int) - _frame(number)).max() <= 4
  content = (tmp_path / name).read_bytes()
  assert content.count(b'moof') > 2
  assert b'x264' not in content
  assert b'Lavf' not in content


def test_a_file_that_is_cut_after_a_fragment_is_played_up_to_there(tmp_path):
  path = tmp_path / 'a.mp4'
  with VideoWriter(path, WIDTH, HEIGHT, MS, live=True) as writer:
    for number, moment in enumerate(TIMES):
      writer.write(_frame(number), moment)
  content = path.read_bytes()
  cut = content.index(b'moof', content.index(b'moof') + 4) - 4
  with av.open(io.BytesIO(content[:cut])) as container:
    times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
  assert 2 <= len(times) < len(TIMES)
  assert times == [t * MS for t in TIMES[: len(times)]]


def test_what_was_recorded_stays_when_it_cannot_be_written_any_further(tmp_path):
  with (
    pytest.raises(InferenceError) as caught,
    VideoWriter(tmp_path / 'a.mp4', WIDTH, HEIGHT, MS, live=True) as writer,
  ):
    for number in range(500):
      writer.write(_frame(number % 10), 200 * number)
      if number == 100:
        os.kill(writer.pid, signal.SIGKILL)
  (part,) = tmp_path.iterdir()
  assert part.name.startswith('.anon-jax-')
  assert str(caught.value).endswith(
    f'what was recorded until then is in {part}, which can be played when it is named *.mp4.'
  )
  assert 'the encoder broke down (SIGKILL)' in str(caught.value)
  with av.open(part) as container:
    assert sum(packet.size > 0 for packet in container.demux(video=0)) > 50


def test_ctrl_c_in_a_writer_leaves_nothing(tmp_path):
  with (
    pytest.raises(KeyboardInterrupt),
    VideoWriter(tmp_path / 'a.mp4', WIDTH, HEIGHT, MS, live=True) as writer,
  ):
    writer.write(_frame(1), 0)
    raise KeyboardInterrupt
  assert list(tmp_path.iterdir()) == []


class _Sink(threading.Thread):
  """Reads a pipe to its end."""

  def __init__(self, descriptor):
    super().__init__()
    self.content = bytearray()
    self._descriptor = descriptor
    self.start()

  def run(self):
    while part := os.read(self._descriptor, 1 << 16):
      self.content += part
    os.close(self._descriptor)


def _times(content):
  """Times of the frames that are in a piece of a stream."""
  times = []
  with contextlib.suppress(av.FFmpegError), av.open(io.BytesIO(bytes(content))) as container:
    assert container.format.name == 'matroska,webm'
    times += [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size]
  return times


def test_a_pipe_gets_every_frame_with_the_next_one_and_at_its_time():
  reading, writing = os.pipe()
  sink = _Sink(reading)
  with VideoStreamer(writing, WIDTH, HEIGHT, MS) as writer:
    for number, moment in enumerate(TIMES[:6]):
      writer.write(_frame(number), moment)
    for _ in range(200):
      if len(early := _times(sink.content)) >= 5:
        break
      time.sleep(0.02)
    assert early == [t * MS for t in TIMES[:5]]
    for number, moment in enumerate(TIMES[6:], 6):
      writer.write(_frame(number), moment)
  os.close(writing)
  sink.join()
  assert _times(sink.content) == [t * MS for t in TIMES]
  assert b'x264' not in sink.content
  assert re.search(rb'Lavf\d', sink.content) is None  # a name has to be there; no version


def test_a_pipe_that_nobody_reads_ends_it_in_one_line():
  reading, writing = os.pipe()
  os.close(reading)
  with (
    pytest.raises(InferenceError, match=r'^nobody reads the standard output any more\.$'),
    VideoStreamer(writing, WIDTH, HEIGHT, MS) as writer,
  ):
    for number in range(200):
      writer.write(_frame(number % 10), 40 * number)
  os.fstat(writing)  # it stays open
  os.close(writing)
