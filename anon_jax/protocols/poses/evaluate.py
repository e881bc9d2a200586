"""What becomes of faces at each pose: found again, landmarks in their places, painted or filled."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.evaluation import landmark_success, preservation
from anon_jax.evaluation.detection_rate import SCORES, Detections, found_again
from anon_jax.evaluation.intervals import bootstrap_mean, share_of
from anon_jax.protocols.detectors import Judge, Judged
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.poses.pictures import Posed, bins
from anon_jax.protocols.study import Rendered, Study, hash_of
from anon_jax.protocols.systems import METHOD, ORIGINAL, SYSTEMS, System

# From which score of the pipeline's own detector a face and its landmarks count.
SURE = 0.5
# 'test' holds people whom no network has seen, 'seen' those that S was trained on.
PARTS = ('test', 'seen')
ROWS = tuple(
  system
  for system in SYSTEMS
  if system.name in ('original', 'pixelate_16', 'blur_17', 'method', 'fill')
)


class Looked(NamedTuple):
  """What was found in a system's pictures, all of them.

  Attributes:
    rendered: the pictures.
    sure: float64 [n], how sure the pipeline's detector is of the main face, 0 where it finds none.
    errors: float64 [n], of its landmarks against the known ones; NaN where it finds none.
    moved: float64 [n], of its five points against its own ones in the original.
    judged: what the other detector finds, or None without one.
    judge_score: from which that counts.
  """

  rendered: Rendered
  sure: np.ndarray
  errors: np.ndarray
  moved: np.ndarray
  judged: Sequence[Detections] | None
  judge_score: float


def evaluate(
  posed: Posed,
  workdir: pathlib.Path,
  embedder: Embedder,
  edges: Sequence[float],
  *,
  weights: str = '',
  rows: Sequence[System] = ROWS,
  seed: int = 0,
  judge: Judge | None = None,
) -> tuple[dict[str, Any], Study]:
  """Measures systems on all pictures, and by how far heads are turned.

  Args:
    posed: the pictures.
    workdir: where pictures and detections are kept.
    embedder: the recogniser.
    edges: of the bins, see `pictures.bins`.
    weights: folder of trained networks; '' for the package's own.
    rows: the systems, the original first.
    seed: of the draws of control identities.
    judge: a detector that is not the pipeline's; None leaves its rate out.

  Returns:
    The result: `parts`, by a name of `PARTS` that has pictures: `pictures`, `people` and `bins`, by
    their title what `_bin` returns; `judge`, its title; `list`, the hash of the names. And the
    study.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded.
  """
  study = Study(posed.folder, posed.names, workdir, embedder, weights, seed)
  judged = Judged(judge, study, workdir)
  clear = study.render(ORIGINAL)
  looked = {}
  for system in rows:
    rendered = clear if system is ORIGINAL else study.render(system)
    looked[system.name] = _look(study, judged, posed, clear, rendered)
  found = np.array([study.face(name) is not None for name in posed.names])
  parts = {}
  for part in PARTS:
    mine = np.flatnonzero(posed.seen == (part == 'seen'))
    if len(mine):
      parts[part] = {
        'pictures': len(mine),
        'people': len(np.unique(posed.people[mine])),
        'bins': {
          title: _bin(posed, found, looked, mine[places])
          for title, places in bins(posed.yaws[mine], edges).items()
        },
      }
  return {
    'parts': parts,
    'judge': judge.title if judge else '',
    'list': hash_of(posed.names),
  }, study


def _look(
  study: Study, judged: Judged, posed: Posed, clear: Rendered, rendered: Rendered
) -> Looked:
  sure = study.again(rendered.system)
  parts = landmark_success.parts_of_five(rendered.landmarks)
  sizes = landmark_success.face_sizes(posed.truth)
  return Looked(
    rendered,
    np.array([sure[name] for name in posed.names]),
    landmark_success.part_errors(posed.truth, parts),
    preservation.landmark_errors(clear.landmarks, rendered.landmarks, sizes),
    judged.found(rendered.system, posed.names),
    judged.score,
  )


def _bin(
  posed: Posed, found: np.ndarray, looked: Mapping[str, Looked], places: np.ndarray
) -> dict[str, Any]:
  """Measures the pictures of a bin.

  Returns:
    `pictures`, `people`; `found`, the share in which the pipeline finds a face at all; `sure`, how
    many have one from `SURE` on; and `rows`, by the name of a system what `_row` returns.
  """
  clear = looked[ORIGINAL.name]
  return {
    'pictures': len(places),
    'people': len(np.unique(posed.people[places])),
    'found': share_of(found[places], posed.people[places]),
    'sure': int((clear.sure[places] >= SURE).sum()),
    'rows': {
      name: {'title': each.rendered.system.title, **_row(posed, found, clear, each, places)}
      for name, each in looked.items()
    },
  }


def _row(
  posed: Posed, found: np.ndarray, clear: Looked, made: Looked, places: np.ndarray
) -> dict[str, Any]:
  """Measures a system's pictures of a bin; shares and means have 95 % intervals over people.

  Returns:
    `detection`, by score, and `judged` (None without another detector): `pictures` that count,
    shares `same_place` and `any`. `landmarks` and `kept`, against the known ones and against those
    of the original: `success`, the share of the pictures in whose original the face is found from
    `SURE` on, and `error`, the mean over those that both have it from there on. `yaw`, the mean
    difference from the original's in degrees. `painted`, the share of found faces that are not
    filled, and `cosine` of those to their sources, in place; both of the networks alone.
  """
  people = posed.people[places]
  counted = clear.sure[places] >= SURE
  again = counted & (made.sure[places] >= SURE)
  result: dict[str, Any] = {
    'detection': {
      f'{score:g}': _rate(
        clear.rendered.detections, made.rendered.detections, score, places, people
      )
      for score in SCORES
    },
    'judged': None,
  }
  if clear.judged is not None and made.judged is not None:
    result['judged'] = _rate(clear.judged, made.judged, made.judge_score, places, people)
  for name, errors in (('landmarks', made.errors[places]), ('kept', made.moved[places])):
    there = again & np.isfinite(errors)
    hits = there & landmark_success.succeeds(errors)
    result[name] = {
      'pictures': int(counted.sum()),
      'success': share_of(hits[counted], people[counted]),
      'error': bootstrap_mean(errors[there], groups=people[there]),
    }
  poses = [preservation.poses(each.rendered.landmarks[places]) for each in (clear, made)]
  turned = np.abs((poses[0][:, 0] - poses[1][:, 0] + 180) % 360 - 180)
  there = again & np.isfinite(turned)
  result['yaw'] = bootstrap_mean(turned[there], groups=people[there])
  if made.rendered.system == METHOD:
    result |= _painted(posed, found, clear, made, places)
  return result


def _painted(
  posed: Posed, found: np.ndarray, clear: Looked, made: Looked, places: np.ndarray
) -> dict[str, Any]:
  actions = np.array([made.rendered.actions[posed.names[place]] for place in places])
  there, people = found[places], posed.people[places]
  painted = there & (actions == 'synthesized')
  sides = [each.rendered.in_place[places].astype(np.float64) for each in (clear, made)]
  cosines = (sides[0] * sides[1]).sum(1)
  return {
    'painted': share_of(painted[there], people[there]),
    'cosine': bootstrap_mean(cosines[painted], groups=people[painted]),
  }


def _rate(
  before: Sequence[Detections],
  after: Sequence[Detections],
  score: float,
  places: np.ndarray,
  people: np.ndarray,
) -> dict[str, Any]:
  again = found_again([before[p] for p in places], [after[p] for p in places], score)
  counted = again.counted
  return {
    'pictures': int(counted.sum()),
    'same_place': share_of(again.same_place[counted], people[counted]),
    'any': share_of(again.any[counted], people[counted]),
  }
