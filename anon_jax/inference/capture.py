"""The only metadata that may be carried over: when and where a photograph was taken."""

import dataclasses
import datetime
import math
import re
import struct
from typing import Any

from PIL import Image

_ORIENTATION, _EXIF, _GPS, _TIME = 0x0112, 0x8769, 0x8825, 0x9003
_TIMES = re.compile(r'(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)')
# What Pillow and the conversions below raise for values of wrong types, and for none.
_ODD = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
# And for blocks that are no EXIF at all.
_BROKEN = (*_ODD, OSError, SyntaxError, struct.error, EOFError)


@dataclasses.dataclass(frozen=True)
class Position:
  """Where a photograph was taken: degrees north and east, metres above the sea."""

  latitude: float
  longitude: float
  altitude: float | None = None


@dataclasses.dataclass(frozen=True)
class Capture:
  """When, by the camera's clock, and where; None where that is not known."""

  time: datetime.datetime | None = None
  position: Position | None = None


def read_exif(image: Image.Image) -> tuple[int, Capture]:
  """Returns the orientation, 1 (upright) to 8, and the capture of a loaded picture.

  Pillow turns a TIFF while it loads it: then the orientation is 1.
  """
  try:
    exif = image.getexif()
    orientation = exif.get(_ORIENTATION, 1)
  except _BROKEN:
    # Viewers ignore what they cannot parse, and show the picture unturned.
    return 1, Capture()
  try:
    return orientation, Capture(_read_time(exif), _read_position(exif))
  except _BROKEN:
    return orientation, Capture()


def _read_time(exif: Image.Exif) -> datetime.datetime | None:
  found = _TIMES.match(str(exif.get_ifd(_EXIF).get(_TIME, '')))
  if not found:
    return None
  year, month, day, hour, minute, second = map(int, found.groups())
  try:
    return datetime.datetime(year, month, day, hour, minute, second)
  except ValueError:  # cameras whose clock was never set write month 0
    return None


def _read_position(exif: Image.Exif) -> Position | None:
  tags = exif.get_ifd(_GPS)
  latitude, longitude = _degrees(tags, 1, 'S', 90), _degrees(tags, 3, 'W', 180)
  if latitude is None or longitude is None:
    return None
  try:
    altitude = float(tags[6]) * (-1 if tags.get(5) in (1, b'\x01') else 1)
  except _ODD:
    altitude = math.nan
  return Position(latitude, longitude, altitude if math.isfinite(altitude) else None)


def _degrees(tags: dict[int, Any], tag: int, negative: str, limit: int) -> float | None:
  try:
    degrees, minutes, seconds = (float(part) for part in tags[tag + 1])
  except _ODD:
    return None
  value = degrees + minutes / 60 + seconds / 3600
  if not abs(value) <= limit:  # NaN as well
    return None
  return -value if tags.get(tag) == negative else value


def write_exif(time: datetime.datetime | None, position: Position | None) -> bytes:
  """Returns an EXIF block of the given fields alone; empty if there are none."""
  if time is None and position is None:
    return b''
  exif = Image.Exif()
  exif[_ORIENTATION] = 1
  if time is not None:
    exif[_EXIF] = {_TIME: time.strftime('%Y:%m:%d %H:%M:%S')}
  if position is not None:
    exif[_GPS] = _position_tags(position)
  return exif.tobytes()


def _position_tags(position: Position) -> dict[int, Any]:
  tags: dict[int, Any] = {0: b'\x02\x03\0\0'}
  for tag, value, names in ((1, position.latitude, 'NS'), (3, position.longitude, 'EW')):
    # in thousandths of a second, 3 cm, so that 59.9996 s does not become 60
    minutes, thousandths = divmod(round(abs(value) * 3_600_000), 60_000)
    tags[tag] = names[value < 0]
    tags[tag + 1] = (float(minutes // 60), float(minutes % 60), thousandths / 1000)
  if position.altitude is not None:
    tags[5] = b'\x01' if position.altitude < 0 else b'\0'
    tags[6] = abs(position.altitude)
  return tags
