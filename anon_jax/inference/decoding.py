"""Decodes picture files; as a process of its own, the one that may crash, hang or fill up.

The process is started by `reading.Reader`, imports NumPy and Pillow only, limits itself, and talks
over a socket: a request is one byte with an open file, answers are JSON with pixels behind them.
"""

import dataclasses
import math
import mmap
import os
import resource
import socket
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import (
  BmpImagePlugin,
  GifImagePlugin,
  Image,
  ImageFile,
  JpegImagePlugin,
  PngImagePlugin,
  TiffImagePlugin,
  WebPImagePlugin,
)

from anon_jax.inference import pixels, structure
from anon_jax.inference.capture import Capture, read_exif
from anon_jax.inference.child import limit, send
from anon_jax.inference.structure import RefusedPicture

MAX_BYTES = 512 << 20
MAX_PIXELS = 50_000_000
MAX_PIXELS_OF_ALL_FRAMES = 200_000_000
MAX_FRAMES = 2000
# Pillow's classes, and not Image.open: the kind is known, and of a JPEG with further pictures (MPO)
# the plain class sees the first one only.
_READERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
  'JPEG': JpegImagePlugin.JpegImageFile,
  'PNG': PngImagePlugin.PngImageFile,
  'WEBP': WebPImagePlugin.WebPImageFile,
  'TIFF': TiffImagePlugin.TiffImageFile,
  'BMP': BmpImagePlugin.BmpImageFile,
  'GIF': GifImagePlugin.GifImageFile,
}
# What Pillow raises for files that are cut short or damaged.
BROKEN = (
  OSError,
  SyntaxError,
  ValueError,
  TypeError,
  LookupError,
  AttributeError,
  ArithmeticError,
  AssertionError,
  RuntimeError,
  EOFError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)
_SUBFILE, _PHOTOMETRIC, _SUB_FOLDERS, _DNG = 254, 262, 330, 50706


@dataclasses.dataclass(frozen=True)
class Summary:
  """All of a picture file but its pixels.

  Attributes:
    kind: one of structure.KINDS.
    animated: whether its frames follow each other in time.
    loop: how often an animation is shown, 0 for ever.
    left_out: what the file holds besides the frames, for people.
    capture: when and where it was taken.
  """

  kind: str
  animated: bool
  loop: int
  left_out: tuple[str, ...]
  capture: Capture


def decode(file: BinaryIO, emit: Callable[[np.ndarray, int], None]) -> Summary:
  """Decodes every frame of a picture file.

  Args:
    file: at any place, seekable, a real file.
    emit: is given each frame, uint8 [h, w, 3], upright, and its duration in milliseconds.

  Raises:
    RefusedPicture: the file is not taken, and why.
    Exception: any of BROKEN: Pillow stumbled over it.
  """
  found = _outline(file)
  if found.size:
    _check_pixels(*found.size)
  file.seek(0)
  image = _READERS[found.kind](file)
  _check_pixels(*image.size)
  count = found.frames or int(getattr(image, 'n_frames', 1) or 1)
  _check_frames(count, image)
  left_out = _left_out(found, file)
  sizes: set[tuple[int, ...]] = set()
  total = 0
  orientation, capture = 1, Capture()
  for number in range(count):
    if number:
      image.seek(number)
    if _is_side_picture(image, number, left_out):
      continue
    _check_pixels(*image.size)
    total += image.width * image.height
    _check_total(total, count)
    inverted = _says_0_is_white(image)
    image.load()
    if not sizes:
      orientation, capture = read_exif(image)
    frame = pixels.to_rgb(image, orientation, inverted)
    sizes.add(frame.shape)
    if len(sizes) > 1:
      raise RefusedPicture('has pages of different sizes; split it into one file a page')
    # the length of a WebP's frame is known after decoding it
    emit(frame, max(0, round(image.info.get('duration') or 0)))
  if not sizes:
    raise RefusedPicture('holds no picture of its own; replace or remove it')
  animated = count > 1 and found.kind != 'TIFF'
  loop = int(image.info.get('loop', 1)) if animated else 0
  return Summary(found.kind, animated, loop, tuple(left_out), capture)


def _outline(file: BinaryIO) -> structure.Outline:
  size = file.seek(0, 2)
  if size > MAX_BYTES:
    raise RefusedPicture(f'has {size >> 20} MiB; at most {MAX_BYTES >> 20} are taken: reduce it')
  if not size:
    return structure.outline(memoryview(b''))
  file.seek(0)
  with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
    return structure.outline(view)


def _check_pixels(width: int, height: int) -> None:
  if not 0 < width * height <= MAX_PIXELS:
    raise RefusedPicture(
      f'has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are taken: '
      'reduce it'
    )


def _check_frames(count: int, image: ImageFile.ImageFile) -> None:
  if count > MAX_FRAMES:
    raise RefusedPicture(f'has {count} frames; at most {MAX_FRAMES} are taken: split it')
  if image.format != 'TIFF':  # whose pages have sizes of their own
    _check_total(count * image.width * image.height, count)


def _check_total(total: int, count: int) -> None:
  if total > MAX_PIXELS_OF_ALL_FRAMES:
    raise RefusedPicture(
      f'has {count} frames of more than {MAX_PIXELS_OF_ALL_FRAMES // 1_000_000} megapixels '
      'together; split or reduce it'
    )


def _says_0_is_white(image: ImageFile.ImageFile) -> bool:
  return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def _left_out(found: structure.Outline, file: BinaryIO) -> list[str]:
  """Names what lies behind a picture: further pictures, videos of live photographs, anything."""
  behind = 0 if found.length is None else file.seek(0, 2) - found.length
  return [f'{behind} bytes behind the picture'] if behind else []


def _is_side_picture(image: ImageFile.ImageFile, number: int, left_out: list[str]) -> bool:
  """Tells pictures that a file holds beside its frames, and notes them."""
  if isinstance(image, PngImagePlugin.PngImageFile) and image.default_image and number == 0:
    left_out.append('the still picture in front of the animation')
    return True
  if not isinstance(image, TiffImagePlugin.TiffImageFile):
    return False
  if _DNG in image.tag_v2:
    raise RefusedPicture('is a raw file of a camera; develop it into a JPEG, PNG or TIFF')
  if _SUB_FOLDERS in image.tag_v2:
    left_out.append(f'pictures inside of page {number + 1}')
  reduced = bool(int(image.tag_v2.get(_SUBFILE, 0)) & 1)
  if reduced and number == 0:
    raise RefusedPicture('begins with a preview, as raw files do; save the photograph alone')
  if reduced:
    left_out.append(f'page {number + 1}, a reduced copy')
  return reduced


def _plain(summary: Summary) -> dict[str, Any]:
  """Returns a summary as JSON can hold it."""
  time, position = summary.capture.time, summary.capture.position
  return {
    'kind': summary.kind,
    'animated': summary.animated,
    'loop': summary.loop,
    'left_out': summary.left_out,
    'time': time and time.isoformat(),
    'position': position and dataclasses.astuple(position),
  }


def _answer(connection: socket.socket, file: BinaryIO) -> None:
  """Decodes one file and sends what it holds, or why it is refused."""

  def emit(frame: np.ndarray, duration: int) -> None:
    pixels_of = np.ascontiguousarray(frame).data.cast('B')
    send(connection, {'frame': frame.shape[:2], 'duration': duration}, pixels_of)

  try:
    send(connection, {'end': _plain(decode(file, emit))})
  except RefusedPicture as error:
    send(connection, {'error': str(error)})
  except MemoryError:
    send(connection, {'error': 'needs more memory than is granted; reduce it', 'spoilt': True})
  except ConnectionError:
    raise
  except BROKEN as error:
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    message = f'cannot be decoded ({reason}); it is cut short or damaged: replace or remove it'
    send(connection, {'error': message})


def main() -> None:
  """Serves until the other side hangs up: arguments are the socket, bytes and seconds a file."""
  connection = socket.socket(fileno=int(sys.argv[1]))
  limit(resource.RLIMIT_AS, int(sys.argv[2]))
  limit(resource.RLIMIT_CORE, 0)  # a dump would hold photographs
  limit(resource.RLIMIT_FSIZE, 0)
  warnings.simplefilter('ignore')
  send(connection, {'ready': True})
  while True:
    request, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not request:
      return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + int(sys.argv[3]))
    with os.fdopen(descriptors[0], 'rb') as file:
      _answer(connection, file)


if __name__ == '__main__':
  main()
