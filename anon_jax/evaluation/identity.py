"""How well I tells people apart whom it was never trained on, beside an independent recogniser."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh

from anon_jax import compiling, parallel
from anon_jax.evaluation import identification, retrieval
from anon_jax.evaluation.crop_recognition import CropRecogniser
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage
from anon_jax.telemetry import write_whole

ACCEPTED = 1e-3  # false accept rate at which `threshold` lies
_TITLES = {
  'recall@1': 'Recall@1',
  'recall@5': 'Recall@5',
  'auc': 'verification AUC',
  'eer': 'equal error rate',
  'tar@0.01': 'TAR at FAR 1e-2',
  'tar@0.001': 'TAR at FAR 1e-3',
}


def evaluate_identity(
  stage: Stage,
  state: TrainState,
  batches: Sequence[dict[str, np.ndarray]],
  mesh: Mesh,
  recogniser: CropRecogniser | None = None,
  missing: str = '',
) -> dict[str, Any]:
  """Measures I on held-out pictures: every picture is looked for among all the others.

  Args:
    stage: an identity stage.
    state: its state; the averaged parameters are used.
    batches: padded batches with `_mask`, from `eval_dataset`.
    mesh: the devices.
    recogniser: measured on the same crops; it sees them whole.
    missing: why there is no recogniser.

  Returns:
    `count` pictures, `identities`, and `method` and `reference`, each with the rows of
    `measure`; `reference` is {'missing': reason} without a recogniser.

  Raises:
    ValueError: no two pictures of one identity, or of one identity only.
  """
  predict = compiling.jit(stage.predict)
  embed = compiling.jit(recogniser.embed) if recogniser else None
  ours, theirs, labels = [], [], []
  for i in range(len(batches)):
    batch = parallel.put_batch(batches[i], mesh)
    shown = predict(state, batch)
    host = parallel.fetch({'e': shown['embedding'], 'i': batch['identity'], 'm': batch['_mask']})
    real = host['m'] > 0
    ours.append(host['e'][real])
    labels.append(host['i'][real])
    if recogniser and embed:
      theirs.append(parallel.fetch(embed(recogniser.params, shown['picture']))[real])
  identities = np.concatenate(labels)
  return {
    'count': len(identities),
    'identities': len(np.unique(identities)),
    'method': measure(np.concatenate(ours), identities),
    'reference': measure(np.concatenate(theirs), identities) if theirs else {'missing': missing},
  }


def measure_embedded(
  embed: Callable[[Any, Any], Any], params: Any, batches: Sequence[dict[str, np.ndarray]]
) -> dict[str, Any]:
  """Measures a stage's I on padded batches with `_mask`; as `measure`."""
  found, labels = [], []
  for i in range(len(batches)):
    batch = batches[i]
    real = batch['_mask'] > 0
    shown = {name: batch[name] for name in ('image', 'map', 'joints') if name in batch}
    found.append(np.asarray(embed(params, shown))[real])
    labels.append(batch['identity'][real])
  return measure(np.concatenate(found), np.concatenate(labels))


def measure(embeddings: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
  """Returns the rows of `recall_at` and `verification`, and the cosine of FAR 1e-3."""
  return {
    **retrieval.recall_at(embeddings, labels),
    **identification.verification(embeddings, labels),
    'threshold': identification.accept_threshold(embeddings, labels, ACCEPTED),
  }


def scalars(result: Mapping[str, Any]) -> dict[str, float]:
  """Flattens a result to scalars for the log: `eval/recall@1`, `eval/auc`, ..."""
  return {f'eval/{name}': _value(result['method'][name]) for name in _TITLES}


def _value(row: Any) -> float:
  return row['mean'] if isinstance(row, Mapping) else row


def write_report(
  workdir: pathlib.Path, step: int, result: Mapping[str, Any], facts: Mapping[str, Any]
) -> pathlib.Path:
  """Writes a result into results.json and results.md of a workdir.

  Args:
    workdir: folder of the run.
    step: updates that the measured parameters have had.
    result: from `evaluate_identity`.
    facts: what identifies the measurement: data set, split, size, seed.

  Returns:
    The path of results.md.
  """
  whole = {'step': step, **facts, 'identification': dict(result)}
  write_whole(workdir / 'results.json', (json.dumps(whole, indent=2) + '\n').encode())
  method, reference = result['method'], result['reference']
  lines = [
    '# IdentityNet on people it was not trained on',
    '',
    f'Step {step}; {result["count"]} pictures of {result["identities"]} identities '
    f'({", ".join(f"{name} {value}" for name, value in facts.items())}).',
    f'Recall: each of {method["count"]} pictures is looked for among all the others, itself left '
    f'out by its place. Verification: {method["genuine"]} pairs of one identity, '
    f'{method["impostor"]} of two. Brackets: 95 % bootstrap interval over pictures. The paper '
    'gives no figures for IdentityNet.',
    '',
    '| measure | IdentityNet | MobileFaceNet |',
    '|---|---|---|',
  ]
  for name, title in _TITLES.items():
    other = '' if 'missing' in reference else _shown(reference[name])
    lines.append(f'| {title} | {_shown(method[name])} | {other} |')
  if 'missing' in reference:
    lines += ['', f'MobileFaceNet was left out: {reference["missing"]}']
  else:
    lines += ['', 'MobileFaceNet sees the whole crops, cut by usual landmarks, not detected ones.']
  path = workdir / 'results.md'
  write_whole(path, ('\n'.join(lines) + '\n').encode())
  return path


def _shown(row: Any) -> str:
  if isinstance(row, Mapping):
    return f'{row["mean"]:.4f} [{row["low"]:.4f}, {row["high"]:.4f}]'
  return f'{row:.4f}'
