"""How ImageNet networks want their input: the two published preprocessings, and the input check."""

import jax
import jax.numpy as jnp
import numpy as np

# torchvision's reference preprocessing, for RGB in [0, 1].
RGB_MEAN = (0.485, 0.456, 0.406)
RGB_STD = (0.229, 0.224, 0.225)
# The "caffe" convention of Keras: BGR in [0, 255] minus the mean pixel, no division.
BGR_MEAN = (103.939, 116.779, 123.68)

# The names under which weight files record their preprocessing.
PREPROCESSING = ('imagenet_rgb_mean_std', 'caffe_bgr')


def preprocess(images: jax.Array, kind: str) -> jax.Array:
  """Turns images [b, h, w, 3], RGB in [-1, 1], into the float32 input of an ImageNet network.

  Args:
    images: RGB in [-1, 1], height and width at least 32.
    kind: one of `PREPROCESSING`.

  Raises:
    ValueError: another rank, another number of channels, a side below 32, or an unknown kind.
  """
  if images.ndim != 4 or images.shape[-1] != 3 or min(images.shape[1:3]) < 32:
    raise ValueError(
      f'Images have shape {images.shape}; expected [b, h, w, 3] with h and w at least 32.'
    )
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(f'Images are {images.dtype}; expected floats in [-1, 1].')
  x = images.astype(jnp.float32)
  if kind == 'imagenet_rgb_mean_std':
    # ((x + 1) / 2 - mean) / std, folded into one multiplication and one addition
    mean, std = np.asarray(RGB_MEAN), np.asarray(RGB_STD)
    scale, shift = 0.5 / std, (0.5 - mean) / std
  elif kind == 'caffe_bgr':
    x = x[..., ::-1]
    scale, shift = np.full(3, 127.5), 127.5 - np.asarray(BGR_MEAN)
  else:
    raise ValueError(f'Unknown preprocessing {kind!r}; choose one of {list(PREPROCESSING)}.')
  return x * _per_channel(scale) + _per_channel(shift)


def _per_channel(values: np.ndarray) -> np.ndarray:
  return values.astype(np.float32).reshape(1, 1, 1, 3)
