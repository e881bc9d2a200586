"""Which inputs are live pictures, and that no address is read that nobody has allowed."""

import errno
import os
import stat
import types

import pytest

from anon_jax.inference import camera_decoding, sources
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.sources import Source


def _refused(text, **more):
  with pytest.raises(InferenceError) as caught:
    sources.parse(text, **more)
  assert '\n' not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize(
  'text', ['photo.jpg', 'a/b.mp4', './camera:0', '12:30.jpg', 'day 1: x.png']
)
def test_files_and_folders_are_no_live_pictures(text):
  assert sources.parse(text) is None


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'file:x.mp4').touch()
  assert sources.parse('file:x.mp4') is None


@pytest.mark.parametrize(
  'text',
  [
    *('http://h/a.mp4', 'https://h/a', 'udp://@:5000', 'rtmp://h/x', 'ftp://h/x', 'HTTP://h/a'),
    *('concat:a.mp4|b.mp4', 'file:a.mp4', 'file:///etc/passwd', 'pipe:0', 'data:video/mp4;base64,'),
    *('subfile,,start,0,end,9,,:a.mp4', 'crypto:a', 'rtsp:x', 'srt://h', 'tcp://h:1', 'tee:a'),
  ],
)
@pytest.mark.parametrize('allowed', [False, True])
def test_every_other_address_is_refused_whether_the_network_is_allowed_or_not(text, allowed):
  assert 'is an address; give files' in _refused(text, allow_network=allowed)


@pytest.mark.parametrize('text', ['rtsp://h/x', 'RTSPS://h:322/x'])
def test_a_network_camera_needs_leave(text):
  assert '--allow-network' in _refused(text)
  assert sources.parse(text, allow_network=True) == Source('network', text, text)


@pytest.mark.parametrize('text', ['rtsp://', 'rtsp:///x', 'rtsp://h:port/x', 'rtsp://h/a b\n'])
def test_what_is_no_address_of_a_camera_is_refused(text):
  assert 'is no address of a camera' in _refused(text, allow_network=True)


def test_passwords_and_queries_are_never_shown():
  text = 'rtsp://admin:secret@host:554/live?token=secret'
  assert sources.parse(text, allow_network=True).name == 'rtsp://host:554/live'
  assert 'secret' not in _refused(text)
  assert 'secret' not in _refused('http://admin:secret@host/?password=secret')


@pytest.mark.parametrize(
  ('address', 'whitelist'), [('rtsp://h/x', 'tcp'), ('rtsps://h/x', 'tls,tcp')]
)
def test_ffmpeg_may_open_nothing_but_a_connection_to_the_camera(address, whitelist):
  demuxer, options = camera_decoding.options('network', address)
  assert demuxer == options['format_whitelist'] == 'rtsp'
  assert options['protocol_whitelist'] == whitelist
  assert options['rtsp_transport'] == 'tcp'
  demuxer, options = camera_decoding.options('device', '/dev/video0')
  assert (demuxer, options['protocol_whitelist']) == ('video4linux2', 'pipe')


def test_a_camera_that_is_not_there_is_named_and_so_are_those_that_are(monkeypatch):
  monkeypatch.setattr(sources, '_found', lambda: ['/dev/video2', '/dev/video4'])
  error = _refused('camera:97')
  assert error == (
    'camera:97: /dev/video97 cannot be opened (No such file or directory); choose one of '
    '/dev/video2, /dev/video4.'
  )
  monkeypatch.setattr(sources, '_found', list)
  assert 'connect a camera: this machine has no /dev/video*' in _refused('camera:97')


def test_a_clip_that_is_not_there_is_no_reason_to_connect_a_camera(tmp_path):
  for path, reason in ((tmp_path / 'clip.mp4', 'cannot be opened'), (tmp_path, 'is no camera')):
    said = _refused(f'camera:{path}')
    assert said.count(reason) == 1
    assert said.endswith('; give a video file, or a camera (camera:0).')


@pytest.mark.parametrize('text', ['camera:/dev/null', 'camera:/dev', 'camera:/'])
def test_what_is_no_camera_is_refused(text):
  assert 'is no camera' in _refused(text)


def test_a_camera_without_a_name_is_refused():
  assert 'names no camera; give camera:0' in _refused('camera:')


def _devices(monkeypatch, opens):
  """Has every path be a camera, which `opens` opens."""
  status = types.SimpleNamespace(st_mode=stat.S_IFCHR, st_rdev=os.makedev(81, 0))
  monkeypatch.setattr(sources.pathlib.Path, 'stat', lambda self: status)
  monkeypatch.setattr(sources.os, 'open', opens)
  monkeypatch.setattr(sources.os, 'close', lambda descriptor: None)


def test_a_camera_by_its_number_or_its_path(monkeypatch):
  _devices(monkeypatch, lambda path, flags: -1)
  assert sources.parse('camera:3') == Source('device', '/dev/video3', 'camera:3')
  named = Source('device', '/dev/v4l/by-id/x', 'camera:/dev/v4l/by-id/x')
  assert sources.parse('camera:/dev/v4l/by-id/x') == named


def test_a_camera_that_may_not_be_opened_says_which_group_may(monkeypatch):
  def deny(path, flags):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

  _devices(monkeypatch, deny)
  assert 'may not be opened (permission denied); join the group' in _refused('camera:0')


def test_a_video_file_plays_a_camera(good):
  assert sources.parse(f'camera:{good}') == Source('file', str(good), f'camera:{good}')
