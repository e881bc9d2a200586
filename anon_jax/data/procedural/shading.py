"""Colour arithmetic, light on surfaces, noise tiles, and the canvas that layers are painted on.

Colours are linear light inside the renderer and sRGB outside; colour planes come first
([3, h, w]), which keeps every broadcast over pixels contiguous.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from anon_jax.data.procedural.parameters import Colour, Light, generator
from anon_jax.data.procedural.shape import ZOOM, smoothstep

_TILE_STREAM = 0x7E1
TILE = 256
_EXPOSURE = 1.25

Window = tuple[slice, slice]


def linear(colour: Colour) -> np.ndarray:
  """Turns sRGB in [0, 1] into linear light (gamma 2), float32 [3, 1, 1]."""
  return np.square(np.asarray(colour, np.float32)).reshape(3, 1, 1)


def _upsampled(grid: np.ndarray, size: int) -> np.ndarray:
  """Repeats a grid smoothly, wrapping around: float32 [size, size]."""
  for axis in (0, 1):
    cells = grid.shape[axis]
    at = np.arange(size) * (cells / size)
    first = at.astype(int)
    share = smoothstep(0.0, 1.0, at - first)
    shape = (-1, 1) if axis == 0 else (1, -1)
    share = share.reshape(shape)
    low, high = np.take(grid, first % cells, axis), np.take(grid, (first + 1) % cells, axis)
    grid = low * (1 - share) + high * share
  return grid.astype(np.float32)


@functools.lru_cache(maxsize=8)
def tile(kind: str) -> np.ndarray:
  """A wrapping noise tile, float32 [256, 256], mean 0 and deviation 1.

  Args:
    kind: 'grain' (independent pixels), 'fine', 'soft' (octaves), 'strands' (streaks down the
      rows) or 'curls'.
  """
  kinds = {
    'grain': ((256, 256, 1.0),),
    'fine': ((128, 128, 1.0), (64, 64, 0.7)),
    'soft': ((8, 8, 1.0), (16, 16, 0.7), (32, 32, 0.5), (64, 64, 0.35)),
    'strands': ((4, 128, 1.0), (8, 256, 0.8), (2, 32, 0.9), (16, 128, 0.4)),
    'curls': ((32, 32, 1.0), (64, 64, 0.9), (16, 16, 0.5)),
  }
  rng = generator(_TILE_STREAM, sorted(kinds).index(kind))
  noise = np.zeros((TILE, TILE), np.float32)
  for rows, columns, weight in kinds[kind]:
    grid = rng.standard_normal((rows, columns), np.float32)
    noise += weight * _upsampled(grid, TILE)
  noise -= noise.mean()
  noise /= noise.std()
  noise.setflags(write=False)
  return noise


def noise_at(kind: str, x: np.ndarray, y: np.ndarray, scale: float, seed: int = 0) -> np.ndarray:
  """Looks a tile up at positions in scene units; `scale` tiles make one unit."""
  column = (x * (scale * TILE) + float(seed % 251 + 512)).astype(np.int32) & (TILE - 1)
  row = (y * (scale * TILE) + float(seed // 251 % 241 + 512)).astype(np.int32) & (TILE - 1)
  return tile(kind).ravel().take(row * TILE + column)


def lamp_of(light: Light) -> tuple[np.ndarray, np.ndarray]:
  """Direction [3] to the lamp in camera axes, and its colour [3]; float32."""
  azimuth, elevation = math.radians(light.azimuth), math.radians(light.elevation)
  across = math.cos(elevation)
  direction = (across * math.sin(azimuth), -math.sin(elevation), across * math.cos(azimuth))
  warm = light.temperature
  colour = (1.0 + 0.16 * warm, 1.0 + 0.01 * warm, 1.0 - 0.2 * warm)
  return np.array(direction, np.float32), light.intensity * np.array(colour, np.float32)


def lit(normal: np.ndarray, light: Light, openness: np.ndarray | float, soft: Colour) -> np.ndarray:
  """Light that arrives at a surface, float32 [3, h, w].

  Args:
    normal: float32 [3, h, w], unit length, camera axes.
    light: lamp and fill light.
    openness: [h, w] in [0, 1], share of the fill light that arrives.
    soft: per colour, how far light creeps round into the shade (skin lets red through).
  """
  direction, colour = lamp_of(light)
  facing = np.tensordot(direction, normal, 1)
  # Fill light comes from the sky and the room: more from above and from the viewer.
  fill = (0.72 - 0.28 * normal[1]) * (light.ambient * openness)
  occluded = 0.45 + 0.55 * openness
  out = np.empty((3, *facing.shape), np.float32)
  for k in range(3):
    reach = np.maximum((facing + soft[k]) * (1.0 / (1.0 + soft[k])), 0.0)
    np.multiply(reach, occluded * float(colour[k]), out=out[k])
    out[k] += fill * float(0.5 + 0.5 * colour[k] / max(light.intensity, 1e-3))
  return out


def gloss(normal: np.ndarray, light: Light, doublings: int) -> np.ndarray:
  """Blinn highlight [h, w] with exponent 2 ** `doublings`."""
  direction, _ = lamp_of(light)
  half = direction + np.array([0, 0, 1], np.float32)
  half = half / np.float32(math.sqrt(float(half @ half)))
  shine = np.maximum(np.tensordot(half, normal, 1), 0.0)
  for _ in range(doublings):
    shine *= shine
  return shine * light.intensity


class Canvas:
  """A picture in linear light and its semantic map, painted from back to front.

  Attributes:
    planes: float32 [3, size, size].
    classes: uint8 [size, size].
    size: side in pixels.
    pixel: side of a pixel in scene units.
    u: float32 [size, size], x of pixel centres in scene units.
    v: float32 [size, size], y likewise.
  """

  def __init__(self, size: int):
    self.planes = np.zeros((3, size, size), np.float32)
    self.classes = np.zeros((size, size), np.uint8)
    self.size = size
    self.pixel = 1.0 / (size * ZOOM)
    at = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(1.0 / size)
    at = (at - 0.5) * np.float32(1.0 / ZOOM) + 0.5
    self.u = np.broadcast_to(at[None, :], (size, size))
    self.v = np.broadcast_to(at[:, None], (size, size))

  def window(self, left: float, right: float, top: float, bottom: float) -> Window:
    """Pixels that touch a box in scene units; never empty."""

    def span(low: float, high: float) -> slice:
      low, high = 0.5 + (low - 0.5) * ZOOM, 0.5 + (high - 0.5) * ZOOM
      first = min(max(int(low * self.size) - 1, 0), self.size - 1)
      return slice(first, min(max(int(high * self.size) + 2, first + 1), self.size))

    return span(top, bottom), span(left, right)

  def paint(
    self, at: Window, alpha: np.ndarray, colour: np.ndarray, label: int | None = None
  ) -> None:
    """Lays `colour` ([3, 1, 1] or [3, h, w], linear) over a window with coverage `alpha`.

    Where the layer hides more than half, the semantic map becomes `label` (None leaves it).
    """
    part = self.planes[:, at[0], at[1]]
    part += (colour - part) * alpha
    if label is not None:
      self.classes[at][alpha > 0.5] = label

  def finish(self, grain: float, seed: int) -> np.ndarray:
    """Exposes the picture, adds sensor grain and returns sRGB, uint8 [size, size, 3]."""
    noise = tile('grain')
    rows = (np.arange(self.size) + seed) % TILE
    columns = (np.arange(self.size) + seed // TILE) % TILE
    out = np.empty((self.size, self.size, 3), np.uint8)
    value = np.clip(self.planes * _EXPOSURE, 0.0, 4.0)
    # A film-like shoulder keeps highlights from clipping to flat white.
    value = value * (1.0 + 0.16 * value) / (1.0 + 0.3 * value * value)
    value = np.sqrt(value) * 255.0
    value += noise[np.ix_(rows, columns)] * grain
    np.clip(value, 0.0, 255.0, out=value)
    out[...] = np.moveaxis(value, 0, -1)
    return out
