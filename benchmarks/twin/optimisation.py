"""Adam, running averages and norms (anon_jax/optim.py), by PyTorch's fused and foreach kernels."""

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import nn


def adam(params: Iterable[nn.Parameter], rate: float, b1: float, b2: float) -> torch.optim.Adam:
  """Fused Adam of a constant rate."""
  return torch.optim.Adam(params, lr=rate, betas=(b1, b2), eps=1e-8, fused=True)


def average_of(net: nn.Module) -> nn.Module:
  """Copies a network into its running average."""
  return copy.deepcopy(net).requires_grad_(False)


@torch.no_grad()
def update_average(
  average: Sequence[torch.Tensor], params: Sequence[torch.Tensor], done: int, decay: float
) -> None:
  """Moves an average towards parameters; `done` updates went before, the decay is warmed up."""
  weight = 1 - min(decay, (1 + done) / (10 + done))
  torch._foreach_lerp_(list(average), [p.detach() for p in params], weight)


@torch.no_grad()
def gradient_norm(params: Iterable[nn.Parameter]) -> torch.Tensor:
  """Returns the L2 norm over all gradients."""
  grads = [p.grad for p in params if p.grad is not None]
  return torch.stack(torch._foreach_norm(grads)).norm()
