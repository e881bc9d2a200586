"""`jax.jit` with the compiler options that suit the device."""

import functools
from collections.abc import Callable
from typing import Any

import jax

_CPU = {
  # XLA hands convolutions and sums on a CPU to YNNPACK, which uses one core where Eigen uses all:
  # without it forward passes are up to twice, gradients by kernels up to four times as fast (jax
  # 0.10.2, benchmarks/results.md).
  'xla_cpu_experimental_ynn_fusion_type': '',
  # Or else barriers vanish before XLA decides what to compute twice (`nets.convolution`).
  'xla_disable_hlo_passes': 'cse_barrier_expander',
}


@functools.cache
def options() -> dict[str, str] | None:
  """Returns compiler options for the default device; None where there is nothing to set.

  One of them is experimental: a jax that does not know it compiles without.
  """
  if jax.default_backend() != 'cpu':
    return None
  try:
    jax.jit(lambda: 0, compiler_options=_CPU).lower().compile()
  except (jax.errors.JaxRuntimeError, ValueError):
    return None
  return _CPU


def jit(function: Callable[..., Any], **arguments: Any) -> Any:
  """Is `jax.jit(function, **arguments)` with `options()`; not to be called under another jit."""
  return jax.jit(function, compiler_options=options(), **arguments)
