"""Convolutions whose kernel gradient is fast on a CPU; on accelerators they are JAX's own.

XLA's CPU backend computes the gradient by a kernel as a convolution with a window as large as the
picture: at 4 to 40 GFLOP/s where the forward pass has 60 (two cores, jax 0.10.2). As matrix
products, one for each place in the kernel, over a few rows at a time so that they stay in the
cache, whole training steps are 1.1 to 1.5 times as fast. benchmarks/results.md has the figures.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

_PIXELS = 8192  # of a batch that are taken at a time
_WORTH = 32 * 32  # channels in times channels out below which XLA's own way is as fast
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')

Pads = tuple[tuple[int, int], ...]
_PLAIN = contextvars.ContextVar('_PLAIN', default=False)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Traces JAX's own convolutions: XLA counts what is in a loop once, and ours has loops."""
  token = _PLAIN.set(True)
  try:
    yield
  finally:
    _PLAIN.reset(token)


def conv_general_dilated(
  lhs: jax.Array,
  rhs: jax.Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> jax.Array:
  """What `jax.lax.conv_general_dilated` computes, to be handed to `flax.linen.Conv`.

  Two-dimensional NHWC convolutions without dilation and groups get the fast gradient where JAX
  runs on a CPU; all others are passed on.
  """
  simple = all(d == 1 for d in (*(lhs_dilation or ()), *(rhs_dilation or ()), feature_group_count))
  simple = simple and lhs.ndim == 4 and precision is None
  if _PLAIN.get() or jax.default_backend() != 'cpu' or not simple:
    return jax.lax.conv_general_dilated(
      lhs,
      rhs,
      window_strides,
      padding,
      lhs_dilation=lhs_dilation,
      rhs_dilation=rhs_dilation,
      dimension_numbers=dimension_numbers,
      feature_group_count=feature_group_count,
      precision=precision,
    )
  strides = tuple(window_strides)
  if isinstance(padding, str):
    padding = jax.lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
  return _conv(lhs, rhs, strides, tuple((int(low), int(high)) for low, high in padding))


class Conv(nn.Conv):
  """`flax.linen.Conv` over NHWC pictures with the gradient of this file."""

  conv_general_dilated: Any = conv_general_dilated


def _forward(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], pads: Pads) -> jax.Array:
  return jax.lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], pads: Pads) -> jax.Array:
  return _forward(x, kernel, strides, pads)


def _conv_forward(
  x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], pads: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _forward(x, kernel, strides, pads), (x, kernel)


def _conv_backward(
  strides: tuple[int, ...], pads: Pads, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = kept
  (by_x,) = jax.vjp(lambda x: _forward(x, kernel, strides, pads), x)[1](gradient)
  if kernel.shape[2] * kernel.shape[3] < _WORTH:
    (by_kernel,) = jax.vjp(lambda k: _forward(x, k, strides, pads), kernel)[1](gradient)
  else:
    by_kernel = kernel_gradient(x, gradient, kernel.shape[:2], strides, pads).astype(kernel.dtype)
  return by_x, by_kernel


_conv.defvjp(_conv_forward, _conv_backward)


def kernel_gradient(
  x: jax.Array, gradient: jax.Array, size: Sequence[int], strides: Sequence[int], pads: Pads
) -> jax.Array:
  """Returns the gradient of a convolution by its kernel.

  Args:
    x: the convolution's input, float [b, h, w, c].
    gradient: by its output, float [b, h', w', d].
    size: the kernel's height and width.
    strides: down and across.
    pads: rows added above and below, columns added left and right; none is negative.

  Returns:
    float32 [height, width, c, d].
  """
  _, rows, columns, channels = gradient.shape
  batch, depth = x.shape[0], x.shape[3]
  # The largest divisor of the output's rows that keeps a portion small: no remainder to pad.
  most = max(_PIXELS // (batch * columns), 1)
  portion = max(n for n in range(1, rows + 1) if rows % n == 0 and n <= most)
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  reach = (portion - 1) * strides[0] + size[0]
  width = (columns - 1) * strides[1] + 1

  def add(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
    given = jax.lax.dynamic_slice_in_dim(gradient, number * portion, portion, axis=1)
    given = given.reshape(-1, channels)
    strip = jax.lax.dynamic_slice_in_dim(x, number * portion * strides[0], reach, axis=1)
    products = []
    for down in range(size[0]):
      for across in range(size[1]):
        height = (portion - 1) * strides[0] + 1
        seen = strip[
          :, down : down + height : strides[0], across : across + width : strides[1]
        ].reshape(-1, depth)
        products.append(jnp.matmul(seen.T, given, preferred_element_type=jnp.float32))
    return total + jnp.stack(products), None

  start = jnp.zeros((size[0] * size[1], depth, channels))
  total, _ = jax.lax.scan(add, start, jnp.arange(rows // portion))
  return total.reshape(*size, depth, channels)
