"""Colour, blur and occluders for S: pure functions of a key, pictures and semantic maps.

They run on the device, inside the step: what they do depends on the key alone, not on how the
batch is split.
"""

import jax
import jax.numpy as jnp
import numpy as np

_TEXTURE = 4  # side of the coarse random texture of an occluder
_BLUR_PIXELS = 1.5  # widest blur, in pixels of the crop
_REACH = 3
_EXACT = jax.lax.Precision.HIGHEST


def augment(
  key: jax.Array, images: jax.Array, maps: jax.Array, colour: float, occluded: float
) -> tuple[jax.Array, jax.Array]:
  """Covers pictures in part, then changes their colours and blurs some.

  Args:
    key: a random key.
    images: float32 [b, s, s, 3] in [-1, 1].
    maps: integers [b, s, s], classes or IGNORE.
    colour: strength in [0, 1], see `change_colours`.
    occluded: share of pictures that are covered in part.

  Returns:
    Pictures in [-1, 1] and maps, of the shapes given.
  """
  cover_key, colour_key, blur_key = jax.random.split(key, 3)
  images, maps = cover(cover_key, images, maps, occluded)
  images = change_colours(colour_key, images, colour)
  return blur_some(blur_key, images, colour), maps


def change_colours(key: jax.Array, images: jax.Array, strength: float) -> jax.Array:
  """Changes brightness, contrast, saturation and tint; makes some pictures grey.

  Args:
    key: a random key.
    images: float32 [b, s, s, 3] in [-1, 1].
    strength: in [0, 1]; brightness moves by up to `strength`, contrast and saturation by up to a
      factor of 1 +- strength, each channel by up to half of it; strength / 2 of the pictures
      become grey.

  Returns:
    float32 [b, s, s, 3] in [-1, 1].
  """
  batch = images.shape[0]
  keys = jax.random.split(key, 5)

  def draw(index: int, channels: int, width: float) -> jax.Array:
    shape = (batch, 1, 1, channels)
    return jax.random.uniform(keys[index], shape, minval=-width, maxval=width)

  grey = images.mean(axis=-1, keepdims=True)
  made_grey = jax.random.bernoulli(keys[4], strength / 2, (batch, 1, 1, 1))
  saturation = jnp.where(made_grey, 0.0, 1 + draw(2, 1, strength))
  images = grey + (images - grey) * saturation
  tint = jnp.where(made_grey, 0.0, draw(3, 3, strength / 2))
  images = (images + tint) * (1 + draw(1, 1, strength)) + draw(0, 1, strength)
  return jnp.clip(images, -1.0, 1.0)


def blur_some(key: jax.Array, images: jax.Array, share: float) -> jax.Array:
  """Blurs a share of the pictures, each by a Gaussian of its own width of up to 1.5 pixels."""
  batch = images.shape[0]
  which, width = jax.random.split(key)
  sigma = jax.random.uniform(width, (batch,), minval=0.3, maxval=_BLUR_PIXELS)
  offsets = jnp.arange(-_REACH, _REACH + 1, dtype=jnp.float32)
  kernel = jnp.exp(-0.5 * (offsets[None, :] / sigma[:, None]) ** 2)
  centre = jnp.where(offsets == 0, 1.0, 0.0)[None, :]
  blurred = jax.random.bernoulli(which, share, (batch, 1))
  kernel = jnp.where(blurred, kernel / kernel.sum(axis=1, keepdims=True), centre)
  rows, columns = (_bands(kernel, side) for side in images.shape[1:3])
  images = jnp.einsum('bih,bhwc->biwc', rows, images, precision=_EXACT)
  return jnp.einsum('bjw,bhwc->bhjc', columns, images, precision=_EXACT)


def _bands(kernel: jax.Array, size: int) -> jax.Array:
  """Turns kernels [b, 2 reach + 1] into matrices [b, size, size]; the border's values go on."""
  seen = np.arange(size)[None, :] + np.arange(-_REACH, _REACH + 1)[:, None]  # [offset, place]
  places = np.eye(size, dtype=np.float32)[np.clip(seen, 0, size - 1)]
  return jnp.einsum('bo,oij->bij', kernel, places, precision=_EXACT)


def cover(
  key: jax.Array, images: jax.Array, maps: jax.Array, share: float
) -> tuple[jax.Array, jax.Array]:
  """Pastes an ellipse or a bar of a smooth random texture over a share of the pictures.

  What it covers becomes background: things in front of a face are not the person. Unlabelled
  pixels stay unlabelled.

  Args:
    key: a random key.
    images: float32 [b, s, s, 3] in [-1, 1].
    maps: integers [b, s, s].
    share: of the pictures.

  Returns:
    Pictures and maps of the shapes given.
  """
  batch, side = maps.shape[:2]
  keys = jax.random.split(key, 6)
  covered = _shapes(keys[0], batch, side)
  chosen = jax.random.bernoulli(keys[1], share, (batch, 1, 1))
  covered &= chosen
  base = jax.random.uniform(keys[2], (batch, 1, 1, 3), minval=-1.0, maxval=1.0)
  coarse = jax.random.normal(keys[3], (batch, _TEXTURE, _TEXTURE, 3))
  texture = jax.image.resize(coarse, images.shape, 'bilinear')
  rough = jax.random.uniform(keys[4], (batch, 1, 1, 1), maxval=0.5)
  fine = 0.1 * jax.random.normal(keys[5], (*images.shape[:3], 1))
  thing = jnp.clip(base + rough * (texture + fine), -1.0, 1.0)
  # IGNORE is the largest value that a map holds
  label = jnp.where(covered & (maps < 255), 0, maps).astype(maps.dtype)
  return jnp.where(covered[..., None], thing, images), label


def _shapes(key: jax.Array, batch: int, side: int) -> jax.Array:
  """Draws one shape a picture, bool [b, s, s]: a turned ellipse, or a turned rectangle."""
  keys = jax.random.split(key, 4)
  centre = jax.random.uniform(keys[0], (batch, 2), minval=0.1, maxval=0.9)
  radius = jax.random.uniform(keys[1], (batch, 2), minval=0.06, maxval=0.3)
  angle = jax.random.uniform(keys[2], (batch,), maxval=jnp.pi)[:, None, None]
  round_one = jax.random.bernoulli(keys[3], 0.5, (batch, 1, 1))
  at = (jnp.arange(side) + 0.5) / side
  x = at[None, None, :] - centre[:, 0][:, None, None]
  y = at[None, :, None] - centre[:, 1][:, None, None]
  along = jnp.abs(x * jnp.cos(angle) + y * jnp.sin(angle)) / radius[:, 0][:, None, None]
  across = jnp.abs(y * jnp.cos(angle) - x * jnp.sin(angle)) / radius[:, 1][:, None, None]
  inside = jnp.where(round_one, along**2 + across**2, jnp.maximum(along, across))
  return inside < 1
