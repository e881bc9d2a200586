"""A closer look at large faces in doubt: what looked like one from afar often is none.

The network sees the largest faces in small views only, where a sign, a wall or a coat can look like
one. Looked at by themselves at two middle sizes, most such things are gone. Faces are not: of 479
weak detections of faces that were hidden, darkened, blurred and turned to excess, 468 scored 0.1 or
more there; of 77 false alarms of the two clips on which the threshold was chosen, 23 did.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from anon_jax.inference.association import overlaps
from anon_jax.inference.centerface import Candidates
from anon_jax.inference.faces import Face
from anon_jax.inference.levelling import square

# Only faces so large, in pixels of the longer side of the box, and less sure than this.
_LARGE, _SURE = 64, 0.6
# The square about a face, in sizes of its box, and the sides that it is looked at with: the face
# has 80 and 120 pixels there.
_AROUND, _SIDES = 3.2, (256, 384)
# The face is what overlaps its box so much, intersection over union: views disagree about boxes.
_SAME = 0.35
# What overlaps a surer face so much is that face: a shifted box around it is no second one.
_OTHER = 0.5
_LEAST_SCORE = 0.02  # what scores less counts as 0
_ENOUGH = 0.3  # no further look is needed


def confirmed(
  face: Face,
  picture: np.ndarray,
  find: Callable[[np.ndarray, float], Candidates],
  surer: Sequence[Face] = (),
) -> Face:
  """Returns a face that knows how sure a closer look is of it, if it is large and in doubt.

  Args:
    face: in the picture's pixels.
    picture: uint8 RGB [h, w, 3].
    find: see `CenterFace.find`.
    surer: faces of the picture that are surer; they do not confirm this one.
  """
  left, top, right, bottom = face.box
  longer = max(right - left, bottom - top)
  if face.score >= _SURE or longer < _LARGE:
    return face
  around = max(2, round(_AROUND * longer))
  corner = np.round(np.array([left + right - around, top + bottom - around]) / 2).astype(int)
  best = 0.0
  for side in _SIDES:
    part = square(picture, corner, around, side)
    boxes = np.array([each.box for each in (face, *surer)])
    boxes = (boxes - np.tile(corner, 2)) * side / around
    for _ in range(4):
      best = max(best, _score(find(part, _LEAST_SCORE), boxes))
      if best >= _ENOUGH:
        return dataclasses.replace(face, confirmed=best)
      part = np.ascontiguousarray(np.rot90(part))
      left, top, right, bottom = boxes.T
      boxes = np.stack([top, side - right, bottom, side - left], 1)  # x, y -> y, side - x
  return dataclasses.replace(face, confirmed=best)


def _score(candidates: Candidates, boxes: np.ndarray) -> float:
  """Returns the greatest score of candidates about the first of [n, 4] boxes, and no other."""
  shared = overlaps(candidates.boxes.reshape(-1, 2, 2), boxes.reshape(-1, 2, 2))
  same = (shared[:, 0] >= _SAME) & (shared[:, 1:].max(1, initial=0) < _OTHER)
  return float(candidates.scores[same].max(initial=0))
