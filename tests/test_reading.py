"""Pictures of every kind and mode come out of the child process as they are meant to be seen."""

import datetime
import io
import itertools
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from anon_jax.inference import reading
from anon_jax.inference.capture import Capture, Position
from anon_jax.inference.reading import PictureError

# Two rows, three columns, no two corners alike.
PIXELS = np.array(
  [
    [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
    [[255, 255, 0], [9, 99, 199], [0, 0, 0]],
  ],
  np.uint8,
)
LOSSLESS = {'PNG': {}, 'WEBP': {'lossless': True}, 'TIFF': {}, 'BMP': {}, 'GIF': {}}


@pytest.fixture
def read(reader, tmp_path):
  """Writes something to a file and reads it: bytes, or a Pillow image and how to save it."""
  numbers = itertools.count()

  def write_and_read(content: bytes | Image.Image, kind: str = 'PNG', **options):
    path = tmp_path / f'{next(numbers)}.jpg'
    if isinstance(content, bytes):
      path.write_bytes(content)
    else:
      content.save(path, kind, **options)
    return reader.read(path)

  return write_and_read


def _grey(*values: int) -> np.ndarray:
  """Returns one row of grey pixels, uint8 [1, n, 3]."""
  return np.repeat(np.array([values], np.uint8)[..., None], 3, 2)


def _png(header: bytes, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
  chunks = [(b'IHDR', header), *more, (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
  packed = (
    struct.pack('>I', len(d)) + n + d + struct.pack('>I', zlib.crc32(n + d)) for n, d in chunks
  )
  return b'\x89PNG\r\n\x1a\n' + b''.join(packed)


def _tiff(order: str, *pages: tuple[np.ndarray, dict[int, int]]) -> bytes:
  """Returns an uncompressed TIFF of grey pages [h, w] with tags; `order` is '<' or '>'."""
  out = {'<': b'II*\0', '>': b'MM\0*'}[order]
  for pixels, more in pages:
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    (height, width), bits = pixels.shape, pixels.itemsize * 8
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: len(out) + 4}
    tags |= {277: 1, 278: height, 279: len(content)} | more
    # each page: where its folder is, its pixels, its folder; the next page's "where" follows it
    out += struct.pack(f'{order}I', len(out) + 4 + len(content)) + content
    out += struct.pack(f'{order}H', len(tags))
    for tag, value in sorted(tags.items()):
      out += struct.pack(f'{order}HHII', tag, 4, 1, value)
  return out + bytes(4)


@pytest.mark.parametrize('kind', LOSSLESS)
def test_a_lossless_kind_is_read_exactly_whatever_its_name(read, kind):
  found = read(Image.fromarray(PIXELS), kind, **LOSSLESS[kind])
  assert found.kind == kind
  assert (found.durations, found.capture, found.left_out) == ((), Capture(), ())
  (frame,) = found.frames
  assert frame.dtype == np.uint8
  np.testing.assert_array_equal(frame, PIXELS)


def test_a_jpeg_is_read_as_pillow_decodes_it(read):
  picture = Image.fromarray(np.kron(PIXELS, np.ones((16, 16, 1), np.uint8)))
  out = io.BytesIO()
  picture.save(out, 'JPEG')
  found = read(out.getvalue())
  assert found.kind == 'JPEG'
  np.testing.assert_array_equal(found.frames[0], np.asarray(Image.open(out)))


@pytest.mark.parametrize(
  ('mode', 'colour', 'kind', 'expected'),
  [
    ('1', 1, 'PNG', (255, 255, 255)),
    ('L', 77, 'JPEG', (77, 77, 77)),
    ('LA', (77, 255), 'PNG', (77, 77, 77)),
    # whatever lies under alpha 0 is gone
    ('LA', (77, 0), 'PNG', (255, 255, 255)),
    ('RGBA', (1, 2, 3, 0), 'PNG', (255, 255, 255)),
    ('RGBA', (1, 2, 3, 0), 'TIFF', (255, 255, 255)),
    ('RGBA', (1, 2, 3, 0), 'WEBP', (255, 255, 255)),
    # 255 - (255 - 55) * 51 / 255 = 215
    ('RGBA', (55, 255, 0, 51), 'PNG', (215, 255, 204)),
    ('CMYK', (0, 0, 0, 0), 'TIFF', (255, 255, 255)),
    ('CMYK', (255, 0, 0, 0), 'JPEG', (0, 255, 255)),
    ('YCbCr', (77, 128, 128), 'TIFF', (77, 77, 77)),
  ],
)
def test_every_mode_becomes_rgb_on_white(read, mode, colour, kind, expected):
  found = read(Image.new(mode, (8, 8), colour), kind, **({'exact': True} if kind == 'WEBP' else {}))
  assert np.unique(found.frames[0].reshape(-1, 3), axis=0).tolist() == [list(expected)]


def test_transparent_colours_of_a_palette_lie_on_white(read):
  picture = Image.new('P', (2, 1), 0)
  picture.putpalette([10, 20, 30, 40, 50, 60])
  picture.putpixel((1, 0), 1)
  for kind, shown in (('PNG', b'\x00\xff'), ('GIF', 0)):
    found = read(picture, kind, transparency=shown)
    assert found.frames[0].tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_16_bits_are_scaled_and_not_cut(read):
  values = np.array([[0, 256, 32768, 65535]], np.uint16)
  expected = _grey(0, 1, 128, 255)
  for kind in ('PNG', 'TIFF'):
    np.testing.assert_array_equal(read(Image.fromarray(values), kind).frames[0], expected)
  big = _tiff('>', (values, {}))
  np.testing.assert_array_equal(read(big).frames[0], expected)
  # photometric 0: white is zero
  negative = _tiff('<', (values, {262: 0}))
  np.testing.assert_array_equal(read(negative).frames[0], 255 - expected)
  colours = struct.pack('>BIIBBBBB', 0, 2, 1, 16, 2, 0, 0, 0)[1:]
  row = b'\0' + np.array([0, 256, 32768, 65535, 0, 0], '>u2').tobytes()
  assert read(_png(colours, row)).frames[0].tolist() == [[[0, 1, 128], [255, 0, 0]]]


def test_16_bits_that_are_almost_black_are_refused(read):
  assert read(Image.fromarray(np.array([[0, 4096]], np.uint16))).frames[0][0, 1, 0] == 16
  assert not read(Image.fromarray(np.zeros((1, 2), np.uint16))).frames[0].any()
  with pytest.raises(PictureError, match=r'no value above 4095, so it is almost black; scale its'):
    read(Image.fromarray(np.array([[0, 4095]], np.uint16)))


def test_floats_are_scaled_or_refused(read):
  found = read(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), 'TIFF')
  np.testing.assert_array_equal(found.frames[0], _grey(0, 128, 255))
  for wrong in (-0.1, 1.1, 255, np.nan, np.inf):
    with pytest.raises(PictureError, match=r'has float pixels beyond 0 \.\.\. 1; scale them'):
      read(Image.fromarray(np.array([[0, wrong, 1]], np.float32)), 'TIFF')


def test_modes_that_would_need_a_guess_are_refused_by_name(read):
  with pytest.raises(PictureError, match='has pixels of kind I; save it with 8 bits a channel'):
    read(Image.fromarray(np.array([[70000]], np.int32)), 'TIFF')
  with pytest.raises(PictureError, match='has pixels of kind LAB; save it'):
    read(Image.new('LAB', (4, 4)), 'TIFF')


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize(
  ('orientation', 'row_0', 'column_0'),
  [  # where the first stored row and column belong in the upright picture, as EXIF defines it
    (1, 'top', 'left'),
    (2, 'top', 'right'),
    (3, 'bottom', 'right'),
    (4, 'bottom', 'left'),
    (5, 'left', 'top'),
    (6, 'right', 'top'),
    (7, 'right', 'bottom'),
    (8, 'left', 'bottom'),
  ],
)
def test_orientation_is_baked_in(read, kind, orientation, row_0, column_0):
  stored = PIXELS if row_0 in ('top', 'bottom') else PIXELS.swapaxes(0, 1)
  stored = stored[::-1] if row_0 in ('bottom', 'right') else stored
  stored = stored[:, ::-1] if column_0 in ('bottom', 'right') else stored
  exif = Image.Exif()
  exif[0x0112] = orientation
  found = read(Image.fromarray(stored.copy()), kind, exif=exif, **LOSSLESS[kind])
  np.testing.assert_array_equal(found.frames[0], PIXELS)


def test_broken_exif_leaves_a_picture_as_it_is(read):
  for block in (b'Exif\0\0', b'Exif\0\0II*\0\xff\xff\xff\xff', b'\0' * 40, b'MM\0*\0\0\0\x08\xff'):
    found = read(Image.fromarray(PIXELS), 'PNG', exif=block)
    np.testing.assert_array_equal(found.frames[0], PIXELS)
    assert found.capture == Capture()


def test_colours_are_brought_to_srgb(read):
  profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
  named = profile.replace('sRGB'.encode('utf-16-be'), 'mine'.encode('utf-16-be'))
  swapped = named.replace(b'rXYZ', b'????', 1).replace(b'gXYZ', b'rXYZ', 1)
  swapped = swapped.replace(b'????', b'gXYZ', 1)  # its red is what sRGB calls green
  red = Image.new('RGB', (1, 1), 'red')
  for kind in ('PNG', 'TIFF'):
    assert np.abs(read(red, kind, icc_profile=swapped).frames[0] - (0.0, 255, 0)).max() <= 2
    assert read(red, kind, icc_profile=profile).frames[0].tolist() == [[[255, 0, 0]]]
    for broken in (b'\0' * 200, swapped[:300]):
      assert read(red, kind, icc_profile=broken).frames[0].tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize(('kind', 'loop'), [('PNG', 3), ('WEBP', 0), ('GIF', 3)])
def test_every_frame_of_an_animation_is_read(read, kind, loop):
  frames = [PIXELS, 255 - PIXELS, PIXELS[::-1].copy()]
  pictures = [Image.fromarray(frame) for frame in frames]
  options = {'duration': [40, 500, 70], 'loop': loop, 'append_images': pictures[1:]}
  found = read(pictures[0], kind, save_all=True, **options, **LOSSLESS[kind])
  assert found.durations == (40, 500, 70)
  assert (found.kind, found.loop) == (kind, loop)
  for frame, expected in zip(found.frames, frames, strict=True):
    np.testing.assert_array_equal(frame, expected)


def test_a_gif_that_says_nothing_about_it_is_shown_once(read):
  pictures = [Image.new('L', (4, 4), value) for value in (1, 2)]
  assert read(pictures[0], 'GIF', save_all=True, append_images=pictures[1:]).loop == 1


def test_every_page_of_a_tiff_is_read_each_turned_upright(read):
  page = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
  found = read(_tiff('<', (page, {}), (page[::-1, ::-1] + 100, {274: 3}), (page.T, {274: 5})))
  assert (found.kind, found.durations) == ('TIFF', ())
  np.testing.assert_array_equal([f[..., 0] for f in found.frames], [page, page + 100, page])


def test_pages_of_different_sizes_are_refused(read):
  pages = [Image.new('L', (4, 4)), Image.new('L', (4, 5))]
  with pytest.raises(PictureError, match='has pages of different sizes; split it into one file a'):
    read(pages[0], 'TIFF', save_all=True, append_images=pages[1:])


def test_pictures_beside_the_picture_are_left_out_and_named(read):
  first, second = Image.fromarray(PIXELS), Image.new('RGB', (30, 20), 'red')
  found = read(first, 'MPO', save_all=True, append_images=[second])
  assert (found.kind, len(found.frames)) == ('JPEG', 1)
  assert found.frames[0].shape == PIXELS.shape
  assert found.left_out[0].endswith(' bytes behind the picture')
  out = io.BytesIO()
  first.save(out, 'PNG')
  assert read(out.getvalue() + b'secret').left_out == ('6 bytes behind the picture',)
  frames = [Image.fromarray(255 - PIXELS), Image.fromarray(PIXELS)]
  found = read(second.resize((3, 2)), save_all=True, append_images=frames, default_image=True)
  np.testing.assert_array_equal(found.frames, [255 - PIXELS, PIXELS])
  assert found.left_out == ('the still picture in front of the animation',)
  page = np.array([[1, 2, 3]], np.uint8)
  found = read(_tiff('>', (page, {}), (page[:, :1], {254: 1}), (page + 100, {})))
  assert [f[0, 0, 0] for f in found.frames] == [1, 101]
  assert found.left_out == ('page 2, a reduced copy',)


def test_files_of_cameras_that_begin_with_a_preview_are_refused(read):
  with pytest.raises(PictureError, match='begins with a preview, as raw files do'):
    read(Image.fromarray(PIXELS), 'TIFF', tiffinfo={254: 1})
  with pytest.raises(PictureError, match='is a raw file of a camera; develop it'):
    read(Image.fromarray(PIXELS), 'TIFF', tiffinfo={50706: b'\1\4\0\0'})


def test_when_and_where_are_read_and_nothing_else(read):
  exif = Image.Exif()
  exif[0x010F], exif[0x8769] = 'Camera', {0x9003: '2024:05:06 07:08:09', 0xA420: 'serial'}
  exif[0x8825] = {1: 'S', 2: (48.0, 30.0, 36.0), 3: 'E', 4: (2.0, 0.0, 0.0), 5: b'\1', 6: 12.5}
  time = datetime.datetime(2024, 5, 6, 7, 8, 9)
  for kind in ('JPEG', 'PNG', 'WEBP', 'TIFF'):
    capture = read(Image.fromarray(PIXELS), kind, exif=exif.tobytes()).capture
    assert capture == Capture(time, Position(-48.51, 2.0, -12.5))


@pytest.mark.parametrize('text', ['0000:00:00 00:00:00', '2024:13:01 00:00:00', 'yesterday', ''])
def test_times_and_places_that_make_no_sense_are_left_out(read, text):
  exif = Image.Exif()
  exif[0x8769] = {0x9003: text}
  exif[0x8825] = {1: 'N', 2: (91.0, 0.0, 0.0), 3: 'E', 4: (2.0, 0.0, 0.0)}
  assert read(Image.fromarray(PIXELS), exif=exif).capture == Capture()


def test_real_photographs_are_read_as_pillow_decodes_them(reader, real_data):
  photographs = sorted((real_data / 'lfw').rglob('*.jpg'))[:20]
  assert photographs
  for path in photographs:
    np.testing.assert_array_equal(reader.read(path).frames[0], np.asarray(Image.open(path)))


def test_one_file_is_read_by_a_child_of_its_own(tmp_path):
  path = tmp_path / 'a.png'
  Image.fromarray(PIXELS).save(path)
  before = set(pathlib.Path('/proc/self/fd').iterdir())
  np.testing.assert_array_equal(reading.read_picture_file(str(path)).frames[0], PIXELS)
  assert set(pathlib.Path('/proc/self/fd').iterdir()) == before
