"""Cameras: the newest frame each time, and one line when there are no more."""

import itertools
import os
import signal
import time
from fractions import Fraction

import numpy as np
import pytest

from anon_jax.inference.camera import Camera, CameraError
from anon_jax.inference.sources import Source
from anon_jax.inference.video_writing import VideoWriter

WIDTH, HEIGHT, FRAMES, EVERY = 32, 24, 25, 40  # one second
GREYS = np.linspace(20, 230, FRAMES)


def _grey(number):
  return np.full((HEIGHT, WIDTH, 3), round(GREYS[number - 1]), np.uint8)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  """A clip whose frames grow brighter."""
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  with VideoWriter(path, WIDTH, HEIGHT, Fraction(1, 1000), crf=5) as writer:
    for number in range(1, FRAMES + 1):
      writer.write(_grey(number), EVERY * (number - 1))
  return path


def _open(path, **more):
  return Camera(Source('file', str(path), f'camera:{path}'), **more)


def _all(camera, pause=0.0):
  shots = []
  while not camera.ended:
    shot = camera.next(1.0)
    if shot:
      shots.append(shot)
      time.sleep(pause)
  return shots


def test_a_file_is_played_at_its_own_speed_and_then_ends(clip):
  with _open(clip) as camera:
    assert camera.size == (WIDTH, HEIGHT)
    shots = _all(camera)
    assert camera.next(0.0) is None
  # a busy machine may drop some
  assert FRAMES * 0.6 < len(shots) <= FRAMES
  for shot in shots:
    assert abs(int(shot.pixels.mean()) - GREYS[shot.number - 1]) < 3
    assert shot.time >= EVERY * (shot.number - 1) - 5 - (shots[0].number - 1) * EVERY
    assert 0 <= time.monotonic() - shot.arrived < 60
  assert [s.number for s in shots] == sorted({s.number for s in shots})


def test_who_is_slow_gets_the_newest_frame_and_the_others_are_dropped(clip):
  with _open(clip) as camera:
    shots = _all(camera, pause=0.15)
  numbers = [shot.number for shot in shots]
  assert len(numbers) < 10
  # never an old one: each comes from the camera after the one before it was taken
  assert all(later.time - before.time > 100 for before, later in itertools.pairwise(shots))


def test_waiting_ends_in_time_though_no_frame_comes(clip):
  with _open(clip) as camera:
    camera.next(1.0)
    begin = time.monotonic()
    found = [camera.next(0.001) for _ in range(20)]
    assert time.monotonic() - begin < 2
    assert None in found


def test_a_camera_that_is_silent_has_gone(clip):
  with _open(clip, seconds=0.5) as camera:
    os.kill(camera.pid, signal.SIGSTOP)
    with pytest.raises(CameraError, match=r'gave no frame for 0\.5 s') as caught:
      for _ in range(100):
        camera.next(0.1)
  assert '\n' not in str(caught.value)


def test_a_decoder_that_dies_is_named(clip):
  with _open(clip) as camera:
    os.kill(camera.pid, signal.SIGKILL)
    with pytest.raises(CameraError, match=r'brought the decoder down \(SIGKILL\)'):
      for _ in range(100):
        camera.next(0.1)


def test_a_file_that_is_cut_short_is_played_up_to_there(clip, tmp_path):
  path = tmp_path / 'cut.ts'
  from test_videos_hostile import _encode

  _encode(tmp_path / 'whole.mkv')
  content = (tmp_path / 'whole.mkv').read_bytes()
  path.write_bytes(content[: len(content) * 2 // 3])
  with _open(path) as camera:
    assert 0 < len(_all(camera)) < 12


@pytest.mark.parametrize(
  ('content', 'reason'), [(b'', 'is empty'), (b'no video at all', 'cannot be read as a video')]
)
def test_what_is_no_video_is_refused(tmp_path, content, reason):
  (tmp_path / 'a.mp4').write_bytes(content)
  with pytest.raises(ValueError, match=reason) as caught:
    _open(tmp_path / 'a.mp4')
  assert '\n' not in str(caught.value)


def test_a_device_that_is_no_camera_is_refused_by_ffmpeg_in_one_line():
  with pytest.raises(CameraError, match=r'camera:x cannot be opened \(.*\)') as caught:
    Camera(Source('device', '/dev/null', 'camera:x'))
  assert '\n' not in str(caught.value)


def test_an_address_where_nobody_answers_is_refused_in_one_line():
  with pytest.raises(CameraError, match=r'rtsp://h cannot be opened \(.*refused') as caught:
    Camera(Source('network', 'rtsp://u:secret@127.0.0.1:9/x', 'rtsp://h'))
  assert 'secret' not in str(caught.value)
