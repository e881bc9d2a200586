"""What a live picture comes from: a camera, an address on the network, or a file that plays one.

An address never reaches FFmpeg unless it is one of rtsp:// or rtsps:// and the network is allowed:
FFmpeg would open whatever its text names, other files among it (`concat:`, `file:`).
"""

import dataclasses
import os
import pathlib
import re
import stat
import urllib.parse
from typing import Literal

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown

CAMERA = 'camera:'
_NETWORK = ('rtsp', 'rtsps')
_VIDEO4LINUX = 81  # the kernel's number of its devices
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*)[:,]')
# FFmpeg's protocols that are written without `//`, and read something else than their name says.
_TRICKS = (
  *('async', 'cache', 'concat', 'concatf', 'crypto', 'data', 'fd', 'ffrtmpcrypt', 'ffrtmphttp'),
  *('file', 'hls', 'pipe', 'subfile', 'tee', 'udp', 'rtp', 'tcp', 'tls', 'unix', 'bluray', 'ipfs'),
)


@dataclasses.dataclass(frozen=True)
class Source:
  """Where a live picture comes from.

  Attributes:
    kind: 'device' (Video4Linux), 'network' (RTSP) or 'file': a video that is played as fast as it
      was taken, as if it came from a camera.
    address: as FFmpeg takes it; a path for devices and files.
    name: for people and for the manifest: without user, password and query.
  """

  kind: Literal['device', 'network', 'file']
  address: str
  name: str


def parse(text: str, allow_network: bool = False) -> Source | None:
  """Returns the live source that an input names; None for what is the path of a file or folder.

  Args:
    text: `camera:N` for /dev/videoN, `camera:PATH` for a device or a video file, `rtsp://...`.
    allow_network: whether the user has allowed to read from the network.

  Raises:
    InferenceError: it is an address that is not taken, or not without leave, or there is no such
      camera.
  """
  if text.startswith(CAMERA):
    return _camera(text)
  scheme = _SCHEME.match(text)
  if scheme is None or os.path.lexists(text):
    return None
  kind = scheme[1].lower()
  if kind in _NETWORK and text[scheme.end() :].startswith('//'):
    return _address(text, kind, allow_network)
  if text[scheme.end() :].startswith('//') or kind in _TRICKS or kind in _NETWORK:
    raise InferenceError(
      f'{_hidden(text)} is an address; give files, folders, {CAMERA}0 or, with --allow-network, '
      'rtsp://... or rtsps://... (a file of that name: put ./ before it).'
    )
  return None


def _camera(text: str) -> Source:
  rest = text.removeprefix(CAMERA)
  if not rest:
    raise InferenceError(f'{CAMERA} names no camera; give {CAMERA}0, or {CAMERA}/dev/video0.')
  numbered = rest.isascii() and rest.isdecimal()
  path = f'/dev/video{int(rest)}' if numbered else os.path.expanduser(rest)  # noqa: PTH111
  name = f'{CAMERA}{shown(rest)}'
  try:
    status = pathlib.Path(path).stat()
    if stat.S_ISREG(status.st_mode) and not numbered:
      return Source('file', path, name)
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != _VIDEO4LINUX:
      raise InferenceError(f'{name}: {shown(path)} is no camera; {_choices(path)}.')
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
  except InferenceError:
    raise
  except PermissionError:
    raise InferenceError(
      f'{name}: {shown(path)} may not be opened (permission denied); join the group that it '
      'belongs to (mostly `sudo usermod -aG video $USER`, then log in again).'
    ) from None
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise InferenceError(
      f'{name}: {shown(path)} cannot be opened ({reason}); {_choices(path)}.'
    ) from None
  return Source('device', path, name)


def _found() -> list[str]:
  return sorted(str(path) for path in pathlib.Path('/dev').glob('video*'))


def _choices(path: str) -> str:
  if not path.startswith('/dev/'):
    return 'give a video file, or a camera (camera:0)'
  found = _found()
  if not found:
    return 'connect a camera: this machine has no /dev/video*'
  return f'choose one of {", ".join(found)}'


def _address(text: str, kind: str, allow_network: bool) -> Source:
  name = _hidden(text)
  if not allow_network:
    raise InferenceError(f'{name} reads from the network; give --allow-network if you mean that.')
  try:
    host = urllib.parse.urlsplit(text).hostname
    _ = urllib.parse.urlsplit(text).port
  except ValueError:
    host = None
  if not host or not text.isprintable() or ' ' in text:
    raise InferenceError(f'{name} is no address of a camera; give {kind}://HOST/PATH.')
  return Source('network', text, name)


def _hidden(text: str) -> str:
  """Returns an address for people, without what may be secret."""
  text = re.sub(r'//[^/]*@', '//', text)
  return shown(text.partition('?')[0])[:200]
