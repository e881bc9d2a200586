"""How often a detector finds a face again where there was one (metrics.md 6)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.evaluation.boxes import overlap
from anon_jax.evaluation.intervals import bootstrap_mean

# The rate depends on the score from which a face counts: SSH's own test takes .05, its ports .95.
SCORES = (0.05, 0.5, 0.9)
_SAME = 0.5


class Detections(NamedTuple):
  """What a detector found in a picture.

  Attributes:
    boxes: float [n, 4], left, top, right, bottom in pixels.
    scores: float [n], in [0, 1].
  """

  boxes: np.ndarray
  scores: np.ndarray


class FoundAgain(NamedTuple):
  """Of each picture, bool [n].

  Attributes:
    counted: the original has a face; where it has none, the others are False.
    same_place: the output has one that overlaps it by a half or more.
    any: the output has one anywhere.
  """

  counted: np.ndarray
  same_place: np.ndarray
  any: np.ndarray


def found_again(
  originals: Sequence[Detections], outputs: Sequence[Detections], score: float
) -> FoundAgain:
  """Says of each picture whether its face is found again.

  The face of an original is the one with the highest score.

  Args:
    originals: of each picture.
    outputs: of its anonymized version.
    score: from which a face counts, for both.

  Raises:
    ValueError: numbers of pictures differ.
  """
  if len(originals) != len(outputs):
    raise ValueError(f'{len(originals)} originals and {len(outputs)} outputs.')
  found = FoundAgain(*np.zeros((3, len(originals)), bool))
  for place, (before, after) in enumerate(zip(originals, outputs, strict=True)):
    if not (before.scores >= score).any():
      continue
    box = before.boxes[int(np.argmax(before.scores))]
    faces = after.boxes[after.scores >= score]
    found.counted[place] = True
    found.same_place[place] = any(overlap(box, each) >= _SAME for each in faces)
    found.any[place] = len(faces) > 0
  return found


def detection_rate(
  originals: Sequence[Detections],
  outputs: Sequence[Detections],
  score: float,
  groups: Sequence[int] | None = None,
) -> dict[str, Any]:
  """Share of pictures in which the face is found again.

  Pictures in whose original no face is found do not count.

  Args:
    originals: of each picture.
    outputs: of its anonymized version.
    score: from which a face counts, for both.
    groups: the person of each picture, for the interval; None: each picture for itself.

  Returns:
    `pictures` that count; `same_place`, the share with a face that overlaps the original's by a
    half or more, and `any`, with any face: means and 95 % intervals.

  Raises:
    ValueError: numbers of pictures differ.
  """
  found = found_again(originals, outputs, score)
  counted = found.counted
  who = None if groups is None else np.asarray(groups)[counted]
  return {
    'pictures': int(counted.sum()),
    'same_place': bootstrap_mean(found.same_place[counted], groups=who),
    'any': bootstrap_mean(found.any[counted], groups=who),
  }
