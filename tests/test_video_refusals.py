"""Videos that are hostile, damaged or cut short end in one line; the child is limited and ended."""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from anon_jax.inference import child, video_reading
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.video_reading import VideoError, VideoReader

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOISE = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), np.uint8)


def _encode(path, frames=NOISE, codec='libx264', options=None):
  height, width = frames[0].shape[:2]
  with av.open(path, 'w', options=options or {}) as output:
    base = Fraction(1, 25)
    stream = output.add_stream(codec, 25, width=width, height=height, time_base=base)
    stream.pix_fmt = 'yuv420p'
    for number, frame in enumerate(frames):
      picture = av.VideoFrame.from_ndarray(frame, 'rgb24')
      picture.pts, picture.time_base = number, base
      output.mux(stream.encode(picture))
    output.mux(stream.encode(None))
  return path


@pytest.fixture(scope='module')
def good(tmp_path_factory):
  """A video whose index stands in front, so that it can be cut."""
  path = tmp_path_factory.mktemp('good') / 'good.mp4'
  return _encode(path, options={'movflags': 'faststart'})


def _refusal(path, **options):
  """Returns the one line in which a file is refused, without its name."""
  with pytest.raises(VideoError) as caught, VideoReader(path, **options) as reader:
    for _ in reader:
      pass
  text = str(caught.value)
  assert '\n' not in text
  assert text.startswith(f'{path} ')
  assert text.endswith('.')
  return text.removeprefix(f'{path} ')


@pytest.mark.parametrize(
  'content',
  [
    b'ffconcat version 1.0\nfile good.mp4\n',
    b"file 'good.mp4'\n",
    b'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n',
    b'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n',
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    b'\x89PNG\r\n\x1a\n' + bytes(100),
    b'RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data' + bytes(9),
    np.random.default_rng(1).bytes(5000),
    b'\0',
  ],
)
def test_what_is_no_video_is_refused_whatever_its_name(tmp_path, good, content):
  shutil.copy(good, tmp_path)  # a script would find it
  (tmp_path / 'a.mp4').write_bytes(content)
  said = _refusal(tmp_path / 'a.mp4')
  assert said.startswith('cannot be read as a video (')
  assert said.endswith('); give a whole MP4, MOV, MKV, WebM, AVI, MPEG, FLV or Ogg file.')


def test_names_that_are_protocols_are_names_of_files(tmp_path, good, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in (f'concat:{good}', f'file:{good}', f'subfile,,start,0,end,0,,:{good}', 'http://a'):
    with pytest.raises(VideoError, match=r'cannot be opened \(No such file or directory\)'):
      VideoReader(name)


def test_only_regular_files_that_hold_something_are_opened(tmp_path):
  os.mkfifo(tmp_path / 'fifo')
  (tmp_path / 'empty').touch()
  for path in (tmp_path / 'fifo', tmp_path, '/dev/zero'):
    assert _refusal(path) == 'is no regular file; give a video file.'
  assert _refusal(tmp_path / 'empty') == 'is empty; give a video file.'
  assert _refusal(tmp_path / 'none').startswith('cannot be opened (No such file or directory)')


def test_a_video_that_was_cut_short_is_refused_after_what_is_whole(tmp_path, good):
  content = good.read_bytes()
  for part in (0.3, 0.5, 0.95):
    (tmp_path / 'a.mp4').write_bytes(content[: int(len(content) * part)])
    with VideoReader(tmp_path / 'a.mp4') as reader:
      count = 0
      with pytest.raises(VideoError, match=r'is cut short or damaged at frame \d+ \('):
        for _ in reader:
          count += 1
    assert count < 30
  (tmp_path / 'a.mp4').write_bytes(content[:500])
  assert 'cannot be read as a video' in _refusal(tmp_path / 'a.mp4')


@pytest.mark.parametrize(('codec', 'name'), [('libx264', 'a.mp4'), ('mpeg4', 'a.avi')])
def test_damage_in_the_middle_is_no_picture(tmp_path, codec, name):
  content = bytearray(_encode(tmp_path / name, codec=codec).read_bytes())
  middle = len(content) // 2
  for damage in (bytes(400), b'\xff' * 400, bytes(range(200)) * 2):
    content[middle : middle + 400] = damage
    (tmp_path / name).write_bytes(content)
    assert 'damaged' in _refusal(tmp_path / name)


def test_a_matroska_file_of_which_a_part_is_left_out_is_refused(tmp_path):
  path = _encode(tmp_path / 'a.webm', codec='libvpx-vp9')
  content = bytearray(path.read_bytes())
  blocks = re.finditer(rb'\xa3[\x40-\x7f].\x81', content, re.DOTALL)  # name, length, track
  block = [match.start() for match in blocks][10]
  content[block : block + 4] = bytes(4)
  path.write_bytes(content)
  assert '(its structure is broken); give a sound copy.' in _refusal(path)


def test_a_change_of_size_is_refused(tmp_path):
  path = tmp_path / 'a.mkv'
  with av.open(path, 'w') as output:
    base = Fraction(1, 25)
    stream = output.add_stream('libvpx', 25, width=64, height=48, time_base=base)
    for number, height in enumerate((48, 32)):
      encoder = av.CodecContext.create('libvpx', 'w')
      encoder.width, encoder.height, encoder.time_base = 64, height, base
      encoder.pix_fmt, encoder.framerate = 'yuv420p', 25
      frame = av.VideoFrame(64, height, 'yuv420p')
      frame.pts = number
      for packet in encoder.encode(frame) + encoder.encode(None):
        packet.stream = stream
        output.mux(packet)
  said = 'changes its size at frame 2, from 64 x 48 to 64 x 32; convert it to one size.'
  assert _refusal(path) == said


def test_more_pixels_than_are_taken_are_refused_before_they_are_decoded(tmp_path):
  path = tmp_path / 'a.mov'
  with av.open(path, 'w') as output:
    stream = output.add_stream('png', 25, width=10_000, height=5_001, pix_fmt='gray')
    output.mux(stream.encode(av.VideoFrame(10_000, 5_001, 'gray')))
    output.mux(stream.encode(None))
  assert _refusal(path).startswith('has frames of 10000 x 5001 pixels; at most 50 megapixels are')


def test_a_child_that_is_killed_or_hangs_is_named(good):
  with VideoReader(good) as reader:
    frames = iter(reader)
    next(frames)
    os.kill(reader.pid, signal.SIGKILL)
    with pytest.raises(VideoError, match=r'brought the decoder down \(SIGKILL\); replace or'):
      list(frames)
  with VideoReader(good, seconds=0.3) as reader:
    os.kill(reader.pid, signal.SIGSTOP)
    with pytest.raises(VideoError, match=r'took longer than 0\.3 s to decode a frame; reduce'):
      list(reader)


def test_a_video_that_needs_too_much_memory_is_refused(tmp_path):
  large = np.zeros((1, 7000, 7000, 3), np.uint8)
  path = _encode(tmp_path / 'a.mp4', large, 'mpeg4')
  assert _refusal(path, memory=300 << 20) == 'needs more memory than is granted; reduce it.'


@pytest.mark.parametrize(
  'change',
  [
    {'size': [100_000, 100_000]},
    {'size': [0, 4]},
    {'size': 'x'},
    {'time_base': [1, 0]},
    {'aspect': [-1, 1]},
    {'colour': [3, 2, 2]},
    {'colour': [1, 2, 10**6]},
  ],
)
def test_nonsense_from_the_child_is_no_video(good, monkeypatch, change):
  """What a hostile file may have made of the child must not reach further."""
  receive = child.receive_message

  def changed(*args):
    message = receive(*args)
    message['video'] |= change
    return message

  monkeypatch.setattr(video_reading, 'receive_message', changed)
  with pytest.raises(VideoError, match='brought the decoder down'):
    VideoReader(good)


@pytest.mark.parametrize('message', [{'time': 'x'}, {}, {'end': 7}, {'time': 2**63, 'duration': 0}])
def test_nonsense_instead_of_a_frame_is_none(good, monkeypatch, message):
  with VideoReader(good) as reader:
    monkeypatch.setattr(video_reading, 'receive_message', lambda *_: message)
    with pytest.raises(VideoError, match='brought the decoder down'):
      list(reader)


def test_messages_have_an_end():
  for text in (b'[]', b'no json', b''):
    ours, theirs = child.socket.socketpair()
    with ours, theirs:
      theirs.sendall(struct.pack('>I', len(text)) + text)
      with pytest.raises(child.Crash):
        child.receive_message(ours)
  ours, theirs = child.socket.socketpair()
  theirs.close()
  with ours, pytest.raises(child.HungUp):
    child.receive_message(ours)


def test_a_child_that_does_not_start_is_no_fault_of_the_file(good, monkeypatch):
  monkeypatch.setattr(child.sys, 'executable', '/bin/false')
  with pytest.raises(InferenceError, match=r'does not start .*exit code 1') as caught:
    VideoReader(good)
  assert not isinstance(caught.value, VideoError)


def test_the_child_holds_neither_jax_nor_more_than_it_may(good):
  with VideoReader(good) as reader:
    next(iter(reader))
    place = pathlib.Path(f'/proc/{reader.pid}')
    maps = (place / 'maps').read_text()
    assert 'avcodec' in maps
    assert 'jaxlib' not in maps
    limits = (place / 'limits').read_text()
    assert f'Max address space         {video_reading.MEMORY}' in limits
    assert 'Max core file size        0' in limits
  assert not place.exists()


_MEASURE = """
import json, pathlib, re, sys, time
from anon_jax.inference.video_reading import VideoReader

def _peak(process):
  status = pathlib.Path(f'/proc/{process}/status').read_text()
  return int(re.search(r'VmHWM:\\s+(\\d+)', status)[1])

with VideoReader(sys.argv[1]) as reader:
  for count, _ in enumerate(reader):
    if count == 30:
      status = pathlib.Path(f'/proc/{reader.pid}/stat')
      time.sleep(0.2)
      before = status.read_text().split()[13]
      time.sleep(0.2)
      waited = before == status.read_text().split()[13]
    if count % 29 == 0:
      peaks = [_peak(process) for process in ('self', reader.pid)]
print(json.dumps([count, waited, *peaks]))
"""


def test_memory_does_not_grow_with_length_and_the_child_waits(tmp_path):
  frames = np.broadcast_to(np.arange(240, dtype=np.uint8)[:, None, None], (240, 320, 3))
  found = []
  for number, length in enumerate((60, 600)):
    path = _encode(tmp_path / f'{number}.mp4', [frames] * length, 'mpeg4')
    command = [sys.executable, '-c', _MEASURE, path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found.append(json.loads(done.stdout))
  (_, _, *short), (count, waited, *long) = found
  assert count == 599
  assert waited
  # kilobytes; 540 more frames have 124 MB
  assert max(np.subtract(long, short)) < 3000


def test_nothing_stays_open(good):
  before = set(pathlib.Path('/proc/self/fd').iterdir())
  with VideoReader(good) as reader:
    assert len(list(reader)) == 30
  begun = time.monotonic()
  with VideoReader(good) as reader:
    next(iter(reader))
  assert time.monotonic() - begun < 5
  assert set(pathlib.Path('/proc/self/fd').iterdir()) == before
