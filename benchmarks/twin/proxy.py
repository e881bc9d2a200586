"""The proxy task of H (anon_jax/proxy.py), pictures [b, 3, s, s] in [-1, 1]."""

import functools
import math

import torch

from twin.augmentation import uniform
from twin.harmonizer import composite

FOREGROUND = (1, 2, 3, 4, 5)
_TO_YIQ = (
  (0.299, 0.587, 0.114),
  (0.595716, -0.274453, -0.321263),
  (0.211456, -0.522591, 0.311135),
)
_FROM_YIQ = torch.linalg.inv(torch.tensor(_TO_YIQ, dtype=torch.float64)).float()


def foreground_mask(maps: torch.Tensor) -> torch.Tensor:
  """Returns 1 where maps [b, h, w] show the replaced classes, float32 [b, 1, h, w]."""
  return ((maps >= FOREGROUND[0]) & (maps <= FOREGROUND[-1])).float()[:, None]


def to_signed(images: torch.Tensor) -> torch.Tensor:
  """Turns uint8 pictures [b, h, w, 3] into float32 [b, 3, h, w] in [-1, 1], channels-last."""
  return images.permute(0, 3, 1, 2).float() / 127.5 - 1


@functools.lru_cache(maxsize=32)
def blur_matrix(size: int, sigma: float, device: torch.device) -> torch.Tensor:
  """Returns the [size, size] matrix whose product with a column is its Gaussian blur."""
  distance = torch.arange(size)[:, None] - torch.arange(size)[None, :]
  kernel = torch.exp(-0.5 * (distance.double() / sigma) ** 2)
  return (kernel / kernel.sum(1, keepdim=True)).float().to(device)


def blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
  """Blurs [b, c, s, s] by a Gaussian of `sigma` pixels."""
  matrix = blur_matrix(images.shape[2], sigma, images.device)
  b, c, h, w = images.shape
  memory = images.permute(0, 2, 3, 1).reshape(b, h, w * c)  # as it lies in memory
  memory = (matrix @ memory).reshape(b * h, w, c)
  return (matrix @ memory).reshape(b, h, w, c).permute(0, 3, 1, 2)


def recolour(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
  """Gives foregrounds a random colouring that says nothing of the true one."""
  batch, device = len(images), images.device

  def draw(channels: int, low: float, high: float) -> torch.Tensor:
    return uniform((batch, channels, 1, 1), low, high, device)

  gamma, gain, contrast = draw(1, -0.7, 0.7).exp(), draw(3, -0.5, 0.5).exp(), draw(1, -0.5, 0.5)
  angle, saturation, mean_luma = draw(1, -math.pi, math.pi), draw(1, 0.0, 2.0), draw(1, 0.25, 0.75)
  to_yiq, from_yiq = torch.tensor(_TO_YIQ, device=device), _FROM_YIQ.to(device)
  colour = ((images + 1) / 2).clamp_min(1e-4) ** gamma * gain
  yiq = torch.einsum('bchw,dc->bdhw', colour, to_yiq)
  luma, first, second = yiq[:, :1], yiq[:, 1:2] * saturation, yiq[:, 2:] * saturation
  cos, sin = angle.cos(), angle.sin()
  chroma = torch.cat([cos * first - sin * second, sin * first + cos * second], dim=1)
  mean = (luma * mask).sum((1, 2, 3), True) / mask.sum((1, 2, 3), True).clamp_min(1.0)
  luma = ((luma - mean) * contrast.exp() + mean_luma).clamp(0, 1)
  chroma = torch.einsum('bchw,dc->bdhw', chroma, from_yiq[:, 1:])
  room = torch.where(chroma > 0, 1 - luma, luma)
  share = (room / chroma.abs().clamp_min(1e-6)).amin(1, keepdim=True)
  return torch.where(mask > 0, (luma + chroma * share.clamp_max(1.0)) * 2 - 1, images)


def make_example(
  images: torch.Tensor, maps: torch.Tensor, sigma_fraction: float, feather: int
) -> dict[str, torch.Tensor]:
  """Builds the proxy task: target, mask, recoloured picture, condition, and what H can reach."""
  mask = foreground_mask(maps)
  condition = blur(images, sigma_fraction * images.shape[2])
  return {
    'target': images,
    'mask': mask,
    'recoloured': recolour(images, mask),
    'condition': condition,
    'reachable': composite(images, images, condition, mask, feather),
  }
