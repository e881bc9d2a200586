"""results.md of bodies."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.report import interval, shown, table

_ABOUT = {
  'hog': (
    "OpenCV's HOG searches the frame for people who stand upright and are seen whole; its boxes "
    "are made smaller as in OpenCV's sample. What it does not find in the source says nothing of "
    'an anonymization.'
  ),
  'prismanet': (
    'PrismaNet, a portrait network, is asked about the place where the person is: the box of the '
    'largest piece that it takes for a person counts. It was not trained on whole bodies.'
  ),
}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `evaluate`, with `missing`, `data`, `gap` and `block`.
    facts: what identifies the measurement.
  """
  sequences = ', '.join(f'{name or "one"} ({n})' for name, n in result['sequences'].items())
  found = [
    '# Whole bodies: still people, and still the same ones?',
    '',
    f'{result["data"]}: {result["frames"]} frames of {len(result["sequences"])} sequences, each of '
    f'one person: {sequences}. ' + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Solid fill, pixelization and blur cover what the mask has; sizes are counted in a crop of 256 '
    f'px height. Brackets: 95 % intervals, {result["block"]} consecutive frames drawn together; '
    "where all succeed or none, Wilson's, of as many trials as there are such blocks. They say "
    'nothing of other people: there are few.',
  ]
  found += _recalls(result)
  found += _likenesses(result)
  return [
    *found,
    '',
    'Pictures: `sheet.png`, three frames of each sequence as every row shows them.',
  ]


def _recalls(result: Mapping[str, Any]) -> list[str]:
  text = ['', '## Are people still found?', '']
  text.append('A box that overlaps that of the mask by a half or more.')
  # of one sequence all frames are its frames
  several = result['sequences'] if len(result['sequences']) > 1 else ()
  for name, title in result['finders'].items():
    each = {row: found['recall'][name] for row, found in result['rows'].items()}
    before = each['original']['frames']
    text += ['', _ABOUT.get(name, title), '']
    text += table(
      [title, 'all frames', f'of the {before} found before', *several],
      [
        [
          result['rows'][row]['title'],
          interval(recall['all']),
          interval(recall['found_before']),
          *(interval(recall['sequences'][sequence]) for sequence in several),
        ]
        for row, recall in each.items()
      ],
    )
  text += [f'\nLeft out, {name}: {why}' for name, why in result['missing'].items()]
  return text


def _likenesses(result: Mapping[str, Any]) -> list[str]:
  text = ['', '## Are they still the same to whoever looks?', '']
  text.append(
    'Each output, cut by the mask, beside the sources. Own: its own source. Same: the same person '
    f'{result["gap"]} or more frames away. Others: everybody else, {result["people"]} people in '
    'all. AUC: how often one of the same person is nearer than one of another; .5 is no link. '
    'Recall@1: among one picture of each person, that of the same is the nearest; behind it '
    'chance. The background does not come in. Sequences are short and clothes do not change in '
    'them, so the first row says how easy it is, not how good the measure.'
  )
  for name, title in result['ways'].items():
    text += ['']
    text += table(
      [title, 'own', 'same', 'others', 'AUC', 'Recall@1'],
      [
        [
          row['title'],
          *(interval(row['likeness'][name][each]) for each in ('own', 'same', 'others', 'auc')),
          f'{interval(row["likeness"][name]["recall"])} ({shown(row["likeness"][name]["chance"])})',
        ]
        for row in result['rows'].values()
      ],
    )
  return text
