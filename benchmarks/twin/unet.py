"""The U-Net that H and S are made of (anon_jax/nets/unet.py)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from twin import blocks
from twin.blocks import ResidualBlock


class UNet(nn.Module):
  """A U-Net of residual blocks with a last norm; subclasses add a head."""

  def __init__(self, channels: int, widths: Sequence[int]):
    super().__init__()
    self.levels = len(widths) - 1
    self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
    before = widths[0]
    for level, width in enumerate(widths[:-1]):
      self.add_module(f'down{level}', ResidualBlock(before, width))
      before = width
    self.middle = ResidualBlock(before, widths[-1])
    before = widths[-1]
    for level in reversed(range(self.levels)):
      self.add_module(f'up{level}', ResidualBlock(before + widths[level], widths[level]))
      before = widths[level]
    self.norm = blocks.group_norm(widths[0])

  def features(self, x: torch.Tensor) -> torch.Tensor:
    """Maps [b, c, h, w] to [b, widths[0], h, w], normed and activated."""
    x, skips = self.stem(x), []
    for level in range(self.levels):
      x = self.get_submodule(f'down{level}')(x)
      skips.append(x)
      x = blocks.downsample(x)
    x = self.middle(x)
    for level in reversed(range(self.levels)):
      joined = torch.cat([blocks.upsample(x), skips[level]], dim=1)
      x = self.get_submodule(f'up{level}')(joined)
    return functional.silu(self.norm(x))
