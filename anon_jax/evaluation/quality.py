"""L1, PSNR and SSIM inside the foreground, one number a picture."""

import jax
import jax.numpy as jnp

from anon_jax import proxy

_SSIM_SIGMA = 1.5  # Wang et al. 2004: Gaussian window, K1 = .01, K2 = .03
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2


def _unit(images: jax.Array) -> jax.Array:
  """[-1, 1] -> [0, 1]."""
  return (images.astype(jnp.float32) + 1) / 2


def _foreground_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Means [b, h, w, c] over pixels of the mask [b, h, w, 1] and channels: [b]."""
  total = jnp.sum(values * mask, axis=(1, 2, 3))
  count = jnp.sum(mask, axis=(1, 2, 3)) * values.shape[-1]
  return total / jnp.maximum(count, 1.0)


def foreground_l1(target: jax.Array, output: jax.Array, mask: jax.Array) -> jax.Array:
  """Mean absolute difference inside the mask, as a share of the full range.

  Args:
    target: [b, h, w, 3] in [-1, 1].
    output: the same.
    mask: [b, h, w, 1] of zeros and ones.

  Returns:
    float32 [b] in [0, 1].
  """
  return _foreground_mean(jnp.abs(_unit(target) - _unit(output)), mask)


def foreground_psnr(target: jax.Array, output: jax.Array, mask: jax.Array) -> jax.Array:
  """Peak signal-to-noise ratio inside the mask, dB, float32 [b]; 100 for equal pictures."""
  error = _foreground_mean(jnp.square(_unit(target) - _unit(output)), mask)
  return -10.0 * jnp.log10(jnp.maximum(error, 1e-10))


def foreground_ssim(target: jax.Array, output: jax.Array, mask: jax.Array) -> jax.Array:
  """Structural similarity (Wang et al. 2004), its map averaged inside the mask.

  Per channel, Gaussian window of sigma 1.5 normalised at the borders, range 1, population
  variances.

  Returns:
    float32 [b] in [-1, 1].
  """
  x, y = _unit(target), _unit(output)
  mean_x, mean_y = proxy.blur(x, _SSIM_SIGMA), proxy.blur(y, _SSIM_SIGMA)
  var_x = proxy.blur(x * x, _SSIM_SIGMA) - mean_x**2
  var_y = proxy.blur(y * y, _SSIM_SIGMA) - mean_y**2
  covariance = proxy.blur(x * y, _SSIM_SIGMA) - mean_x * mean_y
  numerator = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
  denominator = (mean_x**2 + mean_y**2 + _SSIM_C1) * (var_x + var_y + _SSIM_C2)
  return _foreground_mean(numerator / denominator, mask)


METRICS = {'l1': foreground_l1, 'psnr': foreground_psnr, 'ssim': foreground_ssim}
