"""What an attacker sees in a face crop: two recognisers' embeddings, and what a picture shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from anon_jax import compiling
from anon_jax.data import semantic
from anon_jax.evaluation.crop_recognition import usual_landmarks
from anon_jax.evaluation.feature_networks import load_or_say
from anon_jax.inference.inputs import FACE_SHARE, IdentityInput
from anon_jax.inference.weights import Network
from anon_jax.nets.anonymization import masked, resize_nearest
from anon_jax.protocols.batches import in_batches
from anon_jax.protocols.embedding import Embedder
from anon_jax.proxy import to_signed

_BATCH = 16


class Features:
  """Features of uint8 crops [n, s, s, 3] as synthesis cuts them.

  Args:
    embedder: the recogniser; faces are cut by usual landmarks.
    judge: I, exported.
    folders: of published weights, for SqueezeNet.

  Attributes:
    missing: why pictures are not looked at by SqueezeNet; '' if they are.
  """

  def __init__(self, embedder: Embedder, judge: Network[Any, Any], folders: Sequence[str | Path]):
    self._embedder, self._judge = embedder, judge
    loaded, self.missing = load_or_say('squeezenet', folders, 128)
    self._squeezenet: Callable[[np.ndarray], Any] | None = None
    if loaded is not None:
      network, params = loaded
      placed = jax.device_put(params)
      seen = compiling.jit(lambda p, crops: network.features(p, to_signed(crops)))
      self._squeezenet = lambda crops: seen(placed, crops)
    self._identity = compiling.jit(self._embedded)

  def of_pictures(self, crops: np.ndarray, title: str) -> np.ndarray:
    """Returns the recogniser's embeddings and SqueezeNet's features, float32 [n, d]."""
    points = usual_landmarks(crops.shape[1], FACE_SHARE)
    faces = (self._embedder.cut(crop, points) for crop in crops)
    parts = [self._embedder.embed(faces, len(crops), title)]
    if self._squeezenet is not None:
      parts.append(in_batches(self._squeezenet, _BATCH, f'{title}, SqueezeNet', crops))
    return np.concatenate(parts, axis=1)

  def of_identity(self, crops: np.ndarray, maps: np.ndarray, title: str) -> np.ndarray:
    """Returns I's embeddings, float32 [n, d], unit length.

    Args:
      crops: uint8 [n, s, s, 3].
      maps: uint8 [n, s, s], their semantic maps.
      title: of the progress bar.
    """
    run = self._identity
    params = jax.device_put(self._judge.params)
    return in_batches(lambda rows, own: run(params, rows, own), _BATCH, title, crops, maps)

  def _embedded(self, params: Any, crops: jax.Array, maps: jax.Array) -> jax.Array:
    shown = self._judge.input
    assert isinstance(shown, IdentityInput)
    margin = round(crops.shape[1] * (1 - FACE_SHARE / shown.face_share) / 2)
    inside = slice(margin, crops.shape[1] - margin)
    images, own = to_signed(crops)[:, inside, inside], maps[:, inside, inside]
    size = (len(crops), shown.image_size, shown.image_size, 3)
    images = jax.image.resize(images, size, 'bilinear')
    if shown.foreground_only:
      small = resize_nearest(own, shown.image_size)[..., None]
      images = masked(images, jax.numpy.isin(small, jax.numpy.array(semantic.FOREGROUND)))
    found: Any = self._judge.module.apply({'params': params}, images)
    return found
