"""Colours of videos: what their numbers mean, in the code points of ITU-T H.273."""

import dataclasses

UNSPECIFIED = 2
# The matrices that can be converted: BT.709, FCC, BT.601 (two names), SMPTE 240M, BT.2020.
MATRICES = (1, 4, 5, 6, 7, 9)


@dataclasses.dataclass(frozen=True)
class Colour:
  """How red, green and blue are meant, and how they become luma and chroma.

  Attributes:
    matrix: one of MATRICES.
    primaries: code point, 2 for unspecified.
    transfer: code point, 2 for unspecified.
  """

  matrix: int
  primaries: int = UNSPECIFIED
  transfer: int = UNSPECIFIED


def usual_matrix(width: int, height: int) -> int:
  """Returns what players take for the matrix of a video that does not say: BT.709 if it is HD."""
  return 1 if width >= 1280 or height > 576 else 6
