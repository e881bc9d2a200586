"""How well H gives the foreground its colours back, beside the recoloured input itself."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from anon_jax import compiling, parallel
from anon_jax.evaluation import quality
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage

Measure = Callable[[TrainState, dict[str, jax.Array]], dict[str, jax.Array]]


def make_measure(stage: Stage) -> Measure:
  """Compiles what is measured on a batch; to be made once and used at every evaluation.

  Args:
    stage: a harmonize stage.

  Returns:
    (state, batch) -> one row a picture: `method/l1`, `baseline/l1` and so on, `covered` pixels and
    the batch's `_mask`. The averaged parameters are used.
  """

  def measure(state: TrainState, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    shown = stage.predict(state, batch)
    target, mask = shown['target'], shown['mask']
    rows = {'covered': mask.sum(axis=(1, 2, 3)), '_mask': batch['_mask']}
    for name, metric in quality.METRICS.items():
      rows[f'method/{name}'] = metric(target, shown['output'], mask)
      rows[f'baseline/{name}'] = metric(target, shown['recoloured'], mask)
    return rows

  return compiling.jit(measure)


def evaluate_harmonization(
  measure: Measure, state: TrainState, batches: Sequence[dict[str, np.ndarray]], mesh: Mesh
) -> dict[str, Any]:
  """Measures H on held-out pictures, or clips.

  Args:
    measure: from `make_measure`.
    state: the state to measure.
    batches: padded batches with `_mask`, from `eval_dataset`.
    mesh: the devices.

  Returns:
    `count`, and for each of the measure's metrics inside the foreground a row with `method` and
    `baseline` (the recoloured input returned as it is), and `target` where the measure has it: mean
    and 95 % bootstrap interval over pictures. Pictures without any foreground are counted in
    `without_foreground` and left out.
  """
  parts = [
    parallel.fetch(measure(state, parallel.put_batch(batches[i], mesh)))
    for i in range(len(batches))
  ]
  rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
  real = rows['_mask'] > 0
  counted = real & (rows['covered'] > 0)
  result: dict[str, Any] = {
    'count': int(counted.sum()),
    'without_foreground': int((real & ~counted).sum()),
  }
  for name in (key.removeprefix('method/') for key in rows if key.startswith('method/')):
    result[name] = {
      who: bootstrap_mean(rows[f'{who}/{name}'][counted])
      for who in ('method', 'baseline', 'target')
      if f'{who}/{name}' in rows
    }
  return result


def scalars(result: dict[str, Any]) -> dict[str, float]:
  """Flattens a result to scalars for the log, such as `eval/l1` and `eval/l1_baseline`."""
  flat = {}
  for name, row in result.items():
    if isinstance(row, dict):
      flat[f'eval/{name}'] = row['method']['mean']
      flat[f'eval/{name}_baseline'] = row['baseline']['mean']
  return flat
