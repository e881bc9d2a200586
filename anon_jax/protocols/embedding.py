"""Embeddings of faces in pictures, aligned as a recogniser wants them."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.data import alignment
from anon_jax.inference.faces import Points
from anon_jax.nets import recognition


class Embedder(NamedTuple):
  """A recogniser and how it is run.

  Attributes:
    name: of the recogniser.
    template: of the crops that it takes.
    run: uint8 crops [b, h, w, 3] -> unit vectors float32 [b, d], each the sum for a crop and for
      its mirror image.
    batch: crops in a batch; the last one is filled up.
    dimensions: d.
    sha256: of its parameters.
  """

  name: str
  template: alignment.Template
  run: Callable[[np.ndarray], np.ndarray]
  batch: int
  dimensions: int
  sha256: str

  def cut(self, pixels: np.ndarray, points: Points) -> np.ndarray:
    """Cuts a crop out of a picture, uint8 [h, w, 3]."""
    return alignment.align_face(Image.fromarray(pixels), points, self.template)

  def embed(self, crops: Iterable[np.ndarray], count: int, title: str) -> np.ndarray:
    """Embeds crops as they come, float32 [count, d].

    Args:
      crops: uint8 [h, w, 3] each.
      count: of the crops.
      title: of the progress bar.
    """
    parts, waiting = [], []
    with tqdm(total=count, desc=title, unit=' faces', file=sys.stderr, disable=None) as bar:
      for crop in crops:
        waiting.append(crop)
        if len(waiting) == self.batch:
          parts.append(self._padded(waiting))
          bar.update(len(waiting))
          waiting = []
      if waiting:
        parts.append(self._padded(waiting))
        bar.update(len(waiting))
    return np.concatenate(parts)

  def _padded(self, crops: Sequence[np.ndarray]) -> np.ndarray:
    rows = np.stack(crops)
    lack = self.batch - len(rows)
    return self.run(np.pad(rows, [(0, lack), *[(0, 0)] * 3], mode='edge'))[: len(crops)]


def load_embedder(name: str, folders: Sequence[str | Path], batch: int) -> Embedder:
  """Loads a recogniser.

  Raises:
    WeightsError: its weights are missing or damaged.
  """
  net, loaded = recognition.load_recogniser(name, folders)
  params = jax.device_put(loaded)

  def both(params: Any, crops: jax.Array) -> jax.Array:
    images = crops.astype('float32') / 127.5 - 1
    sums = net.apply(params, images) + net.apply(params, images[:, :, ::-1])
    return sums / jax.numpy.linalg.norm(sums, axis=1, keepdims=True)

  compiled = compiling.jit(both)
  return Embedder(
    name,
    net.alignment,
    lambda crops: np.asarray(compiled(params, crops), np.float32),
    batch,
    net.dimensions,
    _sha256(loaded),
  )


def _sha256(params: Any) -> str:
  content = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    content.update(jax.tree_util.keystr(path).encode())
    content.update(np.ascontiguousarray(leaf).tobytes())
  return content.hexdigest()
