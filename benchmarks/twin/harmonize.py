"""The step of H on the proxy task (anon_jax/steps/harmonize.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from twin import losses, proxy
from twin.harmonizer import composite
from twin.stage import Stage, Tensors


class Harmonize(Stage):
  """`nets` are generator, discriminator and, for the perceptual term, perceptual.

  Not twinned, and refused: super-resolution, softened foregrounds.
  """

  compiled = ('example', 'harmonize', 'judges_loss', 'painters_loss')

  def __init__(
    self,
    nets: Mapping[str, nn.Module],
    options: Mapping[str, Any],
    tap_weights: Sequence[float],
    device: str = 'cpu',
  ):
    super().__init__(nets, options, device)
    o = self.options
    asked = {name: o[name] for name in ('upscale', 'likeness')}
    if asked['upscale'] != 1 or any(asked['likeness']):
      raise ValueError(f'{asked}; the twin has an upscale of 1 and recolours as the paper does.')
    self.tap_weights = tuple(tap_weights)
    self.train('generator', o['generator_lr'])
    self.train('discriminator', o['discriminator_lr'], averaged=False)

  def example(self, batch: Tensors) -> dict[str, Any]:
    """Makes the proxy task of a batch."""
    images = proxy.to_signed(batch['image'])
    return proxy.make_example(
      images, batch['map'], self.options['sigma_fraction'], self.options['feather']
    )

  def update(self, ex: dict[str, Any]) -> Tensors:
    """Updates D by what H makes, then H through the same pass."""
    fake = self.harmonize(ex)
    loss, metrics = self.judges_loss(fake.detach(), ex)
    loss.backward()
    metrics['d_grad_norm'] = self.descend('discriminator')
    self.nets['discriminator'].requires_grad_(False)
    loss, terms = self.painters_loss(fake, ex)
    loss.backward()
    self.nets['discriminator'].requires_grad_(True)
    metrics |= terms
    metrics['g_grad_norm'] = self.descend('generator')
    self.average()
    return {name: value.detach() for name, value in metrics.items()}

  def harmonize(self, ex: dict[str, Any]) -> torch.Tensor:
    """Runs H on every picture and composites, [b, 3, s, s]."""
    inputs = torch.cat([ex['mask'], ex['recoloured'], ex['condition']], dim=1)
    rgb = self.nets['generator'](inputs.contiguous(memory_format=torch.channels_last))
    return composite(rgb, ex['target'], ex['condition'], ex['mask'], self.options['feather'])

  def judges_loss(self, fake: torch.Tensor, ex: dict[str, Any]) -> tuple[torch.Tensor, Tensors]:
    """Eq. 3, and what is logged of D and of the pictures."""
    net, conditions = self.nets['discriminator'], [ex['mask'], ex['condition']]
    real, painted = net(ex['reachable'], conditions), net(fake, conditions)
    loss = losses.lsgan_discriminator(real, painted)
    metrics = {'d_loss': loss, **losses.accuracies(real, painted, 'd')}
    metrics['g_diversity'] = losses.diversity(fake * ex['mask'], ex['reachable'] * ex['mask'])
    return loss, metrics

  def painters_loss(self, fake: torch.Tensor, ex: dict[str, Any]) -> tuple[torch.Tensor, Tensors]:
    """Eq. 2."""
    o, reachable = self.options, ex['reachable']
    logits = self.nets['discriminator'](fake, [ex['mask'], ex['condition']])
    terms = {
      'g_adversarial': losses.lsgan_generator(logits),
      'g_l1': (reachable - fake).abs().mean(),
    }
    total = o['adversarial_weight'] * terms['g_adversarial'] + o['l1_weight'] * terms['g_l1']
    if 'perceptual' in self.nets:
      terms['g_perceptual'] = losses.perceptual(
        self.nets['perceptual'], self.tap_weights, reachable, fake
      )
      total = total + o['perceptual_weight'] * terms['g_perceptual']
    return total, {'g_loss': total, **terms}
