"""Exposed frames: those in which a face that is known to be there is not covered."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Exposure:
  """Counts frame by frame, in constant memory.

  Attributes:
    tolerance: share of a face's region that may be left uncovered.
    frames: taken.
    faces: in them.
    exposed_frames: with a face that is not covered.
    exposed_faces: that are not covered, over all frames.
    first: the first exposed frame, from 0; None without.
    worst: largest share of a region that was left uncovered.
  """

  tolerance: float = 0.0
  frames: int = 0
  faces: int = 0
  exposed_frames: int = 0
  exposed_faces: int = 0
  first: int | None = None
  worst: float = 0.0

  def add(self, regions: np.ndarray, covered: np.ndarray) -> int:
    """Takes a frame.

    Args:
      regions: bool [faces, h, w], where each face of the frame is; one of no pixels is none.
      covered: bool [h, w], which pixels were replaced or covered.

    Returns:
      How many of its faces are exposed.

    Raises:
      ValueError: masks of other shapes.
    """
    regions, covered = np.asarray(regions, bool), np.asarray(covered, bool)
    if regions.ndim != 3 or covered.shape != regions.shape[1:]:
      raise ValueError(
        f'regions have shape {regions.shape} and covered {covered.shape}; expected [n, h, w] and '
        '[h, w].'
      )
    sizes = regions.sum((1, 2), dtype=np.int64)
    there = sizes > 0
    left = (regions & ~covered).sum((1, 2), dtype=np.int64)[there] / sizes[there]
    exposed = int((left > self.tolerance).sum())
    if exposed and self.first is None:
      self.first = self.frames
    self.frames += 1
    self.faces += int(there.sum())
    self.exposed_frames += exposed > 0
    self.exposed_faces += exposed
    self.worst = max(self.worst, float(left.max(initial=0.0)))
    return exposed
