"""Inference of the whole chain, crop -> S -> A -> H -> crop (`speed/chain.py` has it in JAX)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from twin import proxy
from twin.generator import resize_nearest
from twin.harmonizer import composite


class Chain:
  """`nets` are segmenter, generator and harmonizer, which see crops at their own sizes.

  Attributes:
    options: `sizes` in pixels by network, `sigma_fraction`, `feather`.
  """

  def __init__(self, nets: Mapping[str, nn.Module], options: Mapping[str, Any], device: str):
    self.device, self.options = torch.device(device), dict(options)
    self.nets = {
      name: net.to(self.device, memory_format=torch.channels_last).eval()
      for name, net in nets.items()
    }

  def compile(self) -> None:
    """Replaces `run` by what torch.compile makes of it."""
    self.run = torch.compile(self.run, dynamic=False, fullgraph=True)  # type: ignore[method-assign]

  def place(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Puts a batch of arrays where the networks are."""
    return {name: torch.as_tensor(rows, device=self.device) for name, rows in batch.items()}

  def step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Turns a batch of `image` uint8 [n, s, s, 3] and `control` [n, identities] into new crops."""
    bf16 = self.device.type == 'cuda'
    with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
      return self.run(batch['image'], batch['control'])

  def run(self, crops: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
    """Maps uint8 crops [n, s, s, 3] to uint8 crops of the same form."""
    o, sizes = self.options, self.options['sizes']
    images, side = proxy.to_signed(crops), crops.shape[1]
    scores = self.nets['segmenter'](_resized(images, sizes['segmenter']))
    maps = _resized(scores, side).argmax(1).to(torch.uint8)
    mask = proxy.foreground_mask(maps)
    condition = proxy.blur(images, o['sigma_fraction'] * side)
    face = self.nets['generator'](controls, resize_nearest(maps, sizes['generator']))
    shown = torch.where(mask > 0, _resized(face, side), images)
    inputs = torch.cat([mask, shown, condition], dim=1)
    rgb = self.nets['harmonizer'](inputs.contiguous(memory_format=torch.channels_last))
    final = composite(rgb, images, condition, mask, o['feather'])
    return (final * 127.5 + 127.5).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _resized(images: torch.Tensor, side: int) -> torch.Tensor:
  """Resizes [b, c, h, w] to squares; without aliasing where it shrinks."""
  size = images.shape[-1]
  if size == side:
    return images
  return functional.interpolate(
    images, size=(side, side), mode='bilinear', align_corners=False, antialias=side < size
  )
