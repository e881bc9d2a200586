"""tLP: how much consecutive frames differ, in the eyes of an LPIPS distance (Chu et al. 2020).

Two numbers go by this name. As it is defined, it is the difference between how far consecutive
frames of the input lie apart and how far those of the output do: 0 for a video that was not
changed, so it says nothing without a measure of what was changed. The paper (4.2) describes the
mean distance of consecutive frames of the output alone. Both are given, and the input's own.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

_STEP = 32


@dataclasses.dataclass
class TemporalLpips:
  """Takes a clip frame by frame; holds one frame of each side, and two numbers a frame.

  Attributes:
    distance: of two pictures, such as a compiled `Lpips.distances` with its parameters.
    cut: frames at the start and at the end that do not count; TecoGAN's code leaves out 2.
  """

  distance: Callable[[Any, Any], float]
  cut: int = 0
  _before: tuple[Any, Any] | None = None
  _rows: list[tuple[float, float]] = dataclasses.field(default_factory=list)

  def add(self, source: Any, output: Any) -> None:
    """Takes the next frame of the input and that of the output."""
    if self._before is not None:
      old_source, old_output = self._before
      self._rows.append(
        (float(self.distance(old_source, source)), float(self.distance(old_output, output)))
      )
    self._before = source, output

  def result(self) -> dict[str, float]:
    """Returns what `summary` makes of the frames so far."""
    rows = self._rows[self.cut : len(self._rows) - self.cut]
    return summary(np.array(rows, np.float64).reshape(-1, 2))


def summary(rows: np.ndarray) -> dict[str, float]:
  """Sums up the distances of consecutive frames.

  Args:
    rows: [n, 2], of the input and of the output for each pair of frames.

  Returns:
    `pairs` of frames; float64 means over them: `tlp` against the input, `tlp100` (the same times
    100, as TecoGAN's code prints it), `consecutive` distance of the output, and of the input
    (`consecutive_input`); NaN without pairs.
  """
  rows = np.asarray(rows, np.float64).reshape(-1, 2)
  if not len(rows):
    nan = float('nan')
    return {'pairs': 0, 'tlp': nan, 'tlp100': nan, 'consecutive': nan, 'consecutive_input': nan}
  tlp = float(np.mean(np.abs(rows[:, 0] - rows[:, 1])))
  return {
    'pairs': len(rows),
    'tlp': tlp,
    'tlp100': 100 * tlp,
    'consecutive': float(np.mean(rows[:, 1])),
    'consecutive_input': float(np.mean(rows[:, 0])),
  }


def centre(frame: np.ndarray) -> np.ndarray:
  """Cuts the part that TecoGAN's code looks at out of [h, w, ...]: centred, multiples of 32.

  At least 16 pixels are left out of each side's length.

  Raises:
    ValueError: less than 32 pixels are left.
  """
  height, width = (_STEP * ((side - _STEP // 2) // _STEP) for side in frame.shape[:2])
  if min(height, width) < _STEP:
    raise ValueError(
      f'a frame of {frame.shape[1]} x {frame.shape[0]} has no centre of {_STEP} pixels; give one '
      f'of {3 * _STEP // 2} pixels or more.'
    )
  top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
  return frame[top : top + height, left : left + width]
