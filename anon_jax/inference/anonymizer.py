"""The Python interface: replaces or covers every face of a picture in memory."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anon_jax.inference import controls, covering, crops
from anon_jax.inference.decisions import Anonymized, Decision, Request, Trust
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Detector, Face, Points
from anon_jax.inference.looks import PHOTOGRAPH, Look

if TYPE_CHECKING:  # they import jax, which the covering methods do without
  from anon_jax.inference.ladder import Ladder
  from anon_jax.inference.synthesis import Synthesizer

METHODS = ('synthesize', *covering.METHODS)
SHIPPED = pathlib.Path(__file__).parent.parent / 'weights'
_FURTHEST = 1e6  # pixels of a box's corner from the picture's
_ACTIONS = {'fill': 'filled', 'pixelate': 'pixelated', 'blur': 'blurred'}


class Anonymizer:
  """Anonymizes pictures in memory.

  Args:
    detector: finds faces; None where faces are always given.
    synthesizer: paints new faces; None for the covering methods.
    method: 'synthesize', 'fill', 'pixelate' or 'blur'.
    trust: when a synthesized face is taken.
    key: makes the draw of control identities repeatable for its holder; None: nobody can.
    identity: one control identity or mixture for all faces, for experiments: '7', '7:0.5,12:0.5';
      'any' draws among all, and '' among those that suit the hair in a picture.
    block: of 'pixelate', in pixels of a face crop of 128 px.
    kernel: of 'blur', the same.

  Raises:
    InferenceError: an unknown method, or one without what it needs.
  """

  def __init__(
    self,
    detector: Detector | None = None,
    synthesizer: 'Synthesizer | None' = None,
    *,
    method: str = 'synthesize',
    trust: Trust | None = None,
    key: bytes | None = None,
    identity: str = '',
    block: int = covering.BLOCKS[-1],
    kernel: int = covering.KERNELS[-1],
  ):
    _check_options(method, block, kernel)
    if method == 'synthesize' and synthesizer is None:
      raise InferenceError("method 'synthesize' needs trained weights; name their folder.")
    self._detector, self._method, self._block, self._kernel = detector, method, block, kernel
    self._ladder: Ladder | None = None
    if method == 'synthesize' and synthesizer is not None:
      from anon_jax.inference import ladder

      mixture = controls.given(identity, synthesizer.identities)
      self._ladder = ladder.Ladder(
        synthesizer, trust or Trust(), key, mixture, any_identity=identity == controls.ANY
      )

  @classmethod
  def from_pretrained(
    cls,
    folder: str | pathlib.Path | None = None,
    *,
    detector: Detector | None = None,
    threshold: float | None = None,
    method: str = 'synthesize',
    trust: Trust | None = None,
    key: bytes | None = None,
    identity: str = '',
    block: int = covering.BLOCKS[-1],
    kernel: int = covering.KERNELS[-1],
  ) -> 'Anonymizer':
    """Loads the trained networks of a folder, and CenterFace where no detector is given.

    Args:
      folder: written by `anon-jax weights export`; None takes the package's own. The covering
        methods read none.
      detector: your own, instead of CenterFace.
      threshold: least score of CenterFace; None takes its default.
      method: see the class, as for the others.
      trust: when a synthesized face is taken.
      key: of repeatable draws.
      identity: one control identity for all faces, or 'any'.
      block: of 'pixelate'.
      kernel: of 'blur'.

    Raises:
      WeightsError: the folder is missing, damaged or of another version.
      InferenceError: no detector can be had, or an argument cannot be used.
    """
    _check_options(method, block, kernel)  # before networks are loaded
    synthesizer = None
    if method == 'synthesize':
      if folder is None and (SHIPPED / 'model.json').is_file():
        folder = SHIPPED
      if folder is None:
        raise InferenceError(
          "method 'synthesize' needs trained weights: give a folder that `anon-jax weights export` "
          'wrote, or choose fill, pixelate or blur.'
        )
      from anon_jax.inference.synthesis import Synthesizer
      from anon_jax.inference.weights import load_weights

      synthesizer = Synthesizer(load_weights(folder))
    if detector is None:
      # here and not above: users of their own detector need no onnxruntime
      from anon_jax.inference.detection import load_detector

      detector = load_detector() if threshold is None else load_detector(threshold=threshold)
    return cls(
      detector,
      synthesizer,
      method=method,
      trust=trust,
      key=key,
      identity=identity,
      block=block,
      kernel=kernel,
    )

  @property
  def method(self) -> str:
    """What becomes of a face, one of METHODS."""
    return self._method

  @property
  def threads(self) -> int:
    """How many threads may call `detect` at a time, 1 unless the detector says otherwise."""
    return int(getattr(self._detector, 'callers', 1))

  def reason_to_fill(self, face: Face) -> str:
    """Says why 'synthesize' would fill a face without painting it; '' if it would paint it."""
    return self._ladder.reason_to_fill(face) if self._ladder else ''

  def detect(self, image: np.ndarray, look: Look = PHOTOGRAPH) -> list[Face]:
    """Finds the faces of a picture, uint8 [h, w, 3].

    Args:
      image: the picture.
      look: how thoroughly, for frames of clips; a detector without a method `at` does as always.

    Raises:
      InferenceError: the detector failed, or there is none.
    """
    if self._detector is None:
      raise InferenceError('there is no detector; give the boxes of the faces.')
    at: Any = getattr(self._detector, 'at', lambda look: self._detector)
    return list(at(look)(_checked(image)))

  def anonymize(
    self,
    image: np.ndarray,
    boxes: Sequence[Sequence[float]] | None = None,
    landmarks: Sequence[Points | None] | None = None,
    masks: Sequence[np.ndarray | None] | None = None,
    name: str = '',
  ) -> Anonymized:
    """Anonymizes one picture.

    Args:
      image: uint8 [h, w, 3], RGB; it is not changed.
      boxes: left, top, right, bottom of each face in pixels; None lets the detector find them.
      landmarks: for each box five points (x, y), or None: without them a face counts as upright.
      masks: for each box the foreground, bool [h, w], or None to let S find it.
      name: tells the faces of this picture from others' where a key was given.

    Returns:
      The picture and a decision for each face; without faces the picture as it was.

    Raises:
      InferenceError: arguments of another form, or the detector failed.
    """
    _checked(image)
    if boxes is None:
      if landmarks is not None or masks is not None:
        raise InferenceError('landmarks and masks belong to boxes; give those too.')
      faces = self.detect(image)
    else:
      points = list(landmarks) if landmarks is not None else [None] * len(boxes)
      if len(points) != len(boxes) or (masks is not None and len(masks) != len(boxes)):
        raise InferenceError(f'{len(boxes)} boxes need as many landmarks and masks, or none.')
      faces = [
        Face(_box(box), 1.0, None if p is None else _points(p))
        for box, p in zip(boxes, points, strict=True)
      ]
    return self.anonymize_many([Request(image, faces, () if masks is None else masks, name)])[0]

  def anonymize_many(self, requests: Sequence[Request]) -> list[Anonymized]:
    """Anonymizes pictures whose faces are known; faces of all pictures share batches.

    Raises:
      InferenceError: pictures, faces or masks that cannot be used.
    """
    for request in requests:
      _check(request)
    images = [request.image.copy() for request in requests]
    if self._ladder:
      decisions = self._ladder.replace(requests, images)
    else:
      decisions = [self._cover_all(*pair) for pair in zip(requests, images, strict=True)]
    return [Anonymized(image, tuple(found)) for image, found in zip(images, decisions, strict=True)]

  def _cover_all(self, request: Request, image: np.ndarray) -> list[Decision]:
    """Covers each face of a picture in place."""
    decisions = []
    for number, face in enumerate(request.faces):
      if keep := request.decision_to_keep(number):
        decisions.append(keep)
        continue
      frame, mask = crops.frame_of(face), request.mask(number)
      covering.cover(
        request.image, face, frame, self._method, self._block, self._kernel, mask
      ).lay_over(image)
      decisions.append(Decision(face, _ACTIONS[self._method]))
    return decisions


def _check_options(method: str, block: int, kernel: int) -> None:
  if method not in METHODS:
    raise InferenceError(f'method {method!r} is not known; choose one of {", ".join(METHODS)}.')
  if block < 2 or kernel < 3 or kernel % 2 == 0:
    raise InferenceError(
      f'block={block}, kernel={kernel}; give a block of 2 or more and an odd kernel of 3 or more.'
    )


def _checked(image: np.ndarray) -> np.ndarray:
  if not isinstance(image, np.ndarray):
    raise InferenceError(f'the picture is a {type(image).__name__}; give uint8 RGB [h, w, 3].')
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
    raise InferenceError(f'the picture is {_kind(image)}; give uint8 RGB [h, w, 3].')
  return image


def _check(request: Request) -> None:
  """Raises unless everything about a request can be used."""
  if request.bodies:  # they would stay as they are
    raise InferenceError('an Anonymizer replaces faces; give bodies to a BodyAnonymizer.')
  wanted = f'bool{list(_checked(request.image).shape[:2])}'
  for face in request.faces:
    if max(map(abs, face.box)) > _FURTHEST:
      raise InferenceError(
        f'the box {face.box} lies far from any picture; give pixels, at most {_FURTHEST:g}.'
      )
  for number in request.kept:
    if not 0 <= number < len(request.faces):
      raise InferenceError(
        f'face {number} cannot be kept; the faces are numbered 0 to {len(request.faces) - 1}.'
      )
  if len(request.masks) not in (0, len(request.faces)):
    raise InferenceError(
      f'{len(request.faces)} faces come with {len(request.masks)} masks; give one (or None) for '
      'each, or none at all.'
    )
  for mask in request.masks:
    if mask is not None and _kind(mask) != wanted:
      raise InferenceError(f'a mask is {_kind(mask)}; give {wanted}.')


def _kind(array: Any) -> str:
  if not isinstance(array, np.ndarray):
    return f'a {type(array).__name__}'
  return f'{array.dtype}{list(array.shape)}'


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
  left, top, right, bottom = _numbers(box, (4,), 'a box', 'left, top, right, bottom')
  return left, top, right, bottom


def _points(points: Points) -> Points:
  return tuple((x, y) for x, y in _numbers(points, (5, 2), 'landmarks', 'five points (x, y)'))


def _numbers(given: Any, shape: tuple[int, ...], what: str, wanted: str) -> Any:
  try:
    numbers = np.asarray(given, np.float64)
  except (TypeError, ValueError):
    numbers = np.zeros(0)
  if numbers.shape != shape:
    shown = ' '.join(repr(given).split())[:60]
    raise InferenceError(f'{what} cannot be {shown}; give {wanted} in pixels.')
  return numbers.tolist()
