"""results.md of poses: the paper's figures on AFLW2000-3D beside what was measured."""

from collections.abc import Callable, Mapping
from typing import Any

from anon_jax.evaluation import segmentation_report
from anon_jax.evaluation.landmark_success import BOUND
from anon_jax.protocols.poses.evaluate import SURE
from anon_jax.protocols.report import interval, shown, table

# Faces of AFLW2000-3D that a detector, which the paper does not name, finds again, in percent.
PAPER = {'the paper': '90.99', 'CIAGAN (paper only)': '72.58'}
_TITLES = {
  'test': 'People whom no network has seen',
  'seen': 'People that S was trained on, or watched with: not to be quoted',
}
_STANDS_IN = (
  '**The data are the multi-pose part of FASSEG, which stands in for AFLW2000-3D**: heads in one '
  "laboratory, upright, nearly without colour, from profile to profile. The paper's figures are of "
  'other pictures, and stand beside for orientation only.'
)

Cell = Callable[[Mapping[str, Any]], str]


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `evaluate`, with `dataset`, `judge_missing` and `maps` of `maps.by_bins`.
    facts: what identifies the measurement.
  """
  stands_in = result['dataset'] != 'aflw2000'
  found = [
    '# Faces in every pose (paper 4.2, "Extreme poses")',
    '',
    _STANDS_IN if stands_in else 'The data are AFLW2000-3D, as in the paper.',
    '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Faces found again on AFLW2000-3D, of those found before: '
    + ', '.join(f'{name} {percent} %' for name, percent in PAPER.items())
    + ', by a detector that it does not name.',
    '',
    'Rows: degrees of yaw; ±30 are both sides together. Brackets: 95 % intervals, people drawn as '
    "wholes; where all succeed or none, Wilson's, of as many trials as there are people.",
  ]
  for part, each in result['parts'].items():
    found += ['', f'## {_TITLES[part]}', '']
    found.append(f'{each["pictures"]} pictures of {each["people"]} people.')
    found += _part(result, each)
    if part in result['maps']:
      found += [
        '',
        'S on crops cut by the labels: intersection over union by class. Neck on skin and brows on '
        'hair are right where the labels do not tell them apart.',
        '',
        *segmentation_report.table(result['maps'][part]),
      ]
  names = ', '.join(f'`strip_{part}.png`' for part in result['parts'])
  return [
    *found,
    '',
    f'Pictures: {names}, one of each pose that nobody has chosen; `pairs.png`, 100 before and '
    'after; `worst.png`, those in whose outputs CenterFace is least sure of the main face.',
  ]


def _part(result: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
  score = f'{SURE:g}'
  text = ['', *_by_system(part, lambda row: interval(row['detection'][score]['same_place']))]
  text[1:1] = [
    'Found again in the same place by CenterFace, **which the pipeline itself uses**, from '
    f'{SURE:g} on, of those in whose original it finds a face so.',
    '',
  ]
  if result['judge']:
    first = part['bins']['all']['rows']['original']['judged']['pictures']
    text += [
      '',
      f'Found again in the same place by {result["judge"]}, no part of the pipeline: of the '
      f'{first} pictures in whose original it finds a face itself (in brackets behind each row '
      'their number). It is trained on faces that look ahead.',
      '',
      *_by_system(
        part,
        lambda row: interval(row['judged']['same_place']),
        lambda each: f' ({each["rows"]["original"]["judged"]["pictures"]})',
      ),
    ]
  else:
    text += ['', f'No other detector: {result["judge_missing"]}']
  text += [
    '',
    'Landmark success: the face is found again so, and eyes, nose and mouth by its five points lie '
    f'{BOUND:g} heights of the face box from where they are known to be, or nearer, on average; in '
    'brackets behind it the mean error. The originals show what CenterFace can do at a pose.',
    '',
    *_by_system(part, lambda row: _success(row['landmarks'])),
    '',
    'The same against its own five points in the original.',
    '',
    *_by_system(part, lambda row: _success(row['kept'])),
    '',
    'The pipeline at each pose. Found: it finds a face in the original at all (a picture without '
    'any is not written by the command). Painted: of these, not filled. Yaw: how far that of the '
    'output is from that of the original, degrees. Cosine: of the recogniser, painted faces to '
    'their sources, cut in place.',
    '',
    *table(
      ['', 'pictures', 'people', 'found', 'painted', 'yaw', 'cosine'],
      [[title, *_pipeline(each)] for title, each in part['bins'].items()],
    ),
  ]
  return text


def _by_system(part: Mapping[str, Any], cell: Cell, behind: Cell = lambda each: '') -> list[str]:
  titles = [row['title'] for row in part['bins']['all']['rows'].values()]
  return table(
    ['yaw', *titles],
    [
      [title + behind(each), *map(cell, each['rows'].values())]
      for title, each in part['bins'].items()
    ],
  )


def _success(found: Mapping[str, Any]) -> str:
  return f'{interval(found["success"])} ({shown(found["error"]["mean"])})'


def _pipeline(each: Mapping[str, Any]) -> list[str]:
  row = each['rows'].get('method')
  cells = [str(each['pictures']), str(each['people']), interval(each['found'])]
  if row is None:
    return [*cells, '-', '-', '-']
  return [*cells, interval(row['painted']), interval(row['yaw'], 1), interval(row['cosine'])]
