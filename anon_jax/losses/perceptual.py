"""Perceptual loss (Johnson et al. 2016; VGG_P in the paper's eq. 2) on a frozen network's taps."""

from typing import Any

import jax
import jax.numpy as jnp

from anon_jax.nets.perceptual import PerceptualNet


def perceptual_loss(net: PerceptualNet, params: Any, real: jax.Array, fake: jax.Array) -> jax.Array:
  """Weighted sum over taps of the mean absolute difference of features.

  The features of `real` are constants: gradients reach `fake` only.

  Args:
    net: a frozen feature network; its `tap_weights` weigh the taps.
    params: its parameters, from `anon_jax.nets.perceptual.load_perceptual`.
    real: original images [b, h, w, 3], RGB in [-1, 1], sides at least 32.
    fake: generated images of the same shape.

  Returns:
    A float32 scalar, 0 for equal images.

  Raises:
    ValueError: different shapes.
  """
  if real.shape != fake.shape:
    raise ValueError(f'The real image has shape {real.shape}, the generated one {fake.shape}.')
  real_taps = net.apply(params, jax.lax.stop_gradient(real))
  fake_taps = net.apply(params, fake)
  terms = [
    weight * jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))
    for weight, a, b in zip(net.tap_weights, real_taps, fake_taps, strict=True)
  ]
  return sum(terms[1:], start=terms[0])
