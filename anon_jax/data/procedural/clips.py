"""Clips of one procedural person with known, smooth motion."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from anon_jax.data.procedural.parameters import (
  Expression,
  FaceParameters,
  Light,
  check_draw,
  generator,
  sample_parameters,
)
from anon_jax.data.procedural.render import check_size, render

_MOTION_STREAM = 0xC11


@dataclasses.dataclass(frozen=True)
class Clip:
  """Consecutive crops of one person.

  Attributes:
    frames: uint8 [n, size, size, 3].
    maps: uint8 [n, size, size], semantic maps.
    landmarks: float32 [n, 5, 2], pixels, as in `Rendered`.
    parameters: of each frame.
  """

  frames: np.ndarray
  maps: np.ndarray
  landmarks: np.ndarray
  parameters: tuple[FaceParameters, ...]


def _waves(rng: np.random.Generator, amplitude: float) -> tuple[tuple[float, float, float], ...]:
  """Two slow sines (weight, radians per frame, phase) whose weights sum to `amplitude`."""
  share = rng.uniform(0.5, 0.8)
  weights = (amplitude * share, amplitude * (1.0 - share))
  periods = (rng.uniform(50, 90), rng.uniform(20, 36))
  return tuple(
    (weight, 2 * math.pi / period, rng.uniform(0, 2 * math.pi))
    for weight, period in zip(weights, periods, strict=True)
  )


def _moved(base: float, waves: tuple[tuple[float, float, float], ...], frame: int) -> float:
  return base + sum(w * (math.sin(s * frame + p) - math.sin(p)) for w, s, p in waves)


def _within(value: float, low: float, high: float) -> float:
  return min(max(value, low), high)


def _frame(
  start: FaceParameters, motion: dict[str, tuple[tuple[float, float, float], ...]], frame: int
) -> FaceParameters:
  face, light = start.expression, start.light
  yaw = _within(_moved(start.yaw, motion['yaw'], frame), -50, 50)
  pitch = _within(_moved(start.pitch, motion['pitch'], frame), -25, 25)
  roll = _within(_moved(start.roll, motion['roll'], frame), -20, 20)
  expression = Expression(
    _within(_moved(face.mouth_open, motion['mouth_open'], frame), 0, 1),
    _within(_moved(face.smile, motion['smile'], frame), -1, 1),
    _within(_moved(face.brow_raise, motion['brow_raise'], frame), -1, 1),
    face.eye_open,
    (_within(face.gaze[0] - (yaw - start.yaw) / 35, -1, 1), face.gaze[1]),
  )
  lamp = Light(
    _within(_moved(light.azimuth, motion['azimuth'], frame), -90, 90),
    light.elevation,
    light.intensity,
    light.ambient,
    light.temperature,
  )
  return dataclasses.replace(
    start, yaw=yaw, pitch=pitch, roll=roll, expression=expression, light=lamp
  )


def render_clip(seed: int, index: int, frames: int, size: int, identities: int = 64) -> Clip:
  """Draws clip `index` of the endless collection `seed`.

  The first frame is picture `index` of the same seed (`sample_parameters`); from there the head
  turns by at most about 2 degrees a frame and expression and light drift.

  Args:
    seed: names the collection, 0 or more.
    index: number of the clip, 0 or more.
    frames: number of frames, 1 or more.
    size: side in pixels, 16 to 1024.
    identities: identities are drawn evenly from 0 to `identities` - 1.

  Returns:
    The clip; the same for the same arguments.

  Raises:
    ValueError: a number outside its range.
  """
  check_draw(seed, index, identities)
  check_size(size)
  if frames < 1:
    raise ValueError(f'frames={frames} is an empty clip: give 1 or more.')
  rng = generator(_MOTION_STREAM, seed, index)
  reach = {'yaw': 14, 'pitch': 5, 'roll': 4, 'mouth_open': 0.3, 'smile': 0.4}
  reach |= {'brow_raise': 0.4, 'azimuth': 12}
  motion = {name: _waves(rng, amplitude) for name, amplitude in reach.items()}
  start = sample_parameters(seed, index, identities)
  parameters = tuple(_frame(start, motion, k) for k in range(frames))
  pictures = [render(p, size) for p in parameters]
  return Clip(
    np.stack([p.image for p in pictures]),
    np.stack([p.map for p in pictures]),
    np.stack([p.landmarks for p in pictures]),
    parameters,
  )
