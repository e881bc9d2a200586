"""results.md of clips: the paper's tLP beside what was measured."""

from collections.abc import Mapping
from typing import Any

from anon_jax.protocols.report import interval, shown, table

# tLP on FaceForensics++ (4.2); the paper names neither network nor scale.
PAPER = {'method': '.023 (.016 fine-tuned)'}
_PAPER_ONLY = {'CIAGAN': '.047'}


def lines(result: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
  """Returns the lines of results.md.

  Args:
    result: of `evaluate.evaluate`, with `distance` and `distance_missing`, `judge` and
      `judge_missing`, and `strangers`, how many people the gallery has besides.
    facts: what identifies the measurement.
  """
  clips, rows = result['clips'], result['rows']
  frames = sum(each['frames'] for each in clips.values())
  alone = [name for name, each in clips.items() if each['alone']]
  still = ['', 'paper: tLP', 'tLP', 'tLP x 100', 'tLP of all frames', 'consecutive', 'in sources']
  temporal = [
    [
      row['title'],
      PAPER.get(name, '-'),
      interval(row['tlp'], 4),
      shown(row['tlp100']['mean'], 2),
      shown(row['tlp_frames'], 4),
      interval(row['consecutive'], 4),
      shown(row['consecutive_input']['mean'], 4),
    ]
    for name, row in rows.items()
  ]
  temporal += [[f'{name} (paper only)', tlp, *['-'] * 5] for name, tlp in _PAPER_ONLY.items()]
  return [
    '# Clips: flicker, trembling and identity (4.2)',
    '',
    f'{len(clips)} clips, {frames} frames; one person alone in {len(alone)} of them '
    f'({", ".join(alone) or "-"}). '
    + '; '.join(f'{name} {value}' for name, value in facts.items()),
    '',
    'Brackets: 95 % intervals over clips, of which there are few.',
    '',
    f'tLP: {result["distance"] or "left out, " + result["distance_missing"]}, on frames of 256 '
    'rows. It is the mean difference between how far consecutive frames lie apart in the source '
    'and in the output: 0 for a clip that was not changed, so it is to be read beside what is left '
    "of the identity. Means over clips, and over all frames (TecoGAN's FolderAvg and FrameAvg). "
    'Consecutive: the distance of consecutive frames itself.',
    '',
    *table(still, temporal),
    '',
    'The face: trembling, which is the second difference of its landmarks, in thousandths of its '
    'height; the share of frames in which CenterFace, **which the pipeline itself uses**, finds it '
    f'again from .5 on{_judge(result)}; in clips of one person, how much the identity varies from '
    'frame to frame (1 - cosine to the mean), and the cosine of the face to its source.',
    '',
    *table(
      [
        *('', 'trembling', 'in sources', 'added', 'found again', result['judge'] or 'no other'),
        *('identity varies', 'in sources', 'cosine to source'),
      ],
      [_face(row) for row in rows.values()],
    ),
    '',
    *_links(result),
    '',
    'Pictures: `sheet.png`.',
  ]


def _judge(result: Mapping[str, Any]) -> str:
  if not result['judge']:
    return f' (no other detector: {result["judge_missing"]})'
  return (
    f', and in which {result["judge"]} finds one in a square about it, of those in whose source it '
    'does'
  )


def _face(row: Mapping[str, Any]) -> list[str]:
  thousandths = [shown(1000 * row[name]['mean'], 1) for name in ('jitter', 'jitter_input')]
  added = {name: 1000 * value for name, value in row['jitter_added'].items()}
  return [
    row['title'],
    *thousandths,
    interval(added, 1),
    interval(row['again']),
    interval(row['judged']),
    interval(row['variance']),
    shown(row['variance_input']['mean']),
    interval(row['alike']),
  ]


def _links(result: Mapping[str, Any]) -> list[str]:
  """Returns the table of T5."""
  found = [
    [row['title'], *_link(row['linked']['single']), *_link(row['linked']['pooled'])]
    for row in result['rows'].values()
    if row['linked']
  ]
  if not found:
    return ['T5 over frames was left out: it needs two clips or more of one person each.']
  return [
    'T5: frames of the second half of a clip, each by itself, and the mean of all of them, cut by '
    'the landmarks of the source; in a gallery of the means of clear first halves and '
    f'{result["strangers"]} strangers. Recall@1, chance with the gallery renamed at random in '
    'brackets, and AUC. A clip is one person, so pooled figures stand on as many cases as there '
    'are clips.',
    '',
    *table(['', 'single frames', 'AUC', 'pooled', 'AUC'], found),
  ]


def _link(found: Mapping[str, Any] | None) -> list[str]:
  if found is None:
    return ['-', '-']
  return [f'{interval(found["recall"])} ({shown(found["chance"])})', shown(found['auc'])]
