"""results.md of LFW: the paper's Table 3 beside what was measured."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.lfw import FARS
from anon_jax.protocols.report import (
  interval,
  judged_cells,
  judged_head,
  judged_line,
  shown,
  table,
)

# TAR at FAR 1e-3 by FaceNet trained on VGGFace2 and on CASIA, and faces found by SSH, in percent.
PAPER = {
  'original': ('.986 ± .01', '.965 ± .02', '100'),
  'method': ('.032 ± .02', '.032 ± .01', '98.4'),
}
_PAPER_ONLY = {
  'Gafni et al.': ('.038 ± .02', '.035 ± .01', '-'),
  'CIAGAN': ('.034 ± .02', '.019 ± .01', '95.4'),
}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `lfw.evaluate`.
    facts: what identifies the measurement.
  """
  strict = f'{FARS[0]:g}'
  head = ['', 'paper: VGGFace2', 'paper: CASIA', 'TAR', 'own thresholds', 'in place', 'at 1e-4']
  head += ['accuracy', 'AUC', 'EER']
  rows = []
  for name, row in result['rows'].items():
    found, there = row['found'], row['in_place']
    rows.append(
      [
        row['title'],
        *PAPER.get(name, ('-',) * 3)[:2],
        _deviation(found['clear_thresholds'][strict]),
        _deviation(found['own_thresholds'][strict]),
        interval(there['same_accepted']),
        shown(found['clear_thresholds'][f'{FARS[1]:g}']['tar']),
        shown(found['own_thresholds'][strict]['accuracy']),
        shown(there['auc']),
        shown(there['eer']),
      ]
    )
  rows += [[f'{title} (paper only)', *row[:2], *['-'] * 7] for title, row in _PAPER_ONLY.items()]
  found_head = ['', 'paper: SSH, %', *(f'same place, {s}' for s in (0.05, 0.5, 0.9))]
  found_head += ['any face, .5', *judged_head(result), 'what became of the main faces']
  found_rows = [
    [
      row['title'],
      PAPER.get(name, ('-',) * 3)[2],
      *(interval(each['same_place']) for each in row['detection'].values()),
      shown(row['detection']['0.5']['any']['mean']),
      *judged_cells(row),
      ', '.join(f'{count} {what}' for what, count in row['actions'].items()),
    ]
    for name, row in result['rows'].items()
  ]
  without = result['without_face']
  return [
    '# LFW, the second picture of each pair anonymized (Table 3)',
    '',
    f'{result["pairs"]} pairs in {result["folds"]} folds, {result["pictures"]} second pictures; '
    f'in {len(without)} of all originals no face is found. '
    + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'The recogniser is named above; the paper used FaceNet, and its figures stand beside for '
    'orientation only. TAR at a FAR of 1e-3: mean ± deviation of the folds. Thresholds come from '
    'the other folds of the originals: a verifier that nobody told of anonymization. "Own": from '
    'the anonymized pairs themselves. A second face that is not found again counts as rejected; '
    '"in place" cuts it by the landmarks of the original instead, for who knows where it was, and '
    'its brackets are 95 % intervals over pairs.',
    '',
    *table(head, rows),
    '',
    'Faces found again by CenterFace, **which the pipeline itself uses**, from three scores on; '
    '95 % intervals over pictures. ' + judged_line(result),
    '',
    *table(found_head, found_rows),
    '',
    'Pictures: `roc.png`, `similarities.png`, `sheet.png`.',
  ]


def _deviation(value: Mapping[str, Any]) -> str:
  return f'{value["tar"]:.3f} ± {value["tar_std"]:.3f}'
