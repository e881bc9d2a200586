"""What an anonymized face keeps of its source: where its landmarks are, and where it looks.

Both come from the five points that detectors give: eye, eye, nose tip, mouth corner, mouth corner,
the left ones in the picture first. They say nothing of brows, lids or an open mouth, and the
distance of the mouth corners also changes with the person and with yaw, so that it cannot tell a
smile from another face: `expression` reads semantic maps instead.

The pose is that of a mean face seen from afar (scaled orthographic projection): the least-squares
affine map from the model's points to those in the picture, and the rotation that is nearest to it.
The model is stiff, so another person's proportions look like another pose, most of all like pitch;
differences hold some of that, and the chance level beside them tells how much a difference means.
"""

from typing import Any

import numpy as np

from anon_jax.evaluation.intervals import bootstrap_mean

ANGLES = ('yaw', 'pitch', 'roll')
# x to the right, y down, z towards the viewer; in distances of the eyes. x and y are medians of the
# landmarks of 4,309 upright crops of `celeba` (see crop_recognition), z was chosen to fit the
# labelled yaws of 202 pictures of 15 people in `fasseg`, CenterFace's landmarks: within 60 degrees
# the mean error is 6.1 degrees, most of it an offset of the person, and a degree of label is .96
# degrees here. No data with a labelled pitch was at hand.
_MODEL = np.array(
  [[-0.5, 0, 0], [0.5, 0, 0], [0, 0.61, 0.45], [-0.4525, 1.014, 0], [0.4525, 1.014, 0]]
)
_CENTRED = _MODEL - _MODEL.mean(0)


def interocular(points: np.ndarray) -> np.ndarray:
  """Returns the distance of the eyes, float64 [n], of landmarks [n, 5, 2]; it shrinks with yaw."""
  points = _landmarks(points)
  found: np.ndarray = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1)
  return found


def landmark_errors(source: np.ndarray, output: np.ndarray, sizes: np.ndarray) -> np.ndarray:
  """Measures how far landmarks have moved, in sizes of the face.

  Args:
    source: [n, 5, 2], (x, y) in pixels; NaN where no face is found.
    output: the same of the outputs, in the same frame.
    sizes: [n], of the sources: `interocular`, or heights of boxes, which yaw leaves alone.

  Returns:
    float64 [n], the mean over the five points; NaN where one side has none.

  Raises:
    ValueError: shapes that do not go together, or a size that is not above 0 of a face with
      landmarks.
  """
  source, output = _landmarks(source), _landmarks(output)
  sizes = np.asarray(sizes, np.float64)
  if source.shape != output.shape or sizes.shape != source.shape[:1]:
    raise ValueError(
      f'{len(source)} sources, {len(output)} outputs and sizes of shape {sizes.shape}; expected n '
      f'of each.'
    )
  distances: np.ndarray = np.linalg.norm(output - source, axis=-1).mean(-1)
  if not (sizes[np.isfinite(distances)] > 0).all():
    raise ValueError('A face with landmarks has no size above 0.')
  return distances / sizes


def poses(points: np.ndarray) -> np.ndarray:
  """Estimates yaw, pitch and roll in degrees.

  The head is turned by yaw about its own upright axis (positive: it looks to the right of the
  picture), then by pitch (positive: up), then by roll in the picture (positive: clockwise), as
  `data.procedural` does. A mirrored face has the opposite yaw and roll.

  Args:
    points: [n, 5, 2], (x, y) in pixels; NaN where no face is found.

  Returns:
    float64 [n, 3]; NaN for faces without landmarks and for points that coincide.
  """
  points = _landmarks(points)
  known = np.isfinite(points).all((1, 2))
  known &= np.ptp(points, axis=1).min(-1, initial=np.inf) > 0
  angles = np.full((len(points), 3), np.nan)
  if known.any():
    angles[known] = np.degrees(_angles(points[known]))
  return angles


def _angles(points: np.ndarray) -> np.ndarray:
  """Returns yaw, pitch and roll [n, 3] in radians of landmarks that are all there."""
  centred = points - points.mean(1, keepdims=True)
  maps = centred.swapaxes(1, 2) @ np.linalg.pinv(_CENTRED).T  # [n 2 3]
  left, _, right = np.linalg.svd(maps, full_matrices=False)
  rows = left @ right  # the nearest two rows of a rotation, up to a scale
  across, down = rows[:, 0], rows[:, 1]
  out = np.cross(across, down)
  yaw = np.arctan2(-out[:, 0], out[:, 2])
  pitch = np.arctan2(out[:, 1], np.hypot(across[:, 1], down[:, 1]))
  roll = np.arctan2(-across[:, 1], down[:, 1])
  return np.stack([yaw, pitch, roll], axis=1)


def landmark_preservation(
  source: np.ndarray,
  output: np.ndarray,
  sizes: np.ndarray,
  groups: np.ndarray | None = None,
) -> dict[str, Any]:
  """Sums up `landmark_errors`.

  Args:
    source: as `landmark_errors`.
    output: as `landmark_errors`.
    sizes: as `landmark_errors`.
    groups: [n], the person of each face, for the interval; None: each face for itself.

  Returns:
    `faces` that both sides have, `lost` (a source has one and its output has none), `without`
    (sources without), and `error`, mean and 95 % interval, in sizes of the face.
  """
  errors = landmark_errors(source, output, sizes)
  both = np.isfinite(errors)
  return {
    **_counts(source, both),
    'error': bootstrap_mean(errors[both], groups=None if groups is None else groups[both]),
  }


def pose_preservation(
  source: np.ndarray, output: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
  """Compares the poses of sources and outputs.

  Args:
    source: landmarks [n, 5, 2]; NaN where no face is found.
    output: the same of the outputs.
    groups: [n], the person of each face, for the intervals; None: each face for itself.
    seed: of the draw for the chance level.

  Returns:
    `faces`, `lost` and `without`, as `landmark_preservation`; for each of `yaw`, `pitch` and `roll`
    the mean absolute difference in degrees with a 95 % interval, and `chance`, the mean difference
    of a source from another source's output (NaN for fewer than two faces).

  Raises:
    ValueError: other numbers of sources and outputs.
  """
  source, output = _landmarks(source), _landmarks(output)
  if len(source) != len(output):
    raise ValueError(f'{len(source)} sources and {len(output)} outputs; expected as many.')
  before, after = poses(source), poses(output)
  both = np.isfinite(before).all(1) & np.isfinite(after).all(1)
  before, after = before[both], after[both]
  who = None if groups is None else np.asarray(groups)[both]
  differences = _apart(before, after)
  order = np.random.default_rng(seed).permutation(len(before))
  # each face with the next one of a random circle, never with itself
  others = _apart(before[order], after[np.roll(order, 1)]) if len(order) > 1 else None
  result: dict[str, Any] = _counts(source, both)
  for column, name in enumerate(ANGLES):
    chance = float('nan') if others is None else float(others[:, column].mean())
    result[name] = {**bootstrap_mean(differences[:, column], groups=who), 'chance': chance}
  return result


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Returns absolute differences of angles in degrees, from 0 to 180."""
  return np.abs((a - b + 180) % 360 - 180)


def _counts(source: np.ndarray, both: np.ndarray) -> dict[str, int]:
  there = np.isfinite(source).all((1, 2))
  return {
    'faces': int(both.sum()),
    'lost': int((there & ~both).sum()),
    'without': int((~there).sum()),
  }


def _landmarks(points: np.ndarray) -> np.ndarray:
  points = np.asarray(points, np.float64)
  if points.ndim != 3 or points.shape[1:] != _MODEL[:, :2].shape:
    raise ValueError(f'Landmarks have shape {points.shape}; expected [n, 5, 2].')
  return points
