"""S (anon_jax/nets/segmentation.py)."""

from collections.abc import Sequence

import torch
from torch import nn

from twin.unet import UNet


class Segmenter(UNet):
  """A U-Net from a crop to a score per class and pixel."""

  def __init__(self, widths: Sequence[int], classes: int):
    super().__init__(3, widths)
    self.logits = nn.Conv2d(widths[0], classes, 1)

  def forward(self, images: torch.Tensor) -> torch.Tensor:
    """Maps [b, 3, h, w] in [-1, 1] to logits [b, classes, h, w]."""
    return self.logits(self.features(images)).float()
