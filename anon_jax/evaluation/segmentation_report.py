"""results.json and results.md of a segment run."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from anon_jax.data import semantic
from anon_jax.telemetry import write_whole


def write_report(
  workdir: pathlib.Path,
  step: int,
  results: Mapping[str, Mapping[str, Any]],
  facts: Mapping[str, Any],
) -> pathlib.Path:
  """Writes segmentation results into results.json and results.md of a workdir.

  Args:
    workdir: folder of the run.
    step: updates that the measured parameters have had.
    results: by data set, from `evaluate_segmentation`.
    facts: what identifies the measurement: split, size, mixture, seed.

  Returns:
    The path of results.md.
  """
  whole = {'step': step, **facts, 'segmentation': dict(results)}
  write_whole(workdir / 'results.json', (json.dumps(whole, indent=2) + '\n').encode())
  lines = [
    '# SegmentationNet on held-out pictures',
    '',
    f'Step {step}; {", ".join(f"{name} {value}" for name, value in facts.items() if value)}.',
    'Intersection over union of pixels, summed over pictures; the mean is over the classes that '
    'the data set labels. Brackets: 95 % bootstrap interval over persons (over pictures where '
    'persons are unknown).',
  ]
  for dataset, result in results.items():
    lines += ['', f'## {dataset}', '', *table(result)]
  path = workdir / 'results.md'
  write_whole(path, ('\n'.join(lines) + '\n').encode())
  return path


def table(result: Mapping[str, Any]) -> list[str]:
  """Returns a Markdown table of a `summary` and of those in its `groups`."""
  classes = [name for name in semantic.CLASSES if name in result['iou']]
  lines = [
    f'| pictures | number | persons | mean IoU | {" | ".join(classes)} |',
    '|' + '---|' * (4 + len(classes)),
  ]
  for name, row in {'all': result, **result.get('groups', {})}.items():
    mean = row['mean_iou']
    cells = [f'{row["iou"][c]["mean"]:.3f}' if c in row['iou'] else '' for c in classes]
    lines.append(
      f'| {name} | {row["pictures"]} | {row["units"]} | {mean["mean"]:.3f} [{mean["low"]:.3f}, '
      f'{mean["high"]:.3f}] | {" | ".join(cells)} |'
    )
  return lines
