"""How well S finds the classes at each pose, on the data set's own crops and labels."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.data import prepare, semantic
from anon_jax.evaluation import segmentation
from anon_jax.inference.segmenting import Segmenter
from anon_jax.losses.segmentation import MERGED, allowed_classes
from anon_jax.protocols.batches import in_batches
from anon_jax.protocols.poses.pictures import Posed

_TOGETHER = 16


def by_bins(
  segmenter: Segmenter,
  dataset: str,
  posed: Posed,
  chosen: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, Any]:
  """Measures S.

  Crops are those that S is trained and evaluated on, cut by the labels: what the detector has to do
  with a pose does not come in. Both are compared at the size that S works at.

  Args:
    segmenter: S.
    dataset: whose labels they are.
    posed: the pictures, with items.
    chosen: by part, places of pictures by the title of their bin, 'all' first.

  Returns:
    By part, `segmentation.summary` of all pictures, and in `groups` that of each other bin.

  Raises:
    DatasetError: broken pictures or labels.
  """
  crops, labels = _read(dataset, posed, segmenter.size)
  allowed = allowed_classes(MERGED.get(dataset, {}))

  def classes(rows: np.ndarray) -> np.ndarray:
    return segmenter.logits(rows).argmax(-1).astype(np.uint8)

  found = in_batches(classes, _TOGETHER, 'maps of labelled crops', crops)
  count = compiling.jit(segmentation.confusion_matrices)
  confusions = in_batches(
    lambda known, guessed: count(known, guessed, allowed), _TOGETHER, 'comparing', labels, found
  )
  labelled = confusions.sum(axis=(0, 2)) > 0
  confusions = segmentation.fold_unlabelled(confusions, allowed, labelled)
  result = {}
  for part, places in chosen.items():
    each = {
      title: segmentation.summary(confusions[mine], posed.people[mine])
      for title, mine in places.items()
    }
    result[part] = {**each.pop('all'), 'groups': each}
  return result


def _read(dataset: str, posed: Posed, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns crops uint8 [n, s, s, 3] and their labels uint8 [n, s, s]."""
  builder = prepare.builder_class(dataset)
  crops = np.zeros((len(posed.items), size, size, 3), np.uint8)
  labels = np.full(crops.shape[:3], semantic.IGNORE, np.uint8)
  for row, item in enumerate(tqdm(posed.items, desc='labels', file=sys.stderr, disable=None)):
    picture, _, classes = builder.read_item(item)
    # blocks are averaged first: no detail of the photograph aliases
    crops[row] = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    labels[row] = Image.fromarray(classes).resize((size, size), Image.Resampling.NEAREST)
  return crops, labels
