"""Drawn persons: limbs of one colour each, with body maps and joints. They serve the tests."""

from typing import Any

import numpy as np

from anon_jax.data import body_classes, body_crops, joints

_LEAST, _MOST = 16, 1024
_PEOPLE, _PICTURES = 1, 2  # streams of randomness beside each other
_CLASS = {name: body_classes.CLASSES.index(name) for name in body_classes.CLASSES}
# Of a person who fills a crop as `body_crops` has it, in heights of the crop, from its middle.
_SHOULDERS, _HIPS, _KNEES, _ANKLES = -0.26, 0.02, 0.22, 0.40
_HEAD = -0.355


class ProceduralBodies:
  """`length` drawn persons; element i depends on (seed, i, size, identities) alone.

  An identity has colours of skin, hair, clothes and trousers of its own; pose, place, light and
  background differ from picture to picture.

  Attributes:
    size: height of the pictures in pixels; their width is half of it.
    seed: names the collection.
    identities: number of people.
  """

  def __init__(self, length: int, size: int, seed: int = 0, identities: int = 64):
    """Describes the collection.

    Args:
      length: number of pictures, 1 or more.
      size: height in pixels, 16 to 1024.
      seed: names the collection, 0 or more.
      identities: number of people, 1 or more.

    Raises:
      ValueError: a number outside its range.
    """
    if length < 1 or identities < 1 or seed < 0 or not _LEAST <= size <= _MOST:
      raise ValueError(
        f'length={length}, size={size}, seed={seed}, identities={identities}; expected 1 or more, '
        f'{_LEAST} to {_MOST}, 0 or more, and 1 or more.'
      )
    self._length = length
    self.size, self.seed, self.identities = size, seed, identities

  def __len__(self) -> int:
    return self._length

  def __repr__(self) -> str:
    return (
      f'ProceduralBodies(length={self._length}, size={self.size}, seed={self.seed}, '
      f'identities={self.identities})'
    )

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Picture `index`.

    Returns:
      'image' uint8 [size, size / 2, 3], 'map' uint8 [size, size / 2] of `body_classes`, 'joints'
      float32 [18, 3] in pixels, 'identity' int32 scalar, 'name' str.

    Raises:
      IndexError: an index outside the collection.
    """
    index = int(index)
    if not 0 <= index < self._length:
      raise IndexError(f'index={index} is not in 0..{self._length - 1} of {self!r}.')
    identity = self._identity(index)
    rng = np.random.default_rng((self.seed, _PICTURES, index))
    places = _pose(rng)
    image, body_map = _draw(places, _colours(self.seed, identity), self.size, rng)
    seen = np.ones((joints.NUM_JOINTS, 1))
    return {
      'image': image,
      'map': body_map,
      'joints': np.concatenate([places * self.size, seen], axis=1).astype(np.float32),
      'identity': np.int32(identity),
      'name': f'procedural_body_{self.seed}_{index:07d}',
    }

  def has_joints(self) -> np.ndarray:
    """Tells of which persons joints are known, bool [length]: of all."""
    return np.ones(self._length, bool)

  def identity_labels(self) -> np.ndarray:
    """Returns the identity of each picture, int64 [length], drawing none."""
    return np.array([self._identity(index) for index in range(self._length)], np.int64)

  def _identity(self, index: int) -> int:
    """As many pictures of each, as far as that goes."""
    return index % self.identities


def _colours(seed: int, identity: int) -> dict[str, np.ndarray]:
  rng = np.random.default_rng((seed, _PEOPLE, identity))
  skin = np.array([1.0, 0.75, 0.6]) * rng.uniform(0.35, 1.0)
  hair = np.array([1.0, 0.7, 0.4]) * rng.uniform(0.05, 0.8)
  upper, lower = rng.uniform(0.05, 0.95, (2, 3))
  return {'skin': skin, 'hair': hair, 'upper': upper, 'lower': lower}


def _pose(rng: np.random.Generator) -> np.ndarray:
  """Places of the joints, [18, 2] of x and y in heights of the crop."""
  x, y = 0.25 + rng.uniform(-0.02, 0.02), 0.5
  found = {'nose': (x, y + _HEAD + 0.01), 'neck': (x, y + _SHOULDERS)}
  for side, sign in (('right', -1), ('left', 1)):  # the person's own right is on the left
    swing, bend, stride = rng.uniform(0.0, 0.9), rng.uniform(-0.3, 0.6), rng.uniform(0.0, 0.25)
    shoulder = (x + sign * 0.065, y + _SHOULDERS + 0.01)
    elbow = _from(shoulder, 0.13, sign * swing)
    hip = (x + sign * 0.035, y + _HIPS)
    knee = _from(hip, _KNEES - _HIPS, sign * stride)
    parts = {
      'shoulder': shoulder,
      'elbow': elbow,
      'wrist': _from(elbow, 0.12, sign * (swing - bend)),
      'hip': hip,
      'knee': knee,
      'ankle': _from(knee, _ANKLES - _KNEES, sign * stride * 0.3),
      'eye': (x + sign * 0.014, y + _HEAD - 0.008),
      'ear': (x + sign * 0.032, y + _HEAD),
    }
    found |= {f'{side}_{part}': place for part, place in parts.items()}
  return np.array([found[name] for name in joints.NAMES])


def _from(start: tuple[float, float], length: float, angle: float) -> tuple[float, float]:
  """The end of a limb that hangs down, turned outwards by an angle in radians."""
  return start[0] + length * float(np.sin(angle)), start[1] + length * float(np.cos(angle))


def _draw(
  places: np.ndarray, colours: dict[str, np.ndarray], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Paints parts over each other, the last in front."""
  joint = dict(zip(joints.NAMES, places, strict=True))
  rows, columns = np.mgrid[:size, : size // body_crops.ASPECT]
  at = np.stack([columns + 0.5, rows + 0.5], axis=-1) / size  # [h w 2]
  sky, ground = rng.uniform(0.2, 0.9, (2, 3))
  image = sky + (ground - sky) * at[..., 1:]
  body_map = np.zeros(image.shape[:2], np.uint8)
  hips = (joint['right_hip'] + joint['left_hip']) / 2
  middle = joint['neck'] + np.array([0.0, 0.03])
  head = joint['nose'] - np.array([0.0, 0.01])
  limbs = []
  for side in ('right', 'left'):
    own = {name.removeprefix(f'{side}_'): place for name, place in joint.items() if side in name}
    limbs += [
      ('lower', own['hip'], own['knee'], 0.034),
      ('lower', own['knee'], own['ankle'], 0.025),
    ]
    limbs += [('skin', own['elbow'], own['wrist'], 0.016)]
    limbs += [('upper', own['shoulder'], own['elbow'], 0.022)]
  limbs += [('skin', joint['neck'], head, 0.018), ('upper', middle, hips, 0.062)]
  limbs += [('skin', head, head, 0.036), ('hair', head - (0.0, 0.02), head - (0.0, 0.02), 0.03)]
  light = rng.uniform(0.7, 1.1)
  for part, start, end, radius in limbs:
    inside = _distance(at, start, end) < radius
    image[inside] = colours[part] * light
    body_map[inside] = _CLASS[part]
  return (np.clip(image, 0, 1) * 255).round().astype(np.uint8), body_map


def _distance(at: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
  """Distance of places [h, w, 2] from a straight line between two points, [h, w]."""
  along = end - start
  share = np.clip((at - start) @ along / max(float(along @ along), 1e-12), 0, 1)
  return np.linalg.norm(at - start - share[..., None] * along, axis=-1)
