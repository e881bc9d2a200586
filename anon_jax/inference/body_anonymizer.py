"""Anonymizes pictures with bodies: first the bodies, then the faces that are not part of one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from anon_jax.inference import body_covering, covering
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.bodies import Body, far_to_near
from anon_jax.inference.body_covering import Wide
from anon_jax.inference.decisions import Anonymized, BodyDecision, Decision, Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.looks import PHOTOGRAPH, Look

if TYPE_CHECKING:  # it imports jax, which the covering methods do without
  from anon_jax.inference.body_replacing import Replacer

WITH_BODY = 'with its body'
# Share of a face's oval from which it is part of a body: detectors' boxes are a little too large.
_INSIDE = 0.95


class BodyAnonymizer:
  """Stands in for an `Anonymizer` where requests have bodies.

  Each pixel of each mask, and of a rim around it, is replaced before faces are: what replaces faces
  never sees one. A face whose oval lies in bodies (95 % of it) was replaced with them, and what is
  left of the oval is filled; all others become what they would without bodies, and bodies lie over
  them.

  Args:
    faces: anonymizes the faces.
    method: what becomes of a body: one of `covering.METHODS`, or 'synthesize'.
    replacer: synthesizes bodies; None for the covering methods.
    block: of 'pixelate', in pixels of a body crop that is 128 px wide.
    kernel: of 'blur', the same.
  """

  def __init__(
    self,
    faces: Anonymizer,
    method: str,
    replacer: 'Replacer | None' = None,
    *,
    block: int = covering.BLOCKS[-1],
    kernel: int = covering.KERNELS[-1],
  ):
    assert (method == 'synthesize') == (replacer is not None)
    self._faces, self._method, self._replacer = faces, method, replacer
    self._block, self._kernel = block, kernel

  @property
  def method(self) -> str:
    """What becomes of a face."""
    return self._faces.method

  @property
  def threads(self) -> int:
    """How many threads may call `detect` at a time."""
    return self._faces.threads

  def reason_to_fill(self, face: Face) -> str:
    """Says why a face would be filled and not painted; see `Anonymizer.reason_to_fill`."""
    return self._faces.reason_to_fill(face)

  def detect(self, image: np.ndarray, look: Look = PHOTOGRAPH) -> list[Face]:
    """Finds the faces of a picture; see `Anonymizer.detect`."""
    return self._faces.detect(image, look)

  def anonymize_many(self, requests: Sequence[Request]) -> list[Anonymized]:
    """Anonymizes pictures whose faces and bodies are known.

    Raises:
      InferenceError: pictures, faces or masks that cannot be used.
    """
    for request in requests:
      _check(request)
    wide = [[Wide.of(body) for body in request.bodies] for request in requests]
    taken = [
      _union(request.image.shape[:2], each) for request, each in zip(requests, wide, strict=True)
    ]
    images = [request.image.copy() for request in requests]
    if self._replacer:
      decisions = self._replacer.replace(requests, wide, images)
    else:
      decisions = [self._cover(*each) for each in zip(requests, wide, images, strict=True)]
    inside = [
      [_is_inside(face, mask) for face in request.faces]
      for request, mask in zip(requests, taken, strict=True)
    ]
    for place, request in enumerate(requests):
      _fill_rims(request.faces, inside[place], images[place], taken[place])
    rest = [_without(*each) for each in zip(requests, images, inside, strict=True)]
    results = []
    for place, done in enumerate(self._faces.anonymize_many(rest)):
      done.image[taken[place]] = images[place][taken[place]]
      others = iter(done.faces)
      faces = tuple(
        Decision(face, WITH_BODY) if is_inside else next(others)
        for face, is_inside in zip(requests[place].faces, inside[place], strict=True)
      )
      results.append(Anonymized(done.image, faces, tuple(decisions[place]), taken[place]))
    return results

  def _cover(self, request: Request, wide: Sequence[Wide], image: np.ndarray) -> list[BodyDecision]:
    """Covers the bodies of a picture in place."""
    found = [
      body_covering.cover(request.image, each, self._method, self._block, self._kernel)
      for each in wide
    ]
    for place in far_to_near(request.bodies):
      found[place][0].lay_over(image)
    return [decision for _, decision in found]


def beside(faces: Sequence[Face], bodies: Sequence[Body]) -> list[Face]:
  """Returns the faces of a frame that are no part of a body that the user has masked.

  The others need not be followed: in the frames around, they are part of it as well. What a
  segmenter finds may be missing there.
  """
  given = [Wide.of(body) for body in bodies if body.state == 'given']
  if not given:
    return list(faces)
  taken = _union(given[0].mask.shape, given)
  return [face for face in faces if not _is_inside(face, taken)]


def _check(request: Request) -> None:
  """Raises unless each body has pixels, in a mask of its picture's size; no face can be kept."""
  if request.kept:  # it may be a part of a body, of which nothing shows
    raise InferenceError('faces beside bodies cannot be kept; give no number in `kept`.')
  for body in request.bodies:
    if body.mask.shape != request.image.shape[:2] or not body.mask.any():
      raise InferenceError(
        f'the mask of body {body.number} is bool{list(body.mask.shape)} with {body.mask.sum()} '
        f'pixels; give bool{list(request.image.shape[:2])} with one at least.'
      )


def _union(shape: tuple[int, ...], wide: Sequence[Wide]) -> np.ndarray:
  taken = np.zeros(shape, bool)
  for each in wide:
    taken |= each.mask
  return taken


def _is_inside(face: Face, taken: np.ndarray) -> bool:
  """Tells whether a face, the oval in its box, lies in what is taken as far as the picture goes."""
  oval = _oval(face, taken.shape)
  return bool(oval.any() and taken[oval].mean() >= _INSIDE)


def _fill_rims(
  faces: Sequence[Face], inside: Sequence[bool], image: np.ndarray, taken: np.ndarray
) -> None:
  """Fills in place what of the faces that bodies took no body covers, and takes that, too."""
  for face, is_inside in zip(faces, inside, strict=True):
    if is_inside:
      rim = _oval(face, taken.shape) & ~taken
      image[rim] = covering.FILL
      taken |= rim


def _oval(face: Face, shape: tuple[int, ...]) -> np.ndarray:
  """Returns the oval in a face's box, as far as the picture goes, as bool [h, w]."""
  left, top, right, bottom = face.box
  height, width = shape
  columns = np.arange(max(0, math.floor(left)), min(width, math.ceil(right)))
  rows = np.arange(max(0, math.floor(top)), min(height, math.ceil(bottom)))
  oval = np.zeros(shape, bool)
  if len(columns) and len(rows):
    x = (2 * columns + 1 - left - right) / (right - left)
    y = (2 * rows + 1 - top - bottom) / (bottom - top)
    oval[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = x**2 + y[:, None] ** 2 <= 1
  return oval


def _without(request: Request, image: np.ndarray, inside: Sequence[bool]) -> Request:
  """Returns what is asked of the faces outside of bodies, in a picture without these."""
  kept = [number for number, is_inside in enumerate(inside) if not is_inside]
  return dataclasses.replace(
    request,
    image=image,
    faces=[request.faces[number] for number in kept],
    masks=[request.masks[number] for number in kept] if len(request.masks) else (),
    names=[request.name_of(number) for number in kept],
    bodies=(),
  )
