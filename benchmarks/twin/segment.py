"""The step of S (anon_jax/steps/segment.py)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from twin import augmentation, losses, proxy
from twin.stage import Stage, Tensors

_PARTS = (2, 3, 4, 5)  # brows, eyes, nose, mouth
_IGNORE = 255


class Segment(Stage):
  """`nets` is the segmenter; `allowed` bool [origins, c, c] says what each label may stand for."""

  compiled = ('example', 'loss')

  def __init__(
    self,
    nets: Mapping[str, nn.Module],
    options: Mapping[str, Any],
    allowed: Any,
    device: str = 'cpu',
  ):
    super().__init__(nets, options, device)
    self.train('segmenter', self.options['learning_rate'])
    self.allowed = torch.as_tensor(allowed, device=self.device)
    weights = torch.ones(self.allowed.shape[-1])
    weights[list(_PARTS)] = self.options['parts_weight']
    self.class_weights = weights.to(self.device)

  def example(self, batch: Tensors) -> dict[str, Any]:
    """Augments a batch."""
    o = self.options
    images, labels = augmentation.augment(
      proxy.to_signed(batch['image']), batch['map'], o['colour'], o['occluded']
    )
    images = images.contiguous(memory_format=torch.channels_last)
    return {'images': images, 'labels': labels, 'allowed': self.allowed[batch['origin'].long()]}

  def update(self, ex: dict[str, Any]) -> Tensors:
    """Updates S."""
    loss, accuracy = self.loss(ex)
    loss.backward()
    norm = self.descend('segmenter')
    self.average()
    return {'s_loss': loss.detach(), 's_accuracy': accuracy.detach(), 's_grad_norm': norm}

  def loss(self, ex: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the loss, and the share of labelled pixels that are right."""
    labels, allowed = ex['labels'], ex['allowed']
    logits = self.nets['segmenter'](ex['images'])
    loss = losses.cross_entropy(logits, labels, allowed, self.class_weights)
    known = labels != _IGNORE
    rows = torch.where(known, labels, 0).long()
    example = torch.arange(len(rows), device=rows.device)[:, None, None]
    right = allowed[example, rows, logits.argmax(1)] & known
    return loss, right.sum() / known.sum().clamp_min(1)
