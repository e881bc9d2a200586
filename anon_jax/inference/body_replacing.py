"""Replaces the bodies of pictures: the farthest first, so that who stands in front lies above."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from anon_jax.inference import controls, covering, crops
from anon_jax.inference.bodies import far_to_near
from anon_jax.inference.body_covering import LEAST_PIXELS, Wide, decided, frame_of
from anon_jax.inference.body_painting import BodyPainter
from anon_jax.inference.decisions import BodyDecision, Part, Request


class Replacer:
  """Replaces bodies by people who do not exist; whom it cannot replace is filled.

  Args:
    painter: paints new people.
    key: of repeatable draws; None: nobody can repeat them.
    identity: one control identity or mixture for all, for experiments; '' and 'any' draw one
      for each.

  Raises:
    InferenceError: `identity` is none that A has.
  """

  def __init__(self, painter: BodyPainter, key: bytes | None = None, identity: str = ''):
    self._painter, self._key = painter, key
    self._identity = controls.given(identity, painter.identities)

  def replace(
    self,
    requests: Sequence[Request],
    wide: Sequence[Sequence[Wide]],
    images: Sequence[np.ndarray],
  ) -> list[list[BodyDecision]]:
    """Replaces the bodies of `requests` in `images`, uint8 copies of their pictures, in place.

    Args:
      requests: with bodies.
      wide: the same bodies, grown.
      images: what becomes of the pictures.

    Returns:
      For each request a decision for each body.
    """
    decisions: list[list[BodyDecision]] = []
    turns: list[list[_Item]] = []
    for request, own, image in zip(requests, wide, images, strict=True):
      # Before anybody is painted nobody is left; what is not painted stays as it is then.
      left = np.zeros(image.shape[:2], bool)
      for each in own:
        image[each.mask] = covering.FILL
      decisions.append([_decision(each) for each in own])
      synthesized = [n for n, decision in enumerate(decisions[-1]) if not decision.reason]
      for place in synthesized:
        left |= own[place].mask
      order = [n for n in far_to_near(request.bodies) if n in synthesized]
      for turn, place in enumerate(order):
        if turn == len(turns):
          turns.append([])
        frame = frame_of(own[place].mask, self._painter.share)
        turns[turn].append(_Item(request, own[place], frame, image, left))
    for items in turns:
      self._paint(items)
    return decisions

  def _paint(self, items: Sequence['_Item']) -> None:
    """Paints one body of each picture, over those that are farther."""
    height = self._painter.height
    originals = [_cut(item.request.image, item, height) for item in items]
    replaced = [_shows(item.wide.mask, item, height) for item in items]
    painted = self._painter.paint(
      np.stack([_cut(item.image, item, height) for item in items]),
      np.stack(replaced),
      np.stack([_core(item, height) for item in items]),
      np.stack([_shows(item.left & ~item.wide.mask, item, height) for item in items]),
      np.stack([self._control(item) for item in items]),
      self._painter.conditions(np.stack(originals)),
    )
    for item, new, shown in zip(items, painted, replaced, strict=True):
      for axis in (0, 1):
        shown = shown.repeat(self._painter.upscale, axis)
      item.lay_over(new, shown)

  def _control(self, item: '_Item') -> np.ndarray:
    """Returns the control identity of a body; in a film, the one that she had before."""
    if self._identity is not None:
      return self._identity
    cast, name = item.request.body_cast, item.wide.body.name
    if cast is not None and name in cast:
      return cast[name].control
    control = controls.draw(self._painter.identities, self._key, name)
    if cast is not None:
      cast[name] = Part(control, 1)
    return control


class _Item:
  """One body on its way.

  Attributes:
    frame: the square whose middle half is her crop.
    image: uint8 [h, w, 3], what becomes of her picture.
    left: bool [h, w], pixels of whom nobody has painted yet; shared by all bodies of a picture.
  """

  def __init__(
    self, request: Request, wide: Wide, frame: crops.Frame, image: np.ndarray, left: np.ndarray
  ):
    self.request, self.wide, self.frame = request, wide, frame
    self.image, self.left = image, left

  def lay_over(self, painted: np.ndarray, shown: np.ndarray) -> None:
    """Puts the new person, uint8 [h, w, 3], into the picture, at her own pixels alone.

    Args:
      painted: of her crop, or enlarged.
      shown: bool of the same size, what shows some of her.
    """
    height, width = self.image.shape[:2]
    side = len(painted)
    margin = (side - painted.shape[1]) // 2
    square = np.pad(painted, ((0, 0), (margin, margin), (0, 0)), mode='edge')
    mask = np.pad(shown, ((0, 0), (margin, margin)))
    patch = crops.put_back(square, mask, self.frame, width, height)
    rows, columns = patch.mask.shape
    own = self.wide.mask[patch.top : patch.top + rows, patch.left : patch.left + columns]
    dataclasses.replace(patch, mask=patch.mask & own).lay_over(self.image)
    self.left &= ~self.wide.mask


def _decision(wide: Wide) -> BodyDecision:
  reason = wide.body.reason
  _, top, _, bottom = wide.body.box
  if not reason and bottom - top < LEAST_PIXELS:
    reason = f'less than {LEAST_PIXELS} pixels high'
  return decided(wide.body, 'filled' if reason else 'synthesized', reason)


def _middle(square: np.ndarray) -> np.ndarray:
  """Returns the middle half, across, of [s, s, ...]."""
  quarter = len(square) // 4
  return square[:, quarter : len(square) - quarter]


def _cut(picture: np.ndarray, item: _Item, height: int) -> np.ndarray:
  return _middle(crops.cut(picture, item.frame, height))


def _core(item: _Item, height: int) -> np.ndarray:
  """Returns the pixels of a crop of which a body has half or more."""
  shade = np.repeat(item.wide.mask[..., None].astype(np.uint8) * np.uint8(255), 3, axis=2)
  return _cut(shade, item, height)[..., 0] > 127


def _shows(mask: np.ndarray, item: _Item, height: int) -> np.ndarray:
  return _middle(crops.shows(mask, item.frame, height))
