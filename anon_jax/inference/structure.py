"""What the bytes of a picture file say before anything is decoded: its kind, and its completeness.

Pillow does not notice every file that was cut short: a PNG without its end, or a GIF that stops
between two frames, decodes without a word.
"""

import dataclasses
import re
import struct
import zlib
from collections.abc import Callable

KINDS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF')
_BEGINNINGS = (
  (b'\xff\xd8\xff', 'JPEG'),
  (b'\x89PNG\r\n\x1a\n', 'PNG'),
  (b'GIF87a', 'GIF'),
  (b'GIF89a', 'GIF'),
  (b'II*\0', 'TIFF'),
  (b'MM\0*', 'TIFF'),
  (b'II+\0\x08\0\0\0', 'TIFF'),
  (b'MM\0+\0\x08\0\0', 'TIFF'),
  (b'BM', 'BMP'),
)
# A marker that ends a run of compressed JPEG data; FF 00 and the restarts FF D0 ... D7 do not.
_JPEG_MARKER = re.compile(rb'\xff([\x01-\xcf\xd8-\xfe])')
_CUT_SHORT = 'is cut short; replace it by a whole copy'
_DAMAGED = 'is damaged ({}); replace it by a sound copy'


class RefusedPicture(ValueError):
  """A picture file that is not taken; the message goes on after the file's name."""


@dataclasses.dataclass(frozen=True)
class Outline:
  """What a file's structure says.

  Attributes:
    kind: one of KINDS.
    length: bytes up to the end of the picture; None where the format marks no end.
    size: (width, height) in pixels as declared, None where only a decoder finds it out.
    frames: of a GIF, else None.
  """

  kind: str
  length: int | None = None
  size: tuple[int, int] | None = None
  frames: int | None = None


def kind_of(head: bytes) -> str | None:
  """Returns which of KINDS a file is by its first 16 bytes; None for any other."""
  if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
    return 'WEBP'
  return next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None)


def is_heif(head: bytes) -> bool:
  """Tells a HEIC or AVIF picture by its first 16 bytes."""
  return head[4:8] == b'ftyp' and head[8:12] in (b'heic', b'heix', b'mif1', b'msf1', b'avif')


def outline(data: memoryview) -> Outline:
  """Walks through a picture file from its beginning to its end, without decoding.

  Args:
    data: the whole file.

  Raises:
    RefusedPicture: it is none of KINDS, ends too early, or is damaged.
  """
  head = bytes(data[:16])
  kind = kind_of(head)
  if kind is None:
    raise RefusedPicture(
      'is empty; replace it'
      if not head
      else 'is a HEIC or AVIF picture; convert it to JPEG or PNG'
      if is_heif(head)
      else 'is no JPEG, PNG, WebP, TIFF, BMP or GIF by its content; convert or remove it'
    )
  walk = _WALKS.get(kind)
  if walk is None:
    return Outline(kind)
  try:
    return walk(data)
  except (IndexError, struct.error):
    raise RefusedPicture(_CUT_SHORT) from None


def _jpeg(data: memoryview) -> Outline:
  position, size = 2, None
  while found := _JPEG_MARKER.search(data, position):
    marker, position = found[1][0], found.end()
    if marker == 0xD9:
      return Outline('JPEG', position, size)
    if marker in (0x01, 0xD8):
      continue
    (length,) = struct.unpack_from('>H', data, position)
    if length < 2:
      raise RefusedPicture(_DAMAGED.format('a segment without length'))
    # C4, C8 and CC are tables among the codes of frame headers
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and size is None:
      height, width = struct.unpack_from('>HH', data, position + 3)
      size = (width, height)
    position += length
  raise RefusedPicture(_CUT_SHORT)


def _png(data: memoryview) -> Outline:
  position = 8
  size = None
  while True:
    length, name = struct.unpack_from('>I4s', data, position)
    end = position + 12 + length
    if end > len(data):
      raise RefusedPicture(_CUT_SHORT)
    (checksum,) = struct.unpack_from('>I', data, end - 4)
    if zlib.crc32(data[position + 4 : end - 4]) != checksum:
      raise RefusedPicture(_DAMAGED.format(f'wrong checksum at byte {position}'))
    if (name == b'IHDR') != (size is None):
      raise RefusedPicture(_DAMAGED.format('one header was expected, at its beginning'))
    if name == b'IHDR':
      size = struct.unpack_from('>II', data, position + 8)
    if name == b'IEND':
      return Outline('PNG', end, size)
    position = end


def _gif(data: memoryview) -> Outline:
  width, height, flags = struct.unpack_from('<HHB', data, 6)
  position = 13 + _gif_table(flags)
  frames = 0
  while (block := data[position]) != 0x3B:
    position += 1
    if block == 0x21:
      position = _past_gif_parts(data, position + 1)
    elif block == 0x2C:
      left, top, across, down, flags = struct.unpack_from('<HHHHB', data, position)
      if left + across > width or top + down > height:
        # Pillow would enlarge the picture, after every check of its size.
        raise RefusedPicture(_DAMAGED.format(f'frame {frames + 1} lies outside of the picture'))
      frames += 1
      position = _past_gif_parts(data, position + 9 + _gif_table(flags) + 1)
    elif block:  # zeros between blocks are a common slip
      raise RefusedPicture(_DAMAGED.format(f'unknown block at byte {position - 1}'))
  if not frames:
    raise RefusedPicture(_DAMAGED.format('it holds no frame'))
  return Outline('GIF', position + 1, (width, height), frames)


def _gif_table(flags: int) -> int:
  """Returns the bytes of the colour table that a header's flags announce."""
  return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past_gif_parts(data: memoryview, position: int) -> int:
  while length := data[position]:
    position += 1 + length
  return position + 1


def _webp(data: memoryview) -> Outline:
  (length,) = struct.unpack_from('<I', data, 4)
  if length + 8 > len(data):
    raise RefusedPicture(_CUT_SHORT)
  name = bytes(data[12:16])
  if name == b'VP8X':
    size = tuple(int.from_bytes(data[at : at + 3], 'little') + 1 for at in (24, 27))
  elif name == b'VP8L':
    (bits,) = struct.unpack_from('<I', data, 21)
    size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
  elif name == b'VP8 ':
    size = tuple(side & 0x3FFF for side in struct.unpack_from('<HH', data, 26))
  else:
    raise RefusedPicture(_DAMAGED.format('it begins with an unknown part'))
  return Outline('WEBP', length + 8, (size[0], size[1]))


_WALKS: dict[str, Callable[[memoryview], Outline]] = {
  'JPEG': _jpeg,
  'PNG': _png,
  'GIF': _gif,
  'WEBP': _webp,
}
