"""How thoroughly each frame of a clip is searched: a few as photographs are, most at a glance.

A photograph is looked at in four turns, enlarged, and made small. Of a clip's frames one in
SEARCHED is searched, for turned faces and for tiny ones by turns: for each of the two every time as
long as such a face is known. The others get one upright look, as small as the faces that are known
allow. Whatever only a search finds is found again by the next one, and the tracks are bridged
between and prolonged before by as much.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anon_jax.inference import crops
from anon_jax.inference.faces import Face

SEARCHED = 5
# Frames between two searches for the same kind of faces, where none of that kind is known.
PERIOD = 2 * SEARCHED
# A frame's look depends on what was found up to so many frames before it: those between are being
# searched at the same time. It does not depend on how many are, so that every machine looks alike.
LATE = 16
_REMEMBERED = 25
# The network finds upright faces from about 20 pixels on; known ones shall be that much larger in
# the views of most frames.
_AMPLE = 32
_LEAST_PIXELS, _MOST_PIXELS = 250_000, 1_000_000
# Height below which a face is found for sure only where the picture is enlarged.
_TINY = 24
# Turned by more than so many degrees, a face may be found in turned pictures only.
_TURNED = 30


class Look(NamedTuple):
  """How one picture is searched; by default as a photograph.

  Attributes:
    turned: whether in all turns.
    tiny: whether enlarged.
    glance: pixels of the one upright view that is enough; 0: the picture is searched, at its own
      size and for faces that fill it, too.
    closer: whether large faces in doubt are looked at again, by themselves.
  """

  turned: bool = True
  tiny: bool = True
  glance: int = 0
  closer: bool = False


PHOTOGRAPH = Look()
# Of clips, in which a false alarm lasts as long as a face would.
SEARCH = Look(closer=True)
GLANCE = Look(turned=False, tiny=False, glance=_MOST_PIXELS, closer=True)


class _Known(NamedTuple):
  """What the faces of a frame, by its number, ask for."""

  number: int
  least: float
  turned: bool
  tiny: bool


class Outlook:
  """Chooses the looks of a clip's frames, one after another.

  Args:
    searched: one of so many frames is searched, and one of twice as many for the same kind of
      faces where none of that kind is known.
  """

  def __init__(self, searched: int = SEARCHED) -> None:
    self._searched = searched
    self._known: deque[_Known] = deque()
    self._learnt = self._asked = 0

  def learn(self, faces: Sequence[Face]) -> None:
    """Takes what was found in the next frame; at most LATE - 1 frames behind `next`."""
    least = min((_height(face) for face in faces), default=np.inf)
    turned, tiny = any(map(_is_turned, faces)), any(map(_is_tiny, faces))
    self._known.append(_Known(self._learnt, least, turned, tiny))
    self._learnt += 1

  def next(self, size: tuple[int, int]) -> Look:
    """Returns how the next frame, of a width and height, is searched."""
    number = self._asked
    self._asked += 1
    while self._known and self._known[0].number < number - LATE - _REMEMBERED:
      self._known.popleft()
    known = [facts for facts in self._known if facts.number <= number - LATE]
    if number % self._searched:
      return GLANCE._replace(glance=_glance(known, size))
    if not number:
      return SEARCH
    return SEARCH._replace(
      turned=number % (2 * self._searched) == 0 or any(facts.turned for facts in known),
      tiny=number % (2 * self._searched) != 0 or any(facts.tiny for facts in known),
    )


def _glance(known: Sequence[_Known], size: tuple[int, int]) -> int:
  """Returns how many pixels of a frame are enough for the faces that are known."""
  least = min((facts.least for facts in known), default=np.inf)
  if not np.isfinite(least):  # nothing is known: whatever comes shall be found at once
    return _MOST_PIXELS
  wanted = size[0] * size[1] * (_AMPLE / least) ** 2
  return round(min(max(wanted, _LEAST_PIXELS), _MOST_PIXELS))


def _height(face: Face) -> float:
  return face.box[3] - face.box[1]


def _is_tiny(face: Face) -> bool:
  return _height(face) < _TINY


def _is_turned(face: Face) -> bool:
  """Tells whether a face may be found in turned pictures only."""
  if face.landmarks is None or not crops.level(face):
    return True
  down = crops.frame_of(face).down
  return bool(np.degrees(np.arctan2(abs(down[0]), down[1])) > _TURNED)
