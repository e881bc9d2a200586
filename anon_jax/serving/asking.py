"""What the page asks to be done with a file, checked: a face shows by a deliberate act only.

Every face that the detector has found has to be answered for: replaced where it was found or where
somebody has corrected it, or kept as it is, which is confirmed one by one.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anon_jax.inference.association import overlaps
from anon_jax.inference.crops import level
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face

FOUND, CORRECTED, DRAWN = 'found', 'corrected', 'drawn'
# A corrected box overlaps the detector's so much, intersection over union, and holds the eyes, nose
# and mouth that it found: less is another place, and would uncover a face without a word.
_SAME = 0.3
_LEAST_SIDE = 4.0  # pixels of a box inside the picture
_LONGEST_IDENTITY = 200
_FURTHEST = 1e6  # pixels of a corner; NaN is not within it either


@dataclasses.dataclass(frozen=True)
class Given:
  """A face as the page gives it.

  Attributes:
    face: where it is.
    by: 'found' by the detector, 'corrected' or 'drawn' by hand.
    found_box: the detector's box of a corrected one; None for others.
    kept: whether it stays as it is.
  """

  face: Face
  by: str = FOUND
  found_box: tuple[float, float, float, float] | None = None
  kept: bool = False


@dataclasses.dataclass(frozen=True)
class Asked:
  """What is to be done with a file.

  Attributes:
    method: one of the anonymizer's.
    identity: control identity or mixture for all faces; '' draws one for each.
    no_face: somebody has looked, and confirms that no face shows where none is given.
    boxes: the faces of a picture as the page sends them; None takes those that are found.
    consent: numbers among them that are confirmed to be kept.
  """

  method: str
  identity: str = ''
  no_face: bool = False
  boxes: tuple[Mapping[str, Any], ...] | None = None
  consent: tuple[int, ...] = ()


def read(body: Any, methods: Sequence[str], most_faces: int) -> Asked:
  """Reads what came as JSON.

  Raises:
    InferenceError: it has another form, or asks for what there is not.
  """
  if not isinstance(body, dict):
    raise InferenceError('the request is no object; reload the page.')
  method, identity = body.get('method', ''), body.get('identity', '')
  if not isinstance(method, str) or method not in methods:
    raise InferenceError(f'this method is not to be had; choose one of {", ".join(methods)}.')
  if not isinstance(identity, str) or len(identity) > _LONGEST_IDENTITY:
    raise InferenceError('the identity is no short text; reload the page.')
  boxes, consent = body.get('faces'), body.get('consent', [])
  if boxes is not None:
    if not isinstance(boxes, list) or not all(isinstance(box, dict) for box in boxes):
      raise InferenceError('the faces are no list; reload the page.')
    if len(boxes) > most_faces:
      raise InferenceError(f'{len(boxes)} faces are too many; give at most {most_faces}.')
  if not isinstance(consent, list) or not all(type(number) is int for number in consent):
    raise InferenceError('the confirmations are no list of numbers; reload the page.')
  no_face = body.get('no_face') is True
  return Asked(method, identity, no_face, None if boxes is None else tuple(boxes), tuple(consent))


def settled(asked: Asked, found: Sequence[Face], size: tuple[int, int]) -> list[Given]:
  """Returns the faces of a picture as they are asked for.

  Args:
    asked: with the page's boxes: `found` is the number of a face of the detector or None, `box` its
      corrected or drawn place or None, `kept` whether it stays as it is.
    found: the detector's faces.
    size: width and height of the picture.

  Raises:
    InferenceError: one that was found is not answered for, a box is none, or a face is to be kept
      without a confirmation.
  """
  if asked.boxes is None:
    return [Given(face) for face in found]
  answered = [box.get('found') for box in asked.boxes]
  numbers = [number for number in answered if number is not None]
  if not all(type(number) is int for number in numbers) or sorted(numbers) != list(
    range(len(found))
  ):
    raise InferenceError(
      f'{len(found)} faces were found, and each has to be replaced or kept; reload the page.'
    )
  given = [_given(box, found, size) for box in asked.boxes]
  kept = [number for number, each in enumerate(given) if each.kept]
  if sorted(asked.consent) != kept:
    raise InferenceError(
      'A face is to be kept as it is without a confirmation, or is confirmed and not kept; choose '
      'again which faces are kept.'
    )
  return given


def _given(box: Mapping[str, Any], found: Sequence[Face], size: tuple[int, int]) -> Given:
  number, place, kept = box.get('found'), box.get('box'), box.get('kept', False)
  if type(kept) is not bool:
    raise InferenceError('whether a face is kept is neither true nor false; reload the page.')
  if number is None:
    if kept:
      raise InferenceError('a face that was drawn cannot be kept; remove its box instead.')
    return Given(Face(_box(place, size)), DRAWN)
  face = found[number]
  if place is None:
    return Given(face, kept=kept)
  corners = _box(place, size)
  pair = [np.array(b, np.float64).reshape(1, 2, 2) for b in (corners, face.box)]
  if overlaps(*pair)[0, 0] < _SAME or not _holds_features(corners, face, size):
    raise InferenceError(
      'A corrected box no longer covers the face that was found; draw a new box for another face, '
      'and leave this one where it was.'
    )
  # What is known of the face's turn belongs to the box that was wrong.
  return Given(Face(corners), CORRECTED, face.box, kept)


def _holds_features(
  corners: tuple[float, float, float, float], face: Face, size: tuple[int, int]
) -> bool:
  """Tells whether a box holds eyes, nose and mouth of a face, as far as they are in the picture."""
  if face.landmarks is None or not level(face):  # unknown, or no face's
    return True
  points = np.clip(np.asarray(face.landmarks), 0, size)
  return bool((points >= corners[:2]).all() and (points <= corners[2:]).all())


def _box(given: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
  """Returns left, top, right and bottom inside of the picture."""
  if (
    not isinstance(given, list)
    or len(given) != 4
    or not all(type(value) in (int, float) and abs(value) <= _FURTHEST for value in given)
  ):
    raise InferenceError('a box is no four numbers; give left, top, right and bottom in pixels.')
  width, height = size
  left, top, right, bottom = (
    float(np.clip(value, 0, most))
    for value, most in zip(given, (width, height, width, height), strict=True)
  )
  if right - left < _LEAST_SIDE or bottom - top < _LEAST_SIDE:
    raise InferenceError(
      f'a box is smaller than {_LEAST_SIDE:g} pixels or lies outside of the picture; draw it again.'
    )
  return left, top, right, bottom
