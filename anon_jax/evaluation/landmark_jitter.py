"""Landmark jitter: how much a face trembles, as the second difference of its landmarks.

A face that rests or moves steadily has none. What the input has itself is no fault of the output,
so both are measured and set beside each other.
"""

import numpy as np


def jitter(landmarks: np.ndarray, sizes: np.ndarray) -> np.ndarray:
  """Measures the jitter about each frame but the first and the last.

  Args:
    landmarks: [n, k, 2], (x, y) in pixels; NaN in frames in which the face was not found.
    sizes: [n], size of the face in pixels, such as the height of its box.

  Returns:
    float64 [max(n - 2, 0)]: mean over the landmarks of |p(i-1) - 2 p(i) + p(i+1)|, in sizes of the
    face; NaN where one of the three frames has no landmarks.

  Raises:
    ValueError: shapes that do not go together.
  """
  points, sizes = np.asarray(landmarks, np.float64), np.asarray(sizes, np.float64)
  if points.ndim != 3 or points.shape[2] != 2 or sizes.shape != points.shape[:1]:
    raise ValueError(
      f'landmarks have shape {points.shape} and sizes {sizes.shape}; expected [n, k, 2] and [n].'
    )
  if len(points) < 3:
    return np.zeros(0)
  second = points[:-2] - 2 * points[1:-1] + points[2:]  # [n-2 k 2]
  found: np.ndarray = np.linalg.norm(second, axis=-1).mean(-1) / sizes[1:-1]
  return found


def compare(source: np.ndarray, output: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
  """Sets the jitter of an output beside that of its input.

  Args:
    source: landmarks of the input, [n, k, 2].
    output: landmarks of the output, the same.
    sizes: of the input's face, [n]; for both, so that a face that shrinks does not tremble more.

  Returns:
    `frames` in which both have some, `missing` frames in which one has none, and means over
    `frames`: `input`, `output`, and the jitter of their difference, `added`, in sizes of the face.
  """
  source, output = np.asarray(source, np.float64), np.asarray(output, np.float64)
  rows = np.stack([jitter(points, sizes) for points in (source, output, output - source)])
  both = np.isfinite(rows).all(0)
  means = rows[:, both].mean(1) if both.any() else np.full(3, np.nan)
  return {
    'frames': int(both.sum()),
    'missing': int((~both).sum()),
    'input': float(means[0]),
    'output': float(means[1]),
    'added': float(means[2]),
  }
