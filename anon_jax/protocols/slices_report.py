"""results.md of slices."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.report import (
  interval,
  judged_cells,
  judged_head,
  judged_line,
  shown,
  table,
)


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `slices.evaluate`.
    facts: what identifies the measurement.
  """
  head = ['', 'pictures', 'found', 'painted', 'found again, same place', *judged_head(result)]
  head += ['cosine to the source', 'nearer to it than others are (AUC)']
  rows = [
    [
      title,
      str(row['pictures']),
      interval(row['found']),
      interval(row['painted']),
      interval(row['detection']['same_place']),
      *judged_cells(row),
      interval(row['cosine']),
      shown(row['auc']),
    ]
    for title, row in result['rows'].items()
  ]
  return [
    '# Slices: is everybody served alike?',
    '',
    f'{result["pictures"]} pictures. '
    + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Found: the pipeline finds a main face in the original. Painted: of these, not filled. Found '
    'again: by CenterFace, **which the pipeline itself uses**, from .5 on. '
    + judged_line(result)
    + ' Cosine: of the recogniser, each painted face against its source, cut in place; AUC: how '
    'often it is nearer to its source than another original of the same slice is to it: .5 would '
    'be no link. Brackets: 95 % intervals over pictures. What file names say of people is a label '
    "that somebody gave; recogniser and detectors have biases of their own, and a slice's figures "
    'hold theirs too.',
    '',
    *table(head, rows),
    '',
    'Pictures: `sheet.png`; `pairs.png`, 100 before and after that nobody has chosen; `worst.png`, '
    'those in whose outputs CenterFace is least sure of the main face.',
  ]
