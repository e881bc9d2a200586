"""The two-scale PatchGAN discriminators (anon_jax/nets/discriminator.py)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from twin import blocks

_BINOMIAL = (1 / 8, 3 / 8, 3 / 8, 1 / 8)
_LAST_PADS = (2, 1, 2, 1)  # of the layers that do not halve


def smooth(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
  """Blurs [b, c, h, w] by a kernel [4, 4]; the border is repeated.

  By a convolution of each channel: in PyTorch on a CPU 7 times as fast as sums of shifted slices.
  """
  if torch.compiler.is_compiling():  # Inductor 2.13 gets its gradient wrong
    wide = torch.cat((x[..., :1], x, x[..., -1:], x[..., -1:]), dim=-1)
    padded = torch.cat((wide[:, :, :1], wide, wide[:, :, -1:], wide[:, :, -1:]), dim=2)
  else:
    padded = functional.pad(x, (1, 2, 1, 2), mode='replicate')
  return functional.conv2d(padded, kernel.expand(x.shape[1], 1, 4, 4), groups=x.shape[1])


class ClassProjection(nn.Module):
  """Judges pooled features as those of an identity."""

  def __init__(self, pooled: int, identities: int, width: int):
    super().__init__()
    self.features = nn.Linear(pooled, width)
    self.embed = nn.Linear(identities, width, bias=False)
    self.logit = nn.Linear(width, 1)

  def forward(self, pooled: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
    """Maps features [b, p] and mixtures [b, identities] to logits [b, 1]."""
    x = functional.leaky_relu(self.features(pooled), 0.2)
    product = x.float() * self.embed(identity).float()
    return self.logit(x).float() + product.sum(-1, keepdim=True)


class PatchDiscriminator(nn.Module):
  """Scores overlapping patches of a picture, and the picture as an identity's where it is told."""

  def __init__(self, channels: int, width: int, layers: int, smoothed: bool, identities: int):
    super().__init__()
    self.layers, self.smoothed = layers, smoothed
    line = torch.tensor(_BINOMIAL)
    self.register_buffer('kernel', line[:, None] * line, persistent=False)
    widths = [min(width * 2**index, width * 8) for index in range(layers + 1)]
    for index, after in enumerate(widths):
      before = widths[index - 1] if index else channels
      stride, padding = (2, 1) if index < layers else (1, 0)
      conv = nn.Conv2d(before, after, 4, stride=stride, padding=padding, bias=index == 0)
      self.add_module(f'conv{index}', conv)
    self.logits = nn.Conv2d(widths[-1], 1, 4)
    self.projection = None
    if identities:
      self.projection = ClassProjection(sum(widths), identities, 8 * width)

  def forward(self, x: torch.Tensor, identity: torch.Tensor | None) -> list[torch.Tensor]:
    """Maps [b, c, h, w] to logits [b, 1, h', w'] and, where it is told who, [b, 1]."""
    pooled = []
    for index in range(self.layers + 1):
      strided = index < self.layers
      if not strided:
        x = functional.pad(x, _LAST_PADS)
      elif self.smoothed:
        x = smooth(x, self.kernel)
      x = self.get_submodule(f'conv{index}')(x)
      pooled.append(functional.leaky_relu(x, 0.2).float().mean((2, 3)))
      x = functional.leaky_relu(blocks.instance_norm(x) if index else x, 0.2)
    found = [self.logits(functional.pad(x, _LAST_PADS)).float()]
    if self.projection is not None:
      found.append(self.projection(torch.cat(pooled, dim=-1), identity))
    return found


class MultiScaleDiscriminator(nn.Module):
  """The same kind of PatchGAN at full and at halved resolutions."""

  def __init__(
    self,
    channels: int,
    scales: int,
    width: int,
    layers: int,
    smoothed: bool = False,
    identities: int = 0,
  ):
    super().__init__()
    self.scales, self.told = scales, bool(identities)
    for scale in range(scales):
      net = PatchDiscriminator(channels, width, layers, smoothed, identities)
      self.add_module(f'scale{scale}', net)

  def forward(
    self,
    images: torch.Tensor,
    conditions: Sequence[torch.Tensor],
    identity: torch.Tensor | None = None,
  ) -> list[torch.Tensor]:
    """Scores pictures [b, 3, h, w] beside their conditions [b, ., h, w]."""
    x = torch.cat([images, *conditions], dim=1).contiguous(memory_format=torch.channels_last)
    found = []
    for scale in range(self.scales):
      if scale:
        x = blocks.downsample(x)
      found += self.get_submodule(f'scale{scale}')(x, identity if self.told else None)
    return found
