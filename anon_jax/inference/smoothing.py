"""The path of one face through a video: gaps interpolated, boxes and landmarks smoothed.

A smoothed box or landmark is the value at its frame of a straight line through the `radius` frames
before and after it, fitted by least squares with the weights 1 - |distance| / (radius + 1). A face
that moves steadily stays where it is, also at the ends of its path.

Smoothing is for the looks of a crop, not for what is covered. The crop of a smoothed face holds the
whole box that the face was detected with in that frame: where it would not, the face is moved back
towards its detection as far as needed, in eighths of the way.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np

from anon_jax.inference import crops
from anon_jax.inference.faces import Face

_STEPS = 8  # on the way from a smoothed face back to the detected one
_RECENT = 3  # detections from which the velocity at an end of a path is taken
_FIT = 1e-9  # by which a box may stand out of a crop, in sides of it: rounding


class _Sighting(NamedTuple):
  """A detection.

  Attributes:
    frame: its number.
    face: as it was detected.
    row: float64 [14], its box and landmarks; NaN for landmarks that there are none of or that
      cannot be believed.
    sure: whether it is of the same face as the one before.
    thorough: whether its frame was searched more thoroughly than most.
  """

  frame: int
  face: Face
  row: np.ndarray
  sure: bool
  thorough: bool


class Path:
  """In which frames a face was detected, and where."""

  def __init__(self) -> None:
    self._sightings: list[_Sighting] = []

  def __len__(self) -> int:
    return len(self._sightings)

  def add(self, frame: int, face: Face, sure: bool, thorough: bool = False) -> None:
    """Appends a detection, in a frame after those of the others.

    Args:
      frame: its number.
      face: as it was detected.
      sure: whether it is of the same face as the one before; if not, the path jumps.
      thorough: whether its frame was searched more thoroughly than most.
    """
    points = face.landmarks if crops.level(face) else None
    landmarks = np.full(10, np.nan) if points is None else np.ravel(np.asarray(points, np.float64))
    row = np.concatenate([np.asarray(face.box, np.float64), landmarks])
    self._sightings.append(_Sighting(frame, face, row, sure, thorough))

  def forget(self, frame: int) -> None:
    """Drops the detections before a frame, but never the last."""
    kept = [sighting for sighting in self._sightings if sighting.frame >= frame]
    self._sightings = kept or self._sightings[-1:]

  @property
  def first(self) -> int:
    """The frame of the first detection that is not forgotten."""
    return self._sightings[0].frame

  @property
  def last(self) -> int:
    """The frame of the last detection."""
    return self._sightings[-1].frame

  def around(self, frame: int) -> tuple[Face, ...]:
    """Returns the detection in a frame of the path or, in a gap, those before and after it."""
    before, after = self._around(frame)
    return (before.face,) if before.frame == frame else (before.face, after.face)

  def beyond(self, frame: int, hold: int) -> list[tuple[Face, np.ndarray, int]]:
    """Returns what may be in a frame besides, where the path jumps up to `hold` frames from it.

    Returns:
      The detections beyond the jumps, by how much each face has moved from there on, (x, y), if it
      moves steadily, and by how many frames it is away.
    """
    found = []
    for place, (before, after) in enumerate(itertools.pairwise(self._sightings), 1):
      if after.sure:
        continue
      if before.frame < frame <= before.frame + hold:
        way = _velocity(self._part(place - 1)[-_RECENT:]) * (frame - before.frame)
        found.append((before.face, way, frame - before.frame))
      if after.frame - hold <= frame < after.frame:
        way = _velocity(self._part(place)[:_RECENT]) * (frame - after.frame)
        found.append((after.face, way, after.frame - frame))
    return found

  def elusive(self, frame: int, reach: int) -> bool:
    """Tells whether the detections up to `reach` frames away are of thorough searches only."""
    return all(s.thorough for s in self._sightings if abs(s.frame - frame) <= reach)

  def near(self, frame: int, reach: int) -> int:
    """Returns how many detections there are up to `reach` frames away."""
    return sum(abs(s.frame - frame) <= reach for s in self._sightings)

  def confirmed(self, frame: int, reach: int) -> float:
    """Returns how sure closer looks are of the detections up to `reach` frames away, on average."""
    near = [s.face.confirmed for s in self._sightings if abs(s.frame - frame) <= reach]
    return sum(near) / len(near)

  def score(self, frame: int, reach: int) -> float:
    """Returns the greatest score of the detections up to `reach` frames away."""
    return max(s.face.score for s in self._sightings if abs(s.frame - frame) <= reach)

  def interpolated(self, frame: int) -> Face:
    """Returns the face in a frame of the path, between its neighbours where it was not detected.

    Args:
      frame: from the first to the last.
    """
    before, after = self._around(frame)
    return _face(self._row(frame), min(before.face.score, after.face.score))

  def away(self, frame: int) -> int:
    """Returns by how many frames the nearest detection is away."""
    return min(abs(sighting.frame - frame) for sighting in self._sightings)

  def extent(self, frame: int, reach: int) -> np.ndarray:
    """Returns the largest sides of the boxes up to `reach` frames away, float64 [2], (x, y).

    One detection there is.
    """
    near = [s.face.box for s in self._sightings if abs(s.frame - frame) <= reach]
    boxes = np.array(near).reshape(-1, 2, 2)
    sides: np.ndarray = (boxes[:, 1] - boxes[:, 0]).max(0)
    return sides

  def velocity(self, at_end: bool) -> np.ndarray:
    """Returns by how much the face moves in a frame, (x, y), when it appears or disappears."""
    part = self._part(-1 if at_end else 0)
    if len(part) == 1:  # a jump may also be a face of which nobody knew yet how it moves
      part = self._sightings
    return _velocity(part[-_RECENT:] if at_end else part[:_RECENT])

  def smoothed(self, frame: int, radius: int, score: float) -> Face:
    """Returns the face whose crop does not jitter, in a frame from the first to the last.

    It has landmarks where the face has any in a frame up to `radius` away.
    """
    raw = self._row(frame)
    near = range(max(self.first, frame - radius), min(self.last, frame + radius) + 1)
    rows = np.stack([self._row(i) for i in near])  # [n 14]
    offsets = np.array([i - frame for i in near])
    weights = 1 - abs(offsets) / (radius + 1)
    row = np.full(len(raw), np.nan)
    row[:4] = _line(rows[:, :4], offsets, weights)
    seen = ~np.isnan(rows[:, 4])
    if seen.any():
      row[4:] = _line(rows[seen, 4:], offsets[seen], weights[seen])
    for step in range(_STEPS):
      mixed = np.where(np.isnan(raw), row, row + step / _STEPS * (raw - row))
      if mixed[0] < mixed[2] and mixed[1] < mixed[3]:
        face = _face(mixed, score)
        believed = face.landmarks is None or crops.level(face)
        if believed and _holds(crops.frame_of(face), raw[:4]):
          return face
    return _face(raw, score)

  def _part(self, place: int) -> list[_Sighting]:
    """Returns the detections between the two jumps around that of a place."""
    place %= len(self._sightings)
    jumps = [number for number, sighting in enumerate(self._sightings) if not sighting.sure]
    start = max((number for number in jumps if number <= place), default=0)
    end = min((number for number in jumps if number > place), default=len(self._sightings))
    return self._sightings[start:end]

  def _around(self, frame: int) -> tuple[_Sighting, _Sighting]:
    before = next(s for s in reversed(self._sightings) if s.frame <= frame)
    after = next(s for s in self._sightings if s.frame >= frame)
    return before, after

  def _row(self, frame: int) -> np.ndarray:
    before, after = self._around(frame)
    share = (frame - before.frame) / max(1, after.frame - before.frame)
    return before.row + share * (after.row - before.row)


def _velocity(few: list[_Sighting]) -> np.ndarray:
  """Returns by how much a face moves in a frame, (x, y), by some detections in a row."""
  frames = few[-1].frame - few[0].frame
  return (centre(few[-1].face) - centre(few[0].face)) / max(1, frames)


def centre(face: Face) -> np.ndarray:
  """Returns the centre of a face's box, float64 [2], (x, y) in pixels."""
  left, top, right, bottom = face.box
  return np.array([(left + right) / 2, (top + bottom) / 2])


def moved(face: Face, by: np.ndarray) -> Face:
  """Returns a face elsewhere: `by` is float64 [2], (x, y) in pixels."""
  left, top, right, bottom = face.box
  x, y = (float(v) for v in by)
  points = None
  if face.landmarks is not None:
    points = tuple((px + x, py + y) for px, py in face.landmarks)
  return Face((left + x, top + y, right + x, bottom + y), face.score, points)


def enlarged(face: Face, by: float) -> Face:
  """Returns a face whose box reaches further on each side, by a share of its own sides."""
  left, top, right, bottom = face.box
  x, y = by * (right - left), by * (bottom - top)
  return dataclasses.replace(face, box=(left - x, top - y, right + x, bottom + y))


def widened(face: Face, sides: np.ndarray) -> Face:
  """Returns a face whose box has at least such sides, float64 [2], (x, y), about its centre."""
  left, top, right, bottom = face.box
  x, y = (float(v) for v in np.maximum(0, sides - (right - left, bottom - top)) / 2)
  return dataclasses.replace(face, box=(left - x, top - y, right + x, bottom + y))


def _face(row: np.ndarray, score: float) -> Face:
  left, top, right, bottom, *landmarks = (float(v) for v in row)
  points = None
  if not np.isnan(landmarks[0]):
    points = tuple(zip(landmarks[::2], landmarks[1::2], strict=True))
  return Face((left, top, right, bottom), score, points)


def _line(rows: np.ndarray, offsets: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Returns the values at offset 0 of lines through the columns of [n, k], float64 [k]."""
  total, first, second = (float((weights * offsets**power).sum()) for power in range(3))
  determinant = total * second - first**2
  if len(rows) < 2:
    return rows[0]
  fitted: np.ndarray = (weights * (second - first * offsets) / determinant) @ rows
  return fitted


def _holds(frame: crops.Frame, box: np.ndarray) -> bool:
  """Tells whether a crop shows the whole of a box."""
  corners = np.array([[x, y] for x in box[::2] for y in box[1::2]]) - frame.centre
  across, down = abs(corners @ frame.across), abs(corners @ frame.down)
  return bool(max(across.max(), down.max()) <= frame.side * (0.5 + _FIT))
