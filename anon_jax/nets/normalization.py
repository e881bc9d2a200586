"""Instance and group norm in float32, with a gradient of two sums a channel.

What automatic differentiation makes of a norm reads the feature map many times; by hand it is
twice: two sums, then the gradient. benchmarks/results.md has the figures.
"""

import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets.sums import over_batch, over_pictures

EPSILON = 1e-5  # PyTorch's

_Kept: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def instance_norm(x: jax.Array) -> jax.Array:
  """Takes mean and standard deviation of each channel of each picture away; has no parameters.

  The variance is the exact one: E[x^2] - E[x]^2 is off by factors when a mean is far from zero.

  Args:
    x: [b, h, w, c].

  Returns:
    float32 [b, h, w, c].
  """
  channels = x.shape[-1]
  return _normalized(x.astype(jnp.float32), jnp.ones(channels), jnp.zeros(channels), channels)


class GroupNorm(nn.Module):
  """Group norm (Wu and He 2018): mean and variance over a picture and a group of channels.

  Parameters have the names of `flax.linen.GroupNorm`.

  Attributes:
    num_groups: a divisor of the number of channels.
  """

  num_groups: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, h, w, c] to float32 [b, h, w, c].

    Raises:
      ValueError: channels that cannot be divided into the groups.
    """
    channels = x.shape[-1]
    if channels % self.num_groups:
      raise ValueError(f'{channels} channels cannot be divided into {self.num_groups} groups.')
    scale = self.param('scale', nn.initializers.ones, (channels,))
    bias = self.param('bias', nn.initializers.zeros, (channels,))
    return _normalized(x.astype(jnp.float32), scale, bias, self.num_groups)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalized(x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int) -> jax.Array:
  return _forward(x, scale, bias, groups)[0]


def _forward(
  x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int
) -> tuple[jax.Array, _Kept]:
  scale, bias = scale[None, None, None], bias[None, None, None]
  mean = _group_means(over_pictures(x), groups, x)
  variance = _group_means(over_pictures(jnp.square(x - mean)), groups, x)
  inverse = jax.lax.rsqrt(variance + EPSILON)  # [b 1 1 c]
  return (x - mean) * (inverse * scale) + bias, (x, scale, mean, inverse)


def _backward(groups: int, kept: _Kept, gradient: jax.Array) -> tuple[jax.Array, ...]:
  x, scale, mean, inverse = kept
  by_bias = over_pictures(gradient)  # [b c]
  by_scale = over_pictures(gradient * (x - mean)) * inverse[:, 0, 0]
  shift = _group_means(by_bias * scale[:, 0, 0], groups, x)
  slope = _group_means(by_scale * scale[:, 0, 0], groups, x)
  by_x = inverse * (scale * gradient - shift - (x - mean) * (inverse * slope))
  return by_x, over_batch(by_scale), over_batch(by_bias)


_normalized.defvjp(_forward, _backward)


def _group_means(totals: jax.Array, groups: int, x: jax.Array) -> jax.Array:
  """Turns sums [b, c] over the pixels of x into means [b, 1, 1, c] over each channel's group."""
  batch, channels = totals.shape
  means = totals.reshape(batch, groups, -1).sum(axis=-1) / (
    x.shape[1] * x.shape[2] * (channels // groups)
  )
  return jnp.repeat(means, channels // groups, axis=1)[:, None, None]
