"""Frozen batch norms of PyTorch, folded into the convolutions before them.

In inference a batch norm is a factor and an offset per channel, so the convolution can carry both.
"""

from collections.abc import Mapping

import numpy as np


def norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
  """Names and shapes of the tensors of a PyTorch batch norm of `width` channels."""
  return {f'{name}.{part}': (width,) for part in ('weight', 'bias', 'running_mean', 'running_var')}


def fold(
  tensors: Mapping[str, np.ndarray], kernel: np.ndarray, norm: str, epsilon: float
) -> dict[str, np.ndarray]:
  """Folds the batch norm named `norm` into the kernel before it, which has no bias.

  Args:
    tensors: holds the four tensors of `norm_shapes(norm, ...)`.
    kernel: [o, ...], output channels first as in PyTorch.
    norm: name of the batch norm.
    epsilon: added to its variance.

  Returns:
    `kernel` float32 with PyTorch's OIHW (or OI) turned into HWIO (or IO), and `bias` float32 [o].
  """
  weight, bias, mean, variance = (
    tensors[name].astype(np.float64) for name in norm_shapes(norm, kernel.shape[0])
  )
  factor = weight / np.sqrt(variance + epsilon)
  scaled = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
  return {'kernel': to_flax(scaled), 'bias': (bias - mean * factor).astype(np.float32)}


def to_flax(kernel: np.ndarray) -> np.ndarray:
  """Turns OIHW into HWIO, or OI into IO, float32."""
  axes = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
  return np.ascontiguousarray(kernel.transpose(axes), np.float32)
