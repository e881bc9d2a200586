"""`anon-jax anonymize camera:...` as a process of its own: real faces, signals, files and pipes."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from skimage import data

from anon_jax.inference import detection
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAIN = 'import sys; from anon_jax import cli; sys.exit(cli.main())'
SIDE, EVERY = 240, 100
PATIENT = ['--method', 'fill', '--delay', '20']  # a busy machine drops fewer frames


@contextlib.contextmanager
def _running(*arguments, stdout=subprocess.PIPE):
  process = subprocess.Popen(
    [sys.executable, '-c', MAIN, 'anonymize', *map(str, arguments)],
    cwd=ROOT,
    stdout=stdout,
    stderr=subprocess.PIPE,
  )
  try:
    yield process
  finally:
    process.kill()
    process.communicate()


def _ran(*arguments, **more):
  with _running(*arguments, **more) as process:
    out, err = process.communicate(timeout=120)
  return process.returncode, (out or b'').decode('utf-8', 'replace'), err.decode()


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
  """Makes a clip of so many frames, ten a second, in which the astronaut's face moves."""
  folder = tmp_path_factory.mktemp('clips')

  def make(count):
    path = folder / f'{count}.mp4'
    if not path.exists():
      with VideoWriter(path, SIDE, SIDE, Fraction(1, 1000)) as writer:
        for number in range(count):
          left = 100 + abs(number % 20 - 10)
          writer.write(
            np.ascontiguousarray(data.astronaut()[:SIDE, left : left + SIDE]), EVERY * number
          )
    return path

  return make


def _frames(path):
  with VideoReader(path) as reader:
    return [frame.pixels for frame in reader]


def _faces(pictures):
  find = detection.load_detector(0.4)
  return sum(len(find(picture)) for picture in pictures)


def test_a_played_file_comes_out_without_its_face(clips, tmp_path):
  out = tmp_path / 'new' / 'out.mp4'
  code, said, errors = _ran(f'camera:{clips(30)}', '-o', out, *PATIENT)
  assert (code, 'preparing camera:' in errors) == (0, True)
  frames = _frames(out)
  assert f'{len(frames)} frames of ' in said
  assert ' dropped; delay ' in said
  assert len(frames) >= 5
  assert _faces(_frames(clips(30))[:2]) == 2
  assert _faces([frames[0], frames[len(frames) // 2], frames[-1]]) == 0
  assert [path.name for path in out.parent.iterdir()] == ['out.mp4']


def _wait_for(folder, size):
  """Waits until something is recorded; returns the file that it is in."""
  for _ in range(600):
    time.sleep(0.1)
    for path in folder.glob('.anon-jax-*.part'):
      if path.stat().st_size > size:
        return path
  raise TimeoutError


def test_ctrl_c_ends_a_recording_well(clips, tmp_path):
  out = tmp_path / 'out.mp4'
  with _running(f'camera:{clips(900)}', '-o', out, *PATIENT[:2], '--delay', '3') as process:
    _wait_for(tmp_path, 10_000)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
  assert process.returncode == 0
  assert b'finishing; Ctrl-C again throws the recording away' in errors
  frames = _frames(out)
  assert f'{len(frames)} frames of ' in said.decode()
  assert _faces(frames[:: max(1, len(frames) // 3)]) == 0


def test_what_a_process_that_was_killed_had_recorded_can_be_played(clips, tmp_path):
  out = tmp_path / 'out.mp4'
  with _running(f'camera:{clips(900)}', '-o', out, *PATIENT[:2], '--delay', '3') as process:
    part = _wait_for(tmp_path, 30_000)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
  assert not out.exists()
  decoded = 0
  with contextlib.suppress(av.FFmpegError), av.open(part) as container:
    for _ in container.decode(video=0):
      decoded += 1
  assert decoded >= 3


def test_a_duration_ends_it_and_the_pipe_holds_a_video_and_nothing_else(clips, tmp_path):
  out = tmp_path / 'out.mkv'
  with out.open('wb') as file:
    code, _, errors = _ran(
      f'camera:{clips(900)}', '-o', '-', *PATIENT, '--duration', '3', stdout=file
    )
  assert code == 0
  frames = _frames(out)
  assert re.search(rf'{len(frames)} frames of [23]\.\d s', errors)
  assert _faces([frames[0], frames[-1]]) == 0
  with av.open(out) as container:
    assert container.format.name == 'matroska,webm'


def test_who_reads_the_pipe_may_go(clips):
  with _running(f'camera:{clips(900)}', '-o', '-', *PATIENT[:2], '--delay', '3') as process:
    assert process.stdout.read(4) == b'\x1aE\xdf\xa3'  # EBML
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(60) == 1
  assert errors.splitlines()[-1] == 'anon-jax: nobody reads the standard output any more.'


def test_a_picture_without_faces_is_not_recorded_unless_that_is_allowed(tmp_path):
  clip, out = tmp_path / 'clip.mp4', tmp_path / 'out.mp4'
  with VideoWriter(clip, 64, 64, Fraction(1, 1000)) as writer:
    for number in range(20):
      writer.write(np.full((64, 64, 3), 90, np.uint8), EVERY * number)
  code, _, errors = _ran(f'camera:{clip}', '-o', out, *PATIENT)
  assert (code, out.exists()) == (1, False)
  assert 'no face was found, and without --allow-no-faces nothing is shown' in errors
  code, said, _ = _ran(f'camera:{clip}', '-o', out, *PATIENT, '--allow-no-faces')
  assert (code, 'faces in frames: none' in said) == (0, True)
