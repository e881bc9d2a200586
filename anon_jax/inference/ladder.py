"""The ladder of synthesis: draw, check, draw again, and fill what cannot be trusted."""

import collections
import math
from collections.abc import Iterator, Sequence

import numpy as np

from anon_jax.data import semantic
from anon_jax.inference import controls, covering, crops
from anon_jax.inference.crops import Frame
from anon_jax.inference.decisions import Decision, Part, Request, Trust
from anon_jax.inference.faces import Face
from anon_jax.inference.synthesis import Synthesizer

_LEAST_PIXELS = 20  # height of a face box below which there is nothing to synthesize
LEAST_FOREGROUND = 0.08  # share of a crop; a face box has about a third of it
DRAWS = 4
_SURE = 0.6  # score from which a face is hardly ever a shifted second find of another
# Of a box without landmarks: the share of an ellipse in its middle that has to be replaced, and the
# ellipse's size. Of 60 boxes on LFW, turned by up to 180 degrees, 59 were; upright ones all.
_COVERED, _MIDDLE = 0.98, 0.7
_SKIN, _BACKGROUND = (semantic.CLASSES.index(name) for name in ('skin', 'background'))


class Ladder:
  """Replaces the faces of pictures; each that is not to be kept is replaced or filled.

  Args:
    synthesizer: paints new faces.
    trust: when one is taken.
    key: of repeatable draws; None: nobody can repeat them.
    identity: float32 [identities], a mixture for all faces; None draws one for each.
    any_identity: draws among all control identities, not only those that suit a picture's hair.
  """

  def __init__(
    self,
    synthesizer: Synthesizer,
    trust: Trust,
    key: bytes | None = None,
    identity: np.ndarray | None = None,
    any_identity: bool = False,
  ):
    self._synthesizer, self._trust, self._key, self._identity = synthesizer, trust, key, identity
    self._any = any_identity
    given = trust.similarity
    self._most_alike = synthesizer.threshold if given is None else given

  def replace(
    self, requests: Sequence[Request], images: Sequence[np.ndarray]
  ) -> list[list[Decision]]:
    """Replaces all faces of `requests` in `images`, uint8 copies of their pictures, in place.

    Returns:
      For each request a decision for each face.
    """
    decisions: list[list[Decision]] = [[] for _ in requests]
    items = []
    for place, request in enumerate(requests):
      for number, face in enumerate(request.faces):
        if keep := request.decision_to_keep(number):
          decisions[place].append(keep)
          continue
        reason = self.reason_to_fill(face)
        decisions[place].append(Decision(face, 'filled' if reason else 'synthesized', reason))
        if reason:  # what is painted later has no pixel of it beside it, and may lie over it
          _fill(request, number, images[place])
        else:
          items.append(_Item(place, number, request, self._synthesizer.size))
    self._synthesize(items, images, decisions)
    shown = [item for item in items if item.result is not None]
    for item in shown:
      item.fill_mask(images[item.place])
    for item in sorted(shown, key=_nearness):
      item.lay_over(images[item.place])
    # Last those that turned out not to be trusted: what was painted beside them has seen them.
    for item in items:
      if item.result is None:
        _fill(item.request, item.number, images[item.place])
    return decisions

  def reason_to_fill(self, face: Face) -> str:
    """Says why a face is not even painted; '' if it is."""
    if not face.score >= self._trust.score:  # NaN is not trusted either
      return f'score below {self._trust.score:g}'
    if face.box[3] - face.box[1] < _LEAST_PIXELS:
      return f'less than {_LEAST_PIXELS} pixels high'
    if face.landmarks is not None and not crops.level(face):
      return 'landmarks contradict the box'
    return ''

  def _synthesize(
    self,
    items: Sequence['_Item'],
    images: Sequence[np.ndarray],
    decisions: list[list[Decision]],
  ) -> None:
    """Paints all items, again those that came out too alike; `decisions` learn how it ended."""
    if items:
      found = self._synthesizer.maps(np.stack([item.crop for item in items]))
      for item, semantic_map in zip(items, found, strict=True):
        filled = any(decision.action == 'filled' for decision in decisions[item.place])
        item.set_map(semantic_map, images[item.place] if filled else None)
    for together in _in_turn(items) if self._synthesizer.recurrent else [items]:
      left = list(together)
      for attempt in range(1 if self._identity is not None else DRAWS):
        if left:
          left = self._draw(left, attempt, decisions)

  def _draw(
    self,
    items: Sequence['_Item'],
    attempt: int,
    decisions: list[list[Decision]],
  ) -> list['_Item']:
    """Paints items once; returns those that came out too alike."""
    controls_of = list(self._controls(items, attempt))
    result = self._synthesizer.paint(
      np.stack([item.beside for item in items]),
      np.stack([item.semantic_map for item in items]),
      np.stack(controls_of),
      replaced=np.stack([item.replaced for item in items]),
      conditions=self._synthesizer.conditions(np.stack([item.crop for item in items])),
      previous=[item.part.shown if item.part else None for item in items],
    )
    again = []
    for row, item in enumerate(items):
      face, similarity = item.face, float(result.similarity[row])
      reason = _mistrust(item, result.mask[row], float(result.foreground[row]))
      # Of a track the mean over its frames decides: it would change its face, or be filled, in
      # single frames otherwise.
      likeness = item.part.likeness_with(similarity) if item.part else similarity
      if not reason and not likeness <= self._most_alike:  # NaN: as above
        reason = f'{attempt + 1} draws looked too much like the original'
        again.append(item)
      action = 'filled' if reason else 'synthesized'
      decisions[item.place][item.number] = Decision(face, action, reason, similarity, attempt + 1)
      if not reason:
        item.result = result.painted[row], result.mask[row]
      # what is filled is no frame to go on from
      shown = result.shown[row] if self._synthesizer.recurrent and not reason else None
      item.remember(controls_of[row], shown, likeness)
    return again

  def _controls(self, items: Sequence['_Item'], attempt: int) -> Iterator[np.ndarray]:
    """Yields the control identity of each item; of one name all get the same, where it lasts."""
    drawn = dict[str, np.ndarray]()
    for item in items:
      name, cast = item.request.name_of(item.number), item.request.cast
      if self._identity is not None:
        yield self._identity
      elif cast is None:
        yield self._drawn(item, name, attempt)
      else:
        if name not in drawn:
          if name not in cast or attempt:
            number = cast[name].draws if name in cast else 0
            cast[name] = Part(self._drawn(item, name, number), number + 1)
          drawn[name] = cast[name].control
        yield drawn[name]

  def _drawn(self, item: '_Item', name: str, attempt: int) -> np.ndarray:
    """Draws a control identity for a face."""
    suited = None if self._any else self._synthesizer.suited(item.semantic_map)
    return controls.draw(self._synthesizer.identities, self._key, name, attempt, suited)


def _fill(request: Request, number: int, image: np.ndarray) -> None:
  """Fills a face of a request in `image`."""
  face = request.faces[number]
  mask = request.mask(number)
  covering.cover(request.image, face, crops.frame_of(face), 'fill', mask=mask).lay_over(image)


class _Item:
  """One face on its way through synthesis.

  Attributes:
    crop: uint8 [s, s, 3], the original's.
    beside: the same where the face is; elsewhere with other faces as far as they are filled.
    semantic_map: uint8 [s, s].
    replaced: bool [s, s], what shows some of the foreground.
    result: uint8 [s, s, 3] and bool [s, s], the new face and where it is shown; None until then.
  """

  def __init__(self, place: int, number: int, request: Request, size: int):
    self.place, self.number, self.request = place, number, request
    self.face = request.faces[number]
    self.frame: Frame = crops.frame_of(self.face)
    self.crop = self.beside = crops.cut(request.image, self.frame, size)
    self.mask = request.mask(number)
    self.semantic_map = np.zeros(self.crop.shape[:2], np.uint8)
    self.replaced = np.zeros(self.crop.shape[:2], bool)
    self.result: tuple[np.ndarray, np.ndarray] | None = None

  @property
  def part(self) -> Part | None:
    """What its cast knows of it."""
    cast = self.request.cast
    return None if cast is None else cast.get(self.request.name_of(self.number))

  def remember(self, control: np.ndarray, shown: np.ndarray | None, likeness: float) -> None:
    """Tells its cast, if it has one, what the next frame goes on from."""
    if self.request.cast is not None:
      part = self.part or Part(control, 1)
      if math.isfinite(likeness):  # one frame that cannot be judged says nothing of the others
        part = part._replace(likeness=likeness)
      self.request.cast[self.request.name_of(self.number)] = part._replace(shown=shown)

  def set_map(self, found: np.ndarray, image: np.ndarray | None) -> None:
    """Takes S's map; a user's mask overrules which part of it is foreground.

    Args:
      found: uint8 [s, s].
      image: the picture in which other faces are filled; None where none is.
    """
    height, width = self.request.image.shape[:2]
    foreground = np.isin(found, semantic.FOREGROUND)
    if self.mask is None:
      self.replaced = covering.replaced_by(foreground, self.frame, width, height)
    else:
      self.replaced = crops.shows(self.mask, self.frame, len(found))
      inside = np.where(foreground, found, _SKIN)
      outside = np.where(foreground, _BACKGROUND, found)
      found = np.where(self.replaced, inside, outside).astype(np.uint8)
    self.semantic_map = found
    if image is not None:
      around = crops.cut(image, self.frame, len(found))
      self.beside = np.where(self.replaced[..., None], self.crop, around)

  def fill_mask(self, image: np.ndarray) -> None:
    """Fills what a user's mask may have beyond the crop."""
    if self.mask is not None:
      image[self.mask] = covering.FILL

  def lay_over(self, image: np.ndarray) -> None:
    """Puts the new face into the picture."""
    assert self.result is not None
    height, width = image.shape[:2]
    crops.put_back(*self.result, self.frame, width, height).lay_over(image)


def _nearness(item: _Item) -> tuple[bool, float]:
  """Sorts what lies over what: the surer face over a doubtful one, then the larger one."""
  return item.face.score >= _SURE, item.frame.side


def _in_turn(items: Sequence[_Item]) -> list[list[_Item]]:
  """Returns first the first frame of each track, then the second: each goes on from the last."""
  turns: list[list[_Item]] = []
  seen: collections.Counter[str] = collections.Counter()
  for item in items:
    turn = 0  # a picture has no frame before it
    if item.request.cast is not None:
      name = item.request.name_of(item.number)
      turn = seen[name]
      seen[name] += 1
    if turn == len(turns):
      turns.append([])
    turns[turn].append(item)
  return turns


def _mistrust(item: _Item, mask: np.ndarray, foreground: float) -> str:
  """Says why a semantic map is not believed; '' if it is."""
  if not foreground >= LEAST_FOREGROUND:
    return f'foreground of {foreground:.0%} of the crop'
  if item.face.landmarks is None:
    told = item.mask is not None or item.request.cast is not None
    return '' if told or _covers_middle(item, mask) else 'the foreground misses part of the box'
  # Eyes, nose and mouth have to lie inside: a map that misses one leaves it showing.
  points = np.asarray(item.face.landmarks) - item.frame.corner()
  axes = np.stack([item.frame.across, item.frame.down], axis=1)
  places = np.floor(points @ axes / item.frame.side * mask.shape[0]).astype(int)
  for x, y in places:
    if not (0 <= x < mask.shape[1] and 0 <= y < mask.shape[0] and mask[y, x]):
      return 'a landmark lies outside of the foreground'
  return ''


def _covers_middle(item: _Item, mask: np.ndarray) -> bool:
  """Tells whether a mask [s, s] covers where features lie in a box, however the face is turned."""
  left, top, right, bottom = item.face.box
  radii = _MIDDLE / 2 * np.array([bottom - top, right - left]) / item.frame.side * len(mask)
  away = np.indices(mask.shape) + 0.5 - len(mask) / 2
  return bool(mask[np.square(away / radii[:, None, None]).sum(0) <= 1].mean() >= _COVERED)
