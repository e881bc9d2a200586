"""The frozen feature networks that a perceptual loss can use, by name."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import frozen, squeezenet, vgg

# The tap weights of pix2pixHD (Wang et al. 2018, VGGLoss) and SPADE (Park et al. 2019).
VGG19_TAP_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

# Mean activation of SqueezeNet's taps with the Keras weights, over 512 real face crops of
# `celeba` (training part, drawn with seed 0) at 128 px. At 64 px they were 16.3, 36.7, 35.2,
# 25.6, 1.96 and at 256 px 12.0, 23.2, 16.5, 11.3, 1.53: the balance holds within a factor of two.
KERAS_TAP_MAGNITUDES = (13.9, 29.8, 24.3, 18.8, 1.43)


@dataclasses.dataclass(frozen=True)
class PerceptualNet:
  """A frozen feature network without its weights; hashable, so it may be a static argument.

  Attributes:
    name: key of `PERCEPTUAL`.
    module: Linen module, images [b, h, w, 3] in [-1, 1] -> tuple of taps [b, h', w', c].
    tap_names: the layer that each tap is the output of.
    tap_weights: weight of each tap in a perceptual loss.
  """

  name: str
  module: nn.Module
  tap_names: tuple[str, ...]
  tap_weights: tuple[float, ...]

  def apply(self, params: Any, images: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the taps of float images [b, h, w, 3], RGB in [-1, 1], sides at least 32."""
    taps: Any = self.module.apply({'params': params}, images)
    return taps


def inverse_magnitudes(magnitudes: Sequence[float]) -> tuple[float, ...]:
  """Weights under which a tap of its usual magnitude counts 1 / number of taps."""
  return tuple(1 / (len(magnitudes) * magnitude) for magnitude in magnitudes)


def _recorded_magnitudes(path: Path, metadata: Mapping[str, str], count: int) -> list[float]:
  """Reads `tap_magnitudes` as the converter wrote it: positive numbers parted by spaces."""
  text = metadata.get('tap_magnitudes', '')
  try:
    magnitudes = [float(word) for word in text.split()]
  except ValueError:
    magnitudes = []
  if len(magnitudes) != count or not all(0 < m < float('inf') for m in magnitudes):
    raise frozen.WeightsError(
      f'{path} records tap_magnitudes={text!r} instead of {count} positive numbers; convert the '
      f'published weights again with `anon-jax weights convert`.'
    )
  return magnitudes


def _load_vgg19(path: Path, dtype: Any) -> tuple[PerceptualNet, Any]:
  params = vgg.params_from(frozen.load_tensors(path, vgg.TENSORS))
  return PerceptualNet('vgg19', vgg.Vgg19(dtype=dtype), vgg.TAPS, VGG19_TAP_WEIGHTS), params


def _load_squeezenet(path: Path, dtype: Any) -> tuple[PerceptualNet, Any]:
  header = frozen.read_header(path)
  layout = squeezenet.layout_of(header.tensors, header.metadata)
  tensors = frozen.load_tensors(path, squeezenet.TENSORS[layout])
  module = squeezenet.SqueezeNet(layout=layout, dtype=dtype)
  if layout == 'keras':
    magnitudes: Sequence[float] = KERAS_TAP_MAGNITUDES
  else:
    magnitudes = _recorded_magnitudes(path, header.metadata, len(squeezenet.TAPS))
  weights = inverse_magnitudes(magnitudes)
  net = PerceptualNet('squeezenet', module, squeezenet.TAPS, weights)
  return net, squeezenet.params_from(tensors, layout)


# network -> loader of its weight file; in the order in which 'best_available' prefers them
PERCEPTUAL: Mapping = MappingProxyType({'vgg19': _load_vgg19, 'squeezenet': _load_squeezenet})


def load_perceptual(
  network: str, folders: Sequence[str | Path], dtype: Any = jnp.float32
) -> tuple[PerceptualNet, Any]:
  """Finds, checks and loads the weights of a frozen feature network.

  Args:
    network: a key of `PERCEPTUAL`; `resolve_network` turns a config's word into one.
    folders: searched in this order for the weight file.
    dtype: computation dtype of the network.

  Returns:
    The network, and its float32 parameters as a tree of NumPy arrays: put them on the devices
    once, and pass them to the compiled step as an argument (closed over, they would become
    constants of the program).

  Raises:
    ValueError: unknown network.
    frozen.WeightsError: no weights found, or damaged or unexpected ones.
  """
  if network not in PERCEPTUAL:
    raise ValueError(f'Unknown perceptual network {network!r}; choose one of {list(PERCEPTUAL)}.')
  return PERCEPTUAL[network](frozen.find_weights(network, folders), dtype)


def resolve_network(name: str, folders: Sequence[str | Path]) -> str:
  """Turns the config field `perceptual_network` into 'vgg19', 'squeezenet' or 'none'.

  Args:
    name: one of these three, returned as it is, or 'best_available': VGG-19, the paper's choice,
      where its weights are found, else SqueezeNet.
    folders: searched for weights under 'best_available'.

  Raises:
    ValueError: any other name.
    frozen.WeightsError: 'best_available', and no network's weights are found.
  """
  choices = [*PERCEPTUAL, 'none', 'best_available']
  if name not in choices:
    raise ValueError(f'Unknown perceptual network {name!r}; choose one of {choices}.')
  if name != 'best_available':
    return name
  missing = []
  for network in PERCEPTUAL:
    try:
      frozen.find_weights(network, folders)
    except frozen.WeightsError as error:
      missing.append(str(error))
    else:
      return network
  raise frozen.WeightsError(' '.join(missing))
