"""Hair as a shell around the head, with a curtain behind the neck and locks beside the face."""

from __future__ import annotations

import dataclasses

import numpy as np

from anon_jax.data.procedural.features import HAIR
from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.march import ellipsoid
from anon_jax.data.procedural.parameters import Colour, FaceParameters
from anon_jax.data.procedural.shading import Canvas, Window, gloss, linear, lit, noise_at
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
    waves: how far the outline wanders, scene units.
    noise: tile of the texture.
    swept: how steeply the hair falls over the forehead on both sides of the parting.
  """

  volume: float
  front: float
  side: float
  cheek: float
  end: float | None
  waves: float
  noise: str
  swept: float = 0.0


_CUTS = {
  'buzz': Cut(-0.012, 0.0, 0.01, 0.07, None, 0.001, 'fine'),
  'short': Cut(0.0, 0.0, 0.03, 0.08, None, 0.006, 'strands'),
  'parted': Cut(0.008, 0.01, 0.04, 0.09, None, 0.005, 'strands', 0.3),
  'fringe': Cut(0.004, 0.095, 0.06, 0.1, None, 0.006, 'strands'),
  'bob': Cut(0.012, 0.02, 0.3, 0.125, 0.3, 0.006, 'strands', 0.4),
  'long': Cut(0.006, 0.0, 0.34, 0.115, 0.62, 0.006, 'strands', 0.55),
  'wavy': Cut(0.016, 0.01, 0.34, 0.115, 0.55, 0.02, 'strands', 0.45),
  'afro': Cut(0.035, 0.0, 0.14, 0.09, None, 0.018, 'curls'),
  'tied': Cut(-0.008, -0.005, 0.02, 0.08, None, 0.002, 'strands'),
}


def covers_ears(looks: Looks) -> bool:
  """Whether the hair falls over the ears."""
  cut = _CUTS.get(looks.hair_style)
  return cut is not None and cut.side > 0.07


def volume_of(looks: Looks) -> float:
  """How far the hair stands off the head."""
  cut = _CUTS.get(looks.hair_style)
  return 0.0 if cut is None else max(looks.hair_volume + cut.volume, 0.006)


def _curtain(canvas, looks, parameters, pose, upright: Upright, cut: Cut, locks: bool) -> None:
  assert cut.end is not None
  behind = np.array([0.0, 0.0, -0.06]) @ pose.matrix.T
  x = upright[0] - np.float32(pose.centre[0] + behind[0])
  y = upright[1] - np.float32(pose.centre[1] + behind[1])
  volume = volume_of(looks)
  sway = cut.waves * np.sin(y * 34.0 + looks.parting * 90) + 0.4 * cut.waves * np.sin(y * 71.0)
  # Waves begin below the temples: above, the curtain must stay under the shell's edge.
  sway = sway * smoothstep(0.0, 0.16, y)
  half = looks.half_width + volume + 0.01 + (0.05 if cut.waves > 0.01 else 0.02) * y
  side = np.abs(x + sway)
  strand = noise_at(cut.noise, x + sway * 1.5, y * 0.35, 0.9, looks.texture_seed)
  distance = np.minimum(half - side + 0.004 * strand, cut.end - y + 0.03 * strand)
  distance = np.minimum(distance, y + 0.1)
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
    distance: float32 [h, w], signed distance to the outline in scene units, positive inside.
  """

  x: np.ndarray
  y: np.ndarray
  z: np.ndarray
  normal: np.ndarray
  distance: np.ndarray


def shell_around(looks: Looks, pose: Pose, upright: Upright, volume: float) -> Shell:
  """Intersects all rays with the head's ellipsoid grown by `volume` scene units."""
  middle = np.array([0.0, -0.012, -0.03])
  place = middle @ pose.matrix.T
  u = upright[0] - np.float32(pose.centre[0] + place[0])
  v = upright[1] - np.float32(pose.centre[1] + place[1])
  axes = (looks.half_width + volume, looks.crown + 0.7 * volume, looks.half_depth + volume + 0.02)
  # Skulls are squarer than ellipses: above the middle, heights are pressed towards it.
  high = np.minimum(np.abs(v) * (1.0 / axes[1]), 1.3)
  v = np.where(v < 0.0, v * (0.66 + 0.34 * high * high), v)
  x, y, z, _, level, length, direction = ellipsoid(pose, axes, u, v)
  t = np.sqrt(np.maximum((1.0 - level) * length, 0.0))
  x, y, z = (p + t * float(d) for p, d in zip((x, y, z), direction, strict=True))
  normal = np.stack([p * float(1.0 / a**2) for p, a in zip((x, y, z), axes, strict=True)])
  normal *= 1.0 / np.sqrt(np.square(normal).sum(0) + 1e-12)
  camera = np.tensordot(pose.matrix.astype(np.float32), normal, 1)
  distance = (1.0 - np.sqrt(level)) * axes[0]
  return Shell(x + float(middle[0]), y + float(middle[1]), z + float(middle[2]), camera, distance)


def _across(looks: Looks, x: np.ndarray, z: np.ndarray) -> np.ndarray:
  """A turn round the crown that strands keep: 0 in front, 1 at the sides, up to 2 behind."""
  x, z = x - 0.5 * looks.parting, z + 0.03
  reach = np.abs(x) + np.abs(z) + 1e-3
  turn = x / reach
  return 0.55 * np.where(z > 0.0, turn, np.sign(x) * 2.0 - turn)


def _hairline(looks: Looks, cut: Cut, x: np.ndarray) -> np.ndarray:
  """Head y down to which the forehead is covered."""
  centred = x * (1.0 / looks.half_width)
  front = looks.hairline + cut.front + 0.05 * centred * centred
  if cut.swept:
    away = np.abs(x - looks.parting)
    front = front - 0.03 + cut.swept * np.minimum(away, 0.2)
  return front


@dataclasses.dataclass(frozen=True)
class Hair:
  """The shell of hair, ready to be painted behind and before the head.

  Attributes:
    at: window of the canvas.
    colour: float32 [3, h, w], lit.
    behind: float32 [h, w], coverage behind the head: closes gaps between hair and temples.
    before: float32 [h, w], coverage over the head.
  """

  at: Window
  colour: np.ndarray
  behind: np.ndarray
  before: np.ndarray


def hair_of(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: Upright
) -> Hair | None:
  """Hair on top and at the sides of the head, or None on a bald one."""
  cut = _CUTS.get(looks.hair_style)
  if cut is None:
    return None
  at = canvas.window(0.0, 1.0, 0.0, 0.93)
  upright = (upright[0][at], upright[1][at])
  volume = volume_of(looks)
  shell = shell_around(looks, pose, upright, volume)
  x, y, z = shell.x, shell.y, shell.z
  seed = looks.texture_seed
  if cut.noise == 'strands':
    strand = noise_at(
      'strands', _across(looks, x, z) + cut.waves * np.sin(y * 30), y * 0.35, 0.9, seed
    )
  else:
    strand = noise_at(
      cut.noise, _across(looks, x, z) * 0.7, y, 1.2 if cut.noise == 'curls' else 2.0, seed
    )
  front = _hairline(looks, cut, x)
  # The sides begin where the shell has come round to the outline of the head, seen from before.
  ratio = looks.half_width / (looks.half_width + volume)
  rounding = 0.85 * (looks.half_depth + volume) * float(np.sqrt(1.0 - ratio * ratio))
  cheek = max(cut.cheek, 0.7 * rounding)
  turn = smoothstep(cheek + 0.045, cheek - 0.045, z)
  border = front + (cut.side - front) * turn
  # Nothing hangs before the throat.
  bare = smoothstep(0.62, 0.8, np.abs(x) * (1.0 / looks.half_width))
  border = np.where((y > 0.1) & (z > -0.16), front + (border - front) * bare, border)
  fuzzy = 0.012 if cut.noise == 'strands' else 0.016
  # Strands fray the hairline; curls would leave spots on the forehead, so they fray the sides.
  fray = turn if cut.noise == 'curls' else 0.6
  ragged = 0.006 + fray * cut.waves
  cover = smoothstep(-fuzzy, fuzzy, border - y + ragged * strand)
  outline = edge(shell.distance + cut.waves * 0.55 * strand, canvas.pixel * 1.8)
  before = cover * outline
  behind = outline * edge(min(cut.side - 0.01, 0.07) - y, canvas.pixel * 3.0)
  if looks.hair_style == 'buzz':
    before *= np.clip(0.8 + 0.12 * strand, 0.0, 1.0)

  depth = np.clip(0.62 + 0.22 * strand, 0.15, 1.0) * (
    0.3 + 0.7 * smoothstep(-0.03, 0.03, border - y)
  )
  depth *= 0.6 + 0.4 * smoothstep(0.0, 0.05, shell.distance)
  light = lit(shell.normal, parameters.light, depth, HAIR_SOFTNESS)
  hair = linear(looks.hair) * np.maximum(1.1 + 0.3 * strand, 0.3)
  band = hill(shell.normal[1] + 0.5 + 0.1 * strand, 0.3) * gloss(shell.normal, parameters.light, 2)
  band *= np.maximum(0.6 + 0.5 * strand, 0.0)
  sheen = 0.2 * band * (0.4 if cut.noise != 'strands' else 1.0)
  colour = hair * light + sheen * (0.35 + linear(looks.hair))
  return Hair(at, colour, behind, before)
