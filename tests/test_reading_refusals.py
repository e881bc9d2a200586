"""Whatever a file holds, its reader answers soon, in one line, and goes on with the next file."""

import io
import os
import pathlib
import socket
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anon_jax.inference import decoding, reading
from anon_jax.inference.reading import PictureError, PictureFile

KINDS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF')
MIB = 1 << 20


def _noise(kind: str, frames: int = 1, side: int = 32) -> bytes:
  """Returns an encoded picture in which every byte matters."""
  rng = np.random.default_rng(0)
  images = [Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)) for _ in range(frames)]
  out = io.BytesIO()
  more = {'save_all': True, 'append_images': images[1:]} if frames > 1 else {}
  images[0].save(out, kind, **more)
  return out.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
  return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def _zeros(count: int) -> bytes:
  """Returns a zlib stream of so many zeros, without compressing them all."""
  packer = zlib.compressobj(9, wbits=-15)
  piece = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
  end = packer.compress(bytes(count % MIB)) + packer.flush()
  return b'\x78\xda' + piece * (count // MIB) + end + struct.pack('>HH', count % 65521, 1)


def _png(width: int, height: int, *more: bytes, rows: bytes | None = None) -> bytes:
  """Returns an RGB PNG, black unless its rows are given; the chunks `more` before its pixels."""
  header = _chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
  black = _zeros(height * (1 + 3 * width)) if width * height < 2**30 else b''
  data = _chunk(b'IDAT', black if rows is None else zlib.compress(rows))
  return b'\x89PNG\r\n\x1a\n' + header + b''.join(more) + data + _chunk(b'IEND', b'')


def _gif(screen: int, side: int, frames: int) -> bytes:
  """Returns a GIF that declares frames and holds next to nothing of them."""
  frame = b',' + struct.pack('<HHHHB', 0, 0, side, side, 0) + b'\x02\x02\x4c\x01\0'
  head = struct.pack('<HHBBB', screen, screen, 0x80, 0, 0)
  return b'GIF89a' + head + b'\0\0\0\xff\xff\xff' + frame * frames + b';'


def _refusal(reader: reading.Reader, path: pathlib.Path, content: bytes) -> str:
  """Returns what a reader says against a file, checked to be one line that names it."""
  path.write_bytes(content)
  before = time.monotonic()
  with pytest.raises(PictureError) as caught:
    reader.read(path)
  assert time.monotonic() - before < 10
  text = str(caught.value)
  assert text.startswith(f'{path} ')
  assert text.isprintable()
  return text.removeprefix(f'{path} ')


def _peak(reader: reading.Reader) -> int:
  """Returns the most memory that a reader's child has held, in bytes."""
  status = pathlib.Path(f'/proc/{reader.pid}/status').read_text()
  return int(status.split('VmHWM:')[1].split()[0]) * 1024


@pytest.mark.parametrize(('kind', 'frames'), [*((k, 1) for k in KINDS), ('PNG', 3), ('GIF', 3)])
def test_no_part_of_a_file_is_taken_for_the_whole(reader, tmp_path, kind, frames):
  whole = _noise(kind, frames)
  for length in np.linspace(len(whole) // 50 + 16, len(whole) - 1, 20).astype(int):
    text = _refusal(reader, tmp_path / f'cut.{kind}', whole[:length])
    assert 'is cut short' in text or 'is damaged' in text or 'holds no picture' in text


@pytest.mark.parametrize(
  'content',
  [
    b'hello, this is no picture',
    b'<html><body><img src="a.jpg"></body></html>',
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    b'%PDF-1.7',
    b'%!PS-Adobe-3.0 EPSF-3.0',
    b'P6 2 2 255 aaaaaaaaaaaa',
    b'\0' * 1000,
    bytes(range(256)),
    b'\xff\xd8',
  ],
)
def test_what_is_no_picture_is_refused_whatever_its_name(reader, tmp_path, content):
  assert _refusal(reader, tmp_path / 'a.jpg', content) == (
    'is no JPEG, PNG, WebP, TIFF, BMP or GIF by its content; convert or remove it.'
  )


def test_an_empty_file_and_pictures_of_other_kinds_are_named(reader, tmp_path):
  assert _refusal(reader, tmp_path / 'a.jpg', b'') == 'is empty; replace it.'
  heic = b'\0\0\0\x18ftypheic\0\0\0\0mif1heic'
  assert _refusal(reader, tmp_path / 'a.jpg', heic).startswith('is a HEIC or AVIF picture; convert')


def test_a_file_with_a_wrong_checksum_is_refused(reader, tmp_path):
  content = bytearray(_noise('PNG'))
  content[-20] ^= 1  # in the checksum or the last bytes of the pixels
  assert 'is damaged (wrong checksum at byte' in _refusal(reader, tmp_path / 'a', bytes(content))


def test_bombs_are_refused_at_once_by_their_headers(reader, tmp_path):
  bomb = _png(14000, 14000)
  webp = b'VP8X\x0a\0\0\0\0\0\0\0' + b'\xfe\x3f\0' * 2 + b'VP8L\0\0\0\0'
  tiff = io.BytesIO()
  Image.new('1', (40000, 2000)).save(tiff, 'TIFF', compression='group4')
  bombs = {
    'has 14000 x 14000 pixels; at most 50 megapixels': bomb,
    'has 2147483647 x 2147483647 pixels; at most 50': _png(2**31 - 1, 2**31 - 1),
    'has 0 x 9 pixels; at most 50': _png(0, 9),
    'has 16383 x 16383 pixels; at most 50': b'RIFF' + struct.pack('<I', 30) + b'WEBP' + webp,
    'has 40000 x 2000 pixels; at most 50': tiff.getvalue(),
    'has 65535 x 65535 pixels; at most 50': _gif(65535, 9, 1),
    'has 500 frames of more than 200 megapixels together': _gif(2000, 2000, 500),
    'has 2001 frames; at most 2000': _gif(1, 1, 2001),
    # Pillow would let the frame enlarge the picture
    'is damaged (frame 1 lies outside of the picture)': _gif(10, 65535, 1),
  }
  assert len(bomb) < MIB
  for expected, content in bombs.items():
    before = time.monotonic()
    assert _refusal(reader, tmp_path / 'bomb', content).startswith(expected)
    assert time.monotonic() - before < 1
  assert _peak(reader) < 500 * MIB


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'GIF', 'TIFF'])
def test_frames_count_together_before_any_is_decoded(kind, tmp_path, monkeypatch):
  monkeypatch.setattr(decoding, 'MAX_PIXELS_OF_ALL_FRAMES', 3 * 32 * 32 - 1)
  path = tmp_path / 'frames'
  path.write_bytes(_noise(kind, frames=3))
  frames = []
  with (
    path.open('rb') as file,
    pytest.raises(decoding.RefusedPicture, match=r'^has 3 frames of more'),
  ):
    decoding.decode(file, lambda frame, _: frames.append(frame))
  # every page of a TIFF says its own size
  assert len(frames) == (2 if kind == 'TIFF' else 0)


def test_exactly_50_megapixels_are_the_most_that_is_taken(reader, tmp_path):
  assert _refusal(reader, tmp_path / 'a', _png(10000, 5001)).startswith('has 10000 x 5001 pixels')
  assert 'cannot be decoded' in _refusal(reader, tmp_path / 'a', _png(10000, 5000, rows=b''))


def test_bombs_in_texts_and_colour_profiles_take_no_memory(reader, tmp_path):
  bomb = _zeros(300 * MIB)
  row = b'\0\x01\x02\x03'
  for name, head in ((b'zTXt', b'key\0\0'), (b'iCCP', b'key\0\0'), (b'iTXt', b'key\0\1\0\0\0')):
    path = tmp_path / 'bomb.png'
    path.write_bytes(_png(1, 1, _chunk(name, head + bomb), rows=row))
    try:
      assert reader.read(path).frames[0].tolist() == [[[1, 2, 3]]]
    except PictureError as error:
      assert 'cannot be decoded' in str(error)
  assert _peak(reader) < 500 * MIB


def test_a_tiff_whose_pages_run_in_a_circle_is_not_followed_for_ever(reader, tmp_path):
  content = bytearray(_noise('TIFF'))
  (folder,) = struct.unpack_from('<I', content, 4)
  (entries,) = struct.unpack_from('<H', content, folder)
  struct.pack_into('<I', content, folder + 2 + 12 * entries, folder)
  path = tmp_path / 'circle.tif'
  path.write_bytes(content)
  assert len(reader.read(path).frames) == 1


@settings(max_examples=150, deadline=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_damage_gives_a_picture_or_one_line(reader, good, kind, data):
  content = bytearray(_noise(kind, side=12))
  for _ in range(data.draw(st.integers(1, 8))):
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
  path = good.with_name('damaged')
  path.write_bytes(content)
  try:
    assert isinstance(reader.read(path), PictureFile)
  except PictureError as error:
    assert str(error).startswith(f'{path} ')
    assert str(error).isprintable()


@settings(max_examples=60, deadline=10_000)
@given(
  head=st.sampled_from(
    [b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF89a', b'RIFF\x20\0\0\0WEBPVP8 ', b'II*\0', b'BM']
  ),
  rest=st.binary(max_size=300),
)
def test_random_bytes_are_refused(reader, good, head, rest):
  path = good.with_name('random')
  path.write_bytes(head + rest)
  with pytest.raises(PictureError, match=r'/random .*; '):
    reader.read(path)


def test_what_is_no_regular_file_is_not_opened(reader, tmp_path):
  os.mkfifo(tmp_path / 'pipe.jpg')
  listener = socket.socket(socket.AF_UNIX)
  listener.bind(str(tmp_path / 'socket.jpg'))
  (tmp_path / 'folder.jpg').mkdir()
  (tmp_path / 'link.jpg').symlink_to('pipe.jpg')
  with listener:
    for name in ('pipe.jpg', 'socket.jpg', 'folder.jpg', 'link.jpg', '/dev/zero', '/dev/tty'):
      with pytest.raises(PictureError, match=r'is no regular file; give a picture file\.$'):
        reader.read(tmp_path / name)
  for name in ('missing.jpg', 'nul\0.jpg'):
    with pytest.raises(PictureError, match=r'cannot be opened \(.*\); give a readable file\.$'):
      reader.read(tmp_path / name)
