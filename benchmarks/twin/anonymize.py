"""The step of A against D_A and with I (anon_jax/steps/guided.py, steps/anonymize.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from twin import augmentation, losses, proxy
from twin.generator import one_hot
from twin.stage import Stage, Tensors

_CLASSES = 8


class Anonymize(Stage):
  """`nets` are generator, discriminator, identity and, for the perceptual term, perceptual.

  Not twinned, and refused: spectral norm, coarse maps, R1.
  """

  compiled = ('example', 'paint', 'judges_loss', 'painters_loss')

  def __init__(
    self,
    nets: Mapping[str, nn.Module],
    options: Mapping[str, Any],
    tap_weights: Sequence[float],
    device: str = 'cpu',
  ):
    super().__init__(nets, options, device)
    o = self.options
    if o['r1_weight']:
      raise ValueError(f'r1_weight={o["r1_weight"]}; the twin has no R1, use 0.')
    self.tap_weights = tuple(tap_weights)
    self.train('generator', o['generator_lr'])
    self.train('identity', o['identity_lr'])
    self.train('discriminator', o['discriminator_lr'], averaged=False)

  def example(self, batch: Tensors) -> dict[str, Any]:
    """Draws control identities, partners and DiffAugment; `batch` is one of the JAX step."""
    o, device = self.options, batch['image'].device
    images, mask = proxy.to_signed(batch['image']), proxy.foreground_mask(batch['map'])
    classes, identities = batch['identity_class'].long(), o['identities']
    own_rows = round(o['reconstruction_share'] * len(classes))
    control, own = _draw_controls(classes, o['identities_per_batch'], own_rows)
    return {
      'map': batch['map'],
      'classes': one_hot(batch['map'], _CLASSES),
      'mask': mask,
      'real': torch.where(mask > 0, images, 0.0),
      'own': own,
      'identity': functional.one_hot(classes, identities).float(),
      'control': functional.one_hot(control, identities).float(),
      'partners': _draw_partners(control, classes),
      'real_partners': _draw_partners(classes, classes),
      'changes': augmentation.draw_changes(len(classes), o['image_size'], o['augment'], device),
    }

  def update(self, ex: dict[str, Any]) -> Tensors:
    """Updates D by what A paints, then A and I through the same pass of A."""
    fakes = self.paint(ex)
    loss, metrics = self.judges_loss(fakes.detach(), ex)
    loss.backward()
    metrics['d_grad_norm'] = self.descend('discriminator')
    self.nets['discriminator'].requires_grad_(False)
    loss, terms = self.painters_loss(fakes, ex)
    loss.backward()
    self.nets['discriminator'].requires_grad_(True)
    metrics |= terms
    metrics['g_grad_norm'] = self.descend('generator')
    metrics['i_grad_norm'] = self.descend('identity')
    self.average()
    return {name: value.detach() for name, value in metrics.items()}

  def paint(self, ex: dict[str, Any]) -> torch.Tensor:
    """Paints foregrounds [b, 3, s, s]."""
    faces = self.nets['generator'](ex['control'], ex['map'])
    return torch.where(ex['mask'] > 0, faces, 0.0)

  def judge(self, pictures: torch.Tensor, who: torch.Tensor, ex: dict[str, Any]) -> Any:
    """Returns D's logits of augmented pictures; `who` are their identities."""
    pictures, conditions = augmentation.apply_changes(ex['changes'], pictures, [ex['classes']])
    return self.nets['discriminator'](pictures, conditions, who)

  def judges_loss(self, fakes: torch.Tensor, ex: dict[str, Any]) -> tuple[torch.Tensor, Tensors]:
    """Eq. 3, and what is logged of D and of the pictures."""
    label = self.options['real_label']
    real = self.judge(ex['real'], ex['identity'], ex)
    fake = self.judge(fakes, ex['control'], ex)
    loss = losses.lsgan_discriminator(real, fake, label)
    metrics = {'d_loss': loss, **losses.accuracies(real, fake, 'd', label)}
    metrics['g_diversity'] = losses.diversity(fakes * ex['mask'], ex['real'] * ex['mask'])
    return loss, metrics

  def painters_loss(self, fakes: torch.Tensor, ex: dict[str, Any]) -> tuple[torch.Tensor, Tensors]:
    """Eq. 1, for A through `fakes` and for I."""
    o, real = self.options, ex['real']
    terms = {'g_adversarial': losses.lsgan_generator(self.judge(fakes, ex['control'], ex))}
    total = o['adversarial_weight'] * terms['g_adversarial']
    embeddings = self.nets['identity'](torch.cat([fakes, real]))
    painted, seen = embeddings.split(len(fakes))
    terms['g_identity'] = losses.contrast(painted, seen, ex['partners'], o['margin'])
    terms['i_real_pairs'] = losses.contrast(seen, seen, ex['real_partners'], o['margin'])
    total = total + o['identity_weight'] * terms['g_identity']
    total = total + o['real_pairs_weight'] * terms['i_real_pairs']
    own = ex['own'][:, None, None, None]
    if o['reconstruction_weight']:
      mask = torch.where(own, ex['mask'], 0.0)
      terms['g_l1'] = losses.foreground_l1(real, fakes, mask)
      total = total + o['reconstruction_weight'] * terms['g_l1']
    if 'perceptual' in self.nets and o['perceptual_weight']:
      shown = torch.where(own, fakes, real)
      share = ex['own'].float().mean().clamp_min(1 / len(fakes))
      distance = losses.perceptual(self.nets['perceptual'], self.tap_weights, real, shown)
      terms['g_perceptual'] = distance / share
      total = total + o['perceptual_weight'] * terms['g_perceptual']
    return total, {'g_loss': total, **terms}


def _draw_controls(
  classes: torch.Tensor, identities: int, own_rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
  """Draws a control identity a row of those in the batch: int64 [b], and where it is the own."""
  ordered = classes.sort().values
  first = torch.ones_like(ordered, dtype=torch.bool)
  first[1:] = ordered[1:] != ordered[:-1]
  # not torch.unique, whose length the host would wait for
  present = torch.zeros(identities, dtype=ordered.dtype, device=ordered.device)
  present = present.scatter(0, first.long().cumsum(0) - 1, ordered)
  shift = torch.randint(1, identities, classes.shape, device=classes.device)
  other = present[(torch.searchsorted(present, classes) + shift) % identities]
  rank = torch.rand(classes.shape, device=classes.device).argsort().argsort()
  own = rank < own_rows
  return torch.where(own, classes, other), own


def _draw_partners(
  wanted: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
  """Draws for each row a real face of its class and one of another: int64 [b] each."""
  count, device = len(classes), classes.device
  same = wanted[:, None] == classes[None, :]
  scores = torch.rand(count, count, device=device) - torch.eye(count, device=device)
  others = torch.rand(count, count, device=device)
  return (
    torch.where(same, scores, -2.0).argmax(1),
    torch.where(same, -2.0, others).argmax(1),
  )
