"""Hair as a shell around the head, with a curtain behind the neck and locks beside the face."""

from __future__ import annotations

import dataclasses

import numpy as np

from anon_jax.data.procedural.features import HAIR
from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.march import ellipsoid
from anon_jax.data.procedural.parameters import Colour, FaceParameters
from anon_jax.data.procedural.shading import Canvas, gloss, linear, lit, noise_at
from anon_jax.data.procedural.shape import Pose, edge, hill, smoothstep

HAIR_SOFTNESS: Colour = (0.25, 0.22, 0.2)

Upright = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cut:
  """Shape of a hair style.

  Attributes:
    volume: how far the shell stands off the head, on top of the identity's own volume.
    front: where the hair ends over the forehead, relative to the identity's hairline.
    side: head y down to which the sides are covered.
    cheek: head z beyond which (towards the viewer) the sides are bare.
    end: head y where the curtain behind the neck ends, or None.
    waves: how far the outline wanders, crop sides.
    noise: tile of the texture.
  """

  volume: float
  front: float
  side: float
  cheek: float
  end: float | None
  waves: float
  noise: str


_CUTS = {
  'buzz': Cut(-0.012, 0.0, 0.01, 0.07, None, 0.001, 'fine'),
  'short': Cut(0.0, 0.0, 0.03, 0.08, None, 0.006, 'strands'),
  'parted': Cut(0.008, 0.005, 0.04, 0.09, None, 0.005, 'strands'),
  'fringe': Cut(0.004, 0.095, 0.06, 0.1, None, 0.006, 'strands'),
  'bob': Cut(0.012, 0.02, 0.3, 0.125, 0.3, 0.006, 'strands'),
  'long': Cut(0.006, 0.0, 0.34, 0.115, 0.62, 0.006, 'strands'),
  'wavy': Cut(0.016, 0.01, 0.34, 0.115, 0.55, 0.02, 'strands'),
  'afro': Cut(0.05, 0.0, 0.14, 0.09, None, 0.018, 'curls'),
  'tied': Cut(-0.008, -0.005, 0.02, 0.08, None, 0.002, 'strands'),
}


def _volume(looks: Looks, cut: Cut) -> float:
  return max(looks.hair_volume + cut.volume, 0.006)


def _curtain(canvas, looks, parameters, pose, upright: Upright, cut: Cut, locks: bool) -> None:
  assert cut.end is not None
  behind = np.array([0.0, 0.0, -0.06]) @ pose.matrix.T
  x = upright[0] - np.float32(pose.centre[0] + behind[0])
  y = upright[1] - np.float32(pose.centre[1] + behind[1])
  volume = _volume(looks, cut)
  sway = cut.waves * np.sin(y * 34.0 + looks.parting * 90) + 0.4 * cut.waves * np.sin(y * 71.0)
  half = looks.half_width + volume + 0.01 + (0.05 if cut.waves > 0.01 else 0.02) * y
  side = np.abs(x + sway)
  strand = noise_at(cut.noise, x + sway * 1.5, y * 0.35, 0.9, looks.texture_seed)
  distance = np.minimum(half - side + 0.004 * strand, cut.end - y + 0.03 * strand)
  distance = np.minimum(distance, y + 0.06)
  if locks:
    inner = looks.half_width * (0.8 + 0.25 * smoothstep(0.2, 0.5, y))
    distance = np.minimum(distance, side - inner + 0.006 * strand)
  across = np.clip(x / half, -0.99, 0.99)
  normal = np.stack([across, np.zeros_like(x), np.sqrt(1.0 - across * across)])
  depth = 0.9 if locks else 0.35 + 0.3 * smoothstep(0.6, 1.0, np.abs(across))
  light = lit(normal, parameters.light, depth, HAIR_SOFTNESS)
  hair = linear(looks.hair) * np.maximum(0.8 + 0.24 * strand, 0.25)
  shine = 0.05 * gloss(normal, parameters.light, 3) * np.maximum(1.0 + 0.5 * strand, 0.0)
  alpha = edge(distance, canvas.pixel * 2.0)
  canvas.paint((slice(None), slice(None)), alpha, hair * light + shine * depth, HAIR)


def paint_hair_behind(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: Upright
) -> None:
  """The part of long hair that hangs behind the neck."""
  cut = _CUTS.get(looks.hair_style)
  if cut is not None and cut.end is not None:
    _curtain(canvas, looks, parameters, pose, upright, cut, False)


def paint_locks(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: Upright
) -> None:
  """The part of long hair that hangs over the shoulders beside the face."""
  cut = _CUTS.get(looks.hair_style)
  if cut is not None and cut.end is not None:
    _curtain(canvas, looks, parameters, pose, upright, cut, True)


@dataclasses.dataclass(frozen=True)
class Shell:
  """Where each pixel meets an ellipsoid around the head.

  Attributes:
    x: float32 [h, w] head x.
    y: head y.
    z: head z.
    normal: float32 [3, h, w], camera axes.
    distance: float32 [h, w], signed distance to the outline in crop sides, positive inside.
  """

  x: np.ndarray
  y: np.ndarray
  z: np.ndarray
  normal: np.ndarray
  distance: np.ndarray


def shell_around(looks: Looks, pose: Pose, upright: Upright, volume: float) -> Shell:
  """Intersects all rays with the head's ellipsoid grown by `volume` crop sides."""
  middle = np.array([0.0, -0.012, -0.03])
  place = middle @ pose.matrix.T
  u = upright[0] - np.float32(pose.centre[0] + place[0])
  v = upright[1] - np.float32(pose.centre[1] + place[1])
  axes = (looks.half_width + volume, looks.crown + 0.7 * volume, looks.half_depth + volume + 0.02)
  x, y, z, _, level, length, direction = ellipsoid(pose, axes, u, v)
  t = np.sqrt(np.maximum((1.0 - level) * length, 0.0))
  x, y, z = (p + t * float(d) for p, d in zip((x, y, z), direction, strict=True))
  normal = np.stack([p * float(1.0 / a**2) for p, a in zip((x, y, z), axes, strict=True)])
  normal *= 1.0 / np.sqrt(np.square(normal).sum(0) + 1e-12)
  camera = np.tensordot(pose.matrix.astype(np.float32), normal, 1)
  distance = (1.0 - np.sqrt(level)) * axes[0]
  return Shell(x + float(middle[0]), y + float(middle[1]), z + float(middle[2]), camera, distance)


def paint_hair(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: Upright
) -> None:
  """Hair on top and at the sides of the head, over the face's edge."""
  cut = _CUTS.get(looks.hair_style)
  if cut is None:
    return
  at = canvas.window(0.0, 1.0, 0.0, 0.93)
  upright = (upright[0][at], upright[1][at])
  shell = shell_around(looks, pose, upright, _volume(looks, cut))
  x, y, z = shell.x, shell.y, shell.z
  # Strands leave the parting on the crown and spread downwards.
  spread = (x - looks.parting + 0.35 * z) / (y + (looks.crown + 0.16))
  seed = looks.texture_seed
  if cut.noise == 'strands':
    strand = noise_at('strands', spread * 0.5 + cut.waves * np.sin(y * 30), y * 0.35, 0.9, seed)
  else:
    strand = noise_at(cut.noise, x + 0.3 * z, y, 1.4 if cut.noise == 'curls' else 2.0, seed)
  centred = x * (1.0 / looks.half_width)
  arch = 0.05 * centred * centred
  front = looks.hairline + cut.front + arch
  if looks.hair_style == 'parted':
    front = front + 0.05 * smoothstep(0.0, 0.22, np.abs(x - looks.parting)) - 0.01
  turn = smoothstep(cut.cheek + 0.045, cut.cheek - 0.045, z)
  border = front + (cut.side - front) * turn
  fuzzy = 0.012 if cut.noise == 'strands' else 0.016
  cover = smoothstep(-fuzzy, fuzzy, border - y + (0.010 + cut.waves) * strand * 0.6)
  outline = edge(shell.distance + cut.waves * 0.55 * strand, canvas.pixel * 1.8)
  alpha = cover * outline
  if looks.hair_style == 'buzz':
    alpha = alpha * np.clip(0.8 + 0.12 * strand, 0.0, 1.0)

  depth = np.clip(0.62 + 0.22 * strand, 0.15, 1.0) * smoothstep(-0.02, 0.05, border - y + 0.02)
  depth *= 0.6 + 0.4 * smoothstep(0.0, 0.05, shell.distance)
  light = lit(shell.normal, parameters.light, depth, HAIR_SOFTNESS)
  hair = linear(looks.hair) * np.maximum(0.95 + 0.25 * strand, 0.3)
  band = hill(shell.normal[1] + 0.5 + 0.1 * strand, 0.3) * gloss(shell.normal, parameters.light, 2)
  band *= np.maximum(0.6 + 0.5 * strand, 0.0)
  sheen = 0.11 * band * (0.4 if cut.noise != 'strands' else 1.0)
  canvas.paint(at, alpha, hair * light + sheen * (0.35 + linear(looks.hair)), HAIR)
