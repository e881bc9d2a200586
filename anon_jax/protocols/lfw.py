"""Table 3: LFW, the second picture of each pair anonymized; can the pair still be verified?"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anon_jax.data.lfw import Pairs, read_pairs
from anon_jax.evaluation import identification, lfw_protocol
from anon_jax.evaluation.detection_rate import SCORES, detection_rate
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.protocols.detectors import Judge, Judged
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import Rendered, Study, hash_of
from anon_jax.protocols.systems import ORIGINAL, SYSTEMS, System

FARS = (1e-3, 1e-4)


def first_pairs(pairs: Pairs, each: int) -> Pairs:
  """Returns the first pairs of each kind in each fold; 0: all of them."""
  if not each:
    return pairs
  kept: list[int] = []
  for fold in np.unique(pairs.fold):
    for same in (True, False):
      kept += np.flatnonzero((pairs.fold == fold) & (pairs.same == same))[:each].tolist()
  return Pairs(
    pairs.folder,
    tuple(pairs.first[place] for place in kept),
    tuple(pairs.second[place] for place in kept),
    pairs.same[kept],
    pairs.fold[kept],
  )


def evaluate(
  folder: pathlib.Path,
  workdir: pathlib.Path,
  embedder: Embedder,
  *,
  weights: str = '',
  more: Sequence[System] = (),
  each: int = 0,
  seed: int = 0,
  judge: Judge | None = None,
) -> tuple[dict[str, Any], dict[str, tuple[np.ndarray, np.ndarray]], Study, list[str]]:
  """Measures every system on LFW's pairs.

  Args:
    folder: of LFW, see `data.lfw`.
    workdir: where pictures and detections are kept.
    embedder: the recogniser.
    weights: folder of trained networks; '' for the package's own.
    more: further systems.
    each: pairs of each kind in a fold; 0 takes all.
    seed: of the draws of control identities.
    judge: a detector that is not the pipeline's; None leaves its rate out.

  Returns:
    The result: `rows`, by the name of the system, what `_row` returns, `detection` and `judged`,
    that of the other detector; `pairs`, `pictures`, `folds`, `judge`, its title, `list`, the hash
    of the names, and `without_face`, originals in which no face is found. By the title of the
    system, cosines of pairs of one person and of two, -inf where there is no face. The study, and
    the names of the second pictures.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded.
  """
  pairs = first_pairs(read_pairs(folder), each)
  names = sorted({*pairs.first, *pairs.second})
  place = {name: number for number, name in enumerate(names)}
  first, second = ([place[name] for name in side] for side in (pairs.first, pairs.second))
  study = Study(pairs.folder, names, workdir, embedder, weights, seed)
  clear = study.render(ORIGINAL)
  seconds = sorted(set(pairs.second))
  where = {name: number for number, name in enumerate(seconds)}
  originals = _distances(clear.embeddings[first], clear.embeddings[second])
  before = [clear.detections[place[name]] for name in seconds]
  own = [where[name] for name in pairs.second]
  judged = Judged(judge, study, workdir)
  rows, scores = {}, {}
  for system in (*SYSTEMS, *more):
    rendered = study.render(system, seconds)
    cosines = 1 - _distances(clear.embeddings[first], rendered.in_place[own]) / 2
    scores[system.title] = cosines[pairs.same], cosines[~pairs.same]
    rows[system.name] = {
      'title': system.title,
      **_row(rendered, clear.embeddings[first], own, pairs, originals),
      'detection': {
        f'{score:g}': detection_rate(before, rendered.detections, score) for score in SCORES
      },
      'judged': judged.rate(system, seconds),
    }
  result = {
    'rows': rows,
    'pairs': len(pairs.first),
    'pictures': len(seconds),
    'folds': int(pairs.fold.max()) + 1,
    'judge': judge.title if judge else '',
    'list': hash_of([*pairs.first, *pairs.second]),
    'without_face': [name for name in names if np.isnan(clear.embeddings[place[name]]).any()],
  }
  return result, scores, study, seconds


def _row(
  rendered: Rendered,
  probes: np.ndarray,
  own: Sequence[int],
  pairs: Pairs,
  originals: np.ndarray,
) -> dict[str, Any]:
  """Measures a system.

  Returns:
    `found`, for faces as they are found in the output, and `in_place`, by the originals' landmarks:
    each `own_thresholds` and `clear_thresholds` (of the originals), as `lfw_protocol.by_folds` for
    each FAR; `same_accepted`, the share of pairs of one person that a threshold of the originals
    accepts at the first FAR, with interval; `auc` and `eer` of the pairs that can be compared. And
    `actions`, numbers of main faces by what became of them.
  """
  result: dict[str, Any] = {}
  for name, embeddings in (('found', rendered.embeddings), ('in_place', rendered.in_place)):
    distances = _distances(probes, embeddings[list(own)])
    result[name] = {
      'own_thresholds': _by_folds(distances, pairs, None),
      'clear_thresholds': _by_folds(distances, pairs, originals),
      **_overall(distances, pairs.same),
    }
    limits = result[name]['clear_thresholds'][f'{FARS[0]:g}']['thresholds']
    accepted = distances < np.array(limits)[pairs.fold]
    result[name]['same_accepted'] = bootstrap_mean(accepted[pairs.same])
  result['actions'] = rendered.counts()
  return result


def _by_folds(
  distances: np.ndarray, pairs: Pairs, known: np.ndarray | None
) -> Mapping[str, dict[str, Any]]:
  return {
    f'{far:g}': lfw_protocol.by_folds(
      distances, pairs.same, pairs.fold, far=far, threshold_distances=known
    )
    for far in FARS
  }


def _overall(distances: np.ndarray, same: np.ndarray) -> dict[str, Any]:
  """AUC and EER of the pairs of which both faces are found."""
  there = np.isfinite(distances)
  genuine, impostor = -distances[there & same], -distances[there & ~same]
  if not len(genuine) or not len(impostor):
    return {'auc': None, 'eer': None, 'compared': int(there.sum())}
  found = identification.verification_of_scores(genuine, impostor, FARS)
  return {'auc': found['auc'], 'eer': found['eer'], 'compared': int(there.sum())}


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Returns squared distances of rows of unit length; infinite where one is NaN."""
  squared = np.sum((a.astype(np.float64) - b) ** 2, axis=1)
  return np.where(np.isnan(squared), np.inf, squared)
