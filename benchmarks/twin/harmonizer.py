"""H, and how its output is set into a picture (anon_jax/nets/harmonization.py)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from twin.unet import UNet

CHANNELS = 7


class Harmonizer(UNet):
  """A U-Net from mask, painted picture and appearance condition to a picture."""

  def __init__(self, widths: Sequence[int]):
    super().__init__(CHANNELS, widths)
    self.rgb = nn.Conv2d(widths[0], 3, 3, padding=1)

  def forward(self, inputs: torch.Tensor) -> torch.Tensor:
    """Maps [b, 7, s, s] to [b, 3, s, s] in [-1, 1]."""
    return torch.tanh(self.rgb(self.features(inputs)).float())


def feather(mask: torch.Tensor, width: int) -> torch.Tensor:
  """Ramps a mask [b, 1, h, w] from its edge inwards over `width` pixels."""
  if not width:
    return mask
  padded = functional.pad(mask, (width,) * 4, mode='replicate')
  mean = functional.avg_pool2d(padded, 2 * width + 1, stride=1)
  return mask * (2 * mean - 1).clamp(0, 1)


def composite(
  rgb: torch.Tensor,
  background: torch.Tensor,
  condition: torch.Tensor,
  mask: torch.Tensor,
  width: int,
) -> torch.Tensor:
  """Puts H's foreground into the background; pictures [b, 3, h, w], mask [b, 1, h, w]."""
  weight = feather(mask, width)
  return torch.where(mask > 0, weight * rgb + (1 - weight) * condition, background)
