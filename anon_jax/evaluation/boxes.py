"""Boxes: left, top, right, bottom in pixels."""

from collections.abc import Sequence


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
  """Returns the intersection over union of two boxes, in [0, 1]."""
  width = min(a[2], b[2]) - max(a[0], b[0])
  height = min(a[3], b[3]) - max(a[1], b[1])
  shared = max(0.0, width) * max(0.0, height)
  areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
  return shared / (sum(areas) - shared) if shared else 0.0
