"""A face in a picture, whoever found it: the detector, a track, or the user."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from anon_jax.inference.errors import InferenceError

Points: TypeAlias = tuple[tuple[float, float], ...]
_LANDMARKS = 5


@dataclasses.dataclass(frozen=True)
class Face:
  """One face.

  Attributes:
    box: left, top, right, bottom in pixels of the picture; may reach beyond its border.
    score: how sure the finder is, in [0, 1]; 1 for faces that a user gives.
    landmarks: five points (x, y) in pixels, or None: eye, eye, nose tip, mouth corner, mouth
      corner. The order is that of the upright face, those on its left in the picture first: of a
      face that stands on its head the first eye is the right one in the picture.
    confirmed: how sure a closer look is of it, in [0, 1]; 1 where none was needed.
  """

  box: tuple[float, float, float, float]
  score: float = 1.0
  landmarks: Points | None = None
  confirmed: float = 1.0

  def __post_init__(self) -> None:
    left, top, right, bottom = self.box
    if not all(math.isfinite(v) for v in self.box) or left >= right or top >= bottom:
      raise InferenceError(
        f'the box {tuple(self.box)} encloses nothing; give left, top, right, bottom in pixels with '
        'left < right and top < bottom.'
      )
    if self.landmarks is not None and np.shape(self.landmarks) != (_LANDMARKS, 2):
      raise InferenceError(
        f'the landmarks have shape {np.shape(self.landmarks)}; give five points (x, y), or none.'
      )


Detector: TypeAlias = Callable[[np.ndarray], Sequence[Face]]
"""Finds the faces of an RGB picture, uint8 [h, w, 3]."""
