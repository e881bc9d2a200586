"""What is asked for a picture, and what became of each of its faces and bodies."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from anon_jax.inference.bodies import Body
from anon_jax.inference.crops import Patch
from anon_jax.inference.faces import Face

# Weight of the newest frame in a running mean over the frames of a face.
_NEWEST = 0.2
KEPT = 'kept'


@dataclasses.dataclass(frozen=True)
class Trust:
  """When a synthesized face is taken; otherwise the face is filled.

  Attributes:
    score: least detector score; faces below it may be none, or be found in the wrong place.
    similarity: largest cosine of I's embeddings of the original and the new face; None takes the
      one that its weights come with.
  """

  score: float = 0.4
  similarity: float | None = None


@dataclasses.dataclass(frozen=True)
class Decision:
  """What became of one face.

  Attributes:
    face: where it was found.
    action: 'synthesized', 'filled', 'pixelated', 'blurred', or 'kept' where somebody chose so.
    reason: why a face was filled though synthesis was asked for, or kept; '' otherwise.
    similarity: cosine of I's embeddings of the original and the face that was painted last, whether
      it is shown or not; None where none was painted.
    draws: control identities that were tried.
  """

  face: Face
  action: str
  reason: str = ''
  similarity: float | None = None
  draws: int = 0


@dataclasses.dataclass(frozen=True)
class BodyDecision:
  """What became of one body.

  Attributes:
    number: of the instance in its mask.
    box: left, top, right, bottom of her pixels.
    pixels: how many she has.
    state: 'given' by the user, or 'found' by a segmenter.
    action: 'synthesized', 'filled', 'pixelated' or 'blurred'.
    reason: why she was filled though another method was asked for; '' otherwise.
  """

  number: int
  box: tuple[int, int, int, int]
  pixels: int
  state: str
  action: str
  reason: str = ''


@dataclasses.dataclass(frozen=True, eq=False)
class Anonymized:
  """An anonymized picture.

  Attributes:
    image: uint8 [h, w, 3]; where there was neither face nor body the pixels are the original's.
    faces: a decision for every face, in the order in which they were found.
    bodies: a decision for every body, in their order.
    taken: bool [h, w], pixels that bodies have, over which nothing is laid; None without bodies.
  """

  image: np.ndarray
  faces: tuple[Decision, ...]
  bodies: tuple[BodyDecision, ...] = ()
  taken: np.ndarray | None = None

  def lay_over(self, patch: Patch) -> None:
    """Lays a patch over the picture, in place, but not over bodies."""
    if self.taken is not None:
      height, width = patch.mask.shape
      free = ~self.taken[patch.top : patch.top + height, patch.left : patch.left + width]
      patch = dataclasses.replace(patch, mask=patch.mask & free)
    patch.lay_over(self.image)


class Part(NamedTuple):
  """A control identity that a face keeps.

  Attributes:
    control: float32 [identities], a mixture.
    draws: how many were drawn for this face so far.
    shown: uint8 [s, s, 3], the crop of the frame before with the new face; None without one.
    likeness: running mean, over the frames, of how alike the original and the new face are; None
      before the first one.
  """

  control: np.ndarray
  draws: int
  shown: np.ndarray | None = None
  likeness: float | None = None

  def likeness_with(self, similarity: float) -> float:
    """Returns the running mean with one more frame; as it is in the first one."""
    before = similarity if self.likeness is None else self.likeness
    return before + _NEWEST * (similarity - before)


class Cast(dict[str, Part]):
  """Which control identity each face plays, by its name, from one frame to the next."""


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
  """One picture to be anonymized.

  Attributes:
    image: uint8 [h, w, 3], RGB.
    faces: its faces.
    masks: for each face the foreground to be replaced, bool [h, w], or None to let S find it; ()
      for none at all.
    name: tells its faces from those of other pictures where a key is given.
    names: the same for each face; () for `name` and the face's number.
    cast: control identities that faces keep by their names, and new ones are put into; None draws
      for this picture alone.
    bodies: people of whom each pixel is replaced.
    body_cast: as `cast`, for bodies.
    kept: numbers of the faces that stay as they are, since somebody chose so: each of them shows.
      What covers another face still covers them, too.
  """

  image: np.ndarray
  faces: Sequence[Face]
  masks: Sequence[np.ndarray | None] = ()
  name: str = ''
  names: Sequence[str] = ()
  cast: Cast | None = None
  bodies: Sequence[Body] = ()
  body_cast: Cast | None = None
  kept: Collection[int] = ()

  def mask(self, number: int) -> np.ndarray | None:
    """Returns the mask of a face; None where S is to find it."""
    return self.masks[number] if len(self.masks) else None

  def name_of(self, number: int) -> str:
    """Returns the name of a face."""
    return self.names[number] if len(self.names) else f'{self.name} {number}'

  def decision_to_keep(self, number: int) -> Decision | None:
    """Returns the decision for a face that stays as it is; None for any other."""
    return Decision(self.faces[number], KEPT, 'by choice') if number in self.kept else None
