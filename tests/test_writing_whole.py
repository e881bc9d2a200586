"""Whatever happens while a file is written, its name shows the old content or the new."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from anon_jax.inference import decoding, writing
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.writing import (
  write_atomically,
  write_picture_file,
  write_text_atomically,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURE = np.full((20, 30, 3), 200, np.uint8)


@pytest.fixture
def target(tmp_path) -> pathlib.Path:
  """A file with content, which is to stay."""
  path = tmp_path / 'a.png'
  path.write_bytes(b'old')
  return path


def _assert_untouched(target: pathlib.Path) -> None:
  assert target.read_bytes() == b'old'
  assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF'])
def test_what_does_not_decode_to_what_was_given_is_not_kept(target, monkeypatch, kind):
  encode = writing._encoded

  def cut(*args):
    return encode(*args)[:-30]

  def larger(images, *args):
    return encode([image.resize((31, 20)) for image in images], *args)

  def extended(*args):
    return encode(*args) + b'secret'

  for wrong in (cut, larger) if kind in ('TIFF', 'BMP') else (cut, larger, extended):
    monkeypatch.setattr(writing, '_encoded', wrong)
    with pytest.raises(InferenceError, match=r'/a\.png cannot be written \('):
      write_picture_file(target, [PICTURE], kind)
    _assert_untouched(target)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'BMP', 'GIF'])
def test_a_wrong_pixel_is_found_where_nothing_may_be_lost(target, monkeypatch, kind):
  encode = writing._encoded

  def spotted(images, *args):
    images[0].putpixel((3, 3), images[0].getpixel((3, 3)))
    changed = images[0].convert('RGB')
    changed.putpixel((3, 3), (0, 0, 0))
    return encode([changed.quantize(2) if kind == 'GIF' else changed], *args)

  monkeypatch.setattr(writing, '_encoded', spotted)
  with pytest.raises(InferenceError, match='frame 1 of what was written is not what was given'):
    write_picture_file(target, [PICTURE], kind)
  _assert_untouched(target)


def test_a_missing_frame_is_found(target, monkeypatch):
  encode = writing._encoded
  monkeypatch.setattr(writing, '_encoded', lambda images, *args: encode(images[:2], *args))
  with pytest.raises(InferenceError, match='decodes to 2 frames of 0 ms; expected 3 of 0 ms'):
    write_picture_file(target, [PICTURE, PICTURE // 2, PICTURE // 3], 'TIFF')
  _assert_untouched(target)


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
@pytest.mark.parametrize('moment', ['fsync', 'check', 'replace'])
def test_an_error_at_any_moment_leaves_the_old_file_alone(target, monkeypatch, error, moment):
  def fail(*_, **__):
    raise error

  where = {'fsync': (os, 'fsync'), 'check': (decoding, 'decode'), 'replace': (os, 'replace')}
  monkeypatch.setattr(*where[moment], fail)
  with pytest.raises((InferenceError, KeyboardInterrupt)) as caught:
    write_picture_file(target, [PICTURE], 'PNG')
  if isinstance(error, OSError):
    text = str(caught.value)
    assert text.startswith(f'{target} cannot be written (')
    assert text.endswith('No space left on device); make room there, or give another place.')
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
  write_picture_file(target, [PICTURE], 'PNG')
  assert done == [('fsync', 'part'), ('replace', target), ('fsync', target.parent)]


def test_a_file_is_replaced_as_a_whole(target):
  os.link(target, target.with_name('twin'))
  write_text_atomically(target, 'grüße\n')
  assert target.read_bytes() == b'gr\xc3\xbc\xc3\x9fe\n'
  assert target.with_name('twin').read_bytes() == b'old'


def test_rights_are_those_that_the_umask_leaves(tmp_path):
  before = os.umask(0o027)
  try:
    write_text_atomically(tmp_path / 'new' / 'a', 'x')
  finally:
    os.umask(before)
  assert (tmp_path / 'new' / 'a').stat().st_mode & 0o777 == 0o640


def test_places_that_cannot_be_written_are_named(target, tmp_path):
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'link').symlink_to(target)
  (tmp_path / 'broken').symlink_to('nowhere')
  for name in ('folder', 'a.png/b', 'x' * 256, 'nul\0'):
    with pytest.raises(InferenceError, match=r' cannot be written \(.*\); make room there'):
      write_atomically(tmp_path / name, b'new')
  for name in ('link', 'broken'):
    with pytest.raises(InferenceError, match=r' is a link; remove it, or give another name\.'):
      write_atomically(tmp_path / name, b'new')
  assert target.read_bytes() == b'old'
  assert len(list(tmp_path.iterdir())) == 4


def test_the_longest_name_can_be_written(tmp_path):
  path = tmp_path / ('x' * 255)
  write_atomically(path, b'new')
  assert path.read_bytes() == b'new'


# Each picture is flat and tells its number; the loop is killed at a moment that chance decides.
_KILLED = """
import os, random, signal, sys, time
import numpy as np
from anon_jax.inference.writing import write_picture_file

kinds = ('JPEG', 'PNG', 'TIFF', 'BMP', 'GIF', 'WEBP')
for number in range(20):
  child = os.fork()
  if not child:
    for count in range(number, 10**6):
      frame = np.full((300, 400, 3), (number * 12, 200, 90), np.uint8)
      frame[::7, ::5] = count % 200
      write_picture_file(f'{sys.argv[1]}/{count % 6}', [frame], kinds[count % 6])
  time.sleep(random.uniform(0.02, 0.15))
  os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
"""


def test_after_20_kills_no_name_shows_a_part_of_a_picture(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', _KILLED, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60
  )
  assert done.returncode == 0, done.stderr
  finished = [path for path in tmp_path.iterdir() if not path.name.startswith('.')]
  assert len(finished) >= 3
  for path in finished:
    frames = []
    with path.open('rb') as file:
      decoding.decode(file, lambda frame, _, into=frames: into.append(frame))
    (frame,) = frames
    assert frame.shape == (300, 400, 3)
    assert abs(int(frame[299, 399, 1]) - 200) <= 3
