"""Convolutions whose gradients are fast on a CPU; on accelerators they are JAX's own.

XLA's CPU backend computes the gradient by a kernel as a convolution over the input, of which it
writes out a row for each place in the kernel and channel: that takes most of the time where the
output has few channels. Over the gradient it writes out less, for the same products. What the input
and the gradient come from is not computed again for it. benchmarks/results.md has the figures.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets.sums import over_batch, over_pictures

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')

Pads = tuple[tuple[int, int], ...]


def convolve(
  x: jax.Array, kernel: jax.Array, stride: int = 1, padding: str | Pads = 'SAME'
) -> jax.Array:
  """Convolves [b, h, w, c] with [height, width, c, d] to [b, h', w', d]."""
  strides, size = (stride, stride), kernel.shape[:2]
  if jax.default_backend() == 'cpu' and stride == 1:
    if isinstance(padding, str):
      padding = tuple(jax.lax.padtype_to_pads(x.shape[1:3], size, strides, padding))
    return _conv(x, kernel, padding)
  return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT)


class Conv(nn.Module):
  """`flax.linen.Conv` over NHWC pictures with the gradients of this file.

  Attributes:
    features: channels out.
    kernel_size: height and width.
    strides: down and across alike.
    padding: as `flax.linen.Conv` takes it: a name, a number, or rows and columns by side.
    use_bias: adds a number to each channel.
    dtype: computation dtype; parameters stay float32.
    kernel_init: how the kernel starts.
  """

  features: int
  kernel_size: tuple[int, int]
  strides: int = 1
  padding: str | int | Pads = 'SAME'
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Any = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, h, w, c] to [b, h', w', features]."""
    shape = (*self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape).astype(self.dtype)
    padding = self.padding
    if isinstance(padding, int):
      padding = ((padding, padding), (padding, padding))
    x = convolve(x.astype(self.dtype), kernel, self.strides, padding)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
      x = _biased(x, bias.astype(self.dtype))
    return x


@jax.custom_vjp
def _biased(x: jax.Array, bias: jax.Array) -> jax.Array:
  return x + bias[None, None, None]


def _biased_forward(x: jax.Array, bias: jax.Array) -> tuple[jax.Array, None]:
  return x + bias[None, None, None], None


def _biased_backward(kept: None, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
  return gradient, over_batch(over_pictures(gradient.astype(jnp.float32))).astype(gradient.dtype)


_biased.defvjp(_biased_forward, _biased_backward)


def _forward(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=_LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
  return _forward(x, kernel, pads)


def _conv_forward(
  x: jax.Array, kernel: jax.Array, pads: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _forward(x, kernel, pads), (x, kernel)


def _conv_backward(
  pads: Pads, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  # Without the barrier XLA computes what x and the gradient come from once more, in the order of
  # the transposed copies that it makes here (`compiling` keeps the barrier up for as long).
  x, kernel, gradient = jax.lax.optimization_barrier((*kept, gradient))
  (by_x,) = jax.vjp(lambda x: _forward(x, kernel, pads), x)[1](gradient)
  if kernel.shape[2] > kernel.shape[3] and _overlaps(pads, kernel.shape[:2]):
    by_kernel = kernel_gradient(x, gradient, kernel.shape[:2], pads).astype(kernel.dtype)
  else:
    (by_kernel,) = jax.vjp(lambda k: _forward(x, k, pads), kernel)[1](gradient)
  return by_x, by_kernel


def _overlaps(pads: Pads, size: Sequence[int]) -> bool:
  return all(max(pad) < n for n, pad in zip(size, pads, strict=True))


_conv.defvjp(_conv_forward, _conv_backward)


def kernel_gradient(
  x: jax.Array, gradient: jax.Array, size: Sequence[int], pads: Pads
) -> jax.Array:
  """Returns the gradient of a convolution of stride 1 by its kernel.

  It is a convolution of the gradient, padded by what the kernel overlaps, with the input as its
  kernel: the result is turned around.

  Args:
    x: the convolution's input, float [b, h, w, c].
    gradient: by its output, float [b, h', w', d].
    size: the kernel's height and width.
    pads: rows added above and below, columns added left and right; each less than the size.

  Returns:
    [height, width, c, d].
  """
  around = [(n - 1 - low, n - 1 - high) for n, (low, high) in zip(size, pads, strict=True)]
  turned = jax.lax.conv_general_dilated(
    gradient, x, (1, 1), around, dimension_numbers=('CHWN', 'IHWO', 'NHWC')
  )  # [d height width c]
  return turned[:, ::-1, ::-1].transpose(1, 2, 3, 0)
