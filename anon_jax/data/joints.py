"""The joints of a body: their names and order, and what is done to them when a picture is changed.

Joints are a float32 array [18, 3] of x, y (pixels from the left and the upper edge) and confidence
in [0, 1]; a joint that nobody saw has confidence 0. The order is that of OpenPose's COCO model.
"""

import numpy as np

NAMES = (
  *('nose', 'neck'),
  *('right_shoulder', 'right_elbow', 'right_wrist'),
  *('left_shoulder', 'left_elbow', 'left_wrist'),
  *('right_hip', 'right_knee', 'right_ankle'),
  *('left_hip', 'left_knee', 'left_ankle'),
  *('right_eye', 'left_eye', 'right_ear', 'left_ear'),
)
NUM_JOINTS = len(NAMES)


def _other_side(name: str) -> str:
  side, _, part = name.partition('_')
  return {'left': f'right_{part}', 'right': f'left_{part}'}.get(side, name)


# Place of each joint's counterpart on the other side of the body.
MIRRORED = np.array([NAMES.index(_other_side(name)) for name in NAMES])


def none() -> np.ndarray:
  """Returns the joints of somebody of whom none is known: zeros, float32 [18, 3]."""
  return np.zeros((NUM_JOINTS, 3), np.float32)


def moved(
  joints: np.ndarray, left: float, top: float, scale_x: float, scale_y: float
) -> np.ndarray:
  """Returns joints after a rectangle at (left, top) was cut out and scaled, float32 [18, 3].

  Unseen joints are zeros afterwards, too.
  """
  result = (joints - (left, top, 0)) * (scale_x, scale_y, 1)
  result[joints[:, 2] <= 0] = 0
  return result.astype(np.float32)


def mirrored(joints: np.ndarray, width: float) -> np.ndarray:
  """Returns joints of the picture's mirror image: left ones are right ones there, float32 [18, 3].

  Args:
    joints: [18, 3].
    width: of the picture in pixels.
  """
  result = joints[MIRRORED].copy()
  seen = result[:, 2] > 0
  result[seen, 0] = width - result[seen, 0]
  return result.astype(np.float32)
