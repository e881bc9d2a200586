"""What a procedural picture shows, as plain numbers, and how those numbers are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np

Colour = tuple[float, float, float]

OCCLUDERS = ('none', 'glasses', 'sunglasses', 'hand', 'microphone', 'bar', 'cap')

# Beyond these angles the far eye and mouth corner leave the visible surface and five landmarks
# no longer exist in the picture.
MAX_YAW, MAX_PITCH, MAX_ROLL = 60.0, 35.0, 45.0


def _require(name: str, value: float, low: float, high: float) -> None:
  if not low <= value <= high:
    raise ValueError(f'{name}={value!r} is out of range: give a number from {low:g} to {high:g}.')


@dataclasses.dataclass(frozen=True)
class Expression:
  """State of the movable parts.

  Attributes:
    mouth_open: 0 (closed) to 1 (wide open).
    smile: -1 (corners down) to 1 (broad smile).
    brow_raise: -1 (frown) to 1 (raised).
    eye_open: 0 (closed) to 1.2 (wide), 1 is relaxed.
    gaze: where the eyes turn in the head, each -1 to 1: right in the picture, down.
  """

  mouth_open: float = 0.0
  smile: float = 0.0
  brow_raise: float = 0.0
  eye_open: float = 1.0
  gaze: tuple[float, float] = (0.0, 0.0)

  def __post_init__(self) -> None:
    _require('mouth_open', self.mouth_open, 0.0, 1.0)
    _require('smile', self.smile, -1.0, 1.0)
    _require('brow_raise', self.brow_raise, -1.0, 1.0)
    _require('eye_open', self.eye_open, 0.0, 1.2)
    for axis, value in zip('xy', self.gaze, strict=True):
      _require(f'gaze {axis}', value, -1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Light:
  """One distant lamp and an even fill light.

  Attributes:
    azimuth: degrees, positive when the lamp stands on the right of the picture.
    elevation: degrees above the eye line.
    intensity: of the lamp, 0 to 2.
    ambient: of the fill light, 0 to 1.
    temperature: -1 (cold, blue) to 1 (warm, orange).
  """

  azimuth: float = -25.0
  elevation: float = 30.0
  intensity: float = 0.8
  ambient: float = 0.35
  temperature: float = 0.0

  def __post_init__(self) -> None:
    _require('azimuth', self.azimuth, -90.0, 90.0)
    _require('elevation', self.elevation, -90.0, 90.0)
    _require('intensity', self.intensity, 0.0, 2.0)
    _require('ambient', self.ambient, 0.0, 1.0)
    _require('temperature', self.temperature, -1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Occluder:
  """A thing worn on or held before the face.

  Attributes:
    kind: one of `OCCLUDERS`.
    centre: (x, y) in crop sides; read for 'hand', 'microphone' and 'bar'.
    angle: degrees in the picture; read for the same three.
    scale: size relative to the usual, 0.5 to 2.
    colour: sRGB in [0, 1]; a hand takes the colour of the face instead.
  """

  kind: str = 'none'
  centre: tuple[float, float] = (0.5, 0.72)
  angle: float = 0.0
  scale: float = 1.0
  colour: Colour = (0.08, 0.08, 0.09)

  def __post_init__(self) -> None:
    if self.kind not in OCCLUDERS:
      raise ValueError(f'Unknown occluder {self.kind!r}; choose one of {OCCLUDERS}.')
    _require('occluder scale', self.scale, 0.5, 2.0)


@dataclasses.dataclass(frozen=True)
class Background:
  """What is behind the person.

  Attributes:
    top: sRGB in [0, 1] of the upper edge.
    bottom: sRGB in [0, 1] of the lower edge.
    texture_seed: picks blurred blobs and edges; also the picture noise.
    texture: strength of those, 0 to 1.
    clothes: sRGB in [0, 1] of what the person wears.
  """

  top: Colour = (0.55, 0.58, 0.62)
  bottom: Colour = (0.42, 0.43, 0.45)
  texture_seed: int = 0
  texture: float = 0.4
  clothes: Colour = (0.2, 0.24, 0.33)

  def __post_init__(self) -> None:
    _require('texture', self.texture, 0.0, 1.0)
    if self.texture_seed < 0:
      raise ValueError(f'texture_seed={self.texture_seed} is negative: give 0 or more.')


@dataclasses.dataclass(frozen=True)
class FaceParameters:
  """Everything that `render` needs; the default is a neutral, frontal, evenly lit face.

  Attributes:
    identity: fixes proportions, skin, hair, brows, eyes, nose and mouth; 0 or more.
    yaw: degrees, positive turns the face to the right of the picture; at most 60 either way.
    pitch: degrees, positive turns the face up; at most 35 either way.
    roll: degrees, positive turns the picture of the head clockwise; at most 45 either way.
    expression: movable parts.
    light: lamp and fill light.
    occluder: what covers the face.
    background: what is behind the person, and the clothes.
  """

  identity: int
  yaw: float = 0.0
  pitch: float = 0.0
  roll: float = 0.0
  expression: Expression = Expression()
  light: Light = Light()
  occluder: Occluder = Occluder()
  background: Background = Background()

  def __post_init__(self) -> None:
    if self.identity < 0:
      raise ValueError(f'identity={self.identity} is negative: give 0 or more.')
    _require('yaw', self.yaw, -MAX_YAW, MAX_YAW)
    _require('pitch', self.pitch, -MAX_PITCH, MAX_PITCH)
    _require('roll', self.roll, -MAX_ROLL, MAX_ROLL)


def check_draw(seed: int, index: int, identities: int) -> None:
  """Raises ValueError unless a picture or clip can be drawn from these numbers."""
  if seed < 0:
    raise ValueError(f'seed={seed} is negative: give 0 or more.')
  if index < 0:
    raise ValueError(f'index={index} is negative: pictures are numbered from 0.')
  if identities < 1:
    raise ValueError(f'identities={identities} leaves nobody to draw: give 1 or more.')


def generator(*key: int) -> np.random.Generator:
  """A counter-based stream that depends on `key` (integers >= 0) alone."""
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _bell(rng: np.random.Generator, spread: float, limit: float) -> float:
  """A normal draw of mean 0 and deviation `spread`, cut at +-`limit`."""
  return float(min(max(rng.normal(0.0, spread), -limit), limit))


def _expression(rng: np.random.Generator, yaw: float, pitch: float) -> Expression:
  smile = float(min(max(rng.normal(0.25, 0.4), -0.5), 1.0))
  talking = rng.random() < 0.2
  mouth = rng.uniform(0.2, 0.7) if talking else max(0.0, 0.35 * smile * rng.random() - 0.02)
  # People mostly look into the camera, so the eyes turn back against the head.
  gaze_x = min(max(-yaw / 35 + _bell(rng, 0.15, 0.4), -1.0), 1.0)
  gaze_y = min(max(pitch / 40 + _bell(rng, 0.12, 0.3), -1.0), 1.0)
  eye_open = 0.08 if rng.random() < 0.02 else rng.uniform(0.75, 1.12)
  return Expression(mouth, smile, _bell(rng, 0.35, 1.0), eye_open, (gaze_x, gaze_y))


def _occluder(rng: np.random.Generator) -> Occluder:
  share = rng.random()
  colour = tuple(float(v) for v in rng.uniform(0.03, 0.5, 3) ** 1.5)
  centre = (float(rng.uniform(0.32, 0.68)), float(rng.uniform(0.64, 0.82)))
  angle = float(rng.uniform(-40, 40))
  scale = float(rng.uniform(0.85, 1.15))
  kinds = ('glasses', 'sunglasses', 'hand', 'microphone', 'bar', 'cap')
  ends = (0.09, 0.12, 0.14, 0.16, 0.175, 0.21)
  kind = next((k for k, end in zip(kinds, ends, strict=True) if share < end), 'none')
  return Occluder(kind, centre, angle, scale, (colour[0], colour[1], colour[2]))


def _background(rng: np.random.Generator) -> Background:
  grey = rng.uniform(0.08, 0.9)
  tint = rng.normal(0.0, 0.09, 3)
  top = np.clip(grey + tint, 0.02, 0.98)
  bottom = np.clip(top * rng.uniform(0.5, 1.15) + rng.normal(0.0, 0.04, 3), 0.02, 0.98)
  cloth = np.clip(rng.uniform(0.03, 0.8) + rng.normal(0.0, 0.12, 3), 0.02, 0.95)
  colours = [(float(c[0]), float(c[1]), float(c[2])) for c in (top, bottom, cloth)]
  seed = int(rng.integers(1 << 31))
  return Background(colours[0], colours[1], seed, float(rng.uniform(0.15, 1.0)), colours[2])


def sample_parameters(seed: int, index: int, identities: int = 64) -> FaceParameters:
  """Draws picture `index` of the endless collection `seed`.

  About four in five pictures have no occluder. Yaw spreads by 15 degrees, pitch by 6, roll (what
  is left of it in an eye-level crop) by 3.

  Args:
    seed: names the collection, 0 or more.
    index: number of the picture, 0 or more.
    identities: identities are drawn evenly from 0 to `identities` - 1.

  Returns:
    The same parameters for the same arguments, in any process and any order.

  Raises:
    ValueError: a negative seed or index, or no identities.
  """
  check_draw(seed, index, identities)
  rng = generator(seed, index)
  identity = int(rng.integers(identities))
  yaw, pitch, roll = _bell(rng, 15.0, 45.0), _bell(rng, 6.0, 18.0), _bell(rng, 3.0, 10.0)
  light = Light(
    azimuth=_bell(rng, 32.0, 70.0),
    elevation=float(rng.uniform(5.0, 55.0)),
    intensity=float(rng.uniform(0.55, 1.05)),
    ambient=float(rng.uniform(0.22, 0.5)),
    temperature=_bell(rng, 0.4, 1.0),
  )
  expression = _expression(rng, yaw, pitch)
  return FaceParameters(
    identity, yaw, pitch, roll, expression, light, _occluder(rng), _background(rng)
  )
