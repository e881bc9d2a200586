"""The losses of the steps (anon_jax/losses), pictures [b, c, h, w]; all return float32 scalars."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from twin import blocks
from twin.blocks import normalise

Logits = Sequence[torch.Tensor]
_IGNORE = 255


def lsgan_discriminator(real: Logits, fake: Logits, real_label: float = 1.0) -> torch.Tensor:
  """Half the mean of (D(x) - 1)^2 plus half the mean of D(G(i))^2."""
  return _half_square(real, real_label) + _half_square(fake, 0.0)


def lsgan_generator(fake: Logits) -> torch.Tensor:
  """Half the mean of (D(G(i)) - 1)^2."""
  return _half_square(fake, 1.0)


def _half_square(scales: Logits, label: float) -> torch.Tensor:
  return 0.5 * torch.stack([(scale - label).square().mean() for scale in scales]).mean()


def accuracies(
  real: Logits, fake: Logits, letter: str, real_label: float = 1.0
) -> dict[str, torch.Tensor]:
  """Shares of a discriminator's answers that are on the right side."""
  middle = real_label / 2
  right = {
    'real': [(scale > middle).float().mean() for scale in real],
    'fake': [(scale < middle).float().mean() for scale in fake],
  }
  return {f'{letter}_{name}_accuracy': torch.stack(s).mean() for name, s in right.items()}


def diversity(fakes: torch.Tensor, reals: torch.Tensor) -> torch.Tensor:
  """Deviation over a batch of painted pictures over that of real ones."""
  painted, real = (pictures.std(0, correction=0).mean() for pictures in (fakes, reals))
  return painted / real.clamp_min(1e-3)


def foreground_l1(
  real: torch.Tensor, fake: torch.Tensor, mask: torch.Tensor, scales: int = 3
) -> torch.Tensor:
  """Mean absolute difference inside a mask [b, 1, h, w], at full and at halved resolutions."""
  difference = torch.where(mask > 0, real - fake, 0.0)
  total = torch.zeros((), device=real.device)
  for scale in range(scales):
    if scale:
      difference, mask = blocks.downsample(difference), blocks.downsample(mask)
    values = mask.sum() * real.shape[1]
    total = total + difference.abs().sum() / torch.where(values > 0, values, 1.0)
  return total / scales


def perceptual(
  net: torch.nn.Module, weights: Sequence[float], real: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
  """Weighted sum over taps of the mean absolute difference of features."""
  with torch.no_grad():
    wanted = net(real)
  found = net(fake)
  terms = [
    weight * (a.float() - b.float()).abs().mean()
    for weight, a, b in zip(weights, wanted, found, strict=True)
  ]
  return torch.stack(terms).sum()


def contrastive(
  first: torch.Tensor, second: torch.Tensor, same: torch.Tensor, margin: float
) -> torch.Tensor:
  """Squared distance of pairs [b, d] of one identity, squared hinge of the others."""
  squared = (first - second).square().sum(-1)
  apart = squared > 0
  distance = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
  return torch.where(same, squared, (margin - distance).clamp_min(0).square()).mean()


def contrast(
  anchors: torch.Tensor,
  reals: torch.Tensor,
  partners: tuple[torch.Tensor, torch.Tensor],
  margin: float,
) -> torch.Tensor:
  """Contrastive loss of anchors [b, d] with two partners in `reals`: same, different."""
  near, far = (reals[rows] for rows in partners)
  same = torch.arange(2 * len(anchors), device=anchors.device) < len(anchors)
  return contrastive(torch.cat([anchors, anchors]), torch.cat([near, far]), same, margin)


def proxy_nca(
  embeddings: torch.Tensor,
  proxies: torch.Tensor,
  classes: torch.Tensor,
  proxy_scale: float,
  smoothing: float,
) -> torch.Tensor:
  """Proxy-NCA with the positive in the denominator: embeddings [b, d], proxies [n, d]."""
  count = proxies.shape[0]
  cosines = normalise(embeddings) @ normalise(proxies).T
  terms = -functional.log_softmax(2 * proxy_scale * cosines - (1 + proxy_scale**2), dim=-1)
  rest = smoothing / (count - 1)
  weights = rest + (1 - smoothing - rest) * functional.one_hot(classes.long(), count)
  return (weights * terms).sum(-1).mean()


def cross_entropy(
  logits: torch.Tensor, labels: torch.Tensor, allowed: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
  """Weighted mean negative log-likelihood of labelled pixels.

  Args:
    logits: [b, c, h, w].
    labels: uint8 [b, h, w], 255 where nobody labelled the pixel.
    allowed: bool [b, c, c], the classes that each example's labels may stand for.
    class_weights: [c].
  """
  labelled = labels != _IGNORE
  rows = torch.where(labelled, labels, 0).long()  # [b h w]
  example = torch.arange(len(rows), device=rows.device)[:, None, None]
  admitted = allowed[example, rows] | ~labelled[..., None]  # [b h w c]
  scores = logits.float().permute(0, 2, 3, 1)
  likelihood = torch.logsumexp(scores.masked_fill(~admitted, -torch.inf), dim=-1)
  loss = torch.logsumexp(scores, dim=-1) - likelihood
  weight = class_weights[rows] * labelled
  return (loss * weight).sum() / weight.sum().clamp_min(1e-9)
