"""Whatever happens while a video is written, its name shows the old content or the new."""

import os
import pathlib
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from anon_jax.inference import child, placing, video_writing
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASE = Fraction(1, 25)
FRAME = np.full((24, 32, 3), 200, np.uint8)


@pytest.fixture
def target(tmp_path) -> pathlib.Path:
  """A file with content, which is to stay."""
  path = tmp_path / 'a.mp4'
  path.write_bytes(b'old')
  return path


def _assert_untouched(target):
  assert target.read_bytes() == b'old'
  assert [path.name for path in target.parent.iterdir()] == [target.name]


def _write(path, count=3, **options):
  with VideoWriter(path, 32, 24, BASE, **options) as writer:
    for number in range(count):
      writer.write(FRAME, number)


@pytest.mark.parametrize(
  ('options', 'expected'),
  [
    ({'codec': 'h266'}, r"this FFmpeg has no encoder 'h266'; choose libx264"),
    ({'codec': 'libvpx'}, r"'mp4' format does not support 'libvpx' codec; choose libx264"),
    ({'codec': 'aac'}, r"'aac' encodes no video; choose libx264"),
    ({'codec': 'mpeg4'}, r'mpeg4 knows no crf; choose libx264'),
    ({'aspect': Fraction(0)}, r'32 x 24 pixels of aspect 0 in units of 1/25 s are no video'),
    ({'count': 0}, r'no frame was given; give at least one'),
  ],
)
def test_what_cannot_be_written_so_is_said_in_one_line(target, options, expected):
  with pytest.raises(InferenceError, match=rf'/a\.mp4 cannot be written: {expected}\.$') as caught:
    _write(target, **options)
  assert '\n' not in str(caught.value)
  _assert_untouched(target)


@pytest.mark.parametrize(
  ('pixels', 'time', 'expected'),
  [
    (FRAME[1:], 5, r'a frame is uint8 \[23, 32, 3\]; give uint8 \[24, 32, 3\]'),
    (FRAME.astype(float), 5, r'a frame is float64 \[24, 32, 3\]; give uint8'),
    (FRAME, 2, r'frame 4 is shown at 2 for 0, the one before it at 2; give times that go forward'),
    (FRAME, -1, r'frame 4 is shown at -1 for 0, the one before it at 2; give times'),
  ],
)
def test_a_frame_that_does_not_fit_leaves_nothing(target, pixels, time, expected):
  writer = VideoWriter(target, 32, 24, BASE)
  with pytest.raises(InferenceError, match=rf'cannot be written: {expected}'), writer:
    for number in range(3):
      writer.write(FRAME, number)
    writer.write(pixels, time)
  _assert_untouched(target)


def test_names_that_say_no_kind_are_refused(tmp_path):
  for name in ('a.mkv', 'a.png', 'a', '.mp4'):
    with pytest.raises(InferenceError, match=r'its name ends with none of \.mp4, \.mov; give it'):
      _write(tmp_path / name)
  assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_named(target, tmp_path):
  (tmp_path / 'link.mp4').symlink_to(target)
  with pytest.raises(InferenceError, match=r'is a link; remove it, or give another name\.'):
    _write(tmp_path / 'link.mp4')
  with pytest.raises(InferenceError, match=r' cannot be written \(.*\); make room there'):
    _write(target / 'b.mp4')
  _write(tmp_path / 'new' / 'folder' / 'B.MOV')
  assert target.read_bytes() == b'old'


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
@pytest.mark.parametrize('moment', ['body', 'fsync', 'check', 'replace'])
def test_an_error_at_any_moment_leaves_the_old_file_alone(target, monkeypatch, error, moment):
  def fail(*_, **__):
    raise error

  where = {
    'fsync': (os, 'fsync'),
    'check': (video_writing, 'VideoReader'),
    'replace': (os, 'replace'),
  }
  if moment in where:
    monkeypatch.setattr(*where[moment], fail)
  writer = VideoWriter(target, 32, 24, BASE)
  pid = writer.pid
  with pytest.raises((InferenceError, KeyboardInterrupt, OSError)) as caught, writer:
    writer.write(FRAME, 0)
    if moment == 'body':
      fail()
  if isinstance(error, OSError) and moment != 'body':
    assert str(caught.value).startswith(f'{target} cannot be written (No space left on device); ')
  assert not pathlib.Path(f'/proc/{pid}').exists()
  _assert_untouched(target)


def test_what_does_not_decode_to_what_was_given_is_not_kept(target, monkeypatch):
  finish = placing.PartFile.finish

  def cut(new, check):
    os.truncate(new.part, new.part.stat().st_size - 400)
    finish(new, check)

  monkeypatch.setattr(placing.PartFile, 'finish', cut)
  with pytest.raises(InferenceError, match='cannot be written: what was written '):
    _write(target)
  _assert_untouched(target)
  monkeypatch.undo()
  send, wrong = child.send, {1: {'time': 9}, 3: None}

  for number, change in wrong.items():
    sent = []

    def other(connection, message, pixels=None, number=number, change=change, sent=sent):
      sent.append(message)
      if len(sent) == number + 1 and pixels is not None:
        if change is None:
          return
        message = message | change
      send(connection, message, pixels)

    monkeypatch.setattr(video_writing, 'send', other)
    with pytest.raises(InferenceError, match=r'what was written decodes to \d frames until 0\.'):
      _write(target, 4 if change is None else 2)
    _assert_untouched(target)


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(target, monkeypatch):
  done = []
  fsync, replace = os.fsync, os.replace

  def note_fsync(descriptor):
    name = pathlib.Path(f'/proc/self/fd/{descriptor}').readlink()
    done.append(('fsync', 'part' if name.suffix == '.part' else name))
    fsync(descriptor)

  def note_replace(source, to, **more):
    done.append(('replace', pathlib.Path(to)))
    replace(source, to, **more)

  monkeypatch.setattr(os, 'fsync', note_fsync)
  monkeypatch.setattr(os, 'replace', note_replace)
  _write(target)
  assert done == [('fsync', 'part'), ('replace', target), ('fsync', target.parent)]


def test_an_encoder_that_is_killed_or_hangs_is_named(target, monkeypatch):
  monkeypatch.setattr(video_writing, 'SECONDS', 0.5)
  for number, expected in (
    (signal.SIGKILL, r'the encoder broke down \(SIGKILL\); try another codec'),
    (signal.SIGSTOP, r'a frame took longer than 0\.5 s to encode; reduce it'),
  ):
    writer = VideoWriter(target, 32, 24, BASE)
    os.kill(writer.pid, number)
    with pytest.raises(InferenceError, match=f'cannot be written: {expected}'), writer:
      for count in range(1000):
        writer.write(FRAME, count)
    _assert_untouched(target)


def test_nothing_stays_open(tmp_path):
  before = set(pathlib.Path('/proc/self/fd').iterdir())
  _write(tmp_path / 'a.mp4')
  with pytest.raises(InferenceError):
    _write(tmp_path / 'b.mp4', codec='h266')
  assert set(pathlib.Path('/proc/self/fd').iterdir()) == before
  assert [path.name for path in tmp_path.iterdir()] == ['a.mp4']


_KILLED = """
import os, random, signal, sys, time
from fractions import Fraction
import numpy as np
from anon_jax.inference.video_writing import VideoWriter

for number in range(20):
  child = os.fork()
  if not child:
    for count in range(10**6):
      with VideoWriter(f'{sys.argv[1]}/{number}-{count}.mp4', 32, 24, Fraction(1, 25)) as writer:
        for time_ in range(5):
          writer.write(np.full((24, 32, 3), 40 * time_, np.uint8), time_)
  time.sleep(random.uniform(0.1, 0.8))
  os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
"""


def test_after_20_kills_no_name_shows_a_part_of_a_video(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', _KILLED, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=90
  )
  assert done.returncode == 0, done.stderr
  for path in [path for path in tmp_path.iterdir() if not path.name.startswith('.')]:
    with VideoReader(path) as reader:
      assert [frame.time * reader.outline.time_base for frame in reader] == [
        Fraction(n, 25) for n in range(5)
      ]
