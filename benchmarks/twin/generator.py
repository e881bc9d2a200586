"""A: SPADE blocks from a control identity and a semantic map (anon_jax/nets/anonymization.py)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from twin import blocks

_FIRST_SIDE = 4


class Modulation(nn.Module):
  """A semantic map -> scales and shifts."""

  def __init__(self, classes: int, width: int, hidden: int):
    super().__init__()
    self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
    self.scale_shift = nn.Conv2d(hidden, 2 * width, 3, padding=1)

  def forward(self, classes: torch.Tensor) -> torch.Tensor:
    """Maps one-hot classes [b, k, h, w] to [b, 2 * width, h, w]: scales, then shifts."""
    return self.scale_shift(functional.relu(self.shared(classes)))


def modulate(normed: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
  """Scales [b, c, h, w] by 1 + gamma and shifts it by beta."""
  gamma, beta = modulation.chunk(2, dim=1)
  return normed * (1 + gamma) + beta


class SpadeBlock(nn.Module):
  """Norm, modulation, leaky ReLU, convolution, twice, beside a shortcut."""

  def __init__(self, width_in: int, width: int, hidden: int, classes: int):
    super().__init__()
    inner = min(width_in, width)
    self.modulation1 = Modulation(classes, width_in, hidden)
    self.modulation2 = Modulation(classes, inner, hidden)
    self.conv1 = nn.Conv2d(width_in, inner, 3, padding=1, bias=False)
    self.conv2 = nn.Conv2d(inner, width, 3, padding=1)
    self.learned = width_in != width
    if self.learned:
      self.modulation_shortcut = Modulation(classes, width_in, hidden)
      self.shortcut = nn.Conv2d(width_in, width, 1, bias=False)

  def forward(self, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Maps [b, width_in, h, w] to [b, width, h, w]; `classes` is the map of that size."""
    normed = blocks.instance_norm(x)
    inner = self.conv1(functional.leaky_relu(modulate(normed, self.modulation1(classes)), 0.2))
    second = modulate(blocks.instance_norm(inner), self.modulation2(classes))
    inner = self.conv2(functional.leaky_relu(second, 0.2))
    if not self.learned:
      return x + inner
    return self.shortcut(modulate(normed, self.modulation_shortcut(classes))) + inner


class Generator(nn.Module):
  """Paints the face of a control identity into a semantic map."""

  def __init__(
    self,
    identities: int,
    widths: Sequence[int],
    hidden: int,
    classes: int,
    bilinear: bool = False,
  ):
    super().__init__()
    first, self.classes, self.bilinear = widths[0], classes, bilinear
    self.embed = nn.Linear(identities, first)
    self.expand = nn.ConvTranspose2d(first, first, _FIRST_SIDE)
    widths_in = (first, *widths[:-1])
    self.blocks = nn.ModuleList(
      SpadeBlock(width_in, width, hidden, classes)
      for width_in, width in zip(widths_in, widths, strict=True)
    )
    self.rgbs = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths)

  def forward(self, identities: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Maps mixtures [b, identities] and classes [b, h, w] to pictures [b, 3, s, s] in [-1, 1]."""
    x = functional.leaky_relu(self.embed(identities), 0.2)
    x = self.expand(x[:, :, None, None]).contiguous(memory_format=torch.channels_last)
    total = torch.zeros((), device=x.device)
    for level, (block, rgb) in enumerate(zip(self.blocks, self.rgbs, strict=True)):
      if level:
        enlarged = blocks.upsample_bilinear if self.bilinear else blocks.upsample
        x, total = enlarged(x), blocks.upsample_bilinear(total)
      x = block(x, one_hot(resize_nearest(maps, _FIRST_SIDE << level), self.classes))
      total = total + rgb(functional.leaky_relu(x, 0.2)).float()
    return torch.tanh(total)


def one_hot(maps: torch.Tensor, classes: int) -> torch.Tensor:
  """Turns classes [b, h, w] into planes [b, classes, h, w]; a value that is no class into none."""
  numbers = torch.arange(classes, device=maps.device, dtype=torch.int32)
  return (maps[..., None].int() == numbers).float().permute(0, 3, 1, 2)


def resize_nearest(maps: torch.Tensor, side: int) -> torch.Tensor:
  """Resizes [b, h, w] to [b, side, side] by the value under each new pixel's centre."""
  rows, columns = (
    ((torch.arange(side, device=maps.device) + 0.5) * old / side).long() for old in maps.shape[1:]
  )
  return maps[:, rows][:, :, columns]
