"""I (anon_jax/nets/identity.py)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from twin import blocks
from twin.blocks import ResidualBlock, normalise

_BLOCKS = 2


class Identity(nn.Module):
  """A ResNet-18-like network, crop -> embedding of unit length."""

  def __init__(self, widths: Sequence[int], dimensions: int, side: int):
    super().__init__()
    self.stages = len(widths)
    self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
    before = widths[0]
    for stage, width in enumerate(widths):
      for number in range(_BLOCKS):
        self.add_module(f'stage{stage}_block{number}', ResidualBlock(before, width))
        before = width
    self.norm = blocks.group_norm(before)
    self.embedding = nn.Linear((side >> self.stages) ** 2 * before, dimensions)

  def project(self, crops: torch.Tensor) -> torch.Tensor:
    """Maps crops [b, 3, s, s] in [-1, 1] to [b, dimensions] of any length."""
    x = self.stem(crops)
    for stage in range(self.stages):
      x = blocks.downsample(x)
      for number in range(_BLOCKS):
        x = self.get_submodule(f'stage{stage}_block{number}')(x)
    x = functional.silu(self.norm(x))
    # rows and columns first, then channels: the order in memory, and the one of the JAX network
    x = x.permute(0, 2, 3, 1).flatten(1)
    with torch.autocast(x.device.type, enabled=False):
      return self.embedding(x.float())

  def forward(self, crops: torch.Tensor) -> torch.Tensor:
    """Maps crops [b, 3, s, s] in [-1, 1] to embeddings [b, dimensions] of length 1."""
    return normalise(self.project(crops))
