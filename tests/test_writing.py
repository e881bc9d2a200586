"""Pictures are written whole or not at all, and hold their pixels and nothing else."""

import datetime
import io
import pathlib
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from anon_jax.inference import reading, writing
from anon_jax.inference.capture import Capture, Position
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.writing import write_picture_file

KINDS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF')
TIME = datetime.datetime(2024, 5, 6, 7, 8, 9)
PLACE = Position(-48.51, 2.0, -12.5)
ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def reader():
  with reading.Reader() as opened:
    yield opened


def _frame(seed: int = 0) -> np.ndarray:
  """Returns 48 flat squares of different colours, uint8 [96, 128, 3]."""
  colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
  return np.kron(colours, np.ones((16, 16, 1), np.uint8))


def _leftovers(folder: pathlib.Path) -> list[str]:
  return [path.name for path in folder.iterdir() if path.name.startswith('.')]


@pytest.mark.parametrize('kind', KINDS)
def test_a_picture_comes_back_as_it_was_given(reader, tmp_path, kind):
  path = tmp_path / 'new' / 'folder' / 'a.bin'
  write_picture_file(path, [_frame()], kind)
  found = reader.read(path)
  assert (found.kind, found.left_out, found.capture) == (kind, (), Capture())
  (frame,) = found.frames
  if kind == 'WEBP':  # stores colour at half the resolution: compare inside of the squares
    assert np.abs(frame[8::16, 8::16].astype(int) - _frame()[8::16, 8::16]).max() <= 4
  else:
    tolerance = 3 if kind == 'JPEG' else 0
    assert np.abs(frame.astype(int) - _frame()).max() <= tolerance
  assert [p.name for p in path.parent.iterdir()] == ['a.bin']


def test_a_jpeg_keeps_its_colours_at_full_resolution(tmp_path):
  write_picture_file(tmp_path / 'a.jpg', [_frame()], 'JPEG')
  with Image.open(tmp_path / 'a.jpg') as image:
    assert {(h, v) for _, h, v, _ in image.layer} == {(1, 1)}


@pytest.mark.parametrize(('kind', 'loop'), [('PNG', 0), ('WEBP', 2), ('GIF', 0), ('GIF', 1)])
def test_an_animation_keeps_frames_durations_and_loop(reader, tmp_path, kind, loop):
  frames = [_frame(seed) for seed in range(4)]
  # equal frames that follow each other become one
  given = [frames[0], frames[1], frames[1], frames[2], frames[3], frames[0]]
  write_picture_file(tmp_path / 'a', given, kind, [40, 100, 20, 500, 70, 10], loop)
  found = reader.read(tmp_path / 'a')
  assert (found.durations, found.loop) == ((40, 120, 500, 70, 10), loop)
  for frame, expected in zip(found.frames, [*frames, frames[0]], strict=True):
    inside = np.abs(frame[8::16, 8::16].astype(int) - expected[8::16, 8::16])
    assert inside.max() <= (4 if kind == 'WEBP' else 0)


def test_frames_that_differ_by_little_stay_frames(reader, tmp_path):
  frames = [_frame() // 2 + value for value in range(4)]
  for kind in ('PNG', 'WEBP', 'GIF'):
    write_picture_file(tmp_path / 'a', frames, kind, [10, 20, 30, 40])
    assert reader.read(tmp_path / 'a').durations == (10, 20, 30, 40)


def test_an_animation_of_equal_frames_becomes_one_picture(reader, tmp_path):
  for kind in ('PNG', 'WEBP', 'GIF'):
    write_picture_file(tmp_path / 'a', [_frame()] * 3, kind, [10, 20, 30])
    assert len(reader.read(tmp_path / 'a').frames) == 1


def test_pages_of_a_tiff_stay_pages(reader, tmp_path):
  pages = [_frame(), _frame(), _frame(1)]
  write_picture_file(tmp_path / 'a.tif', pages, 'TIFF')
  np.testing.assert_array_equal(reader.read(tmp_path / 'a.tif').frames, pages)


def test_a_gif_of_many_colours_is_reduced_to_256(reader, tmp_path):
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  write_picture_file(tmp_path / 'a.gif', [noise], 'GIF')
  (frame,) = reader.read(tmp_path / 'a.gif').frames
  assert len(np.unique(frame.reshape(-1, 3), axis=0)) <= 256
  assert np.abs(frame.astype(int) - noise).mean() < 25


def _segment(marker: int, content: bytes) -> bytes:
  return b'\xff' + bytes([marker]) + struct.pack('>H', len(content) + 2) + content


def _loaded_jpeg() -> bytes:
  """Returns a JPEG with everything that cameras and editors put beside the pixels."""
  thumbnail, plain = io.BytesIO(), io.BytesIO()
  Image.new('RGB', (16, 16), 'red').save(thumbnail, 'JPEG', comment=b'SECRET')
  Image.fromarray(_frame()).save(plain, 'JPEG', quality=95, subsampling=0)
  small = thumbnail.getvalue()
  exif = b'II*\0\x08\0\0\0' + struct.pack('<H', 1)
  exif += struct.pack('<HHI4s', 0x010F, 2, 4, b'Cam\0') + struct.pack('<I', 26)
  exif += struct.pack('<HHHIIHHIII', 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(small), 0) + small
  profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
  beside = (
    _segment(0xE1, b'Exif\0\0' + exif)
    + _segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET</x:xmpmeta>')
    + _segment(0xE2, b'ICC_PROFILE\0\1\1' + profile)
    + _segment(0xE2, b'MPF\0MM\0*SECRET')
    + _segment(0xED, b'Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x06SECRET')
    + _segment(0xEE, b'SECRET')
    + _segment(0xFE, b'SECRET comment')
  )
  content = plain.getvalue()
  return content[:2] + beside + content[2:] + b'SECRET trailer' + small


def _loaded(kind: str) -> bytes:
  """Returns a picture of a kind with whatever else it can hold."""
  if kind == 'JPEG':
    return _loaded_jpeg()
  exif = Image.Exif()
  exif[0x010F], exif[0x010E] = 'SECRET', 'SECRET'
  more = {'exif': exif, 'comment': b'SECRET', 'xmp': b'<x:xmpmeta>SECRET</x:xmpmeta>'}
  out = io.BytesIO()
  image = Image.fromarray(_frame())
  if kind == 'PNG':
    image.save(out, kind, exif=exif, icc_profile=b'SECRET' * 40)
    text = b'tEXtComment\0SECRET'
    chunk = struct.pack('>I', len(text) - 4) + text + struct.pack('>I', zlib.crc32(text))
    return out.getvalue()[:33] + chunk + out.getvalue()[33:] + b'SECRET'
  if kind == 'GIF':
    image = image.quantize(64)
  image.save(out, kind, **more)
  return out.getvalue() + b'SECRET'


def _parts(content: bytes, kind: str) -> set[str]:
  """Returns the names of the parts that a file consists of."""
  if kind == 'JPEG':
    assert content.count(b'\xff\xd8\xff') == 1
    assert content.endswith(b'\xff\xd9')
    names, position = set(), 2
    while content[position + 1] != 0xDA:
      names.add(f'{content[position + 1]:X}')
      position += 2 + int.from_bytes(content[position + 2 : position + 4], 'big')
    return names
  if kind == 'TIFF':
    with Image.open(io.BytesIO(content)) as image:
      assert isinstance(image, TiffImagePlugin.TiffImageFile)
      return {str(tag) for tag in image.tag_v2}
  if kind == 'GIF':
    return {name for name, mark in (('comment', b'!\xfe'), ('text', b'!\x01')) if mark in content}
  sizes = {'PNG': ('>I4s', 8, 12), 'WEBP': ('<4sI', 12, 8)}
  if kind not in sizes:
    return set()
  layout, position, around = sizes[kind]
  names = set()
  while position < len(content):
    first, second = struct.unpack_from(layout, content, position)
    name, length = (second, first) if kind == 'PNG' else (first, second + second % 2)
    names.add(name.decode())
    position += around + length
  assert position == len(content)
  return names


ALLOWED = {
  'JPEG': {'E0', 'DB', 'C0', 'C4'},
  'PNG': {'IHDR', 'IDAT', 'IEND'},
  'WEBP': {'VP8 '},
  'TIFF': {str(t) for t in (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 339)},
  'BMP': set(),
  'GIF': set(),
}
TRACES = re.compile(
  rb'SECRET|Exif|eXIf|EXIF|xmp|XMP|adobe|ICC_PROFILE|ICCP|iCCP|8BIM|Photoshop|MPF|Cam\0|acsp|'
  rb'[tiz]+TXt|Pillow|NETSCAPE'
)


@pytest.mark.parametrize('source', KINDS)
def test_nothing_of_a_file_but_its_pixels_reaches_an_output(reader, tmp_path, source):
  loaded = _loaded(source)
  assert TRACES.search(loaded)
  path = tmp_path / 'loaded'
  path.write_bytes(loaded)
  found = reader.read(path)
  assert bool(found.left_out) == (source not in ('TIFF', 'BMP'))  # which mark no end
  for kind in KINDS:
    write_picture_file(tmp_path / 'out', found.frames, kind)
    content = (tmp_path / 'out').read_bytes()
    assert not TRACES.search(content), kind
    assert _parts(content, kind) <= ALLOWED[kind], kind
    assert not reader.read(tmp_path / 'out').left_out


@pytest.mark.parametrize('kind', KINDS)
def test_when_and_where_are_written_only_if_they_are_given(reader, tmp_path, kind):
  holds = kind in writing.HOLD_CAPTURE
  for time, place in ((TIME, PLACE), (TIME, None), (None, PLACE)):
    write_picture_file(tmp_path / 'a', [_frame()], kind, capture=time, position=place)
    found = reader.read(tmp_path / 'a').capture
    assert found == (Capture(time, place) if holds else Capture())
    if not holds:
      continue
    with Image.open(tmp_path / 'a') as image:
      exif = image.getexif()
      pointers = {0x8769} if time else set()
      pointers |= {0x8825} if place else set()
      own = {t for t in exif if t > 339 or t == 0x0112}  # a TIFF's own tags stand there as well
      assert own == {0x0112} | pointers
      assert exif[0x0112] == 1
      assert dict(exif.get_ifd(0x8769)) == ({0x9003: '2024:05:06 07:08:09'} if time else {})
      assert not exif.get_ifd(1)  # where a thumbnail would be


def test_places_survive_to_three_centimetres(reader, tmp_path):
  for latitude, longitude in ((89.99999999, -179.9999999), (0.0, 0.0), (-33.8567844, 151.213108)):
    write_picture_file(
      tmp_path / 'a', [_frame()], 'PNG', position=Position(latitude, longitude, None)
    )
    place = reader.read(tmp_path / 'a').capture.position
    assert place.latitude == pytest.approx(latitude, abs=1 / 3_600_000)
    assert place.longitude == pytest.approx(longitude, abs=1 / 3_600_000)
    assert place.altitude is None


@pytest.mark.parametrize(
  ('frames', 'kind', 'durations', 'expected'),
  [
    ([_frame()], 'HEIC', (), r"'HEIC' is no kind of picture; choose one of JPEG, "),
    ([], 'PNG', (), r'no frame was given'),
    ([_frame().astype(float)], 'PNG', (), r'a frame is float64 \[96, 128, 3\]; give uint8'),
    ([_frame()[..., 0]], 'PNG', (), r'a frame is uint8 \[96, 128\]; give uint8'),
    ([_frame()[:0]], 'PNG', (), r'a frame is uint8 \[0, 128, 3\]; give uint8'),
    ([_frame(), _frame()[1:]], 'TIFF', (), r'its frames have different sizes'),
    ([_frame(), _frame(1)], 'JPEG', (), r'JPEG does not hold 2 pages; choose TIFF'),
    ([_frame(), _frame(1)], 'GIF', (), r'GIF does not hold 2 pages; choose TIFF'),
    ([_frame(), _frame(1)], 'JPEG', (9, 9), r'JPEG holds no animation; choose PNG, WEBP, GIF'),
    ([_frame(), _frame(1)], 'TIFF', (9, 9), r'TIFF holds no animation; choose PNG'),
    ([_frame(), _frame(1)], 'GIF', (9,), r'1 durations for 2 frames; give one a frame'),
    ([_frame(), _frame(1)], 'GIF', (9, -1), r'2 durations for 2 frames; give one a frame, 0 to'),
    ([np.zeros((1, 16384, 3), np.uint8)], 'WEBP', (), r'WEBP ends at 16383 pixels a side, this'),
  ],
)
def test_what_a_kind_cannot_hold_is_refused(tmp_path, frames, kind, durations, expected):
  with pytest.raises(InferenceError, match=rf'/a cannot be written: {expected}'):
    write_picture_file(tmp_path / 'a', frames, kind, durations)
  assert not list(tmp_path.iterdir())
