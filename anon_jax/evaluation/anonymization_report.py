"""results.json and results.md of the stages that paint control identities."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from anon_jax.telemetry import write_whole

# Row of `anonymization.recognise` -> what is compared, and where a good A is.
_ROWS = {
  'control': ('control identity nearer than another training identity', 'near 1'),
  'source': ('source person nearer than another held-out person', 'near .5'),
  'source_blanked': ('the same, grey foreground instead of a face', 'what hair and outline tell'),
  'source_real': ('the same, the real picture', "the recogniser's own skill"),
}


class Subject(NamedTuple):
  """What was measured, in words.

  Attributes:
    title: the report's heading.
    paper: a sentence on the paper's figure for distinct identities.
  """

  title: str
  paper: str


SUBJECTS = {
  'anonymize': Subject(
    'AnonymizationNet, its faces pasted as they are',
    'The paper has 96.1 distinct of 500 outputs, after H and with another recogniser.',
  ),
  'single_stage': Subject(
    'One network that paints and blends (ablation 1)',
    'The paper has 33.4 distinct of 500 outputs of its model without decoupling (Table 1, CelebA), '
    'with another recogniser.',
  ),
  'joint': Subject(
    'AnonymizationNet and HarmonizationNet trained together (ablation 2)',
    'The paper has 88.6 distinct of 500 outputs of its model without proxy training (Table 1, '
    'CelebA), with another recogniser.',
  ),
}


def scalars(result: Mapping[str, Any]) -> dict[str, float]:
  """Flattens a result to scalars for the log: `eval/own_l1`, `eval/auc_control`, ..."""
  flat = {'eval/own_l1': result['own_l1']['mean'], 'eval/auc_i': result['identification']['auc']}
  recognised = result['recognition']
  if 'missing' not in recognised:
    flat |= {f'eval/auc_{name}': recognised[name] for name in _ROWS}
    if recognised['distinct']:
      flat['eval/distinct'] = recognised['distinct']['mean']
  return flat


def write_report(
  workdir: pathlib.Path,
  step: int,
  result: Mapping[str, Any],
  facts: Mapping[str, Any],
  subject: Subject = SUBJECTS['anonymize'],
) -> pathlib.Path:
  """Writes a result into results.json and results.md of a workdir.

  Args:
    workdir: folder of the run.
    step: updates that the measured parameters have had.
    result: `own_l1` of `own_identity_l1`, `recognition` of `recognise`, or there
      {'missing': reason}, and `identification` of `identity.measure`.
    facts: what identifies the measurement: data set, split, size, seed.
    subject: what was measured.

  Returns:
    The path of results.md.
  """
  whole = {'step': step, **facts, 'anonymization': dict(result)}
  write_whole(workdir / 'results.json', (json.dumps(whole, indent=2) + '\n').encode())
  own = result['own_l1']
  lines = [
    f'# {subject.title}',
    '',
    f'Step {step} ({", ".join(f"{name} {value}" for name, value in facts.items())}).',
    '',
    f'L1 to the real foreground, own identity, {own["count"]} training pictures (share of the '
    f'range): {_interval(own)}.',
    '',
  ]
  lines += _recognition(result['recognition'], subject)
  own_judge = result['identification']
  lines += [
    '',
    f'I as it has become, on {own_judge["count"]} real held-out pictures: Recall@1 '
    f'{_interval(own_judge["recall@1"])}, verification AUC {own_judge["auc"]:.4f}; pairs of two '
    f'people have a cosine above {own_judge["threshold"]:.4f} once in a thousand.',
  ]
  path = workdir / 'results.md'
  write_whole(path, ('\n'.join(lines) + '\n').encode())
  return path


def _recognition(found: Mapping[str, Any], subject: Subject) -> list[str]:
  if 'missing' in found:
    return [f'Rows of the recogniser MobileFaceNet were left out: {found["missing"]}']
  lines = [
    f'MobileFaceNet, which training never saw, on {found["outputs"]} outputs of '
    f'{found["sources"]} held-out pictures of {found["source_identities"]} people, '
    f'{found["classes"]} control identities. Area under the ROC curve; .5 is chance. People are '
    'means of their pictures, the source picture itself left out.',
    '',
    '| nearer is | AUC | wanted |',
    '|---|---|---|',
  ]
  for name, (title, wanted) in _ROWS.items():
    lines.append(f'| {title} | {found[name]:.4f} | {wanted} |')
  distinct = found['distinct']
  if distinct:
    lines += [
      '',
      f'Distinct nearest training identities of {distinct["controls"]} control identities, mean '
      f'over {distinct["maps"]} maps: {_interval(distinct)}.',
      '',
      f'Brackets: 95 % bootstrap interval over pictures, or maps. {subject.paper}',
    ]
  return lines


def _interval(value: Mapping[str, float]) -> str:
  return f'{value["mean"]:.4f} [{value["low"]:.4f}, {value["high"]:.4f}]'
