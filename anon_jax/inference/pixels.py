"""Pixels of every kind that Pillow reads, as upright sRGB of 8 bits without transparency."""

import io

import numpy as np
from PIL import Image

from anon_jax.inference.structure import RefusedPicture

_MODES = ('1', 'L', 'LA', 'La', 'P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'CMYK', 'YCbCr')
_COLOUR_SPACES = {'L': 'GRAY', 'RGB': 'RGB', 'CMYK': 'CMYK'}
_TURNS = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}
_ROWS = 256  # that are scaled at a time: a whole picture in float would need much memory


def to_rgb(image: Image.Image, orientation: int, inverted: bool) -> np.ndarray:
  """Returns a decoded picture as it is meant to be seen, uint8 [h, w, 3].

  Transparency is laid over white: what a viewer does not show is not there afterwards.

  Args:
    image: a picture, or the frame that an animation stands at.
    orientation: of EXIF, 1 to 8; any other value is no turn.
    inverted: whether 0 means white in grey of 16 bits, which Pillow leaves to its users.

  Raises:
    RefusedPicture: pixels of a kind that cannot be shown without a guess.
  """
  if image.mode.startswith('I;16'):
    image = Image.fromarray(_from_16_bits(np.asarray(image), inverted))
  elif image.mode == 'F':
    image = Image.fromarray(_from_floats(np.asarray(image)))
  elif image.mode not in _MODES:
    raise RefusedPicture(f'has pixels of kind {image.mode}; save it with 8 bits a channel')
  profile = image.info.get('icc_profile')
  if image.mode in ('La', 'RGBa'):
    image = image.convert(image.mode.upper())
  if image.has_transparency_data:
    image = image.convert('RGBA')
    white = Image.new('RGB', image.size, 'white')
    white.paste(image, mask=image.getchannel('A'))
    image = white
  if image.mode not in _COLOUR_SPACES:
    image = image.convert('L' if image.mode == '1' else 'RGB')
  if profile:
    image = _to_srgb(image, profile)
  if orientation in _TURNS:
    image = image.transpose(_TURNS[orientation])
  return np.asarray(image if image.mode == 'RGB' else image.convert('RGB'))


def _from_16_bits(values: np.ndarray, inverted: bool) -> np.ndarray:
  """Scales the full range of 16 bits to uint8; Pillow would cut everything above 255 to white."""
  highest = int(values.max(initial=0))
  if 0 < highest < 4096 and not inverted:
    # 12 bits of a sensor, as a rule: shown as they are they are black, and faces are not found
    raise RefusedPicture(
      f'has 16 bits a pixel but no value above {highest}, so it is almost black; scale its values '
      'to 0 ... 65535'
    )
  scaled = np.empty(values.shape, np.uint8)
  for row in range(0, len(values), _ROWS):
    part = values[row : row + _ROWS].astype(np.uint32)
    scaled[row : row + _ROWS] = (part * 255 + 32767) // 65535
  return 255 - scaled if inverted else scaled


def _from_floats(values: np.ndarray) -> np.ndarray:
  """Scales floats in [0, 1] to uint8."""
  # min and max of a picture that holds NaN are NaN, and fail the comparison as well
  if not (values.min(initial=1) >= 0 and values.max(initial=0) <= 1):
    raise RefusedPicture('has float pixels beyond 0 ... 1; scale them, or save it with 8 bits')
  scaled = np.empty(values.shape, np.uint8)
  for row in range(0, len(values), _ROWS):
    scaled[row : row + _ROWS] = values[row : row + _ROWS] * 255 + 0.5
  return scaled


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
  """Applies a colour profile, because outputs carry none: telephones write Display P3."""
  from PIL import ImageCms  # here and not above: few files need it, and every start would wait

  try:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    fits = source.profile.xcolor_space.strip() == _COLOUR_SPACES[image.mode]
    if not fits or 'srgb' in (source.profile.profile_description or '').lower():
      return image
    # built anew each time: it is small, and nothing is kept between files
    target = ImageCms.createProfile('sRGB')
    turned = ImageCms.profileToProfile(image, source, target, outputMode='RGB')
  except (ImageCms.PyCMSError, OSError, ValueError):
    return image  # as viewers do with a broken profile: its colours are read as sRGB
  return turned if turned is not None else image
