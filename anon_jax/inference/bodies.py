"""Bodies in a picture: whose pixels are whose, who stands in front, who is who later."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from anon_jax.data import body_crops
from anon_jax.inference import crops

Box = tuple[int, int, int, int]
# A mask is grown by this share of its box's height on each side, and by one pixel at least: masks
# end a little inside of a person, above all beside hair and shoes.
_GROWN = 0.012
# A part of a plain mask belongs to somebody if it lies above or below her, overlapping by this
# share of the narrower one's width, or has at most this share of the largest part's pixels; and if
# the gap is at most this share of the taller one's height.
_STACKED, _SMALL, _GAP = 0.5, 0.1, 0.35
_MOST_PEOPLE = 50  # of one plain mask; what else it has goes to whoever is next to it
# A person of a plain mask is the one of an earlier frame whose box overlaps hers by this much
# (intersection over union), up to so many frames ago.
_SAME, _REMEMBERED = 0.2, 25


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
  """One person, of whom each pixel is replaced.

  Attributes:
    mask: bool [h, w], her pixels of the picture; one at least.
    number: of the instance in its picture; in a film the same in each frame.
    name: tells her from others where a key is given, and from frame to frame.
    state: 'given' by the user, or 'found' by a segmenter.
    reason: why she is filled whatever the method is; '' otherwise.
  """

  mask: np.ndarray
  number: int
  name: str = ''
  state: str = 'given'
  reason: str = ''

  @property
  def box(self) -> Box:
    """Left, top, right and bottom (exclusive) of her pixels."""
    found = body_crops.mask_box(self.mask)
    assert found is not None
    return found


class Packed:
  """A body that waits, with a mask that takes an eighth of the memory."""

  def __init__(self, body: Body):
    self._shape = body.mask.shape
    self._body = dataclasses.replace(body, mask=np.packbits(body.mask))

  def unpacked(self) -> Body:
    """Returns the body."""
    height, width = self._shape
    bits = np.unpackbits(self._body.mask, count=height * width).astype(bool)
    return dataclasses.replace(self._body, mask=bits.reshape(height, width))


def grown(mask: np.ndarray) -> np.ndarray:
  """Grows the mask of one person, bool [h, w], by what masks miss."""
  box = body_crops.mask_box(mask)
  wide = mask.copy()
  if box is not None:
    left, top, right, bottom = box
    by = max(1, round(_GROWN * (bottom - top)))
    part = slice(max(0, top - by), bottom + by), slice(max(0, left - by), right + by)
    wide[part] = crops.grown(mask[part], by)
  return wide


def far_to_near(bodies: Sequence[Body]) -> list[int]:
  """Returns the places of bodies in the order in which they are painted, the nearest last.

  Whose feet are lower is nearer, as on level ground before an upright camera; of two that end in
  the same row, as where the picture's border cuts them off, the larger one is.
  """
  nearness = [(body.box[3], int(body.mask.sum()), body.number) for body in bodies]
  return sorted(range(len(bodies)), key=nearness.__getitem__)


def parted(mask: np.ndarray) -> list[np.ndarray]:
  """Divides a plain mask among people, from left to right; each of its pixels goes to one.

  What hangs together is one person, and so is what lies one above the other: somebody behind a
  railing. Small parts belong to whoever is nearest. People who touch are one: only numbered masks
  tell them apart.

  Args:
    mask: bool [h, w].

  Returns:
    bool [h, w] for each person; none for a mask without a pixel.
  """
  from scipy import ndimage  # here and not above: faces need not wait for it

  labels, count = ndimage.label(mask, np.ones((3, 3)))
  if not count:
    return []
  sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
  found = ndimage.find_objects(labels)
  boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in found])
  order = np.argsort(-sizes, kind='stable')
  people: list[int] = []
  owner = np.zeros(count, int)
  for place in order:
    near = _nearest(boxes[place], boxes[people], sizes[place] <= _SMALL * sizes[order[0]])
    if near is None and len(people) == _MOST_PEOPLE:
      near = int(np.argmin(np.hypot(*_gaps(boxes[place], boxes[people]))))
    if near is None:
      near = len(people)
      people.append(int(place))
    owner[place] = near
  of_pixel = np.concatenate([[-1], owner])[labels]
  masks = [of_pixel == number for number in range(len(people))]
  return sorted(masks, key=lambda own: int(np.flatnonzero(own.any(axis=0))[0]))


def _nearest(box: np.ndarray, others: np.ndarray, small: bool) -> int | None:
  """Returns which of others a part of a mask belongs to; None if it is somebody of her own."""
  if not len(others):
    return None
  across, down = _gaps(box, others)
  shared = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
  width = np.minimum(box[2] - box[0], others[:, 2] - others[:, 0])
  height = np.maximum(box[3] - box[1], others[:, 3] - others[:, 1])
  gaps = np.hypot(across, down)
  fits = (gaps <= _GAP * height) & (small | (shared >= _STACKED * width))
  return int(np.argmin(np.where(fits, gaps, np.inf))) if fits.any() else None


def _gaps(box: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the gaps between a box and others, across and down, [n] each; 0 where they overlap."""
  low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
  across, down = np.maximum(low - high, 0).T
  return across, down


class Follower:
  """Numbers the people of plain masks of a film, frame after frame, by what they overlap."""

  def __init__(self) -> None:
    self._known: dict[int, tuple[int, np.ndarray]] = {}
    self._frame = self._next = 0

  def follow(self, masks: Sequence[np.ndarray]) -> list[int]:
    """Takes the people of the next frame, bool [h, w] each; returns the number of each."""
    self._frame += 1
    self._known = {
      number: (frame, box)
      for number, (frame, box) in self._known.items()
      if self._frame - frame <= _REMEMBERED
    }
    boxes = [np.array(body_crops.mask_box(mask)) for mask in masks]
    pairs = sorted(
      (-_overlap(box, known), place, number)
      for place, box in enumerate(boxes)
      for number, (_, known) in self._known.items()
    )
    numbers: dict[int, int] = {}
    for overlap, place, number in pairs:
      if -overlap >= _SAME and place not in numbers and number not in numbers.values():
        numbers[place] = number
    for place, box in enumerate(boxes):
      if place not in numbers:
        numbers[place] = self._next
        self._next += 1
      self._known[numbers[place]] = (self._frame, box)
    return [numbers[place] for place in range(len(boxes))]


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
  """Returns the intersection of two boxes over their union."""
  sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
  shared = float(np.prod(np.maximum(sides, 0)))
  areas = [float(np.prod(each[2:] - each[:2])) for each in (box, other)]
  return shared / (sum(areas) - shared)
