"""Skin, brows, eyes, nose and mouth, painted on the surface of the head."""

from __future__ import annotations

import dataclasses

import numpy as np

from anon_jax.data.procedural.looks import Looks
from anon_jax.data.procedural.parameters import FaceParameters
from anon_jax.data.procedural.shading import linear, noise_at
from anon_jax.data.procedural.shape import Surface, bump, edge, hill, smoothstep

SKIN, BROWS, EYES, NOSE, MOUTH, HAIR, OTHER_SKIN = 1, 2, 3, 4, 5, 6, 7


@dataclasses.dataclass
class Face:
  """Colour of the face before light, and what its pixels are.

  Attributes:
    albedo: float32 [3, h, w], linear.
    classes: uint8 [h, w].
    shine: float32 [h, w], strength of the highlight.
    wet: float32 [h, w], catch lights added after shading.
  """

  albedo: np.ndarray
  classes: np.ndarray
  shine: np.ndarray
  wet: np.ndarray

  def lay(self, alpha: np.ndarray, colour: np.ndarray, label: int | None = None) -> None:
    """Paints `colour` with coverage `alpha`; more than half covered becomes `label`."""
    self.albedo += (colour - self.albedo) * alpha
    if label is not None:
      self.classes[alpha > 0.5] = label

  def darken(self, amount: np.ndarray) -> None:
    """Multiplies by 1 - `amount`, less for red than for blue, as shadows on skin do."""
    for plane, share in zip(self.albedo, (0.85, 1.0, 1.05), strict=True):
      plane *= np.maximum(1.0 - share * amount, 0.0)


def _skin(looks: Looks, x: np.ndarray, y: np.ndarray) -> Face:
  side = np.abs(x)
  seed = looks.texture_seed
  mottle = 0.045 * noise_at('soft', x, y, 1.3, seed) + 0.03 * noise_at('fine', x, y, 1.1, seed)
  albedo = np.empty((3, *x.shape), np.float32)
  flush = 0.6 * bump(side, y, (0.115, 0.07), (0.05, 0.045)) * (0.6 + 0.8 * looks.make_up)
  flush += 0.55 * bump(x, y, (0.0, looks.nose_tip), (0.05, 0.03))
  skin = linear(looks.skin)
  for k, (blotch, red) in enumerate(((0.8, 0.02), (1.1, -0.14), (1.2, -0.16))):
    albedo[k] = skin[k] * (1.0 + blotch * mottle + red * flush)
  face = Face(albedo, np.full(x.shape, SKIN, np.uint8), np.zeros_like(x), np.zeros_like(x))
  face.shine = 0.1 + 0.12 * bump(x, y, (0.0, 0.0), (0.07, 0.2)) + 0.03 * mottle
  if looks.freckles > 0.05:
    spots = np.clip(noise_at('fine', x, y, 1.4, seed + 7) - 0.9, 0.0, 1.0)
    face.darken(looks.freckles * 0.4 * spots * bump(x, y, (0.0, 0.04), (0.16, 0.07)))
  if looks.beard > 0.05:
    _beard(looks, face, x, y)
  return face


def _beard(looks: Looks, face: Face, x: np.ndarray, y: np.ndarray) -> None:
  side = np.abs(x)
  hairs = 0.75 + 0.3 * noise_at('fine', x, y, 2.3, looks.texture_seed + 3)
  # The beard ends along a line from the ear to the mouth corner and leaves the lower lip bare.
  border = 0.14 - 0.6 * np.maximum(side - 0.1, 0.0) + 0.01 * hairs
  cover = smoothstep(-0.02, 0.03, y - border)
  lip = looks.mouth_y - looks.upper_lip - 0.014
  moustache = hill(y - lip, 0.017) * smoothstep(0.1, 0.07, side)
  cover = np.maximum(cover, moustache)
  cover *= 1.0 - bump(x, y, (0.0, looks.mouth_y + 0.03), (0.05, 0.018))
  strength = min(looks.beard, 1.0) ** 1.3 * 0.85
  face.lay(np.clip(cover * hairs * strength, 0, 0.95), linear(looks.hair) * 0.8)
  face.shine *= 1.0 - 0.7 * cover * strength


def _brows(looks: Looks, parameters: FaceParameters, face: Face, x: np.ndarray, y: np.ndarray):
  side = np.abs(x)
  raise_ = parameters.expression.brow_raise
  u = (side - 0.036) * (1.0 / (looks.eye_x + 0.014))
  inner = np.clip(1.0 - u, 0.0, 1.0)
  middle = looks.brow_y - looks.brow_arch * 3.4 * u * (1.0 - u) * (0.5 + u)
  middle += looks.brow_slope * u - 0.014 * raise_ + 0.006 * min(raise_, 0.0) * -inner
  thick = looks.brow_thickness * (1.0 - 0.72 * np.clip(u, 0, 1) ** 2)
  strands = noise_at('strands', side + 0.9 * (y - middle), side * 0.3, 1.7, looks.texture_seed)
  distance = thick - np.abs(y - middle) + 0.0016 * strands
  ends = smoothstep(-0.04, 0.14, u) * smoothstep(1.04, 0.9, u)
  alpha = np.clip(distance * (1 / 0.006) + 0.35, 0.0, 1.0) * ends
  strength = np.clip(looks.brow_density + 0.1 * strands, 0.45, 1.0)
  face.lay(alpha * strength, linear(looks.hair) * 0.55)
  face.classes[alpha > 0.45] = BROWS


def _eyes(looks: Looks, parameters: FaceParameters, face: Face, x, y, pixel: float) -> None:
  state = parameters.expression
  side = np.abs(x)
  across = side - looks.eye_x
  s = across * (1.0 / looks.eye_size)
  round_ = 1.0 - s * s
  line = looks.eye_y + looks.eye_tilt * across
  # The upper lid is highest on the inner half, the lower lid lowest on the outer half.
  squint = 0.0022 * max(state.smile, 0.0)
  upper = line - looks.eye_height * state.eye_open * round_ * (1.0 - 0.18 * s)
  lower = line + (0.0125 - squint) * min(1.0, 0.4 + state.eye_open) * round_ * (1.0 + 0.2 * s)
  inside = edge(np.minimum(y - upper, lower - y), pixel)
  width = 1.0 - smoothstep(1.0, 1.22, np.abs(s))

  crease = hill(y - (upper - 0.0115), 0.006) * width
  face.darken(0.3 * crease + 0.22 * hill(y - (lower + 0.011), 0.008) * width * (0.4 + looks.age))
  if looks.make_up > 0.3:
    shadow = smoothstep(0.03, 0.0, upper - y) * (y < upper) * width
    face.darken(0.35 * looks.make_up * shadow)

  white = np.empty_like(face.albedo)
  shaded = (0.62 - 0.2 * s * s) * (1.0 - 0.5 * hill(y - upper, 0.012))
  white[0], white[1], white[2] = shaded, shaded * 0.93, shaded * 0.9
  right = np.sign(x)
  gaze_x, gaze_y = state.gaze
  dx = across - right * (0.017 * gaze_x) + 0.002
  dy = y - (looks.eye_y - 0.003 + 0.006 * gaze_y)
  radius = np.sqrt(dx * dx + dy * dy)
  ring = 1.0 - 0.55 * smoothstep(0.011, 0.0185, radius) + 0.25 * smoothstep(-0.01, 0.012, dy)
  iris = linear(looks.iris) * ring
  iris *= 1.0 - 0.5 * hill(y - upper, 0.012)
  white += (iris - white) * edge(0.0185 - radius, pixel * 1.3)
  white *= 1.0 - 0.97 * edge(0.0078 - radius, pixel * 1.2)
  face.lay(inside, white)
  face.classes[(inside > 0.5) & (width > 0)] = EYES
  face.shine *= 1.0 - inside

  lash = hill(y - upper + 0.001, 0.0052 + 0.002 * looks.make_up) * width
  lash = np.maximum(lash * (0.8 + 0.2 * looks.make_up), 0.4 * hill(y - lower, 0.0036) * width)
  face.lay(lash, linear((0.09, 0.06, 0.05)))
  corner = bump(across, y, (-looks.eye_size, looks.eye_y + 0.002), (0.006, 0.005))
  face.lay(0.4 * corner, linear(looks.lips))
  spot = np.square(across - right * 0.006 * np.sign(parameters.light.azimuth) + 0.002)
  spot += np.square(y - looks.eye_y + 0.008)
  face.wet += inside * np.maximum(1.0 - spot * (1 / 0.0055**2), 0.0)


def _nose(looks: Looks, face: Face, x: np.ndarray, y: np.ndarray, pixel: float) -> None:
  side = np.abs(x)
  top, tip, wing = looks.eye_y + 0.005, looks.nose_tip, looks.nose_width
  base = tip + 0.03
  along = np.clip((y - top) * (1.0 / (tip - top)), 0.0, 1.0)
  half = 0.014 + (wing + 0.003 - 0.014) * along * along
  bottom = base - 0.012 * np.square(side * (1.0 / wing))
  inside = np.minimum(np.minimum(half - side, bottom - y), y - top)
  face.classes[(inside > 0.0) & (face.classes == SKIN)] = NOSE
  nostril = bump(side, y, (wing * 0.46, tip + 0.0215), (0.0125, 0.0062))
  face.darken(np.minimum(0.95 * nostril, 0.9))
  groove = hill(side - wing - 0.002, 0.008) * bump(y, y, (tip + 0.006,) * 2, (0.018,) * 2)
  face.darken(0.3 * groove)
  face.shine += 0.22 * bump(x, y, (0.0, tip - 0.008), (0.018, 0.02))


def _mouth(looks: Looks, parameters: FaceParameters, face: Face, x, y, pixel: float) -> None:
  state = parameters.expression
  smile, gap = state.smile, state.mouth_open
  half = mouth_half_width(looks, parameters)
  s = x * (1.0 / half)
  curve = np.maximum(1.0 - s * s, 0.0)
  bow = np.sqrt(curve)
  middle = looks.mouth_y + 0.016 * smile * (0.45 - s * s)
  top_line = middle - 0.007 * gap * curve
  low_line = middle + 0.055 * gap * curve + 0.002 * smile * curve
  thin = 1.0 - 0.25 * max(smile, 0.0)
  cupid = 1.0 - 0.3 * np.exp(-np.square(s * (1 / 0.13)))
  top = top_line - looks.upper_lip * thin * (0.5 * bow + 0.5 * curve) * cupid
  bottom = low_line + looks.lower_lip * thin * (0.65 * bow + 0.35 * curve)
  # Beyond the corners both lips are the same line, which must not be painted.
  limit = (1.02 - np.abs(s)) * half
  alpha = edge(np.minimum(np.minimum(y - top, bottom - y), limit), pixel * 1.6)
  seam = hill(y - middle, 0.02) * smoothstep(1.12, 1.0, np.abs(s))

  wrinkles = 1.0 + 0.06 * noise_at('strands', x, y, 1.6, looks.texture_seed)
  lips = linear(looks.lips) * (wrinkles - 0.22 * (y < middle))
  face.lay(alpha * (0.8 + 0.2 * looks.make_up), lips)
  face.shine += alpha * (0.1 + 0.25 * looks.make_up)
  opening = edge(np.minimum(np.minimum(y - top_line, low_line - y), limit), pixel) * (gap > 0.0)
  dark = np.broadcast_to(linear((0.2, 0.07, 0.07)), face.albedo.shape).copy()
  teeth = edge(top_line + 0.005 + 0.021 * min(1.0, 3 * gap) * curve - y, pixel * 1.5)
  teeth *= smoothstep(0.9, 0.6, np.abs(s))
  tooth = 1.0 - 0.12 * np.square(np.cos(x * (np.pi / 0.021))) - 0.35 * s * s
  dark += (linear((0.84, 0.82, 0.77)) * tooth - dark) * teeth
  tongue = edge(y - (low_line - 0.02 * gap * curve), pixel * 4)
  dark += (linear((0.5, 0.2, 0.2)) - dark) * tongue * (1.0 - teeth)
  face.lay(opening, dark)
  face.shine *= 1.0 - opening
  line = hill(y - top_line, 0.0055) * smoothstep(1.08, 0.95, np.abs(s))
  face.darken(0.68 * line * (1.0 - 0.6 * opening))
  ends = bump(np.abs(x), y, (half, looks.mouth_y - 0.009 * smile), (0.010, 0.008))
  face.darken(0.4 * ends + 0.05 * seam)
  face.classes[alpha > 0.5] = MOUTH


def _folds(looks: Looks, parameters: FaceParameters, face: Face, x, y) -> None:
  smile = max(parameters.expression.smile, 0.0)
  side = np.abs(x)
  start, end = looks.nose_tip + 0.004, looks.mouth_y + 0.02
  along = np.clip((y - start) * (1.0 / (end - start)), 0.0, 1.0)
  fold = looks.nose_width + 0.008 + (0.042 + 0.012 * smile) * along
  strength = 0.06 + 0.2 * looks.age + 0.22 * smile
  span = smoothstep(-0.15, 0.15, y * 0 + along) * smoothstep(end + 0.02, end - 0.02, y)
  face.darken(strength * hill(side - fold, 0.014) * span * (y > start))
  if looks.age > 0.45:
    waves = 0.004 * np.cos(x * 28.0)
    for height in (-0.13, -0.15, -0.172):
      face.darken(0.16 * looks.age * hill(y - height - waves, 0.005) * (side < 0.11))


def mouth_half_width(looks: Looks, parameters: FaceParameters) -> float:
  """Half the width of the mouth in scene units: smiles widen it, opening narrows it."""
  state = parameters.expression
  return looks.mouth_width * (1.0 + 0.14 * state.smile - 0.12 * state.mouth_open)


def landmarks_on_face(looks: Looks, parameters: FaceParameters) -> np.ndarray:
  """Head (x, y) of eye, eye, nose tip, mouth corner, mouth corner; float64 [5, 2]."""
  half = mouth_half_width(looks, parameters) * 0.96
  corner = looks.mouth_y - 0.0088 * parameters.expression.smile
  eye = looks.eye_y - 0.001
  points = [(-looks.eye_x, eye), (looks.eye_x, eye), (0.0, looks.nose_tip)]
  points += [(-half, corner), (half, corner)]
  return np.array(points) - [[0.0, looks.asymmetry * x] for x, _ in points]


def paint_face(looks: Looks, parameters: FaceParameters, surface: Surface, pixel: float) -> Face:
  """Everything that lies in the surface of the head.

  Args:
    looks: of the identity.
    parameters: expression and light (for the catch lights).
    surface: what each pixel sees.
    pixel: width of a pixel in scene units.

  Returns:
    The unlit face, to be shaded and composited by its surface's coverage.
  """
  x, y = surface.x, surface.y + looks.asymmetry * surface.x
  face = _skin(looks, x, y)
  _folds(looks, parameters, face, x, y)
  _nose(looks, face, x, y, pixel)
  _mouth(looks, parameters, face, x, y, pixel)
  _brows(looks, parameters, face, x, y)
  _eyes(looks, parameters, face, x, y, pixel)
  # Seen from the side, the jaw ends in a shaded line below the ear and the neck begins.
  jaw = smoothstep(0.075, 0.005, surface.z - 0.15 * (y - 0.1)) * smoothstep(0.04, 0.12, y)
  face.darken(0.5 * jaw)
  face.classes[(surface.z < 0.0) | (jaw > 0.5)] = OTHER_SKIN
  return face
