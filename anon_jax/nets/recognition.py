"""The frozen face recognisers that identities are measured with, by name."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.data.alignment import Template
from anon_jax.nets import embedding, frozen, inception_resnet, mobilefacenet

# From the JSON beside the weights, which has it from the source's training.
_MOBILEFACENET_TEMPLATE = Template(
  mobilefacenet.HEIGHT,
  mobilefacenet.WIDTH,
  (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
  ),
)
# FaceNet was trained on boxes of the MTCNN detector with a margin of 14 pixels, each scaled to
# 160 x 160 whatever its proportions. This template gives the same from five points: medians of
# landmarks in detected boxes over the 5,665 crops of `celeba`, times 146, plus 7; the boxes were
# .732 times as wide as high. Unlike the published crop it also turns the face upright. Published
# FaceNet figures count as reproduced with it only where LFW's are (metrics.md 7).
_FACENET_TEMPLATE = Template(
  160,
  160,
  ((46.3, 65.4), (113.6, 65.4), (79.7, 95.4), (49.8, 115.1), (109.9, 115.1)),
  stretch=1 / 0.732,
)


@dataclasses.dataclass(frozen=True)
class Recogniser:
  """A frozen face recogniser without its weights; hashable, so it may be a static argument.

  Attributes:
    name: key of `RECOGNISERS`.
    module: Linen module, aligned faces [b, h, w, 3] in [-1, 1] -> embeddings [b, dimensions].
    alignment: the crop it was trained on; `data.alignment.align_face` cuts it.
    dimensions: numbers in an embedding.
  """

  name: str
  module: nn.Module
  alignment: Template
  dimensions: int

  def apply(self, params: Any, images: jax.Array) -> jax.Array:
    """Returns unit-length embeddings, float32 [b, dimensions].

    Args:
      params: from `load_recogniser`.
      images: aligned faces [b, alignment.height, alignment.width, 3], RGB in [-1, 1].

    Raises:
      ValueError: images of another form.
    """
    expected = (self.alignment.height, self.alignment.width, 3)
    if images.ndim != 4 or images.shape[1:] != expected:
      raise ValueError(
        f'Images have shape {images.shape}; {self.name} expects [b, {expected[0]}, {expected[1]}, '
        f'3], aligned by its template.'
      )
    if not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(f'Images are {images.dtype}; expected floats in [-1, 1].')
    raw: Any = self.module.apply({'params': params}, images)
    return embedding.normalise(raw)


def _load_mobilefacenet(
  name: str, folders: Sequence[str | Path], dtype: Any
) -> tuple[Recogniser, Any]:
  path = frozen.find_file(
    name,
    'mobilefacenet_casia.safetensors',
    folders,
    'It is part of the data bundle, in its folder weights; name that folder.',
  )
  params = mobilefacenet.params_from(frozen.load_tensors(path, mobilefacenet.TENSORS))
  module = mobilefacenet.MobileFaceNet(dtype)
  return Recogniser(name, module, _MOBILEFACENET_TEMPLATE, 128), params


def _load_facenet(name: str, folders: Sequence[str | Path], dtype: Any) -> tuple[Recogniser, Any]:
  path = frozen.find_weights(name, folders)
  params = inception_resnet.params_from(frozen.load_tensors(path, inception_resnet.TENSORS))
  module = inception_resnet.InceptionResnetV1(dtype)
  return Recogniser(name, module, _FACENET_TEMPLATE, inception_resnet.DIMENSIONS), params


RECOGNISERS: Mapping = MappingProxyType(
  {
    'mobilefacenet': _load_mobilefacenet,
    'facenet_vggface2': _load_facenet,
    'facenet_casia': _load_facenet,
  }
)


def load_recogniser(
  name: str, folders: Sequence[str | Path], dtype: Any = jnp.float32
) -> tuple[Recogniser, Any]:
  """Finds, checks and loads the weights of a face recogniser.

  Args:
    name: a key of `RECOGNISERS`.
    folders: searched in this order for the weight file.
    dtype: computation dtype of the network.

  Returns:
    The recogniser, and its float32 parameters as a tree of NumPy arrays: put them on the devices
    once, and pass them to the compiled function as an argument.

  Raises:
    ValueError: unknown recogniser.
    frozen.WeightsError: no weights found, or damaged or unexpected ones.
  """
  if name not in RECOGNISERS:
    raise ValueError(f'Unknown recogniser {name!r}; choose one of {list(RECOGNISERS)}.')
  return RECOGNISERS[name](name, folders, dtype)
