"""`anon-jax anonymize` with cameras: flags, exit codes and what is said, with scripted cameras."""

import dataclasses
import json
import os
import signal
import time
from typing import Any

import pytest
from test_live import LAST, Scripted, _clip
from test_videos import _is_red, detect

from anon_jax import cli
from anon_jax.inference import camera, command, detection, live, sources
from anon_jax.inference.sources import Source
from anon_jax.inference.video_reading import VideoReader


@dataclasses.dataclass(frozen=True)
class _Detector:
  threshold: float
  sha256: str = 'f' * 64
  beside: Any = None

  def __call__(self, image):
    return detect(image)


class _Camera(Scripted):
  """A scripted camera that can be opened and closed."""

  closed = False

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    self.closed = True


@pytest.fixture
def script(monkeypatch, tmp_path):
  """Has `camera:0` give some frames; returns a function that is told which."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(detection, 'load_detector', _Detector)
  monkeypatch.setattr(command, 'keep_programs', lambda: None)  # it would change jax for all tests
  known = sources.parse

  def parse(text, allow_network=False):
    return (
      Source('device', '/dev/video0', text) if text == 'camera:0' else known(text, allow_network)
    )

  monkeypatch.setattr(sources, 'parse', parse)

  def use(frames, **more):
    given = _Camera(frames, **more)
    monkeypatch.setattr(camera, 'Camera', lambda source: given)
    return given

  return use


def run(*arguments):
  """Runs the command; returns its exit code."""
  try:
    return cli.main(['anonymize', *map(str, arguments), '--method', 'fill'])
  except SystemExit as exit:
    return exit.code


def _frames(path):
  with VideoReader(path) as reader:
    return [frame.pixels for frame in reader]


@pytest.mark.parametrize(
  ('arguments', 'phrase'),
  [
    (['camera:0', 'a.png', '-o', 'out'], 'a live picture is taken alone'),
    (['camera:0', '--in-place'], '--in-place is for files'),
    (['camera:0', '-o', 'a.mp4', '--region', 'body', '--masks', 'm'], '--region body is for files'),
    (['camera:0', '-o', 'a.mp4', '--keep-audio'], '--keep-audio is for files'),
    (['camera:0', '-o', 'a.mp4', '--delay', '31'], '--delay 31 is too long'),
    (['camera:0', '-o', 'a.mp4', '--delay', '0'], 'no number of seconds above 0'),
    (['camera:0', '-o', 'a.mp4', '--duration', 'nan'], 'no number of seconds above 0'),
    (['camera:0'], 'give -o OUT'),
    (['a.mp4', '-o', 'b.mp4', '--duration', '3'], '--duration is for live pictures'),
    (['a.mp4', '-o', 'b.mp4', '--allow-network'], '--allow-network is for live pictures'),
    (['a.png', '-o', '-'], '-o - pipes live pictures; name a file or a folder'),
  ],
)
def test_wrong_usage_is_explained_and_does_nothing(script, tmp_path, capsys, arguments, phrase):
  assert run(*arguments) == 2
  assert phrase in capsys.readouterr().err
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('output', ['out', 'out.mkv', 'out.jpg', '.'])
def test_an_output_that_takes_no_video_is_refused(script, capsys, output):
  assert run('camera:0', '-o', output) == 1
  assert 'cannot take a live picture; give a file ending with one of .mp4, .mov' in (
    capsys.readouterr().err
  )


def test_a_file_that_is_played_is_not_replaced(script, tmp_path, capsys):
  (tmp_path / 'a.mp4').write_bytes(b'mine')
  assert run('camera:a.mp4', '-o', './a.mp4') == 1
  assert 'would replace the file that is played' in capsys.readouterr().err
  assert (tmp_path / 'a.mp4').read_bytes() == b'mine'


def test_an_address_is_refused_before_anything_is_done(script, tmp_path, capsys):
  (tmp_path / 'a.png').touch()
  assert run('a.png', 'rtsp://h/x', '-o', 'out') == 1
  assert capsys.readouterr().err.count('\n') == 1
  assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_a_camera_that_is_unplugged_leaves_what_was_recorded(script, tmp_path, capsys):
  given = script(_clip(20), broken='camera:0 broke off (No such device).')
  assert run('camera:0', '-o', 'out.mp4') == 1
  said = capsys.readouterr()
  assert said.err.splitlines()[-1] == (
    'anon-jax: camera:0 broke off (No such device); what came before is in out.mp4.'
  )
  assert said.out.startswith('18 frames of 0.8 s')
  frames = _frames(tmp_path / 'out.mp4')
  assert len(frames) == 20 - LAST
  assert not any(_is_red(frame).any() for frame in frames)
  assert given.closed


def test_a_camera_that_is_unplugged_at_once_leaves_nothing(script, tmp_path, capsys):
  script(_clip(LAST), broken='camera:0 broke off (No such device).')
  assert run('camera:0', '-o', 'out.mp4') == 1
  assert capsys.readouterr().err.splitlines()[-1] == (
    'anon-jax: nothing was written: camera:0 broke off (No such device).'
  )
  assert list(tmp_path.iterdir()) == []


def test_frames_that_are_all_too_late_are_explained(script, tmp_path, capsys):
  script(_clip(20), age=9.0)
  assert run('camera:0', '-o', 'out.mp4', '--delay', '1') == 1
  error = capsys.readouterr().err
  assert 'all were older than 1 s before they were ready: give a longer --delay' in error
  assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_how_it_went_in_numbers(script, tmp_path):
  script(_clip(30))
  assert run('camera:0', '-o', 'out.mp4', '--manifest', 'm.json', '--key', 'k') == 0
  content = json.loads((tmp_path / 'm.json').read_text())
  (record,) = content['inputs']
  assert (record['source'], record['status']) == ('camera:0', 'anonymized')
  told = record['live']
  assert (told['frames_received'], told['frames_written']) == (30, 28)
  assert told['dropped'] == {'the last ones': LAST, 'not searched': 0}
  assert told['actions'] == {'filled': 28}
  assert content['key_check']


def test_a_manifest_is_never_written_over_another_file(script, tmp_path, capsys):
  (tmp_path / 'm.json').write_text('mine')
  script(_clip(30))
  assert run('camera:0', '-o', 'out.mp4', '--manifest', 'm.json') == 1
  assert 'is no manifest' in capsys.readouterr().err
  assert (tmp_path / 'm.json').read_text() == 'mine'


def _signalling(frames, *numbers):
  """Gives frames, and sends this process signals after the tenth."""
  for number, frame in enumerate(frames):
    if number == 10:
      for signal_number in numbers:
        os.kill(os.getpid(), signal_number)
        time.sleep(0.01)  # it arrives between two steps of Python
    yield frame


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_recording_and_it_is_whole(script, tmp_path, number):
  before = signal.getsignal(number)
  script(_signalling(_clip(60), number))
  assert run('camera:0', '-o', 'out.mp4') == 0
  assert len(_frames(tmp_path / 'out.mp4')) == 11 - LAST
  assert signal.getsignal(number) is before


def test_a_second_ctrl_c_breaks_a_recording_off_and_leaves_nothing(script, tmp_path, capsys):
  script(_signalling(_clip(60), signal.SIGINT, signal.SIGINT))
  assert run('camera:0', '-o', 'out.mp4') == 130
  assert list(tmp_path.iterdir()) == []


def test_an_output_of_before_stays_where_nothing_is_recorded(script, tmp_path):
  (tmp_path / 'out.mp4').write_bytes(b'before')
  script(_clip(20, lambda frame: False))
  assert run('camera:0', '-o', 'out.mp4') == 1
  assert (tmp_path / 'out.mp4').read_bytes() == b'before'


def test_a_terminal_is_not_written_to(script, capsys, monkeypatch):
  monkeypatch.setattr('sys.stdout.isatty', lambda: True)
  assert run('camera:0', '-o', '-') == 1
  assert 'pipe it on: ... -o - | ffplay -' in capsys.readouterr().err


def test_the_delay_in_the_help_is_the_one_that_holds(capsys):
  with pytest.raises(SystemExit):
    cli.main(['anonymize', '--help'])
  assert f'not ready then are dropped ({live.DELAY:g})' in ' '.join(capsys.readouterr().out.split())
