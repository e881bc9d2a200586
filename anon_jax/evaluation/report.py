"""results.json and results.md: what was measured, on how much, with intervals."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from anon_jax.telemetry import write_whole

_TITLES = {
  'l1': 'L1 (share of the range)',
  'psnr': 'PSNR (dB)',
  'ssim': 'SSIM',
  'flicker': 'flicker (share of the range)',
  'tlp': 'tLP against the clip itself (whole frames)',
  'consecutive': 'distance of consecutive frames (whole frames)',
}
_BETTER = {
  **{'l1': 'lower', 'psnr': 'higher', 'ssim': 'higher', 'flicker': 'lower', 'tlp': 'lower'},
  'consecutive': "as the clip's",
}


def write_report(
  workdir: pathlib.Path, step: int, result: Mapping[str, Any], facts: Mapping[str, Any]
) -> pathlib.Path:
  """Writes a harmonization result into results.json and results.md of a workdir.

  Args:
    workdir: folder of the run.
    step: updates that the measured parameters have had.
    result: from `evaluate_harmonization`.
    facts: what identifies the measurement: data set, split, size, seed.

  Returns:
    The path of results.md.
  """
  whole = {'step': step, **facts, 'foreground': dict(result)}
  write_whole(
    workdir / 'results.json', (json.dumps(whole, indent=2, allow_nan=False) + '\n').encode()
  )
  unit = 'clips' if 'flicker' in result else 'pictures'
  lines = [
    '# HarmonizationNet on the proxy task',
    '',
    f'Step {step}; {result["count"]} held-out {unit} '
    f'({", ".join(f"{name} {value}" for name, value in facts.items())}).',
    'Inside the foreground; the baseline returns the recoloured input as it is. Brackets: 95 % '
    f'bootstrap interval over {unit}. The paper gives no figures for the proxy task.',
    '',
    '| measure | better | HarmonizationNet | baseline | ratio |',
    '|---|---|---|---|---|',
  ]
  for name, title in _TITLES.items():
    if name not in result:
      continue
    method, baseline = result[name]['method'], result[name]['baseline']
    ratio = method['mean'] / baseline['mean'] if baseline['mean'] else float('nan')
    lines.append(
      f'| {title} | {_BETTER[name]} | {_interval(method)} | {_interval(baseline)} | {ratio:.2f} |'
    )
  if 'consecutive' in result:
    own = _interval(result['consecutive']['target'])
    lines += [
      '',
      f'The distance is the {result["distance"]}: not comparable with other backbones. Consecutive '
      f'frames of the clips themselves are {own} apart.',
    ]
  elif result.get('distance_missing'):
    lines += ['', f'tLP was not measured: {result["distance_missing"]}']
  if result['without_foreground']:
    lines += ['', f'{result["without_foreground"]} {unit} had no foreground and were left out.']
  path = workdir / 'results.md'
  write_whole(path, ('\n'.join(lines) + '\n').encode())
  return path


def _interval(value: Mapping[str, float]) -> str:
  return f'{value["mean"]:.4f} [{value["low"]:.4f}, {value["high"]:.4f}]'
