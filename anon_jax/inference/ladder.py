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
from anon_jax.inference.synthesis import Synthesized, Synthesizer

_LEAST_PIXELS = 20  # height of a face box below which there is nothing to synthesize
_LEAST_FOREGROUND = 0.08  # share of a crop; a face box has about a third of it
_DRAWS = 4
# By how much S's foreground is grown, as a share of the crop's side: where its border runs inside
# the face's, a line of the face would be left.
_GROWN = 0.015
_SKIN, _BACKGROUND = (semantic.CLASSES.index(name) for name in ('skin', 'background'))


class Ladder:
  """Replaces the faces of pictures; every face of every picture is replaced or filled.

  Args:
    synthesizer: paints new faces.
    trust: when one is taken.
    key: of repeatable draws; None: nobody can repeat them.
    identity: float32 [identities], a mixture for all faces; None draws one for each.
  """

  def __init__(
    self,
    synthesizer: Synthesizer,
    trust: Trust,
    key: bytes | None = None,
    identity: np.ndarray | None = None,
  ):
    self._synthesizer, self._trust, self._key, self._identity = synthesizer, trust, key, identity
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
        reason = self._reason_to_fill(face)
        decisions[place].append(Decision(face, 'filled' if reason else 'synthesized', reason))
        if not reason:
          items.append(_Item(place, number, request, self._synthesizer.size))
    self._synthesize(items, images, decisions)
    # After the others: where faces overlap, what is filled stays filled.
    for request, image, found in zip(requests, images, decisions, strict=True):
      for number, decision in enumerate(found):
        if decision.action == 'filled':
          face, mask = request.faces[number], request.mask(number)
          frame = crops.frame_of(face)
          covering.cover(request.image, face, frame, 'fill', mask=mask).lay_over(image)
    return decisions

  def _reason_to_fill(self, face: Face) -> str:
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
        item.set_map(semantic_map)
    for together in _in_turn(items) if self._synthesizer.recurrent else [items]:
      left = list(together)
      for attempt in range(1 if self._identity is not None else _DRAWS):
        if left:
          left = self._draw(left, attempt, images, decisions)

  def _draw(
    self,
    items: Sequence['_Item'],
    attempt: int,
    images: Sequence[np.ndarray],
    decisions: list[list[Decision]],
  ) -> list['_Item']:
    """Paints items once; returns those that came out too alike."""
    controls_of = list(self._controls(items, attempt))
    result = self._synthesizer.paint(
      np.stack([item.crop for item in items]),
      np.stack([item.semantic_map for item in items]),
      np.stack(controls_of),
      replaced=np.stack([item.replaced for item in items]),
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
        item.lay_over(images[item.place], result, row)
      # what is filled is no frame to go on from
      shown = result.shown[row] if self._synthesizer.recurrent and not reason else None
      item.remember(controls_of[row], shown, likeness)
    return again

  def _controls(self, items: Sequence['_Item'], attempt: int) -> Iterator[np.ndarray]:
    """Yields the control identity of each item; of one name all get the same, where it lasts."""
    identities, drawn = self._synthesizer.identities, dict[str, np.ndarray]()
    for item in items:
      name, cast = item.request.name_of(item.number), item.request.cast
      if self._identity is not None:
        yield self._identity
      elif cast is None:
        yield controls.draw(identities, self._key, name, attempt)
      else:
        if name not in drawn:
          if name not in cast or attempt:
            number = cast[name].draws if name in cast else 0
            control = controls.draw(identities, self._key, name, number)
            cast[name] = Part(control, number + 1)
          drawn[name] = cast[name].control
        yield drawn[name]


class _Item:
  """One face on its way through synthesis."""

  def __init__(self, place: int, number: int, request: Request, size: int):
    self.place, self.number, self.request = place, number, request
    self.face = request.faces[number]
    self.frame: Frame = crops.frame_of(self.face)
    self.crop = crops.cut(request.image, self.frame, size)
    self.mask = request.mask(number)
    self.semantic_map = np.zeros(self.crop.shape[:2], np.uint8)
    self.replaced = np.zeros(self.crop.shape[:2], bool)

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

  def set_map(self, found: np.ndarray) -> None:
    """Takes S's map; a user's mask overrules which part of it is foreground."""
    height, width = self.request.image.shape[:2]
    foreground = np.isin(found, semantic.FOREGROUND)
    if self.mask is None:
      wide = crops.grown(foreground, max(1, round(_GROWN * len(found))))
      hidden = crops.touched(wide, self.frame, width, height)
      self.replaced = wide | crops.shows(hidden, self.frame, len(found))
    else:
      self.replaced = crops.shows(self.mask, self.frame, len(found))
      inside = np.where(foreground, found, _SKIN)
      outside = np.where(foreground, _BACKGROUND, found)
      found = np.where(self.replaced, inside, outside).astype(np.uint8)
    self.semantic_map = found

  def lay_over(self, image: np.ndarray, result: Synthesized, row: int) -> None:
    """Puts the new face into the picture; what a user's mask has beyond the crop is filled."""
    height, width = image.shape[:2]
    patch = crops.put_back(result.painted[row], result.mask[row], self.frame, width, height)
    if self.mask is not None:
      image[self.mask] = covering.FILL
    patch.lay_over(image)


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
  if not foreground >= _LEAST_FOREGROUND:
    return f'foreground of {foreground:.0%} of the crop'
  if item.face.landmarks is None:
    return ''
  # Eyes, nose and mouth have to lie inside: a map that misses one leaves it showing.
  points = np.asarray(item.face.landmarks) - item.frame.corner()
  axes = np.stack([item.frame.across, item.frame.down], axis=1)
  places = np.floor(points @ axes / item.frame.side * mask.shape[0]).astype(int)
  for x, y in places:
    if not (0 <= x < mask.shape[1] and 0 <= y < mask.shape[0] and mask[y, x]):
      return 'a landmark lies outside of the foreground'
  return ''
