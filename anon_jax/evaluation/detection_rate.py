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


def detection_rate(
  originals: Sequence[Detections],
  outputs: Sequence[Detections],
  score: float,
  groups: Sequence[int] | None = None,
) -> dict[str, Any]:
  """Share of pictures in which the face is found again.

  Pictures in whose original no face is found do not count. The face of an original is the one with
  the highest score.

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
  if len(originals) != len(outputs):
    raise ValueError(f'{len(originals)} originals and {len(outputs)} outputs.')
  again, some, counted = [], [], []
  for place, (before, after) in enumerate(zip(originals, outputs, strict=True)):
    if not (before.scores >= score).any():
      continue
    box = before.boxes[int(np.argmax(before.scores))]
    found = after.boxes[after.scores >= score]
    again.append(any(overlap(box, each) >= _SAME for each in found))
    some.append(len(found) > 0)
    counted.append(place if groups is None else groups[place])
  who = None if groups is None else np.array(counted)
  return {
    'pictures': len(again),
    'same_place': bootstrap_mean(np.array(again), groups=who),
    'any': bootstrap_mean(np.array(some), groups=who),
  }
