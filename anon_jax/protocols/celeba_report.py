"""results.md of CelebA: the paper's Table 2 beside what was measured."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.distances import HEAD, cells
from anon_jax.protocols.report import (
  interval,
  judged_cells,
  judged_head,
  judged_line,
  shown,
  table,
)

# Faces found by dlib and by SSH, and Recall@1 of a Proxy-NCA network, all in percent.
PAPER = {
  'original': ('100', '100', '70.7'),
  'pixelate_8': ('0.0', '0.0', '0.4'),
  'pixelate_16': ('0.0', '0.0', '0.3'),
  'blur_9': ('90.6', '38.6', '16.9'),
  'blur_17': ('68.4', '0.3', '1.9'),
  'method': ('98.9', '99.9', '2.2'),
}
_PAPER_ONLY = {'CIAGAN': ('97.8', '97.4', '1.3')}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `celeba.evaluate`, with `diversity` of `repaints.measure` where it was measured.
    facts: what identifies the measurement.
  """
  head = ['', 'paper: dlib, %', 'paper: SSH, %', 'same place, .05', '.5', '.9', 'any face, .5']
  head += judged_head(result)
  found = [
    [
      row['title'],
      *PAPER.get(name, ('-',) * 3)[:2],
      *(interval(each['same_place']) for each in row['detection'].values()),
      shown(row['detection']['0.5']['any']['mean']),
      *judged_cells(row),
    ]
    for name, row in result['rows'].items()
  ]
  found += [
    [f'{name} (paper only)', *row[:2], *['-'] * (len(head) - 3)]
    for name, row in _PAPER_ONLY.items()
  ]
  who = ['', 'paper: Proxy-NCA, %', 'found', 'found, source in it', 'in place']
  who += ['in place, source in it', 'what became of the main faces']
  identified = [
    [
      row['title'],
      PAPER.get(name, ('-',) * 3)[2],
      *(
        interval(row[where][how])
        for where in ('found', 'in_place')
        for how in ('without_source', 'with_source')
      ),
      ', '.join(f'{count} {what}' for what, count in row['actions'].items()),
    ]
    for name, row in result['rows'].items()
  ]
  return [
    '# CelebA, people that no network was trained on (Table 2)',
    '',
    f'{result["pictures"]} pictures of {result["people"]} people; in {len(result["without_face"])} '
    'no face is found. ' + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Brackets: 95 % intervals, people drawn as wholes. The recogniser is named above; the paper '
    'trained one by Proxy-NCA, so its figures stand beside for orientation only.',
    '',
    'Faces found again by CenterFace, **which the pipeline itself uses**, from three scores on. '
    + judged_line(result),
    '',
    *table(head, found),
    '',
    'Recall@1: the nearest original is of the same person. The gallery has the other originals, or '
    'the source picture as well. A face that is not found again is not identified; "in place" cuts '
    'it by the landmarks of the original instead, for who knows where it was. Chance is about one '
    f'in {result["people"]}.',
    '',
    *table(who, identified),
    '',
    'How they look beside the originals: '
    f'{result["features"] or "no distances of sets, " + result["features_missing"]} of face crops, '
    'with the 95 % interval of a jackknife over people; the kernel distance on the same features, '
    '± its standard deviation over halves of the pictures; how far the landmarks move, in '
    'distances of the eyes; differences of the pose in degrees, '
    'beside those of two strangers. A distance to itself is 0; all counts are the same.',
    '',
    *table(
      ['', *HEAD, 'landmarks', 'yaw', 'pitch', 'roll', 'lost'],
      [_looks(row) for row in result['rows'].values()],
    ),
    *_expressions(result['rows']),
    *_diversity(result.get('diversity')),
    '',
    'Pictures: `sheet.png`; `pairs.png`, 100 before and after that nobody has chosen; `worst.png`, '
    'those in whose outputs CenterFace is least sure of the main face.',
  ]


def _looks(row: Mapping[str, Any]) -> list[str]:
  pose = row['pose']
  return [
    row['title'],
    *cells(row),
    interval(row['landmarks']['error']),
    *(
      f'{interval(pose[angle], 1)} ({shown(pose[angle]["chance"], 1)})'
      for angle in ('yaw', 'pitch', 'roll')
    ),
    str(row['landmarks']['lost']),
  ]


def _expressions(rows: Mapping[str, Any]) -> list[str]:
  found = [(row['title'], row['expression']) for row in rows.values() if row['expression']]
  if not found:
    return []
  return [
    '',
    'Expression, by the maps that S, **which A is told the map by**, makes of originals and '
    'outputs: how far the mouth is open (its spread down over that across) and the eyes (root of '
    'their share of the foreground), differences beside those of two strangers in brackets, and '
    'their correlation; and how far mouth and eyes overlap (intersection over union).',
    '',
    *table(
      ['', 'mouth', 'correlation', 'eyes', 'correlation', 'overlap'],
      [[title, *_expression(each)] for title, each in found],
    ),
  ]


def _expression(found: Mapping[str, Any]) -> list[str]:
  row = []
  for name in ('mouth', 'eyes'):
    each = found[name]
    row += [f'{interval(each)} ({shown(each["chance"])})', shown(each['correlation'], 2)]
  return [*row, f'{interval(found["overlap"])} ({shown(found["overlap"]["chance"])})']


def _diversity(found: Mapping[str, Any] | None) -> list[str]:
  if found is None:
    return []
  reid = found['reid']
  text = [
    '',
    f'Diversity: {reid["inputs"]} pictures, each painted {reid["outputs"]} times '
    f'({found["filled"]} filled). Distinct nearest training people of {found["training_people"]}: '
    f'{interval(reid, 1)} of at most {reid["bound"]} (paper: 96.1 of 500 outputs, CIAGAN 64.5).',
  ]
  if 'lpips' in found:
    text.append(
      f'{found["distance"]} between pairs of outputs: {interval(found["lpips"], 4)} (paper: .036, '
      'CIAGAN .032, with a network that it does not name).'
    )
  else:
    text.append(f'LPIPS between outputs was left out: {found["lpips_missing"]}')
  return text
