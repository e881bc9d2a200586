"""DiffAugment, and colour, blur and occluders for S.

The twins of anon_jax/losses/diffaugment.py and anon_jax/steps/augmentation.py.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

_TEXTURE, _BLUR_PIXELS, _REACH = 4, 1.5, 3

Changes = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]


def draw_changes(
  count: int, side: int, strengths: Sequence[float], device: torch.device
) -> Changes:
  """Draws DiffAugment's changes: brightness [b], shift int [b, 2], hole bool [b, 2, side]."""
  brightness, translation, cutout = strengths
  reach, size = round(side * translation), round(side * cutout)
  bright = uniform((count,), -brightness, brightness, device) if brightness else None
  shift = torch.randint(-reach, reach + 1, (count, 2), device=device) if reach else None
  hole = None
  if size:
    start = torch.randint(0, side + 1, (count, 2, 1), device=device) - size // 2
    place = torch.arange(side, device=device) - start
    hole = (place >= 0) & (place < size)
  return bright, shift, hole


def apply_changes(
  changes: Changes, images: torch.Tensor, conditions: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
  """Applies brightness to pictures [b, 3, s, s], shift and hole to their conditions too."""
  brightness, shift, hole = changes
  if brightness is not None:
    images = images + brightness[:, None, None, None]
  pictures = [images, *conditions]
  if shift is not None:
    pictures = [_shifted(picture, shift) for picture in pictures]
  if hole is not None:
    square = (hole[:, 0, :, None] & hole[:, 1, None, :])[:, None]
    pictures = [picture.masked_fill(square, 0.0) for picture in pictures]
  return pictures[0], pictures[1:]


def _shifted(pictures: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
  """Shifts each of [b, c, h, w] by [b, 2] pixels; zeros come in. By products, as in JAX."""
  rows, columns = (
    _shift_matrix(side, shift[:, axis]) for axis, side in enumerate(pictures.shape[2:])
  )
  b, c, h, w = pictures.shape
  memory = pictures.permute(0, 2, 3, 1)  # [b h w c], as it lies in memory
  moved = torch.bmm(rows, memory.reshape(b, h, w * c)).reshape(b * h, w, c)
  moved = torch.bmm(columns.repeat_interleave(h, 0), moved)
  return moved.reshape(b, h, w, c).permute(0, 3, 1, 2)


def _shift_matrix(size: int, shift: torch.Tensor) -> torch.Tensor:
  source = torch.arange(size, device=shift.device)[None, :, None] - shift[:, None, None]
  return (source == torch.arange(size, device=shift.device)).float()


def augment(
  images: torch.Tensor, maps: torch.Tensor, colour: float, occluded: float
) -> tuple[torch.Tensor, torch.Tensor]:
  """Covers pictures [b, 3, s, s] in part, changes their colours, blurs some; maps [b, s, s]."""
  if occluded:
    images, maps = _cover(images, maps, occluded)
  if colour:
    images = _blur_some(_change_colours(images, colour), colour)
  return images, maps


def uniform(
  shape: Sequence[int], low: float, high: float, device: torch.device | None = None
) -> torch.Tensor:
  """Draws uniformly from [low, high)."""
  return torch.rand(tuple(shape), device=device) * (high - low) + low


def _change_colours(images: torch.Tensor, strength: float) -> torch.Tensor:
  batch, device = len(images), images.device

  def draw(channels: int, width: float) -> torch.Tensor:
    return uniform((batch, channels, 1, 1), -width, width, device)

  grey = images.mean(1, keepdim=True)
  made_grey = torch.rand(batch, 1, 1, 1, device=device) < strength / 2
  saturation = torch.where(made_grey, 0.0, 1 + draw(1, strength))
  images = grey + (images - grey) * saturation
  tint = torch.where(made_grey, 0.0, draw(3, strength / 2))
  images = (images + tint) * (1 + draw(1, strength)) + draw(1, strength)
  return images.clamp(-1, 1)


def _blur_some(images: torch.Tensor, share: float) -> torch.Tensor:
  batch, device = len(images), images.device
  sigma = uniform((batch, 1), 0.3, _BLUR_PIXELS, device)
  offsets = torch.arange(-_REACH, _REACH + 1, device=device).float()
  kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
  blurred = torch.rand(batch, 1, device=device) < share
  kernel = torch.where(blurred, kernel / kernel.sum(1, keepdim=True), (offsets == 0).float())
  for axis, pads in ((2, (0, 0, _REACH, _REACH)), (3, (_REACH, _REACH, 0, 0))):
    size, padded = images.shape[axis], functional.pad(images, pads, mode='replicate')
    parts = [padded.narrow(axis, k, size) * kernel[:, k, None, None, None] for k in range(7)]
    images = torch.stack(parts).sum(0)
  return images


def _cover(
  images: torch.Tensor, maps: torch.Tensor, share: float
) -> tuple[torch.Tensor, torch.Tensor]:
  batch, side, device = len(images), images.shape[2], images.device
  chosen = torch.rand(batch, 1, 1, device=device) < share
  covered = _shapes(batch, side, device) & chosen
  base = uniform((batch, 3, 1, 1), -1, 1, device)
  coarse = torch.randn(batch, 3, _TEXTURE, _TEXTURE, device=device)
  texture = functional.interpolate(coarse, size=(side, side), mode='bilinear', align_corners=False)
  rough = uniform((batch, 1, 1, 1), 0, 0.5, device)
  fine = 0.1 * torch.randn(batch, 1, side, side, device=device)
  thing = (base + rough * (texture + fine)).clamp(-1, 1)
  maps = torch.where(covered & (maps < 255), 0, maps)
  return torch.where(covered[:, None], thing, images), maps


def _shapes(batch: int, side: int, device: torch.device) -> torch.Tensor:
  """Draws one turned ellipse or rectangle a picture, bool [b, s, s]."""
  centre = uniform((batch, 2, 1, 1), 0.1, 0.9, device)
  radius = uniform((batch, 2, 1, 1), 0.06, 0.3, device)
  angle = uniform((batch, 1, 1), 0, math.pi, device)
  at = (torch.arange(side, device=device) + 0.5) / side
  x, y = at[None, None, :] - centre[:, 0], at[None, :, None] - centre[:, 1]
  along = (x * angle.cos() + y * angle.sin()).abs() / radius[:, 0]
  across = (y * angle.cos() - x * angle.sin()).abs() / radius[:, 1]
  round_one = torch.rand(batch, 1, 1, device=device) < 0.5
  return torch.where(round_one, along**2 + across**2, torch.maximum(along, across)) < 1
