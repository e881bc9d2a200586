"""Replaces or covers the faces of frames, as the tracks that they belong to ask for."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anon_jax.inference import association, covering, crops
from anon_jax.inference.bodies import Body
from anon_jax.inference.decisions import BodyDecision, Cast, Decision, Request
from anon_jax.inference.faces import Face
from anon_jax.inference.track import Tracked
from anon_jax.inference.tracking import TrackedFrame
from anon_jax.inference.video_reading import Frame

if TYPE_CHECKING:  # it imports jax, which the covering methods need not wait for
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.body_anonymizer import BodyAnonymizer

# Intersection over union from which a held face and a detected one are one face in two tracks.
_SAME = 0.5
_LOST = 'lost: its place can only be guessed'


class Ready(NamedTuple):
  """A frame that can be anonymized.

  Attributes:
    frame: the original.
    followed: its faces.
    bodies: people of whom each pixel is replaced.
  """

  frame: Frame
  followed: TrackedFrame
  bodies: Sequence[Body] = ()


class _Share(NamedTuple):
  """What is asked of the anonymizer for one face of a frame.

  Attributes:
    faces: one that is painted, or all places that are covered.
    reason: why they are filled, where that is known before.
  """

  faces: Sequence[Face]
  reason: str = ''


class Replacing:
  """The faces of one video; each keeps its control identity.

  Args:
    anonymizer: what it becomes.
    name: tells its faces from those of other videos where a key is given.
    count: is told what became of each face: number of the frame, face and decision.
    count_body: is told the same of each body: number of the frame, and decision.
    body_cast: control identities that bodies keep.
  """

  def __init__(
    self,
    anonymizer: 'Anonymizer | BodyAnonymizer',
    name: str,
    count: Callable[[int, Tracked, Decision], None],
    count_body: Callable[[int, BodyDecision], None] = lambda index, decision: None,
    body_cast: Cast | None = None,
  ):
    self._anonymizer, self._name, self._cast = anonymizer, name, Cast()
    self._count, self._count_body, self._body_cast = count, count_body, body_cast

  def __call__(self, ready: Sequence[Ready]) -> Iterator[np.ndarray]:
    """Yields frames anonymized, uint8 [h, w, 3]; all are computed together."""
    shares = [[self._share(each) for each in followed.faces] for _, followed, _ in ready]
    requests = [
      Request(
        frame.pixels,
        [face for share in own for face in share.faces],
        names=tuple(
          self._part(each.track)
          for each, share in zip(followed.faces, own, strict=True)
          for _ in share.faces
        ),
        cast=self._cast,
        bodies=bodies,
        body_cast=self._body_cast,
      )
      for (frame, followed, bodies), own in zip(ready, shares, strict=True)
    ]
    done = self._anonymizer.anonymize_many(requests)
    for (_, followed, _), own, request, result in zip(ready, shares, requests, done, strict=True):
      decisions = iter(result.faces)
      for body in result.bodies:
        self._count_body(followed.index, body)
      for tracked, share in zip(followed.faces, own, strict=True):
        made, *_ = [next(decisions) for _ in share.faces]
        if share.reason and made.action == 'filled':
          made = dataclasses.replace(made, face=tracked.face, reason=share.reason)
        self._count(followed.index, tracked, made)
        if made.action == 'filled' and not share.reason:  # a face that cannot be trusted after all
          for part in tracked.regions:
            result.lay_over(covering.cover(request.image, part, crops.frame_of(part), 'fill'))
      yield result.image

  def keep(self, tracks: Collection[int]) -> None:
    """Forgets the faces of all tracks but some: memory does not grow with their number."""
    names = {self._part(number) for number in tracks}
    for name in self._cast.keys() - names:
      del self._cast[name]

  def _part(self, number: int) -> str:
    return f'{self._name} track {number}'

  def _share(self, tracked: Tracked) -> _Share:
    """Returns what is asked for one face."""
    # a covering method covers all regions; synthesis paints one face, and fills if it cannot
    if self._anonymizer.method != 'synthesize':
      return _Share(_parts(tracked))
    reason = _LOST if tracked.lost else self._anonymizer.reason_to_fill(tracked.face)
    if not reason:
      return _Share((tracked.face,))
    # What has no score is filled, and before others are painted: those lie over it.
    parts = [dataclasses.replace(part, score=math.nan) for part in _parts(tracked)]
    return _Share(parts, reason)


def without_doubles(followed: TrackedFrame) -> TrackedFrame:
  """Leaves out faces that are only held where another track has found one: it is the same face."""
  found = [t.regions[0].box for t in followed.faces if t.state == 'detected']
  if not found:
    return followed
  own = [tracked.face.box for tracked in followed.faces]
  a, b = (np.array(boxes).reshape(-1, 2, 2) for boxes in (own, found))
  shared = association.overlaps(a, b).max(axis=1)
  faces = tuple(
    tracked
    for number, tracked in enumerate(followed.faces)
    if tracked.state != 'held' or shared[number] < _SAME
  )
  return dataclasses.replace(followed, faces=faces)


def _parts(tracked: Tracked) -> tuple[Face, ...]:
  return (tracked.face, *tracked.regions)
