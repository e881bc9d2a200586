"""Things before the face: glasses, a hand, a microphone, a bar, a cap."""

from __future__ import annotations

import math

import numpy as np

from anon_jax.data.procedural.features import OTHER_SKIN
from anon_jax.data.procedural.hair import Upright, shell_around, volume_of
from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.parameters import FaceParameters
from anon_jax.data.procedural.scenery import CLOTH_SOFTNESS, SKIN_SOFTNESS
from anon_jax.data.procedural.shading import Canvas, Window, gloss, linear, lit, noise_at
from anon_jax.data.procedural.shape import ZOOM, Pose, Surface, edge, hill, smoothstep

BACKGROUND = 0


def paint_glasses(
  canvas: Canvas, at: Window, looks: Looks, parameters: FaceParameters, surface: Surface
) -> None:
  """Glasses or sunglasses, in the surface of the face; they are background in the map."""
  occluder = parameters.occluder
  dark = occluder.kind == 'sunglasses'
  side, y = np.abs(surface.x), surface.y
  grow = occluder.scale * (1.18 if dark else 1.0)
  du = np.abs(side - looks.eye_x) * (1.0 / (0.068 * grow))
  dv = np.abs(y - looks.eye_y - 0.008) * (1.0 / (0.047 * grow))
  square = np.sqrt(np.sqrt(np.square(du * du) + np.square(dv * dv)))
  distance = (1.0 - square) * 0.052
  frame = 0.0045 + 0.003 * (occluder.scale - 0.5)
  rim = edge(frame - np.abs(distance), canvas.pixel)
  bridge = edge(0.0055 - np.abs(y - looks.eye_y + 0.008), canvas.pixel) * (
    side < looks.eye_x - 0.05
  )
  arm = edge(0.006 - np.abs(y - looks.eye_y + 0.012), canvas.pixel) * (side > looks.eye_x + 0.06)
  front = surface.coverage * (surface.z > -0.03)
  light = lit(surface.normal, parameters.light, 1.0, CLOTH_SOFTNESS)
  lens = edge(distance, canvas.pixel) * front
  if dark:
    tint = linear((0.06, 0.06, 0.07)) * (0.6 + 0.8 * smoothstep(-0.05, 0.05, y - looks.eye_y))
    mirror = 0.25 * hill(y - looks.eye_y + 0.022 + 0.35 * (side - looks.eye_x), 0.012)
    canvas.paint(at, 0.96 * lens, tint + mirror * parameters.light.intensity, BACKGROUND)
  else:
    streak = hill(y - looks.eye_y + 0.02 + 0.5 * (side - looks.eye_x), 0.01)
    canvas.paint(at, 0.18 * lens * streak, linear((0.95, 0.97, 1.0)))
  body = np.maximum(np.maximum(rim, bridge), arm) * front
  shine = 0.3 * gloss(surface.normal, parameters.light, 4)
  canvas.paint(at, body, linear(occluder.colour) * light + shine, BACKGROUND)


def _placed(parameters: FaceParameters, canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
  """Picture coordinates turned and scaled into the occluder's own frame."""
  occluder = parameters.occluder
  angle = math.radians(occluder.angle)
  x, y = (0.5 + (place - 0.5) / ZOOM for place in occluder.centre)
  u, v = (canvas.u - x) * (1.0 / occluder.scale), (canvas.v - y) * (1.0 / occluder.scale)
  cos, sin = math.cos(angle), math.sin(angle)
  return u * cos + v * sin, v * cos - u * sin


def _rounded(u: np.ndarray, radius: float) -> np.ndarray:
  """Normals of an upright cylinder of `radius` around u = 0."""
  across = np.clip(u * (1.0 / radius), -0.98, 0.98)
  return np.stack([across, np.full_like(u, -0.1), np.sqrt(1.0 - across * across)])


def paint_hand(canvas: Canvas, looks: Looks, parameters: FaceParameters) -> None:
  """A hand held before the face: palm and four fingers, other skin in the map."""
  u, v = _placed(parameters, canvas)
  everywhere = (slice(None), slice(None))
  skin: np.ndarray = linear(looks.skin) * np.array([1.0, 0.93, 0.9], np.float32).reshape(3, 1, 1)
  skin = skin * (1.0 + 0.03 * noise_at('soft', u, v, 1.2, 5))
  parts = [(0.0, 0.2, 0.075, 0.13)]
  lengths = (0.085, 0.11, 0.115, 0.1)
  parts += [((k - 1.5) * 0.045, 0.1 - lengths[k], 0.0235, lengths[k]) for k in range(4)]
  for x, y, radius, reach in parts:
    dv = np.maximum(np.abs(v - y) - reach, 0.0)
    # Fingers spread a little towards their tips.
    du = u - x * (1.0 - 0.9 * np.minimum(v - 0.1, 0.0)) if radius < 0.05 else u - x
    distance = radius - np.sqrt(du * du + dv * dv)
    shade = 0.35 + 0.65 * smoothstep(0.0, 0.014, distance)
    shade = shade - 0.12 * hill(v - y + 0.3 * reach, 0.006) - 0.1 * hill(v - y - 0.3 * reach, 0.006)
    light = lit(_rounded(du, radius), parameters.light, shade, SKIN_SOFTNESS)
    canvas.paint(everywhere, edge(distance, canvas.pixel), skin * light, OTHER_SKIN)


def paint_stick(canvas: Canvas, parameters: FaceParameters) -> None:
  """A microphone, or a plain bar across the whole picture; background in the map."""
  u, v = _placed(parameters, canvas)
  everywhere = (slice(None), slice(None))
  colour = linear(parameters.occluder.colour)
  if parameters.occluder.kind == 'bar':
    light = lit(_rounded(v, 0.035)[[1, 0, 2]], parameters.light, 1.0, CLOTH_SOFTNESS)
    shine = 0.2 * hill(v + 0.012, 0.01)
    canvas.paint(everywhere, edge(0.035 - np.abs(v), canvas.pixel), colour * light + shine, 0)
    return
  stem = np.minimum(0.026 - np.abs(u) + 0.01 * np.minimum(v, 0.2), v - 0.03)
  light = lit(_rounded(u, 0.03), parameters.light, 1.0, CLOTH_SOFTNESS)
  canvas.paint(everywhere, edge(stem, canvas.pixel), colour * light, BACKGROUND)
  radius = np.sqrt(u * u + v * v)
  height = np.sqrt(np.maximum(0.055**2 - radius * radius, 0.0))
  globe = np.stack([u, v, height]) * (1.0 / 0.055)
  mesh = 0.6 + 0.4 * np.sin(u * 420.0) * np.sin(v * 420.0)
  light = lit(globe, parameters.light, 1.0, CLOTH_SOFTNESS)
  ball = linear((0.35, 0.35, 0.37)) * light * mesh + 0.25 * gloss(globe, parameters.light, 3)
  canvas.paint(everywhere, edge(0.055 - radius, canvas.pixel), ball, BACKGROUND)


def paint_cap(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: Upright
) -> None:
  """A cap with a brim; background in the map."""
  everywhere = (slice(None), slice(None))
  shell = shell_around(looks, pose, upright, volume_of(looks) + 0.008)
  rim = -0.15 + 0.05 * smoothstep(0.15, -0.1, shell.z)
  cover: np.ndarray = edge(rim - shell.y, canvas.pixel * 1.5) * edge(shell.distance, canvas.pixel)
  seams = 1.0 - 0.3 * hill(np.abs(shell.x) - 0.09, 0.004) - 0.3 * hill(shell.x, 0.004)
  light = lit(shell.normal, parameters.light, seams, CLOTH_SOFTNESS)
  colour = linear(parameters.occluder.colour)
  weave = 1.0 + 0.08 * noise_at('fine', shell.x, shell.y, 2.0)
  # The brim throws its shadow on the forehead before it is painted itself.
  shadow = 0.45 * smoothstep(0.1, 0.0, shell.y - rim) * (shell.y > rim) * (shell.distance > 0)
  canvas.planes *= 1.0 - shadow * (shell.z > 0.05)
  canvas.paint(everywhere, cover, colour * light * weave, BACKGROUND)
  tip = np.array([0.0, -0.145, 0.3]) @ pose.matrix.T
  du = upright[0] - np.float32(tip[0] + pose.centre[0])
  dv = upright[1] - np.float32(tip[1] + pose.centre[1])
  bent = dv - 1.1 * du * du + 0.022
  radius = np.sqrt(np.square(du * (1 / 0.19)) + np.square(bent * (1 / 0.05)))
  normal = np.stack([1.5 * du, -0.55 - 4.0 * bent, np.full_like(du, 0.75)])
  light = lit(normal, parameters.light, 1.0, CLOTH_SOFTNESS)
  canvas.paint(
    everywhere, edge((1.0 - radius) * 0.05, canvas.pixel), colour * light * 0.9, BACKGROUND
  )
