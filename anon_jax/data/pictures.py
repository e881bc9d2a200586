"""Reads pictures and masks from disk completely, and encodes what is stored of them."""

import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from anon_jax.data import semantic
from anon_jax.data.errors import DatasetError

EXTENSIONS = ('.jpg', '.jpeg', '.png')
# Left in folders of pictures by file managers.
LITTER = ('thumbs.db', 'desktop.ini')
# What Pillow's JPEG and PNG readers raise for files that are cut short or damaged.
_BROKEN = (
  OSError,
  SyntaxError,
  ValueError,
  EOFError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)
_PICTURE_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')
_ORIENTATION = 0x0112  # the EXIF tag
_JPEG_QUALITY = 95


def read_lines(path: pathlib.Path) -> list[str]:
  """Returns the lines of a text list that are not blank; none where there is no such file.

  Raises:
    DatasetError: it is no text file.
  """
  if not path.exists():
    return []
  try:
    text = path.read_text(encoding='utf-8-sig')  # some editors write a mark in front
  except (OSError, UnicodeDecodeError) as error:
    raise DatasetError(
      f'{path} cannot be read as UTF-8 text ({error}); mend or remove it.'
    ) from None
  return [line.strip() for line in text.splitlines() if line.strip()]


def list_files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the files directly inside `folder`, ordered by name, without hidden ones and litter.

  Raises:
    DatasetError: it is no folder, or holds a folder, a broken link or another thing to trip over.
  """
  if not folder.is_dir():
    raise DatasetError(f'{folder} is not a folder.')
  files = []
  for path in sorted(folder.iterdir()):
    if path.name.startswith('.') or path.name.lower() in LITTER:
      continue
    try:
      path.name.encode()
      plain = path.is_file()
    except (OSError, UnicodeEncodeError):
      plain = False
    if not plain:
      raise DatasetError(f'{str(path)!a} is not a plain file with a UTF-8 name; remove it.')
    files.append(path)
  return files


def list_pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns {stem: path} of the pictures directly inside `folder`, ordered by file name.

  Raises:
    DatasetError: a file is neither a JPEG nor a PNG, two pictures share their stem, or there is no
      picture at all.
  """
  found: dict[str, pathlib.Path] = {}
  for path in list_files(folder):
    if path.suffix.lower() not in EXTENSIONS:
      raise DatasetError(f'{path} is not a picture; {folder} may hold {_extensions()} files only.')
    if path.stem in found:
      raise DatasetError(f'{found[path.stem]} and {path} share one stem; rename one of them.')
    found[path.stem] = path
  if not found:
    raise DatasetError(f'{folder} holds no picture; expected {_extensions()} files in it.')
  return found


def _extensions() -> str:
  return ', '.join(EXTENSIONS)


def _load(path: pathlib.Path, data: bytes) -> Image.Image:
  """Decodes all of a file's pixels."""
  try:
    image = Image.open(io.BytesIO(data), formats=('JPEG', 'PNG'))
    image.load()
  except Image.UnidentifiedImageError:
    raise DatasetError(
      f'{path} is neither a JPEG nor a PNG ({len(data)} bytes); replace or remove it.'
    ) from None
  except _BROKEN as error:
    reason = ' '.join(str(error).split())
    raise DatasetError(
      f'{path} cannot be decoded ({reason}); it is cut short or damaged: replace or remove it.'
    ) from error
  return image


def _has_16_bits(data: bytes) -> bool:
  """Tells a 16-bit PNG by its header: Pillow cuts its colours to 8 bits without a word."""
  return data.startswith(b'\x89PNG') and data[12:16] == b'IHDR' and data[24] == 16


def read_picture(path: pathlib.Path) -> tuple[Image.Image, bytes | None]:
  """Decodes a picture completely.

  Args:
    path: a JPEG or PNG file.

  Returns:
    The upright RGB picture, and the file's bytes if they decode to exactly that, else None (grey,
    with transparency, or turned by an EXIF orientation).

  Raises:
    DatasetError: the file is broken, or has more than 8 bits a channel.
  """
  data = path.read_bytes()
  image = _load(path, data)
  if image.mode not in _PICTURE_MODES or _has_16_bits(data):
    bits = ', 16 bits a channel' if _has_16_bits(data) else ''
    raise DatasetError(f'{path} has pixels of kind {image.mode}{bits}; expected 8 bits a channel.')
  turned = image.getexif().get(_ORIENTATION, 1) != 1
  if image.mode == 'RGB' and not turned:
    return image, data
  if turned:
    image = ImageOps.exif_transpose(image)
  return image.convert('RGB'), None


def read_map(path: pathlib.Path) -> np.ndarray:
  """Decodes an indexed or grey mask to class numbers, uint8 [h, w].

  Raises:
    DatasetError: the file is broken, or is no mask of one byte a pixel.
  """
  image = _load(path, path.read_bytes())
  if image.format != 'PNG' or image.mode not in ('P', 'L'):
    raise DatasetError(
      f'{path} is a {image.format} with pixels of kind {image.mode}; expected an indexed or grey '
      '8-bit PNG that holds the class number of each pixel.'
    )
  return np.asarray(image)


def read_instances(path: pathlib.Path) -> np.ndarray:
  """Decodes a map of instance numbers, int32 [h, w], from a grey PNG of 16 bits.

  Raises:
    DatasetError: the file is broken, or is no grey PNG of 16 bits.
  """
  data = path.read_bytes()
  image = _load(path, data)
  if not _has_16_bits(data) or not image.mode.startswith('I'):
    raise DatasetError(
      f'{path} is a {image.format} with pixels of kind {image.mode}; expected a grey PNG of 16 '
      'bits that holds the instance number of each pixel.'
    )
  return np.asarray(image).astype(np.int32)


def read_stencil(path: pathlib.Path) -> np.ndarray:
  """Decodes the mask of one part, bool [h, w]: true where it is not black.

  Raises:
    DatasetError: the file is broken.
  """
  return np.asarray(_load(path, path.read_bytes()).convert('L')) > 0


def check_same_size(
  picture: Image.Image, picture_path: pathlib.Path, semantic_map: np.ndarray, path: pathlib.Path
) -> None:
  """Raises a DatasetError naming both files unless the map has the picture's size."""
  height, width = semantic_map.shape
  if picture.size != (width, height):
    raise DatasetError(
      f'{path} is {width} x {height} but its picture {picture_path} is '
      f'{picture.width} x {picture.height}; a mask must have the size of its picture.'
    )


def cut_square(
  picture: np.ndarray, semantic_map: np.ndarray, left: int, top: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts a square that may reach beyond the picture; see `cut_rectangle`."""
  return cut_rectangle(picture, semantic_map, left, top, (side, side))


def cut_rectangle(
  picture: np.ndarray, semantic_map: np.ndarray, left: int, top: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts a rectangle that may reach beyond the picture.

  Beyond it the picture's border is repeated, and nobody has labelled that.

  Args:
    picture: uint8 [h, w, 3].
    semantic_map: uint8 [h, w].
    left: first column, may be negative.
    top: first row, may be negative.
    size: (width, height) in pixels; at least 1.

  Returns:
    uint8 [height, width, 3], and uint8 [height, width] with IGNORE beyond the picture.
  """
  height, width = semantic_map.shape
  rows, columns = np.arange(top, top + size[1]), np.arange(left, left + size[0])
  at = np.ix_(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))
  inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
  return picture[at], np.where(inside, semantic_map[at], np.uint8(semantic.IGNORE))


def reduced_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
  """Returns (width, height) with the longer side at most `max_side`; 0 leaves the size alone."""
  longest = max(size)
  if not max_side or longest <= max_side:
    return size
  width, height = (max(1, round(side * max_side / longest)) for side in size)
  return width, height


def encode_picture(picture: Image.Image, data: bytes | None, max_side: int) -> bytes:
  """Returns the bytes to store: `data` where nothing changes, else a new JPEG.

  Args:
    picture: RGB.
    data: the encoded file that `picture` was decoded from, or None if it was changed since.
    max_side: longest side stored, in pixels; 0 for no limit.
  """
  size = reduced_size(picture.size, max_side)
  if data is not None and size == picture.size:
    return data
  if size != picture.size:
    # reducing_gap averages blocks of pixels (BOX) down to three times the size first.
    picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
  out = io.BytesIO()
  # subsampling=0 keeps colour at full resolution: small crops lose their lips and eyes otherwise.
  picture.save(out, 'JPEG', quality=_JPEG_QUALITY, subsampling=0)
  return out.getvalue()


def encode_map(semantic_map: np.ndarray, size: tuple[int, int]) -> bytes:
  """Returns a grey PNG of uint8 [h, w] class numbers, brought to (width, height) by nearest."""
  image = Image.fromarray(semantic_map)
  if image.size != size:
    image = image.resize(size, Image.Resampling.NEAREST)
  out = io.BytesIO()
  image.save(out, 'PNG')
  return out.getvalue()
