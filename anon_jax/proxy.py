"""The proxy task of HarmonizationNet (paper 3.2): recolour the foreground, ask for it back.

Pure functions of arrays and random keys, one for each example's position in its data set: what a
step sees depends on the seed alone.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.data import semantic

# YIQ: luma of BT.601 and two chroma axes, in whose plane hue is an angle.
_TO_YIQ = np.array(
  [
    [0.299, 0.587, 0.114],
    [0.595716, -0.274453, -0.321263],
    [0.211456, -0.522591, 0.311135],
  ],
  np.float32,
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ.astype(np.float64)).astype(np.float32)
_EXACT = jax.lax.Precision.HIGHEST  # keeps TF32 out of colour arithmetic
# Streams of randomness beside those of recolouring.
_SOFTEN, _NATURAL, _LIGHT, _GRAIN, _RIM = 7, 8, 9, 10, 11


class Likeness(NamedTuple):
  """How much a recoloured foreground is like a painted face; zeros leave it as the paper has it.

  Attributes:
    softness: blur of the softest foreground, as a share of the side, see `soften`.
    natural_share: how likely a picture is recoloured naturally, see `recolour`.
    rim: how far a foreground is grown, as a share of the side, see `grow`.
    grain: standard deviation of the coarsest grain, in the range [-1, 1], see `roughen`.
  """

  softness: float = 0.0
  natural_share: float = 0.0
  rim: float = 0.0
  grain: float = 0.0


AS_IN_THE_PAPER = Likeness()


class _Ranges(NamedTuple):
  """How far a foreground may be recoloured; `recolour` says how."""

  gamma: float
  gain: float
  turn: float
  saturation: tuple[float, float]
  contrast: float
  luma: tuple[float, float]
  light: float


_ANY_COLOUR = _Ranges(0.7, 0.5, np.pi, (0.0, 2.0), 0.5, (0.25, 0.75), 0.0)
# What another face in another light may look like.
_NATURAL_COLOUR = _Ranges(0.4, 0.1, 0.2, (0.6, 1.5), 0.3, (0.3, 0.7), 0.8)


def foreground_mask(maps: jax.Array) -> jax.Array:
  """Returns 1 where a map [..., h, w] shows the replaced classes, float32 [..., h, w, 1]."""
  member = functools.reduce(jnp.logical_or, [maps == c for c in semantic.FOREGROUND])
  return member[..., None].astype(jnp.float32)


def to_signed(images: jax.Array | np.ndarray) -> jax.Array:
  """Turns uint8 pictures into float32 in [-1, 1]."""
  return jnp.asarray(images).astype(jnp.float32) / 127.5 - 1


@functools.lru_cache(maxsize=32)
def blur_matrix(size: int, sigma: float) -> np.ndarray:
  """Returns the [size, size] float32 matrix whose product with a column is its Gaussian blur.

  Each row is a Gaussian of `sigma` pixels, cut at the border and normalised.
  """
  distance = np.arange(size)[:, None] - np.arange(size)[None, :]
  kernel = np.exp(-0.5 * (distance / sigma) ** 2)
  return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)


def blur(images: jax.Array, sigma: float) -> jax.Array:
  """Blurs [b, h, w, c] by a Gaussian of `sigma` pixels: two matrix products, exact at any sigma."""
  rows = blur_matrix(images.shape[1], sigma)
  columns = blur_matrix(images.shape[2], sigma)
  return jnp.einsum('ih,bhwc,jw->bijc', rows, images, columns, precision=_EXACT)


def appearance_condition(images: jax.Array, sigma_fraction: float) -> jax.Array:
  """Returns the heavily blurred originals (paper 3.2): light and skin tone without features.

  Args:
    images: float32 [b, h, w, 3] in [-1, 1].
    sigma_fraction: standard deviation as a share of the crop's side, of bodies of its height; .07
      is 9 px at 128.

  Returns:
    float32 [b, h, w, 3] in [-1, 1].
  """
  return blur(images, sigma_fraction * images.shape[1])


def recolour(
  key: jax.Array, image: jax.Array, foreground: jax.Array, natural_share: float = 0.0
) -> jax.Array:
  """Gives the foreground of one picture a random colouring that says nothing of the true one.

  In this order: gamma, a gain per channel, a rotation of hue by any angle with a change of
  saturation, contrast about the foreground's mean, and a brightness that puts the mean luma at a
  random place. The hue is turned fully and the mean is drawn afresh, so neither can be read back.
  Luma is cut to [0, 1]; a colour that then lies outside is paled, not clipped, so that the face's
  detail stays.

  A natural colouring keeps to what another face looks like: hue, saturation and gains change less,
  and light falls from a random side. H can trust its lips to be redder than its skin then.

  Args:
    key: one random key.
    image: float32 [h, w, 3] in [-1, 1].
    foreground: float32 [h, w, 1], 1 where the picture is recoloured.
    natural_share: how likely the colouring is a natural one, in [0, 1].

  Returns:
    float32 [h, w, 3] in [-1, 1]; outside the foreground the very same values as `image`.
  """
  keys, ranges = jax.random.split(key, 6), _ANY_COLOUR
  if natural_share:
    natural = jax.random.bernoulli(jax.random.fold_in(key, _NATURAL), natural_share)
    ranges = jax.tree.map(
      lambda mild, any_: jnp.where(natural, mild, any_), _NATURAL_COLOUR, _ANY_COLOUR
    )
  gamma = jnp.exp(_within(keys[0], (), ranges.gamma))
  gain = jnp.exp(_within(keys[1], (1, 1, 3), ranges.gain))
  angle = _within(keys[2], (), ranges.turn)
  saturation = _between(keys[3], ranges.saturation)
  contrast = jnp.exp(_within(keys[4], (), ranges.contrast))
  mean_luma = _between(keys[5], ranges.luma)

  colour = (image + 1) / 2
  # The floor keeps the power's derivative finite where a picture is black.
  colour = jnp.maximum(colour, 1e-4) ** gamma * gain
  if natural_share:
    colour *= _light(jax.random.fold_in(key, _LIGHT), image.shape[:2], ranges.light)
  yiq = jnp.einsum('hwc,dc->hwd', colour, _TO_YIQ, precision=_EXACT)
  luma, chroma = yiq[..., :1], yiq[..., 1:] * saturation
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
  chroma = jnp.einsum('hwc,dc->hwd', chroma, turn, precision=_EXACT)
  mean = jnp.sum(luma * foreground) / jnp.maximum(jnp.sum(foreground), 1.0)
  luma = jnp.clip((luma - mean) * contrast + mean_luma, 0.0, 1.0)
  colour = luma + _into_gamut(
    jnp.einsum('hwc,dc->hwd', chroma, _FROM_YIQ[:, 1:], precision=_EXACT), luma
  )
  return jnp.where(foreground > 0, colour * 2 - 1, image)


def _within(key: jax.Array, shape: tuple[int, ...], most: jax.Array | float) -> jax.Array:
  return jax.random.uniform(key, shape, minval=-most, maxval=most)


def _between(key: jax.Array, ends: tuple[jax.Array | float, jax.Array | float]) -> jax.Array:
  return jax.random.uniform(key, (), minval=ends[0], maxval=ends[1])


def _light(key: jax.Array, shape: tuple[int, ...], strength: jax.Array | float) -> jax.Array:
  """Returns gains [h, w, 1] that rise exponentially towards a random side, 1 in the middle."""
  slopes = _within(key, (2,), strength)
  rows, columns = (jnp.linspace(-0.5, 0.5, side) for side in shape)
  return jnp.exp(slopes[0] * rows[:, None] + slopes[1] * columns[None, :])[..., None]


def _into_gamut(chroma: jax.Array, luma: jax.Array) -> jax.Array:
  """Pales a pixel until it is a colour in [0, 1]; clipping would wipe out the face's detail."""
  room = jnp.where(chroma > 0, 1 - luma, luma)
  share = jnp.min(room / jnp.maximum(jnp.abs(chroma), 1e-6), axis=-1, keepdims=True)
  return chroma * jnp.minimum(share, 1.0)


def shrink(images: jax.Array, factor: int) -> jax.Array:
  """Averages [b, h, w, c] over squares of `factor` pixels; h and w are multiples of it."""
  if factor == 1:
    return images
  b, h, w, c = images.shape
  return images.reshape(b, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))


def soften(keys: jax.Array, images: jax.Array, mask: jax.Array, fraction: float) -> jax.Array:
  """Takes a random share of their detail from foregrounds, as a painted face lacks it.

  Args:
    keys: [b] random keys, one a picture.
    images: float32 [b, h, w, 3].
    mask: float32 [b, h, w, 1], 1 in the foreground; nothing else is read or changed.
    fraction: standard deviation of the blur that a share of 1 ends in, as a share of the side.

  Returns:
    float32 [b, h, w, 3].
  """
  sigma = fraction * images.shape[1]
  blurred = blur(images * mask, sigma) / jnp.maximum(blur(mask, sigma), 1e-3)
  share = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _SOFTEN)))(keys)
  share = share[:, None, None, None] * mask
  return images + share * (blurred - images)


def grow(
  keys: jax.Array, images: jax.Array, mask: jax.Array, width: int
) -> tuple[jax.Array, jax.Array]:
  """Grows foregrounds as what is replaced of a face is grown; the rim has their colour, no detail.

  Inside, over about as much again, a random share of the detail fades: a painted face does not end
  where the picture around it expects it to.

  Args:
    keys: [b] random keys, one a picture.
    images: float32 [b, h, w, 3].
    mask: float32 [b, h, w, 1] of zeros and ones.
    width: pixels, in all eight directions.

  Returns:
    float32 [b, h, w, 3] and the mask, grown.
  """
  window = (1, 2 * width + 1, 2 * width + 1, 1)
  wide = jax.lax.reduce_window(mask, -jnp.inf, jax.lax.max, window, (1,) * 4, 'SAME')
  inside = blur(mask, float(width))
  smooth = blur(images * mask, float(width)) / jnp.maximum(inside, 1e-3)
  share = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _RIM)))(keys)
  fading = jnp.clip(2 - 2 * inside, 0.0, 1.0) * share[:, None, None, None]
  weight = wide * jnp.where(mask > 0, fading, 1.0)
  return images + weight * (smooth - images), wide


def roughen(keys: jax.Array, images: jax.Array, mask: jax.Array, most: float) -> jax.Array:
  """Adds faint grey dots two pixels wide to foregrounds, as in painted skin: H is not to draw them.

  Args:
    keys: [b] random keys, one a picture.
    images: float32 [b, h, w, 3].
    mask: float32 [b, h, w, 1], 1 in the foreground.
    most: standard deviation of the coarsest picture's dots; others have a random share of it.

  Returns:
    float32 [b, h, w, 3].
  """
  shape = images.shape[1] // 2, images.shape[2] // 2, 1

  def draw(key: jax.Array) -> jax.Array:
    amount, dots = jax.random.split(jax.random.fold_in(key, _GRAIN))
    return jax.random.uniform(amount, maxval=most) * jax.random.normal(dots, shape)

  grain = jax.image.resize(jax.vmap(draw)(keys), mask.shape, 'cubic')
  return images + mask * grain


def make_example(
  keys: jax.Array,
  images: jax.Array,
  maps: jax.Array,
  sigma_fraction: float,
  upscale: int = 1,
  likeness: Likeness = AS_IN_THE_PAPER,
) -> dict[str, jax.Array]:
  """Builds the proxy task's inputs and target for a batch (paper 3.2, Fig. 2).

  Args:
    keys: [b] random keys, one a picture.
    images: float32 [b, s, s, 3] in [-1, 1], the target.
    maps: uint8 [b, s, s], semantic maps.
    sigma_fraction: blur of the appearance condition as a share of the side.
    upscale: how many times larger the target is than the inputs.
    likeness: of recoloured foregrounds to painted faces.

  Returns:
    `target` [b, s, s, 3], `mask` [b, s, s, 1]; and at s / upscale: `recoloured` [.., 3],
    `condition` [.., 3], `input_mask` [.., 1] (shares of covered pixels where upscale > 1).
  """
  mask = foreground_mask(maps)
  colour = functools.partial(recolour, natural_share=likeness.natural_share)
  recoloured = jax.vmap(colour)(keys, images, mask)
  if likeness.softness:
    recoloured = soften(keys, recoloured, mask, likeness.softness)
  if likeness.rim:
    width = max(1, round(likeness.rim * images.shape[1]))
    recoloured, mask = grow(keys, recoloured, mask, width)
  if likeness.grain:
    recoloured = roughen(keys, recoloured, mask, likeness.grain)
  return {
    'target': images,
    'mask': mask,
    'recoloured': shrink(recoloured, upscale),
    'condition': appearance_condition(shrink(images, upscale), sigma_fraction),
    'input_mask': shrink(mask, upscale),
  }
