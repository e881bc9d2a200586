"""The frozen network of the perceptual term (anon_jax/nets/squeezenet.py, Keras' layout)."""

import torch
from torch import nn
from torch.nn import functional

# fire module -> (channels in, squeezed, expanded by each of 1x1 and 3x3)
_FIRES = {
  'fire2': (64, 16, 64),
  'fire3': (128, 16, 64),
  'fire4': (128, 32, 128),
  'fire5': (256, 32, 128),
  'fire6': (256, 48, 192),
  'fire7': (384, 48, 192),
  'fire8': (384, 64, 256),
  'fire9': (512, 64, 256),
}
_POOL_BEFORE = ('fire2', 'fire4', 'fire6')
_TAPS = ('fire3', 'fire5', 'fire7', 'fire9')  # and conv1, always the first
_BGR_MEAN = (103.939, 116.779, 123.68)


class Fire(nn.Module):
  """Squeezes by 1x1, expands by 1x1 and 3x3 side by side."""

  def __init__(self, inputs: int, squeezed: int, expanded: int):
    super().__init__()
    self.squeeze1x1 = nn.Conv2d(inputs, squeezed, 1)
    self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
    self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps [b, inputs, h, w] to [b, 2 * expanded, h, w]."""
    s = functional.relu(self.squeeze1x1(x))
    return functional.relu(torch.cat([self.expand1x1(s), self.expand3x3(s)], dim=1))


class SqueezeNet(nn.Module):
  """Pictures [b, 3, h, w] in [-1, 1] -> the outputs of conv1, fire3, 5, 7 and 9."""

  def __init__(self) -> None:
    super().__init__()
    self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
    for name, sizes in _FIRES.items():
      self.add_module(name, Fire(*sizes))
    shift = 127.5 - torch.tensor(_BGR_MEAN).reshape(1, 3, 1, 1)
    self.register_buffer('shift', shift, persistent=False)
    self.requires_grad_(False)

  def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
    """Returns the taps, [b, c, h', w'] each."""
    x = (images.flip(1) * 127.5 + self.shift).contiguous(memory_format=torch.channels_last)
    x = functional.relu(self.conv1(x))
    taps = [x]
    for name in _FIRES:
      if name in _POOL_BEFORE:
        x = functional.max_pool2d(x, 3, stride=2)
      x = self.get_submodule(name)(x)
      if name in _TAPS:
        taps.append(x)
    return taps
