"""Whether a detector's landmarks lie where a face's eyes, nose and mouth are known to be.

Three points are compared, which every source of truth has: the middle of the eyes, the nose, and
the middle of the mouth. What is known comes from a person's labels or from 68 landmarks; what is
found comes from a detector's five points. A nose labelled by pixels has its middle above its tip,
which detectors point at, so an error of 0 cannot be reached there: the originals show the floor.

Errors are in heights of a face box, which are 2.87 distances from eyes to mouth (`data.alignment`):
that distance stays as a head turns from profile to profile, unlike that of the eyes.
"""

import numpy as np

from anon_jax.data import alignment, semantic

PARTS = ('eyes', 'nose', 'mouth')
# Largest mean error of a success, in heights of the face box. A tenth of the face's size is usual
# for a failure of landmark detectors.
BOUND = 0.1
_CLASSES = tuple(semantic.CLASSES.index(part) for part in PARTS)
# Those of 300-W's 68 that mean the same: both eyes' rims, the nose's tip, both lips.
_OF_68 = (slice(36, 48), slice(30, 31), slice(48, 68))


def parts_of_map(classes: np.ndarray) -> np.ndarray:
  """Returns the centres (x, y) of eyes, nose and mouth in a semantic map, float64 [3, 2].

  Args:
    classes: uint8 [h, w].

  Returns:
    In pixels; NaN for a part of which no pixel is labelled.
  """
  found = np.full((len(PARTS), 2), np.nan)
  for row, number in zip(found, _CLASSES, strict=True):
    y, x = np.nonzero(classes == number)
    if len(y):
      row[:] = x.mean() + 0.5, y.mean() + 0.5
  return found


def parts_of_68(points: np.ndarray) -> np.ndarray:
  """Returns eyes, nose and mouth of landmarks [68, 2] in the order of 300-W, float64 [3, 2]."""
  points = np.asarray(points, np.float64)
  if points.shape != (68, 2):
    raise ValueError(f'landmarks have shape {points.shape}; expected [68, 2].')
  return np.stack([points[part].mean(0) for part in _OF_68])


def parts_of_five(points: np.ndarray) -> np.ndarray:
  """Returns eyes, nose and mouth of detectors' five points, [n, 5, 2] -> float64 [n, 3, 2]."""
  points = np.asarray(points, np.float64)
  if points.ndim != 3 or points.shape[1:] != (5, 2):
    raise ValueError(f'landmarks have shape {points.shape}; expected [n, 5, 2].')
  return np.stack([points[:, :2].mean(1), points[:, 2], points[:, 3:].mean(1)], axis=1)


def face_sizes(parts: np.ndarray) -> np.ndarray:
  """Returns heights of face boxes, float64 [n], of eyes, nose and mouth [n, 3, 2]."""
  parts = np.asarray(parts, np.float64)
  sizes: np.ndarray = alignment.BOX_HEIGHT * np.linalg.norm(parts[:, 2] - parts[:, 0], axis=-1)
  return sizes


def part_errors(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
  """Measures how far eyes, nose and mouth are found from where they are known to be.

  Args:
    truth: [n, 3, 2]; NaN for a nose that nobody labelled, which does not count then.
    found: [n, 3, 2]; NaN where no face was found.

  Returns:
    float64 [n], the mean over the parts, in heights of the face box of `truth`; NaN where no face
    was found.

  Raises:
    ValueError: other shapes, or a truth without eyes and mouth apart.
  """
  truth, found = np.asarray(truth, np.float64), np.asarray(found, np.float64)
  if truth.shape != found.shape or truth.shape[1:] != (len(PARTS), 2):
    raise ValueError(
      f'truth has shape {truth.shape} and found {found.shape}; expected [n, 3, 2] of both.'
    )
  sizes = face_sizes(truth)
  if not (sizes > 0).all():
    raise ValueError('a truth has no eyes or no mouth, or both in one place.')
  distances = np.linalg.norm(found - truth, axis=-1)  # [n 3]
  known = np.isfinite(truth).all(-1)
  # a sum over known parts alone: a NaN among them stays, and says that no face was found
  sums = np.where(known, distances, 0.0).sum(1)
  errors: np.ndarray = sums / known.sum(1) / sizes
  return errors


def succeeds(errors: np.ndarray, bound: float = BOUND) -> np.ndarray:
  """Returns which errors are successes, bool [n]: at most the bound; NaN is none."""
  return np.asarray(errors) <= bound
