"""How strongly a frozen network's taps respond, measured without any data set.

A perceptual loss weighs its taps by the inverse of their usual magnitude. Weights that were not
measured on real crops here (those a user converts) are measured on noise whose spectrum falls
with frequency as that of photographs does.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

# Amplitude ~ frequency^-1.6, and channels that mostly move together. With the Keras weights of
# SqueezeNet at 128 px such noise gives the taps 1.13, 1.00, 0.96, 0.43 and 0.65 of the magnitude
# that real face crops give (plain 1/f noise: 2.05, 1.43, 1.18, 0.50, 0.46).
_SLOPE = 1.6
_GREY, _COLOUR = 0.9, 0.43


def photo_like_noise(count: int, side: int, seed: int) -> np.ndarray:
  """Returns float32 noise images [count, side, side, 3] in [-1, 1], the same for the same seed."""
  rng = np.random.default_rng(seed)
  rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
  amplitude = np.maximum(np.hypot(rows, columns), 1 / side) ** -_SLOPE
  white = rng.standard_normal((count, 3, side, side))
  noise = np.fft.irfft2(amplitude * np.fft.rfft2(white), s=(side, side))
  noise /= noise.std(axis=(2, 3), keepdims=True)
  mixed = _GREY * noise[:, :1] + _COLOUR * noise
  return np.clip(mixed / 2, -1, 1).transpose(0, 2, 3, 1).astype(np.float32)


def tap_magnitudes(module: nn.Module, params: Any) -> tuple[float, ...]:
  """Returns the mean absolute activation of each tap over 16 noise images of 128 px."""

  @jax.jit
  def means(params: Any, images: jax.Array) -> list[jax.Array]:
    taps: Any = module.apply({'params': params}, images)
    return [jnp.mean(jnp.abs(tap)) for tap in taps]

  return tuple(float(mean) for mean in means(params, photo_like_noise(16, 128, seed=0)))
