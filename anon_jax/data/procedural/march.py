"""Finds, for every pixel, the point of the head that it sees."""

from __future__ import annotations

import numpy as np

from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.shape import (
  SPACING,
  TABLE_X,
  TABLE_Y,
  Pose,
  Relief,
  Surface,
  edge,
  relief_of,
)

# Scaled copies of the head at which a ray is tested, outermost (the nose tip) first.
_SHELLS = (1.3, 1.24, 1.19, 1.15, 1.11, 1.08, 1.05, 1.02, 0.99, 0.95, 0.88, 0.75, 0.5, 0.0)
_REFINEMENTS = 3

# The relief belongs to the front only (or the back of the head would have a nose too): it fades
# in over this many crop sides (inverse).
_FRONT = 1 / 0.06


def _index(relief: Relief, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  rows, columns = relief.shape
  column = np.clip((x + (TABLE_X + 0.5 * SPACING)) * (1 / SPACING), 0, columns - 1)
  row = np.clip((y + (TABLE_Y + 0.5 * SPACING)) * (1 / SPACING), 0, rows - 1)
  return row.astype(np.int32) * columns + column.astype(np.int32)


def _bilinear(table: np.ndarray, relief: Relief, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Smooth look-up in a table [H*W, c] at head (x, y) [h, w]: float32 [c, h, w]."""
  rows, columns = relief.shape
  column = np.clip((x + TABLE_X) * (1 / SPACING), 0, columns - 1.001)
  row = np.clip((y + TABLE_Y) * (1 / SPACING), 0, rows - 1.001)
  left, top = column.astype(np.int32), row.astype(np.int32)
  fx, fy = (column - left).ravel(), (row - top).ravel()
  at = (top * columns + left).ravel()
  gx, gy = 1.0 - fx, 1.0 - fy
  out = table.take(at, 0) * (gx * gy)[:, None]
  out += table.take(at + 1, 0) * (fx * gy)[:, None]
  out += table.take(at + columns, 0) * (gx * fy)[:, None]
  out += table.take(at + columns + 1, 0) * (fx * fy)[:, None]
  return np.ascontiguousarray(out.T).reshape(-1, *x.shape)


def ellipsoid(
  pose: Pose, axes: tuple[float, float, float], u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
  """Rays through an ellipsoid centred on the head.

  Args:
    pose: of the head.
    axes: half axes along head x, y, z.
    u: float32 [h, w], upright picture x relative to the centre of the ellipsoid.
    v: float32 [h, w], upright picture y, likewise.

  Returns:
    Origins x, y, z [h, w] of the rays at the depth of their closest approach (in the metric of
    the ellipsoid), that depth, the level there ((distance / radius)^2, 1 on the outline), the
    squared length per level along the ray, and the ray's direction [3] in head axes.
  """
  inverse = pose.matrix.T
  direction = inverse[:, 2]
  weights = 1.0 / np.square(np.asarray(axes))
  along = float((weights * direction**2).sum())
  rows = [(float(inverse[k, 0]), float(inverse[k, 1])) for k in range(3)]
  slope = [float((weights * inverse[:, k] * direction).sum()) / -along for k in range(2)]
  depth = u * slope[0] + v * slope[1]
  x, y, z = (u * r[0] + v * r[1] + depth * float(d) for r, d in zip(rows, direction, strict=True))
  level = x * x * float(weights[0]) + y * y * float(weights[1]) + z * z * float(weights[2])
  return x, y, z, depth, level, 1.0 / along, direction


def march(looks: Looks, pose: Pose, u: np.ndarray, v: np.ndarray, pixel: float) -> Surface:
  """Walks each ray inwards until it enters the head, then narrows the crossing down.

  Args:
    looks: of the identity.
    pose: of the head.
    u: float32 [h, w], upright picture x relative to the head's centre, in scene units.
    v: float32 [h, w], upright picture y, likewise.
    pixel: width of a pixel in scene units.

  Returns:
    The surface; where coverage is 0, the nearest point to the head instead.
  """
  relief = relief_of(looks)
  axes = (looks.half_width, 0.5 * (looks.crown + looks.chin), looks.half_depth)
  x0, y0, z0, _, level, length, direction = ellipsoid(pose, axes, u, v)
  dx, dy, dz = (float(d) for d in direction)
  depth_scale = 1.0 / looks.half_depth

  def inside(t: np.ndarray) -> np.ndarray:
    at = _index(relief, x0 + t * dx, y0 + t * dy)
    z = z0 + t * dz
    lift = relief.raised.take(at) * np.clip(z * _FRONT, 0.0, 1.0)
    return relief.level.take(at) - np.square((z - lift) * depth_scale)

  near = far = np.sqrt(np.maximum((_SHELLS[0] ** 2 - level) * length, 0.0))
  value_near = value_far = best = inside(near)
  found = best > 0.0
  for shell in _SHELLS[1:]:
    t = np.sqrt(np.maximum((shell * shell - level) * length, 0.0))
    value = inside(t)
    best = np.maximum(best, value)
    moving = ~found
    outside = moving & (value <= 0.0)
    near, value_near = np.where(outside, t, near), np.where(outside, value, value_near)
    far, value_far = np.where(moving, t, far), np.where(moving, value, value_far)
    found |= value > 0.0
  for _ in range(_REFINEMENTS):
    share = np.clip(value_near / np.minimum(value_near - value_far, -1e-6), 0.05, 0.95)
    t = near + (far - near) * share
    value = inside(t)
    outside = value <= 0.0
    near, value_near = np.where(outside, t, near), np.where(outside, value, value_near)
    far, value_far = np.where(outside, far, t), np.where(outside, value_far, value)
  t = np.where(found, far, 0.0)
  x, y, z = x0 + t * dx, y0 + t * dy, z0 + t * dz
  level_x, level_y, raised_x, raised_y, openness = _bilinear(relief.slopes, relief, x, y)
  front = np.clip(z * _FRONT, 0.0, 1.0)
  rise = (z - relief.raised.take(_index(relief, x, y)) * front) * (2.0 * depth_scale**2)
  normal = np.stack(
    [-(level_x + rise * front * raised_x), -(level_y + rise * front * raised_y), rise]
  )
  normal *= 1.0 / np.sqrt(np.square(normal).sum(0) + 1e-12)
  camera = np.tensordot(pose.matrix.astype(np.float32), normal, 1)
  # The outline is where the closest approach just misses the head; only rays that go clearly
  # deep (into a nose beyond the outline, say) count as hits without it.
  closest = _bilinear(relief.level[:, None], relief, x0, y0)[0] - np.square(z0 * depth_scale)
  slope = 2.0 / float(np.sqrt(axes[0] * axes[1]))
  deep = np.where(best > 1.5 * slope * pixel, 1.0, 0.0).astype(np.float32)
  coverage = np.maximum(edge(closest * (1.0 / slope), pixel), deep)
  return Surface(x, y, z, camera, coverage, openness)
