"""What is measured of a clip's frames: its own, or beside those of its source."""

import io
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import lpips
from anon_jax.evaluation.temporal_lpips import centre
from anon_jax.inference import detection, looks
from anon_jax.inference.crops import cut, frame_of
from anon_jax.inference.faces import Face
from anon_jax.inference.video_reading import VideoReader
from anon_jax.protocols.detectors import Judge
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.faces import face_at, main_face
from anon_jax.telemetry import write_whole

_ROWS = 256  # of a frame, for distances
_SCORE = 0.5  # from which CenterFace's faces count
_SHOWN = (10, 60)  # frames that pictures show
_JUDGED = 256  # side of the part about a face that another detector is given
_NOWHERE, _NO_BOX = np.full((5, 2), np.nan), np.full(4, np.nan)


class Sides(NamedTuple):
  """Measures of the n frames of a clip.

  Attributes:
    consecutive: float64 [n - 1], distance of each frame to the one before; NaN without a network.
    faces: int64 [n], how many are found.
    boxes: float64 [n, 4], of the main face of the source; NaN where it has none.
    landmarks: float64 [n, 5, 2], (x, y) of the main face as it is found; NaN where it is not.
    embeddings: float32 [n, d], of the same.
    in_place: float32 [n, d], cut by the landmarks of the source.
    judged: float64 [n], whether the other detector finds the face, 0 or 1; NaN without one.
    shown: uint8 [k, h, w, 3], some frames, reduced.
  """

  consecutive: np.ndarray
  faces: np.ndarray
  boxes: np.ndarray
  landmarks: np.ndarray
  embeddings: np.ndarray
  in_place: np.ndarray
  judged: np.ndarray
  shown: np.ndarray

  @property
  def found(self) -> np.ndarray:
    """Whether the main face is found, bool [n]."""
    return np.isfinite(self.landmarks).all((1, 2))


class Measurer:
  """Measures clips.

  Args:
    embedder: the recogniser.
    distance: of consecutive frames, and its parameters; None leaves it out.
    judge: a detector that is not the pipeline's; None leaves it out.
    frames: at most, of each clip; 0: all.
  """

  def __init__(
    self,
    embedder: Embedder,
    distance: tuple[lpips.Lpips, Any] | None,
    judge: Judge | None,
    frames: int,
  ):
    self._embedder, self._judge, self._frames = embedder, judge, frames
    self._find = detection.load_detector().at(looks.GLANCE)
    self._apart = None if distance is None else _Apart(*distance)

  def measure(self, path: pathlib.Path, source: Sides | None, title: str) -> Sides:
    """Measures a clip.

    Args:
      path: of the clip.
      source: measures of what it was made from; None: it is a source itself.
      title: of the progress bar.

    Raises:
      VideoError: it cannot be read.
      DatasetError: it has other frames than its source.
    """
    rows: list[tuple[Any, ...]] = []
    shown: list[np.ndarray] = []
    before: Face | None = None
    if self._apart:
      self._apart.begin()
    with tqdm(desc=title, unit=' frames', file=sys.stderr, disable=None) as bar:
      for number, pixels in enumerate(self._read(path)):
        bar.update()
        if source is not None and number == len(source.faces):
          raise DatasetError(f'{path} has more frames than its source, which has {number}.')
        small = _reduced(pixels)
        if number in _SHOWN:
          shown.append(small)
        row, before = self._row(pixels, source, number, before)
        rows.append((np.nan if self._apart is None else self._apart.next(small), *row))
    if source is not None and len(rows) != len(source.faces):
      raise DatasetError(f'{path} has {len(rows)} frames, its source {len(source.faces)}.')
    return self._gathered(rows, shown)

  def _read(self, path: pathlib.Path) -> Iterator[np.ndarray]:
    with VideoReader(path) as reader:
      for number, frame in enumerate(reader):
        if self._frames and number == self._frames:
          return
        yield frame.pixels

  def _row(
    self, pixels: np.ndarray, source: Sides | None, number: int, before: Face | None
  ) -> tuple[tuple[Any, ...], Face | None]:
    """Returns the faces of a frame, box, points, aligned crops and judgement; and its main face."""
    faces = [face for face in self._find(pixels) if face.score >= _SCORE]
    if source is None:
      face = None if before is None else face_at(faces, before.box)
      if face is None or face.landmarks is None:
        face = main_face(faces, pixels.shape[1], pixels.shape[0])
      box = None if face is None else np.array(face.box)
      known = None if face is None else face.landmarks
    else:
      there = np.isfinite(source.boxes[number]).all()
      box = source.boxes[number] if there else None
      known = source.landmarks[number] if source.found[number] else None
      face = face_at(faces, box) if box is not None else None
    points = None if face is None else face.landmarks
    row = (
      len(faces),
      _NO_BOX if box is None else box,
      _NOWHERE if points is None else np.asarray(points),
      None if points is None else self._embedder.cut(pixels, points),
      None if known is None else self._embedder.cut(pixels, known),
      np.nan if box is None else self._judgement(pixels, box),
    )
    return row, face

  def _judgement(self, pixels: np.ndarray, box: np.ndarray) -> float:
    if self._judge is None:
      return np.nan
    left, top, right, bottom = box.tolist()
    about = cut(pixels, frame_of(Face((left, top, right, bottom))), _JUDGED)
    return float(any(face.score >= self._judge.score for face in self._judge.find(about)))

  def _gathered(self, rows: list[tuple[Any, ...]], shown: list[np.ndarray]) -> Sides:
    if not rows:
      raise DatasetError('a clip has no frames.')
    apart, faces, boxes, points, found, placed, judged = zip(*rows, strict=True)
    return Sides(
      np.array(apart[1:], np.float64),
      np.array(faces),
      np.stack(boxes),
      np.stack(points),
      self._embedded(found),
      self._embedded(placed),
      np.array(judged, np.float64),
      np.stack(shown) if shown else np.zeros((0, 1, 1, 3), np.uint8),
    )

  def _embedded(self, crops: tuple[np.ndarray | None, ...]) -> np.ndarray:
    rows = np.full((len(crops), self._embedder.dimensions), np.nan, np.float32)
    there = [place for place, crop in enumerate(crops) if crop is not None]
    if there:
      some = (crop for crop in crops if crop is not None)
      rows[there] = self._embedder.embed(some, len(there), 'embedding')
    return rows


class _Apart:
  """Distances of consecutive frames; each frame is looked at once."""

  def __init__(self, distance: lpips.Lpips, params: Any):
    placed = jax.device_put(params)
    look = compiling.jit(lambda params, frame: distance.features(params, frame))
    between = compiling.jit(lambda params, a, b: lpips.between(a, b, params['heads'])[0])
    self._look: Callable[[np.ndarray], Any] = lambda frame: look(placed, frame)
    self._between: Callable[[Any, Any], Any] = lambda a, b: between(placed, a, b)
    self._before: Any = None

  def begin(self) -> None:
    """Forgets the frame before."""
    self._before = None

  def next(self, small: np.ndarray) -> float:
    """Returns the distance of a frame to the one before; NaN for the first."""
    seen = self._look(centre(small)[None].astype(np.float32) / 127.5 - 1)
    before, self._before = self._before, seen
    return np.nan if before is None else float(self._between(before, seen))


def _reduced(pixels: np.ndarray) -> np.ndarray:
  """Returns a frame of _ROWS rows, or as it is if it has fewer."""
  height, width = pixels.shape[:2]
  if height <= _ROWS:
    return pixels
  size = round(width * _ROWS / height), _ROWS
  reduced = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
  return np.asarray(reduced)


def save(sides: Sides, path: pathlib.Path) -> None:
  """Writes measures whole."""
  content = io.BytesIO()
  np.savez(content, **sides._asdict())
  write_whole(path, content.getvalue())


def load(path: pathlib.Path) -> Sides:
  """Reads what `save` wrote."""
  with np.load(path, allow_pickle=False) as held:
    return Sides(**{name: held[name] for name in Sides._fields})
