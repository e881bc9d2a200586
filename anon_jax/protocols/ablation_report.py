"""results.md of the ablation: the paper's Table 1 beside what was measured."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from anon_jax.protocols.ablation import CONFIGURATIONS
from anon_jax.protocols.distances import HEAD, cells
from anon_jax.protocols.report import interval, judged_cells, judged_head, judged_line, table

# FID, distinct nearest people and detection rate, on CelebA and on CelebA with CelebAMask-HQ.
PAPER = {
  'single_stage': (('3.05', '33.4', '.993'), ('16.25', '17.3', '.903')),
  'joint': (('3.15', '88.6', '.992'), ('16.75', '170.5', '.917')),
  'two_step': (('4.17', '96.1', '.999'), ('10.49', '124.1', '.994')),
}
_Found: TypeAlias = Mapping[str, Any] | None
_HEAD = ['', 'paper: FID', 'Re-ID', 'detection', *HEAD, 'distinct nearest people', 'found again']
_LAST = ['identified', 'what became of the main faces']


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `celeba.evaluate`, with `features` and `features_missing`, `diversity` by row, and
      `trained` of `ablation.trained`.
    facts: what identifies the measurement.
  """
  rows: dict[str, Any] = result['rows']
  head = [*_HEAD, *judged_head(result), *_LAST]
  order = ['original', *CONFIGURATIONS]
  order += [name for name in rows if name not in order]
  diversity = result['diversity']
  measured = next(iter(diversity.values()), None)
  text = [
    '# The ablation on CelebA, people that no network was trained on (Table 1)',
    '',
    f'{result["pictures"]} pictures of {result["people"]} people; in {len(result["without_face"])} '
    'no face is found. ' + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'S and I are the same networks in all rows. Paper: columns CelebA, its FID by Inception. '
    'Measured: '
    f'{result["features"] or "no distances of sets, " + result["features_missing"]} of face crops, '
    'with the 95 % interval of a jackknife over people, which does not see that the distance is '
    'too large by about 1/n; the kernel distance (unbiased) on the same features, ± its standard '
    'deviation over halves of the pictures; faces found again by CenterFace, **which the pipeline '
    'itself uses**, from .5 on; share whose nearest other original is of the same person, by the '
    'recogniser. Other brackets: 95 % intervals, people drawn as wholes. ' + judged_line(result),
    '',
    *table(head, [_row(name, rows.get(name), diversity.get(name), len(head)) for name in order]),
    '',
  ]
  text += [f'- {CONFIGURATIONS[name].title}: {why}' for name, why in result['missing'].items()]
  text += [f'- {rows[name]["title"]}: {_trained(each)}' for name, each in result['trained'].items()]
  if measured:
    reid = measured['reid']
    text.append(
      f'- Distinct nearest people: {reid["inputs"]} pictures, each painted {reid["outputs"]} '
      'times; '
      f'at most {reid["bound"]} of {measured["training_people"]} training people (paper: of 500 '
      'outputs). '
      + ', '.join(f'{rows[name]["title"]}: {each["filled"]}' for name, each in diversity.items())
      + ' of the outputs were filled instead, and are alike.'
    )
  return [
    *text,
    '',
    'Networks of a short training say nothing of a configuration.',
    '',
    'Not measured here: the columns CelebA + HQ, in the paper '
    + '; '.join(f'{CONFIGURATIONS[name].title} {" / ".join(hq)}' for name, (_, hq) in PAPER.items())
    + '.',
    '',
    'Pictures: `sheet.png`.',
  ]


def _row(name: str, row: _Found, diversity: _Found, columns: int) -> list[str]:
  paper = PAPER.get(name, (('-',) * 3,))[0]
  if row is None:
    return [CONFIGURATIONS[name].title, *paper, *['-'] * (columns - 4)]
  return [
    row['title'],
    *paper,
    *cells(row),
    '-' if diversity is None else interval(diversity['reid'], 1),
    interval(row['detection']['0.5']['same_place']),
    *judged_cells(row),
    interval(row['found']['without_source']),
    ', '.join(f'{count} {what}' for what, count in row['actions'].items()),
  ]


def _trained(networks: Mapping[str, Any]) -> str:
  return ', '.join(
    f'{name} after {each["steps"]} steps of stage {each["stage"]}'
    for name, each in networks.items()
  )
