"""Crops that are turned, shifted and scaled in one go, for networks that must bear any pose."""

import dataclasses
import math

import numpy as np
from PIL import Image

from anon_jax.data import semantic
from anon_jax.data.pipeline import Example, View

_FINE = 2  # a turned picture is sampled this much finer and averaged, or thin lines would break


@dataclasses.dataclass(frozen=True)
class TurnedView(View):
  """A `View` whose random crops are also turned; its fixed ones are those of `View`.

  Where a turned crop leaves the picture it is filled with the picture's mean colour, labelled by
  nobody. Unlike in `View`, the square may also leave the picture by its size or place.

  Attributes:
    rotation: largest turn in degrees.
    any_rotation: share of pictures that are turned by any angle.
  """

  rotation: float = 0.0
  any_rotation: float = 0.0

  def random(
    self, image: np.ndarray, semantic_map: np.ndarray, rng: np.random.Generator
  ) -> Example:
    """Cuts a jittered and turned square and mirrors it now and then."""
    scale, dx, dy = self.jitter * rng.uniform(-1, 1, 3)
    limit = 180.0 if rng.random() < self.any_rotation else self.rotation
    angle = math.radians(limit * rng.uniform(-1, 1))
    mirrored = self.flip and rng.random() < 0.5
    height, width = semantic_map.shape
    side = min(height, width) * self.fraction * (1 + scale)
    centre = (width / 2 + side * dx / 2, height / 2 + side * dy / 2)
    fine = self.size * _FINE
    pixels = Image.fromarray(image).transform(
      (fine, fine),
      Image.Transform.AFFINE,
      _coefficients(centre, side / fine, angle, fine, mirrored=mirrored),
      Image.Resampling.BILINEAR,
      fillcolor=tuple(int(v) for v in image.mean(axis=(0, 1))),
    )
    classes = Image.fromarray(semantic_map).transform(
      (self.size, self.size),
      Image.Transform.AFFINE,
      _coefficients(centre, side / self.size, angle, self.size, mirrored=mirrored),
      Image.Resampling.NEAREST,
      fillcolor=semantic.IGNORE,
    )
    return {'image': np.asarray(pixels.reduce(_FINE)), 'map': np.asarray(classes)}


def _coefficients(
  centre: tuple[float, float], step: float, angle: float, size: int, *, mirrored: bool
) -> tuple[float, float, float, float, float, float]:
  """Returns Pillow's affine coefficients from an output pixel to its place in the picture.

  Args:
    centre: of the square in the picture, (x, y).
    step: picture pixels an output pixel.
    angle: turn in radians.
    size: side of the output in pixels.
    mirrored: whether the output's left is the picture's right.
  """
  cos, sin = step * math.cos(angle), step * math.sin(angle)
  flip = -1.0 if mirrored else 1.0
  a, b, c, d = flip * cos, -sin, flip * sin, cos
  half = size / 2
  return a, b, centre[0] - half * (a + b), c, d, centre[1] - half * (c + d)
