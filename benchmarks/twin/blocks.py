"""Blocks that the twins share (anon_jax/nets/blocks.py); memory stays channels-last."""

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-5
_GROUP = 8


def instance_norm(x: torch.Tensor) -> torch.Tensor:
  """Normalises each channel of each picture [b, c, h, w], without parameters.

  As a group norm of one channel a group: PyTorch's own instance norm turns channels-last memory
  around and takes 1.4 times as long on a CPU.
  """
  return functional.group_norm(x, x.shape[1], eps=EPSILON)


def group_norm(channels: int) -> nn.GroupNorm:
  """Group norm over groups of about 8 channels."""
  groups = max(channels // _GROUP, 1)
  while channels % groups:
    groups -= 1
  return nn.GroupNorm(groups, channels, eps=EPSILON)


def upsample(x: torch.Tensor) -> torch.Tensor:
  """Doubles the sides of [b, c, h, w] by repeating pixels."""
  return functional.interpolate(x, scale_factor=2.0, mode='nearest')


def upsample_bilinear(x: torch.Tensor) -> torch.Tensor:
  """Doubles the sides of [b, c, h, w] by bilinear interpolation."""
  return functional.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)


def downsample(x: torch.Tensor) -> torch.Tensor:
  """Halves the sides of [b, c, h, w] by averaging squares of two pixels."""
  return functional.avg_pool2d(x, 2)


def normalise(vectors: torch.Tensor) -> torch.Tensor:
  """Scales vectors [..., d] to unit length."""
  x = vectors.float()
  return x * torch.rsqrt(x.square().sum(-1, keepdim=True).clamp_min(1e-24))


class ResidualBlock(nn.Module):
  """Norm, swish, 3x3 convolution, twice, beside a shortcut that is learned where widths differ."""

  def __init__(self, width_in: int, width: int):
    super().__init__()
    self.norm1, self.norm2 = group_norm(width_in), group_norm(width)
    self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
    self.conv2 = nn.Conv2d(width, width, 3, padding=1)
    self.shortcut = nn.Conv2d(width_in, width, 1, bias=False) if width_in != width else None

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps [b, width_in, h, w] to [b, width, h, w]."""
    inner = self.conv1(functional.silu(self.norm1(x)))
    inner = self.conv2(functional.silu(self.norm2(inner)))
    return inner + (x if self.shortcut is None else self.shortcut(x))
