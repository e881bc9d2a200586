"""The step of I by Proxy-NCA (anon_jax/steps/identity.py)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from twin import losses, optimisation, proxy
from twin.blocks import normalise
from twin.stage import Stage, Tensors

_CENTRING = 0.9
_LEAST_VARIANCE = 1e-6


class Proxies(nn.Module):
  """A vector for each training identity."""

  def __init__(self, identities: int, dimensions: int):
    super().__init__()
    self.table = nn.Parameter(normalise(torch.randn(identities, dimensions)))


class Identify(Stage):
  """`nets` are identity and proxies.

  Refused: the form of Proxy-NCA without the positive in the denominator.
  """

  compiled = ('example', 'loss', 'folded')

  def __init__(
    self, nets: Mapping[str, nn.Module], options: Mapping[str, Any], device: str = 'cpu'
  ):
    super().__init__(nets, options, device)
    o = self.options
    if not o['positive_in_denominator']:
      raise ValueError('positive_in_denominator=False is not twinned.')
    self.train('identity', o['identity_lr'])
    self.train('proxies', o['proxy_lr'], averaged=False)
    dimensions = self.nets['proxies'].table.shape[1]
    self.mean = torch.zeros(1, dimensions, device=self.device)
    self.variance = torch.ones(1, dimensions, device=self.device)

  def example(self, batch: Tensors) -> dict[str, Any]:
    """Takes what I sees of a batch."""
    images = proxy.to_signed(batch['image'])
    if self.options['foreground_only']:
      images = torch.where(proxy.foreground_mask(batch['map']) > 0, images, 0.0)
    return {'pictures': images, 'classes': batch['identity_class']}

  def update(self, ex: dict[str, Any]) -> Tensors:
    """Updates I and the proxies, and the average that has the centring folded in."""
    loss, accuracy, mean, variance = self.loss(ex)
    loss.backward()
    net = self.nets['identity']
    # the mean takes the bias away again: its gradient is rounding, which Adam would magnify
    net.embedding.bias.grad.zero_()
    norm = self.descend('identity')
    self.descend('proxies')
    found = [mean.detach(), variance.detach()]
    optimisation.update_average([self.mean, self.variance], found, self.done, _CENTRING)
    kernel, bias = self.folded(net.embedding.weight.detach(), net.embedding.bias.detach())
    folded = {'embedding.weight': kernel, 'embedding.bias': bias}
    params = [folded.get(name, p) for name, p in net.named_parameters()]
    average = list(self.averages['identity'].parameters())
    optimisation.update_average(average, params, self.done, self.options['ema_decay'])
    self.done += 1
    return {'loss': loss.detach(), 'accuracy': accuracy.detach(), 'grad_norm': norm}

  def loss(self, ex: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Returns the loss, the accuracy, and mean and variance [1, d] of the projections."""
    o, table = self.options, self.nets['proxies'].table
    projections = self.nets['identity'].project(ex['pictures'])
    variance, mean = torch.var_mean(projections, 0, correction=0, keepdim=True)
    embeddings = normalise((projections - mean) * torch.rsqrt(variance + _LEAST_VARIANCE))
    loss = losses.proxy_nca(
      embeddings, table, ex['classes'], o['proxy_scale'], o['label_smoothing']
    )
    nearest = (embeddings @ normalise(table).T).argmax(-1)
    return loss, (nearest == ex['classes']).float().mean(), mean, variance

  def folded(self, kernel: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns I's last layer with the centring of projections in it."""
    scale = torch.rsqrt(self.variance + _LEAST_VARIANCE)[0]
    return kernel * scale[:, None], (bias - self.mean[0]) * scale
