"""The networks on whose features sets of pictures are compared, and what such numbers are called.

A published name (FID, KID) belongs to the published network with one preprocessing. Whatever else
the features come from says so in its name: no network ever stands in for another under that one's
name, and where weights are missing there is a reason instead of a number.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import frozen, inception, squeezenet

_SQUEEZENET_TITLES = {'keras': 'Keras SqueezeNet', 'torchvision': 'torchvision SqueezeNet'}
_LEAST_SIDE = {'squeezenet': 32}


class FeatureNetwork(NamedTuple):
  """A frozen network without its weights; hashable.

  Attributes:
    title: what the features are called, with their preprocessing.
    frechet: what the Frechet distance on them has to be called.
    kernel: what the kernel distance on them has to be called.
    dimensions: numbers in a feature vector.
    module: of the network.
    mode: of `inception.preprocess`; '' for networks that preprocess by themselves.
  """

  title: str
  frechet: str
  kernel: str
  dimensions: int
  module: nn.Module
  mode: str = ''

  def features(self, params: Any, images: jax.Array) -> jax.Array:
    """Returns the features, float32 [b, dimensions]; traceable.

    Args:
      params: from `load_feature_network`.
      images: [b, h, w, 3], RGB in [-1, 1].
    """
    # otherwise GPUs round to TF32 and TPUs to bfloat16
    with jax.default_matmul_precision('highest'):
      if self.mode:
        images = inception.preprocess(images, self.mode)
      found: Any = self.module.apply({'params': params}, images)
    if isinstance(found, tuple):  # SqueezeNet's taps: the last one is the end
      return jnp.mean(found[-1].astype(jnp.float32), axis=(1, 2))
    return found


def _load_squeezenet(folders: Sequence[str | Path]) -> tuple[FeatureNetwork, Any]:
  path = frozen.find_weights('squeezenet', folders)
  header = frozen.read_header(path)
  layout = squeezenet.layout_of(header.tensors, header.metadata)
  tensors = frozen.load_tensors(path, squeezenet.TENSORS[layout])
  module = squeezenet.SqueezeNet(layout=layout, taps=('fire9',))
  return (
    _unpublished(f'{_SQUEEZENET_TITLES[layout]} features', 512, module),
    squeezenet.params_from(tensors, layout),
  )


def _inception(mode: str) -> Callable[[Sequence[str | Path]], tuple[FeatureNetwork, Any]]:
  def load(folders: Sequence[str | Path]) -> tuple[FeatureNetwork, Any]:
    path = frozen.find_weights('inception', folders)
    tensors = frozen.load_tensors(path, inception.TENSORS)
    params, module = inception.params_from(tensors), inception.Inception()
    source = frozen.read_header(path).metadata.get('source_sha256', '')
    if not source.startswith(frozen.published('inception').sha256_prefix):
      title = f'features of an Inception of other weights, {mode}'
      return _unpublished(title, inception.DIMENSIONS, module, mode), params
    title = f'Inception 2015-12-05 features, {mode}'
    names = f'FID, {mode}', f'KID, {mode}'
    return FeatureNetwork(title, *names, inception.DIMENSIONS, module, mode), params

  return load


def _unpublished(title: str, dimensions: int, module: nn.Module, mode: str = '') -> FeatureNetwork:
  names = f'Frechet distance, {title}', f'kernel distance, {title}'
  return FeatureNetwork(title, *names, dimensions, module, mode)


FEATURE_NETWORKS: Mapping[str, Callable[..., tuple[FeatureNetwork, Any]]] = MappingProxyType(
  {
    'squeezenet': _load_squeezenet,
    **{f'inception_{mode}': _inception(mode) for mode in inception.MODES},
  }
)


def load_feature_network(name: str, folders: Sequence[str | Path]) -> tuple[FeatureNetwork, Any]:
  """Finds, checks and loads a network.

  Args:
    name: a key of `FEATURE_NETWORKS`.
    folders: searched in this order for its weights.

  Returns:
    The network, and its float32 parameters as a tree of NumPy arrays: put them on the devices
    once, and pass them to the compiled function as an argument.

  Raises:
    ValueError: unknown network.
    WeightsError: its weights are missing or damaged.
  """
  if name not in FEATURE_NETWORKS:
    raise ValueError(f'Unknown feature network {name!r}; choose one of {list(FEATURE_NETWORKS)}.')
  return FEATURE_NETWORKS[name](folders)


def load_or_say(
  name: str, folders: Sequence[str | Path], image_size: int
) -> tuple[tuple[FeatureNetwork, Any] | None, str]:
  """Loads a network for pictures of `image_size`, or says why there is none.

  Returns:
    What `load_feature_network` returns and '', or None and the reason, for the report.

  Raises:
    ValueError: unknown network.
  """
  if image_size < _LEAST_SIDE.get(name, 1):
    return None, f'pictures of {image_size} px are too small; it needs {_LEAST_SIDE[name]}.'
  try:
    return load_feature_network(name, folders), ''
  except frozen.WeightsError as error:
    return None, str(error)
