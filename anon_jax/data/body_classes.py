"""The classes of a body's pixels, and how the labels of data sets of bodies are mapped onto them.

A body map is a uint8 array [h, w] as a semantic map of a face is one: a class number per pixel, or
`semantic.IGNORE` where nobody labelled the pixel. Its foreground has the numbers of a face's, so
that networks, losses and the proxy task take either.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from anon_jax.data import semantic
from anon_jax.data.errors import DatasetError

# `person` is a pixel of a person whose part is not told, and what she carries.
CLASSES = ('background', 'person', 'skin', 'hair', 'upper', 'lower')
PERSON = CLASSES.index('person')
# All of a person is replaced. The numbers are those of `semantic.FOREGROUND`.
FOREGROUND = (1, 2, 3, 4, 5)

_COLOURS = (
  (24, 24, 28),
  (90, 170, 220),
  (238, 190, 160),
  (104, 52, 130),
  (220, 70, 70),
  (60, 110, 200),
)
# RGB of each value of a body map, uint8 [256, 3], to show it by; grey where it is no class.
PALETTE = np.full((256, 3), 128, np.uint8)
PALETTE[: len(_COLOURS)] = _COLOURS

# The names of Clothing Co-Parsing by our class.
_CCP_GROUPS = {
  'background': ('null',),
  # What is carried or hung on shows who somebody is as much as clothes do: it is replaced as well.
  'person': (
    *('accessories', 'bag', 'bracelet', 'earrings', 'necklace', 'purse', 'ring', 'wallet', 'watch'),
  ),
  # As in faces, glasses are skin: a face is replaced under them too.
  'skin': ('skin', 'glasses', 'sunglasses'),
  'hair': ('hair', 'hat'),
  # Whatever hangs from the shoulders, dresses and coats included.
  'upper': (
    *('blazer', 'blouse', 'bodysuit', 'bra', 'cape', 'cardigan', 'coat', 'dress', 'gloves'),
    *('hoodie', 'intimate', 'jacket', 'jumper', 'romper', 'scarf', 'shirt', 'suit', 'sweater'),
    *('sweatshirt', 'swimwear', 't-shirt', 'tie', 'top', 'vest'),
  ),
  # Whatever hangs from the waist, and all that is on legs and feet.
  'lower': (
    *('belt', 'boots', 'clogs', 'flats', 'heels', 'jeans', 'leggings', 'loafers', 'panties'),
    *('pants', 'pumps', 'sandals', 'shoes', 'shorts', 'skirt', 'sneakers', 'socks', 'stockings'),
    *('tights', 'wedges'),
  ),
}
# Clothing Co-Parsing's name of a label -> our class.
CCP: Mapping[str, int] = MappingProxyType(
  {name: CLASSES.index(part) for part, names in _CCP_GROUPS.items() for name in names}
)


def without_parts(body_map: np.ndarray) -> np.ndarray:
  """Returns uint8 [h, w] with all parts called `person`, as binary masks call them."""
  part = (body_map > PERSON) & (body_map != semantic.IGNORE)
  return np.where(part, np.uint8(PERSON), body_map)


def is_foreground(body_map: np.ndarray) -> np.ndarray:
  """Tells which pixels are of the person, bool [h, w]."""
  return np.isin(body_map, FOREGROUND)


def check_map(body_map: np.ndarray, name: str) -> None:
  """Raises unless `body_map` holds classes of bodies, or IGNORE, only.

  Args:
    body_map: uint8 [h, w].
    name: the file that the map came from, for the message.

  Raises:
    DatasetError: naming the file and the values that are no class.
  """
  values = np.unique(body_map)
  bad = values[(values >= len(CLASSES)) & (values != semantic.IGNORE)].tolist()
  if bad:
    shown = ', '.join(map(str, bad[:8])) + (', ...' if len(bad) > 8 else '')
    raise DatasetError(
      f'{name}: pixel values {shown} are no class of a body; expected 0 to {len(CLASSES) - 1} '
      f'({", ".join(CLASSES)}) or {semantic.IGNORE} for an unlabelled pixel.'
    )
