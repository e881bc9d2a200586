"""Is everybody served alike? Detection, filling and likeness by what file names say of people."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import identification
from anon_jax.evaluation.detection_rate import detection_rate
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.protocols.celeba import People
from anon_jax.protocols.detectors import Judge, Judged
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import Rendered, Study, hash_of
from anon_jax.protocols.systems import METHOD, ORIGINAL

_SCORE = 0.5
_LEAST = 2  # pictures of a slice


def slices_of(names: Sequence[str], pattern: str) -> dict[str, np.ndarray]:
  """Sorts pictures by what their names say.

  Args:
    names: of the pictures.
    pattern: a regular expression that every name matches, with named groups:
      `.*_(?P<gender>.)_` makes the slices 'gender 0' and 'gender 1'.

  Returns:
    Places of the pictures by slice, those of a group beside each other; slices of a single picture
    are left out.

  Raises:
    ValueError: no regular expression, or one without named groups.
    DatasetError: a name that it does not match.
  """
  try:
    form = re.compile(pattern)
  except re.error as error:
    raise ValueError(f'{pattern!r} is no regular expression: {error}.') from None
  if not form.groupindex:
    raise ValueError(f'{pattern!r} names no group; write (?P<name>...) for each.')
  found: dict[tuple[str, str], list[int]] = {}
  for place, name in enumerate(names):
    match = form.match(pathlib.PurePath(name).name)
    if match is None:
      raise DatasetError(f'{name} does not match config.groups={pattern!r}; correct one of them.')
    for group in form.groupindex:
      found.setdefault((group, match[group]), []).append(place)
  order = sorted(found, key=lambda key: (form.groupindex[key[0]], key[1]))
  return {' '.join(key): np.array(found[key]) for key in order if len(found[key]) >= _LEAST}


def evaluate(
  people: People,
  workdir: pathlib.Path,
  embedder: Embedder,
  slices: Mapping[str, np.ndarray],
  *,
  weights: str = '',
  seed: int = 0,
  judge: Judge | None = None,
) -> tuple[dict[str, Any], Study]:
  """Measures the networks on all pictures, and on each slice.

  Args:
    people: the pictures.
    workdir: where pictures and detections are kept.
    embedder: the recogniser.
    slices: places of the pictures, by `slices_of`.
    weights: folder of trained networks; '' for the package's own.
    seed: of the draws of control identities.
    judge: a detector that is not the pipeline's; None leaves its rate out.

  Returns:
    The result: `rows` by slice, 'all' first, what `_row` returns; `pictures`; `judge`, its title;
    `list`, the hash of the names. And the study.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded.
  """
  chosen = {'all': np.arange(len(people.names)), **slices}
  study = Study(people.folder, people.names, workdir, embedder, weights, seed)
  clear, made = study.render(ORIGINAL), study.render(METHOD)
  judged = Judged(judge, study, workdir)
  rows = {}
  for title, places in chosen.items():
    names = [people.names[place] for place in places]
    rows[title] = {
      **_row(clear, made, places, names),
      'judged': judged.rate(METHOD, names),
    }
  return {
    'rows': rows,
    'pictures': len(people.names),
    'judge': judge.title if judge else '',
    'list': hash_of(people.names),
  }, study


def _row(
  clear: Rendered, made: Rendered, places: np.ndarray, names: Sequence[str]
) -> Mapping[str, Any]:
  """Measures a slice.

  Returns:
    `pictures`; `found`, the share in whose original the pipeline finds a face; `painted`, the share
    of these that are painted and not filled; `detection`, CenterFace's rate from .5 on; `cosine` of
    each painted face to its source, in place, and `auc`, how often it is nearer to its source than
    another original of the slice is. Means with 95 % intervals.
  """
  actions = np.array([made.actions[name] for name in names])
  there = np.isfinite(clear.in_place[places]).all(axis=1)
  painted = there & (actions == 'synthesized')
  mine, theirs = (side.in_place[places][painted].astype(np.float64) for side in (clear, made))
  between = theirs @ mine.T
  own = np.eye(len(between), dtype=bool)
  auc = None
  if len(between) >= _LEAST:
    auc = identification.verification_of_scores(between[own], between[~own])['auc']
  before, after = ([side.detections[place] for place in places] for side in (clear, made))
  return {
    'pictures': len(places),
    'found': bootstrap_mean(there),
    'painted': bootstrap_mean(painted[there]),
    'detection': detection_rate(before, after, _SCORE),
    'cosine': bootstrap_mean(between[own]),
    'auc': auc,
  }
