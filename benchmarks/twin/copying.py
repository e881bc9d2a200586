"""From the parameters of a Flax network to those of its twin, and back by name for comparing."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

# Flax numbers the members of a list with an underscore, PyTorch with a dot.
_LISTED = re.compile(r'^(blocks|rgbs)_(\d+)$')
_TRANSPOSED = ('expand',)


def flattened(params: Mapping[str, Any], prefix: str = '') -> dict[str, np.ndarray]:
  """Returns a Flax tree's leaves under the twin's names, in PyTorch's layout."""
  found: dict[str, np.ndarray] = {}
  for name, value in params.items():
    path = prefix + _LISTED.sub(r'\1.\2', name)
    if isinstance(value, Mapping):
      found |= flattened(value, f'{path}.')
      continue
    leaf, owner = np.asarray(value), prefix.rstrip('.').rsplit('.', 1)[-1]
    if name == 'kernel' and leaf.ndim == 4 and owner in _TRANSPOSED:
      # Flax writes a transposed convolution's kernel the other way round
      leaf = leaf[::-1, ::-1].transpose(2, 3, 0, 1)
    elif name == 'kernel':
      leaf = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
    renamed = {'kernel': 'weight', 'scale': 'weight'}.get(name, name)
    found[prefix + renamed] = np.ascontiguousarray(leaf)
  return found


def fill(net: nn.Module, params: Mapping[str, Any]) -> None:
  """Copies a Flax network's parameters into its twin.

  Raises:
    RuntimeError: names or shapes that do not fit; all of both have to.
  """
  state = {name: torch.from_numpy(leaf.copy()) for name, leaf in flattened(params).items()}
  net.load_state_dict(state, strict=True)


def count(net: nn.Module) -> int:
  """Returns the number of a network's parameters."""
  return sum(p.numel() for p in net.parameters())
