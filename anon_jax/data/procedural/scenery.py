"""What is around the head: background, neck, clothes and ears."""

from __future__ import annotations

import numpy as np

from anon_jax.data.procedural.features import OTHER_SKIN
from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.march import ellipsoid
from anon_jax.data.procedural.parameters import Background, Colour, FaceParameters, generator
from anon_jax.data.procedural.shading import Canvas, linear, lit, noise_at
from anon_jax.data.procedural.shape import Pose, edge, smoothstep

_SCENE_STREAM = 0xBAC

# How far light creeps round into the shade on skin: red furthest (subsurface scattering).
SKIN_SOFTNESS: Colour = (0.34, 0.2, 0.15)
CLOTH_SOFTNESS: Colour = (0.15, 0.15, 0.15)


def paint_background(canvas: Canvas, background: Background) -> None:
  """Fills the canvas with a gradient, out-of-focus blobs and a few soft upright edges."""
  rng = generator(_SCENE_STREAM, background.texture_seed)
  top, bottom = linear(background.top), linear(background.bottom)
  planes = top + (bottom - top) * canvas.v
  strength = background.texture
  seed = int(rng.integers(1 << 16))
  scale = float(rng.uniform(0.15, 0.6))
  soft = noise_at('soft', canvas.u, canvas.v, scale, seed)
  # The tile's fine octaves would look in focus; a neighbour average is a cheap lens blur.
  soft = 0.5 * (soft + noise_at('soft', canvas.u + 0.02, canvas.v + 0.013, scale, seed))
  planes = planes * np.maximum(1.0 + 0.28 * strength * soft, 0.15)
  for _ in range(int(rng.integers(0, 5))):
    place, width, blur = rng.uniform(-0.1, 1.1), rng.uniform(0.05, 0.3), rng.uniform(0.02, 0.1)
    slant = rng.normal(0.0, 0.12)
    red, green, blue = 0.6 * float(rng.uniform(0.05, 0.95)) + 0.4 * rng.uniform(0.05, 0.95, 3)
    colour = linear((float(red), float(green), float(blue)))
    along = canvas.u[0] if rng.random() < 0.7 else canvas.v[:, 0]
    column = along.size == canvas.size and along.base is canvas.u.base
    distance = float(width) - np.abs(along - float(place))
    alpha = smoothstep(-float(blur), float(blur), distance + float(slant) * 0.1)
    alpha = alpha[None, :] if column else alpha[:, None]
    planes = planes + (colour - planes) * (0.55 * strength * alpha)
  canvas.planes[...] = planes


def paint_body(canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose) -> None:
  """Neck (class 7) and clothes (class 0), with the shadow that the head throws on them."""
  at = canvas.window(0.0, 1.0, 0.55, 1.0)
  u, v = canvas.u[at], canvas.v[at]
  rng = generator(_SCENE_STREAM, 1, parameters.background.texture_seed)
  middle = 0.5 + 0.75 * (pose.centre[0] - 0.5) - 0.1 * pose.sin_roll
  x = u - middle
  side = np.abs(x)
  shoulder = float(rng.uniform(0.83, 0.89))
  widening = np.maximum(v - (shoulder - 0.09), 0.0)
  half = (
    looks.neck * (1.0 + 0.3 * abs(float(pose.matrix[0, 2])))
    + 1.1 * widening
    + 9.0 * widening * widening
  )
  across = np.clip(x / half, -0.999, 0.999)
  normal = np.stack([across, np.full_like(x, 0.1), np.sqrt(1.0 - 0.99 * across * across)])
  tendon = 0.05 * np.sin(x * 55.0) * (side < 0.08)
  normal[0] += tendon

  centre_u, centre_v = u - np.float32(pose.centre[0]), v - np.float32(pose.centre[1])
  axes = (looks.half_width, 0.5 * (looks.crown + looks.chin), looks.half_depth)
  level = ellipsoid(pose, axes, centre_u, centre_v)[4]
  # The chin shades the throat: dark at the jaw line, open again a neck's width below.
  openness = smoothstep(0.72, 2.0, level) * 0.8 + 0.2
  light = lit(normal, parameters.light, openness, SKIN_SOFTNESS)
  mottle = 1.0 + 0.03 * noise_at('soft', u, v, 1.0, looks.texture_seed)
  skin = linear(looks.skin) * np.array([0.95, 0.88, 0.86], np.float32).reshape(3, 1, 1)
  canvas.paint(at, edge(half - side, canvas.pixel), skin * light * mottle, OTHER_SKIN)

  cut = float(rng.choice([0.02, 0.05, 0.12]))
  slope = float(rng.uniform(0.3, 0.55))
  neckline = shoulder - 0.03 + cut - slope * side * (0.4 if cut > 0.1 else 1.0)
  shoulders = shoulder - 0.05 + 0.25 * np.maximum(side - looks.neck, 0.0)
  cloth_edge = np.minimum(v - shoulders, v - np.minimum(neckline, 1.2))
  cloth_edge = np.where(side < looks.neck + 0.02, v - neckline, cloth_edge)
  folds = 0.12 * noise_at('soft', u, v * 0.5, 0.7, parameters.background.texture_seed % 60000)
  normal = np.stack([np.clip(1.6 * x, -0.8, 0.8) + folds, -0.35 + folds, np.full_like(x, 0.8)])
  rim = 0.6 + 0.4 * smoothstep(0.0, 0.03, cloth_edge)
  light = lit(normal, parameters.light, openness * rim, CLOTH_SOFTNESS)
  cloth = linear(parameters.background.clothes)
  canvas.paint(at, edge(cloth_edge, canvas.pixel), cloth * light * (1.0 + 0.3 * folds), 0)


def paint_ears(
  canvas: Canvas,
  looks: Looks,
  parameters: FaceParameters,
  pose: Pose,
  upright: tuple[np.ndarray, np.ndarray],
  front: bool,
) -> None:
  """The ears, as seen behind the head (`front` False) or before its side (True)."""
  for right in (-1.0, 1.0):
    facing = np.array([right * 0.8, 0.0, 0.6]) @ pose.matrix.T
    # An ear that comes into view fades in over the cheek, so that clips do not jump.
    share = 1.0 if not front else float(min(max((facing[2] - 0.62) * 6.0, 0.0), 1.0))
    if facing[2] < 0.1 or share == 0.0:
      continue
    place = np.array([right * (looks.half_width + 0.002), 0.03, -0.01]) @ pose.matrix.T
    x, y = place[0] + pose.centre[0], place[1] + pose.centre[1]
    at = canvas.window(x - 0.15, x + 0.15, y - 0.2, y + 0.2)
    du, dv = upright[0][at] - np.float32(x), upright[1][at] - np.float32(y)
    tall = 0.062 * looks.ear
    wide = 0.022 + 0.02 * float(max(facing[2], 0.0))
    du = du + right * 0.25 * dv
    # Wider above than below.
    radius = np.sqrt(np.square(du * (1 / wide) * (1.0 + 4.0 * dv)) + np.square(dv * (1 / tall)))
    normal = np.empty((3, *du.shape), np.float32)
    normal[0] = 0.5 * float(facing[0]) + np.clip(du * (0.4 / wide), -0.6, 0.6)
    normal[1] = dv * (0.3 / tall)
    normal[2] = 0.75
    hollow = 1.0 - 0.45 * smoothstep(0.75, 0.3, radius) - 0.3 * smoothstep(0.75, 1.0, radius)
    light = lit(normal, parameters.light, hollow, SKIN_SOFTNESS)
    skin = linear(looks.skin) * np.array([1.0, 0.86, 0.84], np.float32).reshape(3, 1, 1)
    alpha = share * edge((1.0 - radius) * wide, canvas.pixel)
    canvas.paint(at, alpha, skin * light, OTHER_SKIN)
