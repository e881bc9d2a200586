"""One face out of the many candidates that the passes of a detector find for it."""

import numpy as np

from anon_jax.inference.centerface import Candidates
from anon_jax.inference.faces import Face

# Boxes that overlap more than this are one face; those of two people hardly ever do, even where one
# hides half of the other.
_SAME = 0.5
# A box whose landmarks are implausible is the same face on less: in a turn that is not theirs faces
# are found askew.
_SAME_ASKEW = 0.4
# A part of a face: so much of it lies inside the face's box and its centre in such an ellipse about
# the face's (half axes in box sizes), so that whatever covers the face covers it, too; less where
# its landmarks are implausible. Its score is at most such a share of the face's, or it is askew.
_INSIDE, _MIDDLE = 0.85, 0.35
_INSIDE_ASKEW, _MIDDLE_ASKEW = 0.45, 0.5
_WEAKER = 0.5
# The same face in a turn that is not its own: weaker, its landmarks implausible or turned by more
# than this against the face's (a cosine), of no more than twice or half its size and about the same
# centre (in sizes of the larger box). Two people's faces do not lie like that.
_TURNED, _TURNED_WEAKER, _TURNED_SIZES, _TURNED_MIDDLE = np.cos(np.radians(25)), 0.8, 2.0, 0.35
# Landmarks are taken from passes in which the face stands no more than about 60 degrees askew.
_LEAST_UPRIGHT = 0.5


def merge(candidates: Candidates) -> list[Face]:
  """Returns the faces, the surest first, in the pixels of the candidates.

  A face has the box and the score of its best candidate. Its landmarks are those of the candidate
  whose score times uprightness is greatest: a network that was shown a face upside down finds it,
  but not its eyes. A face without plausible landmarks has none.

  Args:
    candidates: of all passes; `upright` is measured in the pass that found each.
  """
  order = np.argsort(-candidates.scores, kind='stable')
  rest = candidates.kept(order)
  faces = []
  while len(rest.scores):
    same = _same(rest)
    faces.append(_face(rest.kept(same)))
    rest = rest.kept(~same)
  return faces


def _face(group: Candidates) -> Face:
  """Returns the face of candidates of which the first is the best."""
  worth = np.where(group.upright >= _LEAST_UPRIGHT, group.scores * group.upright, 0)
  best = int(worth.argmax())
  points = None
  if worth[best] > 0:
    points = tuple((float(x), float(y)) for x, y in group.landmarks[best])
  left, top, right, bottom = (float(v) for v in group.boxes[0])
  return Face((left, top, right, bottom), float(group.scores[0]), points)


def _same(candidates: Candidates) -> np.ndarray:
  """Returns which candidates are the same face as the first, which is the best, bool [n]."""
  boxes, first = candidates.boxes, candidates.boxes[0]
  corners = np.maximum(boxes[:, :2], first[:2]), np.minimum(boxes[:, 2:], first[2:])
  shared = np.clip(corners[1] - corners[0], 0, None).prod(1)
  areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
  overlap = shared / (areas + areas[0] - shared)
  centres = (boxes[:, :2] + boxes[:, 2:]) / 2
  away = np.abs(centres - centres[0]) / (first[2:] - first[:2])
  away = np.hypot(away[:, 0], away[:, 1])
  inside = shared / areas
  askew = candidates.upright < _LEAST_UPRIGHT
  weaker = candidates.scores <= _WEAKER * candidates.scores[0]
  part = (inside >= _INSIDE) & (away <= _MIDDLE) & (weaker | askew)
  part |= (inside >= _INSIDE_ASKEW) & (away <= _MIDDLE_ASKEW) & weaker & askew
  same: np.ndarray = (overlap > np.where(askew, _SAME_ASKEW, _SAME)) | part | _turned(candidates)
  same[0] = True
  return same


def _turned(candidates: Candidates) -> np.ndarray:
  """Returns which candidates are the first in a turn that is not its own, bool [n]."""
  boxes, first = candidates.boxes, candidates.boxes[0]
  eyes = candidates.landmarks[:, 1] - candidates.landmarks[:, 0]
  cosines = (
    eyes @ eyes[0] / np.maximum(np.linalg.norm(eyes, axis=1) * np.linalg.norm(eyes[0]), 1e-9)
  )
  sizes = (boxes[:, 2:] - boxes[:, :2]).max(1)
  ratios = sizes / sizes[0]
  shifts = (boxes[:, :2] + boxes[:, 2:] - first[:2] - first[2:]) / 2
  near = np.hypot(shifts[:, 0], shifts[:, 1]) <= _TURNED_MIDDLE * np.maximum(sizes, sizes[0])
  alike = (ratios <= _TURNED_SIZES) & (ratios >= 1 / _TURNED_SIZES)
  weaker = candidates.scores <= _TURNED_WEAKER * candidates.scores[0]
  level = (candidates.upright >= _LEAST_UPRIGHT) & (candidates.upright[0] >= _LEAST_UPRIGHT)
  turned: np.ndarray = weaker & alike & near & ~(level & (cosines >= _TURNED))
  return turned
