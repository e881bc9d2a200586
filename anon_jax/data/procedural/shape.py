"""The head as a surface: its relief, its turn in the picture, and what each pixel sees of it."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.parameters import FaceParameters

# Lengths inside the renderer are scene units: this many crop sides each, about the middle of the
# crop. It makes the box that CenterFace finds about 60 % of the side.
ZOOM = 1.13

# Where the origin of head coordinates lies in an upright, frontal scene.
HEAD_X, HEAD_Y = 0.5, 0.472

# Extent of the relief table in head coordinates, and its spacing: a pixel at 160 px.
TABLE_X, TABLE_Y, SPACING = 0.3, 0.45, 1.0 / 160


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
  """0 below `low`, 1 above `high`, and a smooth rise between them."""
  t = np.clip((value - low) * (1.0 / (high - low)), 0.0, 1.0)
  return t * t * (3.0 - 2.0 * t)


def edge(distance: np.ndarray, pixel: float) -> np.ndarray:
  """Coverage in [0, 1] of a shape from its signed distance (positive inside)."""
  return np.clip(distance * (1.0 / pixel) + 0.5, 0.0, 1.0)


def bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], wide: tuple[float, float]):
  """A Gaussian hill of height 1 at `at`, with the widths `wide` along x and y."""
  u, v = (x - at[0]) * (1.0 / wide[0]), (y - at[1]) * (1.0 / wide[1])
  return np.exp(-(u * u + v * v))


def hill(distance: np.ndarray, width: float) -> np.ndarray:
  """A cheap bell of `distance`: 1 at 0, 0 beyond `width`."""
  t = np.maximum(1.0 - np.square(distance * (1.0 / width)), 0.0)
  return t * t


@dataclasses.dataclass(frozen=True)
class Relief:
  """Tables over head (y, x) of one identity.

  Attributes:
    level: float32 [H*W]; 1 on the axis of the head, 0 at its outline, negative outside.
    raised: float32 [H*W]; how far the face stands out of the plain head (scene units).
    slopes: float32 [H*W, 5]; d level/dx, d level/dy, d raised/dx, d raised/dy, openness (1 where
      light comes from everywhere, less in sockets and under nose and lip).
    shape: (H, W).
  """

  level: np.ndarray
  raised: np.ndarray
  slopes: np.ndarray
  shape: tuple[int, int]


def _nose(looks: Looks, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  tip, wing = looks.nose_tip, looks.nose_width
  top = looks.eye_y - 0.035
  along = np.clip((y - top) / (tip - top), 0.0, 1.0)
  ridge = looks.nose_height * (0.16 * np.minimum(along * 3, 1.0) + 0.84 * along**1.5)
  under = 1.0 - smoothstep(tip + 0.004, tip + 0.034, y)
  half = looks.nose_bridge * 0.8 + (wing * 0.5 - looks.nose_bridge * 0.8) * along**1.6
  ridge *= under * smoothstep(top - 0.03, top + 0.03, y)
  nose = ridge * np.exp(-np.square(x / half))
  wings = bump(abs(x), y, (wing * 0.68, tip + 0.006), (0.016, 0.017))
  return nose + 0.4 * looks.nose_height * wings


def _raised(looks: Looks, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  side, brow, eye = np.abs(x), looks.brow_y, (looks.eye_x, looks.eye_y - 0.004)
  mouth, chin = looks.mouth_y, looks.chin
  masculine = 0.5 + 0.5 * (looks.brow_thickness > 0.011)
  raised = _nose(looks, x, y)
  raised += 0.012 * masculine * bump(side, y, (0.08, brow - 0.002), (0.075, 0.028))
  raised -= 0.026 * bump(side, y, (eye[0] - 0.006, eye[1]), (0.052, 0.033))
  raised += 0.013 * bump(side, y, eye, (0.036, 0.024))
  raised += (0.004 + 0.012 * looks.cheek) * bump(side, y, (0.122, 0.065), (0.05, 0.045))
  raised -= (0.004 + 0.008 * looks.age) * bump(side, y, (0.125, 0.17), (0.04, 0.07))
  raised += 0.012 * bump(x, y, (0.0, mouth), (0.085, 0.05))
  raised += 0.009 * bump(x, y, (0.0, mouth - looks.upper_lip * 0.5), (0.06, 0.011))
  raised += 0.011 * bump(x, y, (0.0, mouth + looks.lower_lip * 0.6), (0.05, 0.013))
  raised -= 0.010 * bump(x, y, (0.0, mouth + looks.lower_lip + 0.02), (0.05, 0.014))
  raised += 0.017 * bump(x, y, (0.0, chin - 0.05), (0.05, 0.032))
  raised -= 0.003 * bump(x, y, (0.0, mouth - 0.04), (0.008, 0.022))
  fold = 0.062 + 0.5 * (y - looks.nose_tip)
  raised -= (
    (0.001 + 0.004 * looks.age)
    * hill(side - fold, 0.012)
    * bump(y, y, (mouth - 0.045, mouth - 0.045), (0.05, 0.05))
  )
  return raised


def _openness(looks: Looks, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  side = np.abs(x)
  shade = 0.36 * bump(side, y, (looks.eye_x - 0.03, looks.eye_y - 0.012), (0.035, 0.03))
  shade += 0.22 * bump(side, y, (looks.eye_x, looks.eye_y - 0.015), (0.05, 0.025))
  shade += 0.34 * bump(x, y, (0.0, looks.nose_tip + 0.032), (0.05, 0.016))
  shade += 0.18 * bump(x, y, (0.0, looks.mouth_y + looks.lower_lip + 0.016), (0.05, 0.012))
  shade += 0.14 * bump(side, y, (looks.nose_width * 1.15, looks.nose_tip), (0.014, 0.03))
  shade += 0.2 * smoothstep(looks.chin - 0.07, looks.chin + 0.02, y)
  return 1.0 - shade


@functools.lru_cache(maxsize=96)
def relief_of(looks: Looks) -> Relief:
  """Builds the tables of `looks` once (about 0.4 MB and a few milliseconds each)."""
  xs = np.arange(-TABLE_X, TABLE_X + SPACING, SPACING, dtype=np.float32)
  ys = np.arange(-TABLE_Y, TABLE_Y + SPACING, SPACING, dtype=np.float32)
  x, y = np.meshgrid(xs, ys)
  down = np.clip(y / looks.chin, 0.0, None)
  width = looks.half_width * (1.0 - looks.jaw_taper * smoothstep(0.0, 1.0, down))
  up = np.clip(-y / looks.crown, 0.0, None)
  level = 1.0 - np.square(x / width) - up**2.6 - down**looks.jaw_power
  # Far outside, the powers grow without bound; the march only needs 'outside'.
  level = np.maximum(level, -3.0)
  raised = _raised(looks, x, y)
  level_y, level_x = np.gradient(level, SPACING)
  raised_y, raised_x = np.gradient(raised, SPACING)
  slopes = np.stack([level_x, level_y, raised_x, raised_y, _openness(looks, x, y)], -1)
  return Relief(
    level.astype(np.float32).ravel(),
    raised.astype(np.float32).ravel(),
    slopes.astype(np.float32).reshape(-1, 5),
    (len(ys), len(xs)),
  )


@dataclasses.dataclass(frozen=True)
class Pose:
  """The turn of a head: column vectors of head axes in upright camera axes, and its place.

  Attributes:
    matrix: float64 [3, 3], head to camera (x right, y down, z to the viewer), without roll.
    centre: (x, y) of the head's origin in the upright crop (scene units).
    cos_roll: of the roll angle.
    sin_roll: of the roll angle.
  """

  matrix: np.ndarray
  centre: tuple[float, float]
  cos_roll: float
  sin_roll: float

  def project(self, points: np.ndarray) -> np.ndarray:
    """Head points [n, 3] to picture points [n, 2] in scene units."""
    upright = points @ self.matrix.T
    x, y = upright[:, 0] + self.centre[0] - 0.5, upright[:, 1] + self.centre[1] - 0.5
    turned_x = x * self.cos_roll - y * self.sin_roll
    turned_y = x * self.sin_roll + y * self.cos_roll
    return np.stack([turned_x + 0.5, turned_y + 0.5], -1)


def pose_of(parameters: FaceParameters, looks: Looks) -> Pose:
  """Turns the head by yaw about its own upright axis, then by pitch; roll turns the picture."""
  yaw, pitch, roll = (math.radians(v) for v in (parameters.yaw, parameters.pitch, parameters.roll))
  sy, cy, sp, cp = math.sin(yaw), math.cos(yaw), math.sin(pitch), math.cos(pitch)
  turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
  nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
  # A face box follows the visible face, so most of the way that a turn moves it is taken back.
  centre = (HEAD_X - 0.55 * looks.half_depth * sy, HEAD_Y + 0.6 * looks.half_depth * sp)
  return Pose(nod @ turn, centre, math.cos(roll), math.sin(roll))


def surface_points(looks: Looks, points: np.ndarray) -> np.ndarray:
  """Lifts head (x, y) [n, 2] onto the face: float64 [n, 3]."""
  relief = relief_of(looks)
  rows = np.rint((points[:, 1] + TABLE_Y) / SPACING).astype(int)
  columns = np.rint((points[:, 0] + TABLE_X) / SPACING).astype(int)
  at = rows * relief.shape[1] + columns
  z = looks.half_depth * np.sqrt(np.maximum(relief.level[at], 0.0)) + relief.raised[at]
  return np.concatenate([points, z[:, None]], 1).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Surface:
  """What each pixel of a window sees of the head.

  Attributes:
    x: float32 [h, w] head x of the seen point.
    y: head y.
    z: head z.
    normal: float32 [3, h, w], camera axes (roll undone).
    coverage: float32 [h, w] in [0, 1].
    openness: float32 [h, w], see `Relief`.
  """

  x: np.ndarray
  y: np.ndarray
  z: np.ndarray
  normal: np.ndarray
  coverage: np.ndarray
  openness: np.ndarray
