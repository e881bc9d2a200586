"""How well S finds the classes: intersection over union, from confusion matrices of pictures.

A confusion matrix counts pixels, rows by label and columns by prediction. Pixels that nobody
labelled are in none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from anon_jax import compiling, parallel
from anon_jax.data import semantic
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage

Measure = Callable[[TrainState, dict[str, jax.Array], np.ndarray], dict[str, jax.Array]]

_DRAWS = 1000


def confusion_matrices(
  labels: jax.Array, predictions: jax.Array, allowed: jax.Array | np.ndarray
) -> jax.Array:
  """Counts, picture by picture, which class was predicted where which label is.

  A prediction that its label may stand for counts as that label: in a data set whose skin takes in
  the neck, neck on skin is right.

  Args:
    labels: integers [b, h, w], classes or IGNORE.
    predictions: integers [b, h, w], classes.
    allowed: bool [c, c], row = label, column = class.

  Returns:
    int32 [b, c, c].
  """
  known = labels != semantic.IGNORE
  row = jnp.where(known, labels, 0).astype(jnp.int32)
  column = predictions.astype(jnp.int32)
  column = jnp.where(jnp.asarray(allowed)[row, column], row, column)
  # sums of ones in float32 are exact up to 2 ** 24 pixels
  rows = jax.nn.one_hot(row, semantic.NUM_CLASSES) * known[..., None]
  columns = jax.nn.one_hot(column, semantic.NUM_CLASSES)
  return jnp.einsum('bhwl,bhwp->blp', rows, columns).astype(jnp.int32)


def fold_unlabelled(confusion: np.ndarray, allowed: np.ndarray, labelled: np.ndarray) -> np.ndarray:
  """Counts predictions of a class that a data set does not label as the label that covers it.

  Where skin takes in the neck and nothing is labelled neck, neck on hair is as wrong as skin on
  hair is, and must lower skin's figure in the same way. A class that no label covers, or several,
  stays as it is.

  Args:
    confusion: [..., c, c].
    allowed: bool [c, c].
    labelled: bool [c], the classes that the data set labels.

  Returns:
    Matrices of the same shape and sum.
  """
  folded = np.array(confusion)
  for column in np.flatnonzero(~labelled):
    covering = np.flatnonzero(allowed[:, column] & labelled)
    if len(covering) == 1:
      folded[..., covering[0]] += folded[..., column]
      folded[..., column] = 0
  return folded


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
  """Returns the IoU of each class, float64 [..., c]; NaN where a class is not labelled.

  Args:
    confusion: counts [..., c, c], summed over whatever is measured together.
  """
  confusion = np.asarray(confusion, np.float64)
  right = np.diagonal(confusion, axis1=-2, axis2=-1)
  labels, predictions = confusion.sum(axis=-1), confusion.sum(axis=-2)
  union = labels + predictions - right
  return np.where(labels > 0, right / np.maximum(union, 1.0), np.nan)


def summary(
  confusions: np.ndarray, units: np.ndarray, draws: int = _DRAWS, seed: int = 0
) -> dict[str, Any]:
  """Sums confusion matrices up to figures, with 95 % percentile bootstrap intervals.

  Args:
    confusions: counts [n, c, c], one a picture.
    units: [n], what is resampled: equal numbers (a person's pictures) stay together.
    draws: resamplings.
    seed: of the resampling.

  Returns:
    `pictures`, `units`, `mean_iou` and `iou` by class; each figure has `mean`, `low`, `high`. The
    mean is over the classes that are labelled at all; the others are left out.
  """
  _, number = np.unique(units, return_inverse=True)
  groups = np.zeros((number.max() + 1, *confusions.shape[1:]), np.float64)
  np.add.at(groups, number, confusions)
  whole = intersection_over_union(groups.sum(axis=0))
  labelled = np.flatnonzero(~np.isnan(whole))
  rng = np.random.default_rng(seed)
  counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), draws)
  drawn = intersection_over_union(np.einsum('dg,gij->dij', counts.astype(np.float64), groups))
  drawn = drawn[:, labelled]

  def figure(value: float, values: np.ndarray) -> dict[str, float]:
    # A class may be missing from a resampling; it has no figure there.
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return {'mean': float(value), 'low': float(low), 'high': float(high)}

  return {
    'pictures': len(confusions),
    'units': len(groups),
    'mean_iou': figure(whole[labelled].mean(), np.nanmean(drawn, axis=1)),
    'iou': {
      semantic.CLASSES[c]: figure(whole[c], drawn[:, i]) for i, c in enumerate(labelled.tolist())
    },
  }


def make_measure(stage: Stage) -> Measure:
  """Returns (state, batch, allowed) -> confusion matrices and what tells the pictures apart.

  To be made once and used for every data set and every evaluation: it is compiled once.
  """

  @compiling.jit
  def measure(state: TrainState, batch: dict[str, jax.Array], allowed: jax.Array) -> Any:
    classes = stage.predict(state, batch)['classes']
    confusion = confusion_matrices(batch['map'], classes, allowed)
    return {'confusion': confusion, **{k: batch[k] for k in ('identity', 'index', '_mask')}}

  return measure


def evaluate_segmentation(
  measure: Measure,
  state: TrainState,
  batches: Sequence[dict[str, np.ndarray]],
  mesh: Mesh,
  allowed: np.ndarray,
  groups: Sequence[str] = (),
) -> dict[str, Any]:
  """Measures S on one data set's held-out pictures.

  Args:
    measure: from `make_measure`; the averaged parameters are used.
    state: the stage's state.
    batches: padded batches with `_mask`, from `eval_dataset`.
    mesh: the devices.
    allowed: bool [c, c], the data set's table of `losses.segmentation.allowed_classes`.
    groups: a name for each example by its `index`, measured apart as well; '' belongs to none.

  Returns:
    The `summary` of all pictures; with groups, `groups` holds one for each. Intervals resample
    persons; a picture of an unknown person counts as a person of its own.
  """
  parts = [
    parallel.fetch(measure(state, parallel.put_batch(batches[i], mesh), allowed))
    for i in range(len(batches))
  ]
  rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
  real = rows['_mask'] > 0
  confusions, index = rows['confusion'][real], rows['index'][real]
  identity = rows['identity'][real].astype(np.int64)
  units = np.where(identity >= 0, identity, -1 - index)
  labelled = confusions.sum(axis=(0, 2)) > 0
  confusions = fold_unlabelled(confusions, allowed, labelled)
  result = summary(confusions, units)
  if groups:
    name = np.array([groups[i] for i in index])
    result['groups'] = {
      group: summary(confusions[name == group], units[name == group])
      for group in sorted(set(name.tolist()) - {''})
    }
  return result


def scalars(results: dict[str, dict[str, Any]]) -> dict[str, float]:
  """Flattens results by data set to scalars for the log, such as `eval/celeba/mean_iou`."""
  flat = {}
  for dataset, result in results.items():
    flat[f'eval/{dataset}/mean_iou'] = result['mean_iou']['mean']
    for name, value in result['iou'].items():
      flat[f'eval/{dataset}/{name}'] = value['mean']
  return flat
