"""Covers bodies instead of replacing them: solid fill, and the baselines."""

import dataclasses

import numpy as np

from anon_jax.data import body_crops
from anon_jax.inference import bodies, covering
from anon_jax.inference.bodies import Body
from anon_jax.inference.crops import Frame, Patch
from anon_jax.inference.decisions import BodyDecision

LEAST_PIXELS = 24  # height of a body below which there is nothing to synthesize
_CROP = 128  # width of a body crop in pixels in which blocks and kernels are counted
_ACTIONS = {'fill': 'filled', 'pixelate': 'pixelated', 'blur': 'blurred'}


@dataclasses.dataclass(frozen=True, eq=False)
class Wide:
  """A body with the pixels around it that are replaced, too.

  Attributes:
    body: as it was given.
    mask: bool [h, w], grown.
  """

  body: Body
  mask: np.ndarray

  @classmethod
  def of(cls, body: Body) -> 'Wide':
    """Grows a body."""
    return cls(body, bodies.grown(body.mask))


def frame_of(mask: np.ndarray, share: float = body_crops.FILL) -> Frame:
  """Returns the square about a body whose middle half, across, is her crop.

  Args:
    mask: bool [h, w], her pixels.
    share: of the crop's height that she fills, or of its width if that is what she fills.
  """
  box = body_crops.mask_box(mask)
  assert box is not None
  left, top, right, bottom = box
  side = max(bottom - top, body_crops.ASPECT * (right - left)) / share
  centre = np.array([(left + right) / 2, (top + bottom) / 2])
  return Frame(centre, side, np.array([1.0, 0.0]), np.array([0.0, 1.0]))


def cover(
  picture: np.ndarray, wide: Wide, method: str, block: int, kernel: int
) -> tuple[Patch, BodyDecision]:
  """Covers one body: each of her pixels and those around it.

  Args:
    picture: uint8 [h, w, 3], the original.
    wide: the body.
    method: one of `covering.METHODS`.
    block: of 'pixelate', in pixels of a body crop that is 128 px wide.
    kernel: of 'blur', the same.
  """
  box = body_crops.mask_box(wide.mask)
  assert box is not None
  left, top, right, bottom = box
  part, reason = (slice(top, bottom), slice(left, right)), wide.body.reason
  if not reason and method != 'fill' and bottom - top < LEAST_PIXELS:
    reason = f'less than {LEAST_PIXELS} pixels high'  # blocks of it would be its pixels
  if reason:
    method = 'fill'
  scale = _CROP * body_crops.ASPECT / frame_of(wide.mask).side
  pixels = covering.changed(picture[part], method, scale, block, kernel)
  return Patch(left, top, pixels, wide.mask[part]), decided(wide.body, _ACTIONS[method], reason)


def decided(body: Body, action: str, reason: str = '') -> BodyDecision:
  """Returns the decision about a body."""
  return BodyDecision(body.number, body.box, int(body.mask.sum()), body.state, action, reason)
