"""Embeddings of the project's crops by a frozen recogniser that no training has seen.

A crop shows a face at eye level in a known place, so its five landmarks are taken to be where they
usually are: A's outputs have none of their own, and real and generated faces must be cut alike.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.data import alignment
from anon_jax.nets import recognition
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.recognition import Recogniser

# Medians of the landmarks of the 4,309 training crops of `celeba`, as shares of the side of a crop
# whose face box has 60 % of it.
_FACE_SHARE = 0.6
LANDMARKS = ((0.395, 0.437), (0.605, 0.437), (0.5, 0.565), (0.405, 0.65), (0.595, 0.65))


class CropRecogniser(NamedTuple):
  """A recogniser for whole crops.

  Attributes:
    name: key of `recognition.RECOGNISERS`.
    recogniser: the network.
    params: its weights.
    face_share: height of the face box as a share of the crops' side.
  """

  name: str
  recogniser: Recogniser
  params: Any
  face_share: float = _FACE_SHARE

  def embed(self, params: Any, crops: jax.Array) -> jax.Array:
    """Embeds crops [b, s, s, 3], RGB in [-1, 1], as unit vectors float32 [b, d]; traceable."""
    faces = cut_faces(crops, self.recogniser.alignment, self.face_share)
    return self.recogniser.apply(params, faces)


def usual_landmarks(side: int, face_share: float = _FACE_SHARE) -> alignment.Points:
  """Returns where the landmarks of a level face lie in a square crop of it, in pixels.

  Args:
    side: of the crop in pixels.
    face_share: height of the face box as a share of it.
  """
  closer = face_share / _FACE_SHARE
  return tuple(
    (side * (0.5 + closer * (x - 0.5)), side * (0.5 + closer * (y - 0.5))) for x, y in LANDMARKS
  )


def cut_faces(
  crops: jax.Array, template: alignment.Template, face_share: float = _FACE_SHARE
) -> jax.Array:
  """Cuts [b, s, s, 3] to the recogniser's [b, height, width, 3], bilinearly, without turning."""
  points = usual_landmarks(crops.shape[1], face_share)
  matrix = alignment.fit_similarity(points, template)
  scale = jnp.array([matrix[1, 1], matrix[0, 0]], jnp.float32)
  # The fit's small turn is left out, and its middle kept.
  middle = np.mean(points, axis=0)
  there = matrix[:, :2] @ middle + matrix[:, 2]
  shift = jnp.array(there[::-1] - np.array([matrix[1, 1], matrix[0, 0]]) * middle[::-1])
  shape = (crops.shape[0], template.height, template.width, 3)
  return jax.image.scale_and_translate(
    crops, shape, (1, 2), scale, shift.astype(jnp.float32), 'linear', antialias=False
  )


def load_crop_recogniser(
  name: str, folders: Sequence[str | Path], face_share: float = _FACE_SHARE
) -> tuple[CropRecogniser | None, str]:
  """Loads a recogniser for crops of one `face_share`, or says why there is none.

  Returns:
    The recogniser and '', or None and the reason, for the report.

  Raises:
    ValueError: unknown recogniser.
  """
  try:
    recogniser, params = recognition.load_recogniser(name, folders)
  except WeightsError as error:
    return None, str(error)
  return CropRecogniser(name, recogniser, jax.device_put(params), face_share), ''


def embed_all(
  embed: Callable[[dict[str, Any]], Any], batches: Iterable[dict[str, Any]]
) -> np.ndarray:
  """Embeds padded batches and leaves their padding out, float32 [n, d]."""
  parts = []
  for batch in batches:
    embeddings, real = jax.device_get((embed(batch), batch['_mask']))
    parts.append(np.asarray(embeddings)[np.asarray(real) > 0])
  return np.concatenate(parts)
