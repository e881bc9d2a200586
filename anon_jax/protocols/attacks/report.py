"""results.md of the attacks."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.report import interval, shown, table

_SAID = {
  'T0': 'An off-the-shelf recogniser, in a gallery of the other originals of the same people.',
  'T1': 'A second recogniser. None of the published ones is here: IdentityNet, the one that is '
  'exported with the networks, stands in, and is much weaker.',
  'T2': 'An attacker trained on originals and outputs of other people (both recognisers and '
  "SqueezeNet's features, two layers, Proxy-NCA), linking to originals and to outputs.",
  'T3': 'A U-Net trained on pairs of other people to bring the original back, in the eyes of the '
  'recogniser that judges; then T0.',
  'T4': 'Two outputs of one photograph: linked among those of all photographs? With the same key '
  'they are the same picture.',
  'T5': "The mean over half of a person's outputs, against means of the originals of the other "
  'half. (Over the frames of clips: not measured yet.)',
  'T6': 'Each input of synthesis alone: an attacker trained on it (as T2), probe and gallery of '
  'the same kind. The foreground alone is the positive control.',
  'control': 'Outputs, in pictures of the people whom A was trained on: is the nearest one of the '
  'person whose control identity was asked for? What is drawn in use is a mixture of three.',
}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `evaluate.evaluate`.
    facts: what identifies the measurement.
  """
  parts = result['parts']
  text = [
    '# Attacks on anonymized pictures of CelebA people',
    '',
    ', '.join(
      f'{part}: {numbers["pictures"]} pictures of {numbers["people"]} people'
      for part, numbers in parts.items()
    )
    + '; nobody is in two parts (splits.json). '
    + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Recall@1: the nearest picture of the gallery is of the same person; the source of a probe is '
    'never compared with it. Brackets: 95 % intervals, people drawn as wholes. Chance: the same '
    'with the people of the gallery renamed at random, 1,000 times; lift: recall over it; p: the '
    'share of those that reach the recall. AUC: over all pairs. Accepted: pairs of one person '
    'above the cosine that one in a thousand pairs of development people exceeds, all of '
    'originals. Faces are cut where they were in the originals.',
    '',
  ]
  head = ['', 'Recall@1', 'chance', 'lift', 'p', 'AUC', 'accepted', 'of two people']
  rows = [
    [
      f'{row["attack"]}: {row["title"]}',
      interval(row['recall']),
      f'{shown(row["chance"])} (95 %: {shown(row["chance_95"])})',
      shown(row['lift'], 1),
      shown(row['p']),
      shown(row['auc']),
      shown(row.get('accepted')),
      shown(row.get('accepted_of_two'), 4),
    ]
    for row in result['rows']
  ]
  text += table(head, rows)
  text += ['', *(f'- {name}: {said}' for name, said in _SAID.items())]
  text += [f'- Left out: {name}: {why}' for name, why in result['left_out'].items()]
  text += [
    '',
    'Nearest picture of the people whom A was trained on: the mean of the largest cosine, and how '
    'often it is accepted, from the same limit on as above. A gallery of many pictures accepts '
    'strangers too: outputs are to be held against originals of people whom A never saw.',
    '',
    *table(
      ['', 'largest cosine', 'accepted'],
      [
        [row['title'], interval(row['cosine']), interval(row['accepted'])]
        for row in result['nearest']
      ],
    ),
  ]
  took = ', '.join(f'{name} {seconds:g} s' for name, seconds in result['seconds'].items())
  return [*text, '', f'It took: {took}.']
