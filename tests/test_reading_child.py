"""The child process that reads pictures: it is replaced, limited, distrusted, and ended."""

import os
import pathlib
import signal
import socket
import struct
import time

import numpy as np
import pytest
from PIL import Image

from anon_jax.inference import child, reading
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.reading import PictureError

MIB = 1 << 20


@pytest.fixture(scope='module')
def large(tmp_path_factory) -> pathlib.Path:
  """A picture of 49 megapixels."""
  path = tmp_path_factory.mktemp('large') / 'large.bmp'
  Image.fromarray(np.zeros((7000, 7000), np.uint8)).save(path)
  return path


def test_the_child_starts_anew_after_it_was_killed(reader, good):
  for number in (signal.SIGKILL, signal.SIGSEGV):
    first = reader.pid
    os.kill(first, number)
    time.sleep(0.05)
    assert reader.read(good).frames[0].shape == (4, 5, 3)
    assert reader.pid != first


def test_a_file_that_kills_the_child_is_named(reader, good, monkeypatch):
  send = socket.send_fds

  def send_and_kill(connection, *rest):
    os.kill(reader.pid, signal.SIGSTOP)  # so that it cannot answer before it dies
    send(connection, *rest)
    os.kill(reader.pid, signal.SIGSEGV)
    os.kill(reader.pid, signal.SIGCONT)

  monkeypatch.setattr(socket, 'send_fds', send_and_kill)
  with pytest.raises(
    PictureError, match=r'brought the decoder down \(SIGSEGV\); replace or remove'
  ):
    reader.read(good)
  monkeypatch.undo()
  assert reader.read(good).kind == 'PNG'


def test_a_file_that_takes_too_long_is_given_up(good, large):
  with reading.Reader(seconds=0.2) as impatient:
    impatient.read(good)
    before = time.monotonic()
    with pytest.raises(PictureError, match=r'took longer than 0\.2 s to decode; reduce or remove'):
      impatient.read(large)
    assert time.monotonic() - before < 2
    assert impatient.read(good).kind == 'PNG'


def test_a_file_that_needs_too_much_memory_is_refused(good, large):
  with reading.Reader(memory=200 * MIB) as small:
    with pytest.raises(PictureError, match='needs more memory than is granted; reduce it'):
      small.read(large)
    assert small.read(good).kind == 'PNG'


def test_an_answer_that_was_interrupted_is_not_taken_for_the_next(reader, good, monkeypatch):
  def interrupt(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(child, 'receive', interrupt)
  with pytest.raises(KeyboardInterrupt):
    reader.read(good)
  monkeypatch.undo()
  assert reader.read(good).frames[0].tolist() == [[[0, 128, 128]] * 5] * 4


@pytest.mark.parametrize(
  'message',
  [
    b'{"frame": [100000, 100000], "duration": 0}',
    b'{"frame": [-4, -4], "duration": 0}',
    b'{"frame": [0, 4], "duration": 0}',
    b'{"frame": "x"}',
    b'{"end": {"kind": "PNG"}}',
    b'[]',
    b'no json',
    b'',
  ],
)
def test_nonsense_from_the_child_is_no_picture(reader, good, monkeypatch, message):
  """What a hostile file may have made of the child must not reach further."""
  answers = [struct.pack('>I', len(message)), message]

  def receive(connection, into, deadline):
    into[:] = answers.pop(0)

  reader.read(good)
  monkeypatch.setattr(child, 'receive', receive)
  with pytest.raises(PictureError, match='brought the decoder down'):
    reader.read(good)


def test_a_child_that_does_not_start_is_no_fault_of_the_file(good, monkeypatch):
  monkeypatch.setattr(child.sys, 'executable', '/bin/false')
  with (
    reading.Reader() as broken,
    pytest.raises(InferenceError, match=r'does not start .*exit code 1') as caught,
  ):
    broken.read(good)
  assert not isinstance(caught.value, PictureError)


def test_the_child_holds_neither_jax_nor_more_than_it_may(reader, good):
  reader.read(good)
  maps = pathlib.Path(f'/proc/{reader.pid}/maps').read_text()
  assert 'PIL/_imaging' in maps
  assert 'jaxlib' not in maps
  limits = pathlib.Path(f'/proc/{reader.pid}/limits').read_text()
  assert f'Max address space         {reading.MEMORY}' in limits
  assert 'Max core file size        0' in limits


def test_no_child_stays_behind(good):
  with reading.Reader() as opened:
    opened.read(good)
    child = opened.pid
    assert pathlib.Path(f'/proc/{child}').exists()
  assert not pathlib.Path(f'/proc/{child}').exists()
