"""results.md of super-resolution: the paper's Table 4 beside what was measured."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.distances import HEAD, cells
from anon_jax.protocols.report import table
from anon_jax.protocols.super_resolution import BASE

# FID on CelebAMask-HQ by size: the paper's networks, and CIAGAN enlarged by a network.
PAPER = {128: ('10.49', '35.89'), 256: ('8.41', '38.82'), 512: ('11.60', '37.98')}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `super_resolution.evaluate`, with `dataset`, `features`, `features_missing`, and
      `missing`, by size why the networks' row is left out.
    facts: what identifies the measurement.
  """
  sides = result['sides']
  text = [
    '# Super-resolution (Table 4)',
    '',
    f'{result["pictures"]} pictures of {result["dataset"]}; in '
    f'{result["pictures"] - result["faces"]} no face is found. '
    + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Paper: its header says seconds, and its text FID, on CelebAMask-HQ. Measured: '
    f'{result["features"] or "no distances of sets, " + result["features_missing"]} of crops of '
    'one face each, with the 95 % interval of a jackknife over people, which does not see that the '
    'distance is too large by about 1/n; the kernel distance (unbiased) on the same features, ± '
    'its standard deviation over halves of the pictures.',
    '',
    'A picture counts at a size where the crop of its face has that many pixels or more: **no '
    f'original is enlarged**. The crops here have {sides["median"]:.0f} px in the middle, '
    f'{sides["largest"]:.0f} at most; what lies beyond the photograph repeats '
    'its border. So each size has other pictures: compare within a size only.',
  ]
  for size, found in result['sizes'].items():
    text += ['', f'## {size} px', '', f'{found["large_enough"]} of {result["faces"]} faces.']
    text += _size(size, found, result['missing'].get(size))
  return text


def _size(size: int, found: Mapping[str, Any], missing: str | None) -> list[str]:
  ours, theirs = PAPER[size]
  if 'rows' not in found:
    return [f'Fewer than two: nothing is measured (paper: {ours}; CIAGAN + SR {theirs}).']
  rows = [
    [
      row['title'],
      ours if name == 'networks' else '-',
      *cells(row),
      ', '.join(f'{count} {what}' for what, count in row['actions'].items()) or '-',
    ]
    for name, row in found['rows'].items()
  ]
  rows.append(['CIAGAN + SR (paper only)', theirs, *['-'] * (len(HEAD) + 1)])
  text = ['', *table(['', 'paper: FID', *HEAD, 'what became of the main faces'], rows), '']
  if missing:
    text.append(f'The networks of this size are left out: {missing} (paper: {ours})')
  if size > BASE:
    text.append(
      'Put back into the photograph, the background keeps its detail, as in the row of the '
      'networks of this size. '
      f'What is enlarged from {BASE} px stands where the paper has CIAGAN + SR, and is neither; '
      'the originals that went through the same are the floor of such a way.'
    )
  return [*text, '', f'Pictures: `sheet_{size}.png`.']
