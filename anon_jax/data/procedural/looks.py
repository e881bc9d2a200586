"""The lasting looks of a procedural identity: proportions, colours and hair style."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from anon_jax.data.procedural.parameters import Colour, generator

# Keeps identity streams apart from picture streams of the same numbers.
_IDENTITY_STREAM = 0x1D5

HAIR_STYLES = ('bald', 'buzz', 'short', 'parted', 'fringe', 'bob', 'long', 'wavy', 'afro', 'tied')

# sRGB, light to dark.
_SKIN: tuple[Colour, ...] = (
  (0.97, 0.84, 0.77),
  (0.94, 0.78, 0.67),
  (0.88, 0.69, 0.55),
  (0.78, 0.57, 0.42),
  (0.64, 0.44, 0.31),
  (0.47, 0.31, 0.22),
  (0.33, 0.21, 0.16),
)
_HAIR: tuple[Colour, ...] = (
  (0.06, 0.05, 0.05),
  (0.15, 0.10, 0.07),
  (0.28, 0.18, 0.11),
  (0.42, 0.22, 0.12),
  (0.56, 0.40, 0.22),
  (0.80, 0.66, 0.42),
  (0.62, 0.61, 0.60),
)
_IRIS: tuple[Colour, ...] = (
  (0.16, 0.09, 0.05),
  (0.30, 0.18, 0.09),
  (0.36, 0.33, 0.18),
  (0.33, 0.43, 0.33),
  (0.36, 0.48, 0.60),
)


@dataclasses.dataclass(frozen=True)
class Looks:
  """Lengths are in scene units, in head coordinates (x right, y down, z to the viewer).

  Attributes are what their names say; those in [0, 1] are strengths.
  """

  half_width: float
  half_depth: float
  crown: float
  chin: float
  jaw_power: float
  jaw_taper: float
  eye_x: float
  eye_y: float
  eye_size: float
  eye_height: float
  eye_tilt: float
  brow_y: float
  brow_arch: float
  brow_slope: float
  brow_thickness: float
  brow_density: float
  nose_tip: float
  nose_height: float
  nose_width: float
  nose_bridge: float
  mouth_y: float
  mouth_width: float
  upper_lip: float
  lower_lip: float
  cheek: float
  age: float
  beard: float
  make_up: float
  freckles: float
  ear: float
  neck: float
  asymmetry: float
  skin: Colour
  lips: Colour
  hair: Colour
  iris: Colour
  hair_style: str
  hair_volume: float
  hairline: float
  parting: float
  texture_seed: int


def _between(colours: tuple[Colour, ...], place: float) -> np.ndarray:
  """Colour at `place` in [0, 1] along a palette."""
  position = place * (len(colours) - 1)
  first = min(int(position), len(colours) - 2)
  share = position - first
  return (1 - share) * np.asarray(colours[first]) + share * np.asarray(colours[first + 1])


def _colour(values: np.ndarray) -> Colour:
  red, green, blue = np.clip(values, 0.01, 0.99)
  return float(red), float(green), float(blue)


def _hair_style(rng: np.random.Generator, feminine: bool, dark: bool) -> str:
  if feminine:
    names: tuple[str, ...] = ('short', 'parted', 'fringe', 'bob', 'long', 'wavy', 'afro', 'tied')
    odds = np.array([0.4, 0.5, 1.2, 1.8, 2.4, 2.2, 1.6 if dark else 0.5, 1.4])
  else:
    names = ('bald', 'buzz', 'short', 'parted', 'fringe', 'wavy', 'afro')
    odds = np.array([0.7, 1.4, 2.6, 2.6, 1.2, 0.5, 0.9 if dark else 0.2])
  return str(rng.choice(names, p=odds / odds.sum()))


@functools.lru_cache(maxsize=1024)
def looks_of(identity: int) -> Looks:
  """The looks of `identity` (0 or more): equal for equal numbers, in any process."""
  rng = generator(_IDENTITY_STREAM, identity)
  uniform = rng.uniform
  feminine = bool(rng.random() < 0.5)
  age = float(rng.beta(1.3, 2.0))
  tone = float(rng.random() ** 1.2)
  skin = _between(_SKIN, tone) * (1 + rng.normal(0, 0.02, 3))
  dark = tone > 0.55
  grey = age > 0.65 and rng.random() < 0.7
  shade = 1.0 if grey else rng.random() * (0.3 if dark else 0.83)
  hair = _between(_HAIR, shade) * uniform(0.85, 1.1)
  iris = _between(_IRIS, float(rng.random() * (0.3 if dark else 1.0)))
  rouge = np.array((0.72, 0.22, 0.26)) if feminine else np.array((0.70, 0.36, 0.34))
  make_up = float(uniform(0.1, 1.0)) if feminine else 0.0
  lips = (
    skin * (0.86, 0.54, 0.54) * (1 - 0.4 * make_up)
    + rouge * (0.3 + 0.5 * skin.mean()) * make_up * 0.6
  )
  eye_x = uniform(0.087, 0.1)
  return Looks(
    half_width=uniform(0.186, 0.206) if feminine else uniform(0.196, 0.22),
    half_depth=uniform(0.225, 0.25),
    crown=uniform(0.315, 0.34),
    chin=uniform(0.285, 0.31) if feminine else uniform(0.295, 0.325),
    jaw_power=uniform(1.95, 2.4) if feminine else uniform(2.1, 2.75),
    jaw_taper=uniform(0.08, 0.2) if feminine else uniform(0.03, 0.16),
    eye_x=eye_x,
    eye_y=uniform(-0.042, -0.028),
    eye_size=uniform(0.042, 0.048),
    eye_height=uniform(0.0165, 0.0215) if feminine else uniform(0.0145, 0.0195),
    eye_tilt=uniform(-0.16, 0.06),
    brow_y=uniform(-0.1, -0.086) if feminine else uniform(-0.092, -0.08),
    brow_arch=uniform(0.006, 0.022),
    brow_slope=uniform(-0.004, 0.012),
    brow_thickness=uniform(0.0065, 0.011) if feminine else uniform(0.009, 0.0155),
    brow_density=uniform(0.6, 0.95),
    nose_tip=uniform(0.066, 0.086),
    nose_height=uniform(0.042, 0.058) if feminine else uniform(0.048, 0.068),
    nose_width=uniform(0.041, 0.054) if feminine else uniform(0.046, 0.062),
    nose_bridge=uniform(0.015, 0.024),
    mouth_y=uniform(0.143, 0.163),
    mouth_width=uniform(0.076, 0.096),
    upper_lip=uniform(0.016, 0.026) * (1 - 0.25 * age),
    lower_lip=uniform(0.022, 0.034) * (1 - 0.2 * age),
    cheek=uniform(0.0, 1.0),
    age=age,
    beard=0.0 if feminine else float(max(0.0, uniform(-0.5, 1.0))),
    make_up=make_up,
    freckles=float(max(0.0, uniform(-1.5, 1.0))) * (1.0 - tone),
    ear=uniform(0.85, 1.2),
    neck=uniform(0.1, 0.118) if feminine else uniform(0.12, 0.15),
    asymmetry=float(rng.normal(0.0, 0.012)),
    skin=_colour(skin),
    lips=_colour(lips),
    hair=_colour(hair),
    iris=_colour(iris),
    hair_style=_hair_style(rng, feminine, dark),
    hair_volume=uniform(0.012, 0.042),
    hairline=uniform(-0.225, -0.185) - (0.0 if feminine else 0.04 * age),
    parting=uniform(-0.13, 0.13),
    texture_seed=int(rng.integers(1 << 30)),
  )
