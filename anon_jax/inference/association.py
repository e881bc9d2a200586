"""Which track a detection continues."""

from collections.abc import Sequence

import numpy as np

from anon_jax.inference import crops
from anon_jax.inference.faces import Face

# How far a face may be from where its track expects it, in sizes of the face: after one frame, more
# for each frame that it was missed, at most, and more where the track has no velocity yet.
_REACH, _REACH_MISSED, _REACH_MOST, _REACH_NEW = 0.7, 0.3, 2.0, 0.5
# Intersection over union with where it was expected, below which a detection may well be of another
# face: one that was missed itself until now.
_SURE = 0.4
_SIZES = 2.0  # factor by which a face may seem to grow or shrink between two detections


def reach(missed: int, steady: bool) -> float:
  """Returns how far from where it is expected a face may be found, in sizes of it.

  Args:
    missed: frames since its last detection in which it was not found.
    steady: whether its velocity is known.
  """
  return min(_REACH + _REACH_MISSED * missed, _REACH_MOST) + (0 if steady else _REACH_NEW)


def sure(expected: Sequence[Face], face: Face) -> bool:
  """Tells whether a detection surely continues a track that is expected at one of some places."""
  places, found = np.stack([_points(each) for each in expected]), _points(face)[None]
  return bool(overlaps(places, found).max() >= _SURE)


def pairs(
  expected: Sequence[tuple[Face, ...]], reaches: Sequence[float], faces: Sequence[Face]
) -> dict[int, int]:
  """Finds the tracks that detections continue: the best pair first, then the best of the rest.

  A pair is the better, the more its boxes overlap, and the closer their corners and landmarks are
  in sizes of the face.

  Args:
    expected: where the face of each track may be expected; the best place counts. Of all tracks as
      many.
    reaches: how far from there it may be, in sizes of the face.
    faces: the detections of a frame.

  Returns:
    The place of the track for the place of each detection that continues one.
  """
  if not expected or not faces:
    return {}
  detections = np.stack([_points(face) for face in faces])
  costs = np.full((len(expected), len(faces)), np.inf)
  for some in zip(*expected, strict=True):
    costs = np.minimum(
      costs, _costs(np.stack([_points(face) for face in some]), detections, reaches)
    )
  found: dict[int, int] = {}
  for place in np.argsort(costs, axis=None, kind='stable')[: np.count_nonzero(costs < np.inf)]:
    track, face = divmod(int(place), len(faces))
    if face not in found and track not in found.values():
      found[face] = track
  return found


def _costs(a: np.ndarray, b: np.ndarray, reaches: Sequence[float]) -> np.ndarray:
  """Returns the worse, the more: [n, m] for tracks [n, 7, 2] and detections [m, 7, 2]."""
  before, now = ((p[:, 1] - p[:, 0]).max(1) for p in (a, b))  # the longer sides of the boxes
  ratios = before[:, None] / now
  between = np.linalg.norm(a[:, None] - b, axis=-1)  # [n m 7]
  distances = np.nanmean(between, axis=-1) / np.sqrt(before[:, None] * now)
  possible = distances <= np.asarray(reaches)[:, None]
  possible &= (ratios <= _SIZES) & (ratios >= 1 / _SIZES)
  return np.where(possible, distances + 1 - overlaps(a, b), np.inf)


def _points(face: Face) -> np.ndarray:
  """Returns two corners and the landmarks, float64 [7, 2]; NaN for landmarks not to be believed."""
  points = np.full((7, 2), np.nan)
  points[:2] = np.reshape(face.box, (2, 2))
  if crops.level(face):
    points[2:] = face.landmarks
  return points


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Returns the intersection over union, [n, m], of boxes.

  Args:
    a: their corners at the upper left and the lower right, first in [n, k, 2].
    b: the same, [m, k, 2].
  """
  low = np.maximum(a[:, None, 0], b[:, 0])
  high = np.minimum(a[:, None, 1], b[:, 1])
  shared = np.clip(high - low, 0, None).prod(-1)
  areas = [(p[:, 1] - p[:, 0]).prod(-1) for p in (a, b)]
  overlaps: np.ndarray = shared / (areas[0][:, None] + areas[1] - shared)
  return overlaps
