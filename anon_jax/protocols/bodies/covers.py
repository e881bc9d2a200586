"""Bodies covered inside their masks: the baselines that a method stands beside.

The command's own `fill`, `pixelate` and `blur` cover squares about faces; these keep to the mask,
so that what is around a body stays. Sizes are counted in a crop of 256 px height, of which a person
has 85 %, as in training.
"""

import numpy as np
from PIL import Image, ImageFilter

from anon_jax.data import body_crops
from anon_jax.inference import covering, crops

_HEIGHT = 0.85 * 256  # of a person in a crop, in pixels
_EDGE = 2  # pixels around a mask: outlines mix with what is behind


def cover(pixels: np.ndarray, mask: np.ndarray, method: str, size: int) -> np.ndarray:
  """Returns a frame in which a body is covered.

  Args:
    pixels: uint8 [h, w, 3].
    mask: bool [h, w], where the body is; without any nothing is covered.
    method: 'fill', 'pixelate' or 'blur'.
    size: block of 'pixelate', kernel of 'blur', in pixels of a crop.
  """
  box = body_crops.mask_box(mask)
  if box is None:
    return pixels.copy()
  changed = pixels.copy()
  height, width = mask.shape
  scale = (box[3] - box[1]) / _HEIGHT
  if method == 'fill':
    changed[:] = covering.FILL
  elif method == 'pixelate':
    blocks = [max(1, int(side / max(size * scale, 2))) for side in (width, height)]
    small = Image.fromarray(pixels).resize((blocks[0], blocks[1]), Image.Resampling.BOX)
    changed = np.asarray(small.resize((width, height), Image.Resampling.NEAREST)).copy()
  else:
    radius = max(1.0, (size * scale - 1) / 2)
    changed = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(radius))).copy()
  kept = ~crops.grown(mask, _EDGE)
  changed[kept] = pixels[kept]
  return changed
