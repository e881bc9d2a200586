"""A detector that the pipeline does not use, for a judgement that is none of its own."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.evaluation.detection_rate import Detections, detection_rate
from anon_jax.inference.faces import Face
from anon_jax.protocols.faces import FaceFile, Find
from anon_jax.protocols.study import Study, detections
from anon_jax.protocols.systems import ORIGINAL, System

# CIAGAN's evaluation, whose figures the paper quotes, enlarges pictures once (metrics.md 6).
_ENLARGED = 1
NAMES = ('dlib', 'none')


class Judge(NamedTuple):
  """A detector.

  Attributes:
    name: of its file of faces and of its key in results.json.
    title: of its columns.
    find: finds the faces of a picture, uint8 [h, w, 3]; its scores may have any range.
    score: from which a face counts.
  """

  name: str
  title: str
  find: Find
  score: float


def load_or_say(name: str) -> tuple[Judge | None, str]:
  """Loads a detector by its name of `NAMES`.

  Returns:
    It and '', or None and why there is none, for the report.
  """
  if name == 'none':
    return None, 'none was asked for.'
  try:
    import dlib
  except ImportError:
    return None, 'dlib is not installed; `pip install anon-jax[dlib]` brings it.'
  run = dlib.get_frontal_face_detector().run

  def find(pixels: np.ndarray) -> list[Face]:
    boxes, scores, _ = run(np.ascontiguousarray(pixels), _ENLARGED, 0.0)
    return [
      Face((float(b.left()), float(b.top()), b.right() + 1.0, b.bottom() + 1.0), float(score))
      for b, score in zip(boxes, scores, strict=True)
    ]

  # HOG and five linear filters, which are trained on faces that look ahead, of 80 px or more
  return Judge('dlib', "dlib's HOG", find, 0.0), ''


class Judged:
  """What a detector finds in the pictures of a study, kept in its workdir.

  Args:
    judge: the detector; None measures nothing.
    study: with the pictures.
    workdir: of the study.
  """

  def __init__(self, judge: Judge | None, study: Study, workdir: pathlib.Path):
    self._judge, self._study, self._workdir = judge, study, workdir
    self.score = judge.score if judge else 0.0  # from which a face counts

  def rate(
    self, system: System, names: Sequence[str], people: Sequence[int] | None = None
  ) -> dict[str, Any] | None:
    """Returns `detection_rate` of a system that the study has rendered; None without a detector.

    Args:
      system: whose pictures.
      names: of the pictures.
      people: the person of each, for the interval; None: each picture for itself.
    """
    before, after = (self.found(each, names) for each in (ORIGINAL, system))
    if self._judge is None or before is None or after is None:
      return None
    return detection_rate(before, after, self._judge.score, people)

  def found(self, system: System, names: Sequence[str]) -> list[Detections] | None:
    """Returns what it finds in pictures of a system that the study has rendered; None without one.

    Args:
      system: whose pictures.
      names: of the pictures.
    """
    judge = self._judge
    if judge is None:
      return None
    path = self._workdir / system.name / f'faces_{judge.name}.jsonl'
    if system.folder is not None:  # nobody knows whether they are still the same pictures
      path.unlink(missing_ok=True)
    read = self._study.read if system is ORIGINAL else self._study.readers[system.title]
    title = f'finding faces by {judge.name}, {system.title}'
    rows = FaceFile(path).find(names, read, judge.find, title)
    return [detections(rows[name]) for name in names]
