"""The project's semantic classes, and how other data sets' classes are mapped onto them.

A semantic map is a uint8 array [h, w] that holds a class number per pixel, or IGNORE where nobody
labelled the pixel.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from anon_jax.data.errors import DatasetError

CLASSES = ('background', 'skin', 'brows', 'eyes', 'nose', 'mouth', 'hair', 'neck')
NUM_CLASSES = len(CLASSES)
# The part of a face that is replaced: skin, brows, eyes, nose and mouth.
FOREGROUND = (1, 2, 3, 4, 5)
IGNORE = 255

_COLOURS = (
  (24, 24, 28),
  (238, 190, 160),
  (120, 72, 30),
  (60, 120, 240),
  (240, 160, 50),
  (214, 40, 60),
  (104, 52, 130),
  (70, 170, 110),
)
# RGB of each value of a semantic map, uint8 [256, 3], to show it by; grey where it is no class.
PALETTE = np.full((256, 3), 128, np.uint8)
PALETTE[: len(_COLOURS)] = _COLOURS

_IDENTITY = {name: index for index, name in enumerate(CLASSES)}

# Parts in painting order: where two parts overlap, the later one wins. It is the order in which the
# data set's own parsing baseline joins the parts (skin first, clothes last).
#   eye_g   glasses are skin: a face must be replaced under its glasses too, and skin is what our
#           own labels say there. They are painted before the eyes, so clear lenses keep class 3.
#   ear_r   earrings, hats and clothes are things, not the person: background.
#   neck_l  a necklace is a thread of pixels on the neck; as background it would cut the neck up.
_CELEBA_MASK_HQ = {
  'skin': 1,
  'nose': 4,
  'eye_g': 1,
  'l_eye': 3,
  'r_eye': 3,
  'l_brow': 2,
  'r_brow': 2,
  'l_ear': 7,
  'r_ear': 7,
  'mouth': 5,
  'u_lip': 5,
  'l_lip': 5,
  'hair': 6,
  'hat': 0,
  'ear_r': 0,
  'neck_l': 7,
  'neck': 7,
  'cloth': 0,
}

# FASSEG was labelled with fewer classes under our numbers: its skin takes in ears and neck, so
# class 7 does not occur, and brows that touch the hair are labelled hair.
_FASSEG = {name: index for name, index in _IDENTITY.items() if name != 'neck'}

# Data set -> {its name of a part: our class}, in painting order.
TABLES: Mapping[str, Mapping[str, int]] = MappingProxyType(
  {
    'anon_jax': MappingProxyType(_IDENTITY),
    'celeba_mask_hq': MappingProxyType(_CELEBA_MASK_HQ),
    'fasseg': MappingProxyType(_FASSEG),
  }
)


def check_map(semantic_map: np.ndarray, name: str) -> None:
  """Raises unless `semantic_map` holds classes of the project, or IGNORE, only.

  Args:
    semantic_map: uint8 [h, w].
    name: the file that the map came from, for the message.

  Raises:
    DatasetError: naming the file and the values that are no class.
  """
  counts = np.bincount(semantic_map.ravel(), minlength=256)
  counts[:NUM_CLASSES] = 0
  counts[IGNORE] = 0
  bad = np.flatnonzero(counts).tolist()
  if bad:
    shown = ', '.join(map(str, bad[:8])) + (', ...' if len(bad) > 8 else '')
    raise DatasetError(
      f'{name}: pixel values {shown} are no class; expected 0 to {NUM_CLASSES - 1} '
      f'({", ".join(CLASSES)}) or {IGNORE} for an unlabelled pixel.'
    )
