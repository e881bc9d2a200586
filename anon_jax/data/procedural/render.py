"""Puts the layers of a procedural picture together, back to front."""

from __future__ import annotations

import dataclasses

import numpy as np

from anon_jax.data.procedural import hair, occluders, scenery
from anon_jax.data.procedural.features import HAIR, landmarks_on_face, paint_face
from anon_jax.data.procedural.looks import Looks, looks_of
from anon_jax.data.procedural.march import march
from anon_jax.data.procedural.parameters import FaceParameters
from anon_jax.data.procedural.shading import Canvas, Window, gloss, lit
from anon_jax.data.procedural.shape import ZOOM, Pose, Surface, pose_of, surface_points

MIN_SIZE, MAX_SIZE = 16, 1024


@dataclasses.dataclass(frozen=True)
class Rendered:
  """One picture and what is true of it.

  Attributes:
    image: uint8 [size, size, 3], sRGB crop: face box about 60 % of the side.
    map: uint8 [size, size], semantic map: 0 background (also clothes and things held before the
      face), 1 skin, 2 brows, 3 eyes, 4 nose, 5 mouth, 6 hair, 7 neck, ears and hands.
    identity: of the person.
    landmarks: float32 [5, 2], (x, y) in pixels, 0 at the centre of the first pixel: eye, eye,
      nose tip, mouth corner, mouth corner; the left one of a pair first, as seen.
  """

  image: np.ndarray
  map: np.ndarray
  identity: int
  landmarks: np.ndarray


def check_size(size: int) -> None:
  """Raises ValueError unless pictures of this side can be drawn."""
  if not MIN_SIZE <= size <= MAX_SIZE:
    raise ValueError(
      f'size={size} cannot be drawn: give a side from {MIN_SIZE} to {MAX_SIZE} pixels.'
    )


def _upright(canvas: Canvas, pose: Pose) -> hair.Upright:
  """Picture coordinates with the roll undone, around the middle of the crop."""
  if pose.sin_roll == 0.0:
    return canvas.u, canvas.v
  du, dv = canvas.u - 0.5, canvas.v - 0.5
  cos, sin = pose.cos_roll, pose.sin_roll
  return du * cos + dv * sin + 0.5, dv * cos - du * sin + 0.5


def _head_window(canvas: Canvas, looks: Looks, pose: Pose) -> Window:
  """The pixels that the head and its nose can touch."""
  axes = np.array([looks.half_width, max(looks.crown, looks.chin), looks.half_depth + 0.05])
  reach = np.sqrt(np.square(pose.matrix * axes).sum(1)) + 0.02
  cos, sin = pose.cos_roll, abs(pose.sin_roll)
  wide, tall = reach[0] * cos + reach[1] * sin, reach[0] * sin + reach[1] * cos
  x, y = pose.project(np.zeros((1, 3)))[0]
  return canvas.window(x - wide, x + wide, y - tall, y + tall)


def _paint_head(
  canvas: Canvas, looks: Looks, parameters: FaceParameters, pose: Pose, upright: hair.Upright
) -> tuple[Window, Surface]:
  at = _head_window(canvas, looks, pose)
  u, v = upright[0][at] - np.float32(pose.centre[0]), upright[1][at] - np.float32(pose.centre[1])
  surface = march(looks, pose, u, v, canvas.pixel)
  face = paint_face(looks, parameters, surface, canvas.pixel)
  light = lit(surface.normal, parameters.light, surface.openness, scenery.SKIN_SOFTNESS)
  shine = face.shine * gloss(surface.normal, parameters.light, 4)
  colour = face.albedo * light
  colour += shine * surface.openness * 0.55 + 0.9 * face.wet
  canvas.paint(at, surface.coverage, colour)
  solid = surface.coverage > 0.5
  canvas.classes[at][solid] = face.classes[solid]
  return at, surface


def render(parameters: FaceParameters, size: int) -> Rendered:
  """Draws a face.

  Args:
    parameters: what to draw.
    size: side of the picture in pixels, 16 to 1024.

  Returns:
    Picture, semantic map, identity and landmarks; the same for the same arguments.

  Raises:
    ValueError: a size outside that range.
  """
  check_size(size)
  looks = looks_of(parameters.identity)
  pose = pose_of(parameters, looks)
  canvas = Canvas(size)
  upright = _upright(canvas, pose)
  scene = (looks, parameters, pose)
  scenery.paint_background(canvas, parameters.background)
  hair.paint_hair_behind(canvas, *scene, upright)
  scenery.paint_body(canvas, *scene)
  hair.paint_locks(canvas, *scene, upright)
  shell = hair.hair_of(canvas, *scene, upright)
  if shell is not None:
    canvas.paint(shell.at, shell.behind, 0.5 * shell.colour, HAIR)
  scenery.paint_ears(canvas, *scene, upright, front=False)
  at, surface = _paint_head(canvas, looks, parameters, pose, upright)
  if shell is not None:
    canvas.paint(shell.at, shell.before, shell.colour, HAIR)
  if not hair.covers_ears(looks):
    scenery.paint_ears(canvas, *scene, upright, front=True)
  kind = parameters.occluder.kind
  if kind in ('glasses', 'sunglasses'):
    occluders.paint_glasses(canvas, at, looks, parameters, surface)
  elif kind == 'cap':
    occluders.paint_cap(canvas, *scene, upright)
  elif kind == 'hand':
    occluders.paint_hand(canvas, looks, parameters)
  elif kind in ('microphone', 'bar'):
    occluders.paint_stick(canvas, parameters)
  points = pose.project(surface_points(looks, landmarks_on_face(looks, parameters)))
  landmarks = ((0.5 + (points - 0.5) * ZOOM) * size - 0.5).astype(np.float32)
  image = canvas.finish(2.0, parameters.background.texture_seed)
  return Rendered(image, canvas.classes, parameters.identity, landmarks)
