"""What the twins of the training steps have in common."""

import abc
import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from twin import optimisation

Tensors = dict[str, torch.Tensor]


class Stage(abc.ABC):
  """One training step: `example` takes from a batch what `update` learns from.

  Subclasses name in `compiled` the methods that hold all the arithmetic but the optimizers', which
  PyTorch has fused kernels for.
  """

  compiled: tuple[str, ...] = ()

  def __init__(self, nets: Mapping[str, nn.Module], options: Mapping[str, Any], device: str):
    self.device, self.options, self.done = torch.device(device), dict(options), 0
    self.nets = {
      name: net.to(self.device, memory_format=torch.channels_last) for name, net in nets.items()
    }
    self.optimizers: dict[str, torch.optim.Optimizer] = {}
    self.averages: dict[str, nn.Module] = {}

  @abc.abstractmethod
  def example(self, batch: Tensors) -> dict[str, Any]:
    """Makes what the losses need; all randomness is in here."""

  @abc.abstractmethod
  def update(self, ex: dict[str, Any]) -> Tensors:
    """Updates every network in training once; returns the step's metrics."""

  def step(self, batch: Tensors) -> Tensors:
    """Runs one training step; nothing in it waits for the device."""
    with self.precision():
      return self.update(self.example(batch))

  def precision(self) -> contextlib.AbstractContextManager:
    """Returns bfloat16 convolutions on a GPU, float32 on a CPU, as the configs' `auto` has it."""
    return torch.autocast(
      self.device.type, dtype=torch.bfloat16, enabled=self.device.type == 'cuda'
    )

  def compile(self) -> None:
    """Replaces the methods of `compiled` by what torch.compile makes of them."""
    for name in self.compiled:
      setattr(self, name, torch.compile(getattr(self, name), dynamic=False, fullgraph=True))

  def place(self, batch: Mapping[str, Any]) -> Tensors:
    """Puts a batch of arrays where the networks are."""
    return {name: torch.as_tensor(rows, device=self.device) for name, rows in batch.items()}

  def train(self, name: str, rate: float, averaged: bool = True) -> None:
    """Gives a network its optimizer and, unless it is a judge, its running average."""
    net, o = self.nets[name], self.options
    self.optimizers[name] = optimisation.adam(net.parameters(), rate, o['adam_b1'], o['adam_b2'])
    if averaged:
      self.averages[name] = optimisation.average_of(net)

  def descend(self, name: str) -> torch.Tensor:
    """Updates a network by its gradients and drops them; returns their norm."""
    norm = optimisation.gradient_norm(self.nets[name].parameters())
    self.optimizers[name].step()
    self.optimizers[name].zero_grad(set_to_none=True)
    return norm

  def average(self) -> None:
    """Moves all running averages and counts the step."""
    for name, average in self.averages.items():
      optimisation.update_average(
        list(average.parameters()),
        list(self.nets[name].parameters()),
        self.done,
        self.options['ema_decay'],
      )
    self.done += 1
