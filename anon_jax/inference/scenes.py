"""Scene cuts of a video, found on small grey thumbnails.

Two frames are alike where their thumbnails correlate, whatever their brightness and contrast, with
one shifted by up to an eighth of its width and a ninth of its height. A cut lies between two frames
where none of the last four before it is like any of the first four after it. So

  a camera that moves or pans is no cut: each frame is like the one before it, shifted;
  a dissolve is none, nor a fade but where it is black: each frame is like the one before it;
  a flash of up to three frames is none: what comes after it is like what came before it.

An unseen cut only has too much covered, for a few frames; a false one leaves a face that is not
detected uncovered. So frames count as alike in case of doubt.
"""

from collections import deque

import numpy as np
from PIL import Image

from anon_jax.inference.errors import InferenceError

WIDTH, HEIGHT = 32, 18  # of a thumbnail in pixels
# Least correlation of frames that are alike, at their best shift. Of the ten clips that were
# measured, neighbouring frames had 0.86 or more, frames of two clips 0.57 or less.
_ALIKE = 0.6
_SHIFT_X, _SHIFT_Y = 4, 2
_NOISE = 4.0  # variance of the grey values that says nothing: black frames are alike
_AROUND = 4  # frames before and after a cut that are compared
DELAY = _AROUND - 1  # frames by which it is known late whether a frame begins a scene


def thumbnail(picture: np.ndarray) -> np.ndarray:
  """Returns a frame, uint8 RGB [h, w, 3], as uint8 grey [18, 32]."""
  image = Image.fromarray(picture)
  small = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX, reducing_gap=2)
  return np.asarray(small.convert('L'))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
  """Tells whether two thumbnails, uint8 [18, 32], may show the same scene."""
  shifts = [(x, y) for x in range(-_SHIFT_X, _SHIFT_X + 1) for y in range(-_SHIFT_Y, _SHIFT_Y + 1)]
  # the least shifts first: they mostly suffice
  shifts.sort(key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift))
  a, b = one.astype(np.float32), other.astype(np.float32)
  return any(_correlation(*_shared(a, b, *shift)) >= _ALIKE for shift in shifts)


def _shared(one: np.ndarray, other: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns what two thumbnails share where the other is shifted by (x, y)."""
  height, width = one.shape
  a = one[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
  b = other[max(0, -y) : height + min(0, -y), max(0, -x) : width + min(0, -x)]
  return a, b


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
  a, b = a - a.mean(), b - b.mean()
  shared, variances = (a * b).mean() + _NOISE, ((a * a).mean(), (b * b).mean())
  return float(shared / np.sqrt((variances[0] + _NOISE) * (variances[1] + _NOISE)))


class Scenes:
  """Tells of one frame after another whether it begins a scene, `DELAY` frames late."""

  def __init__(self) -> None:
    self._before: deque[np.ndarray] = deque(maxlen=_AROUND)  # of the scene at hand
    self._after: deque[np.ndarray] = deque()

  def push(self, small: np.ndarray) -> list[bool]:
    """Takes the next frame's thumbnail, uint8 [18, 32].

    Returns:
      Whether the frame `DELAY` frames ago begins a scene; nothing for the first frames of a stream.
      The first frame of a stream begins none.

    Raises:
      InferenceError: it is no thumbnail.
    """
    if small.shape != (HEIGHT, WIDTH) or small.dtype != np.uint8:
      kind = f'{small.dtype}{list(small.shape)}'
      raise InferenceError(
        f'the thumbnail is {kind}; give uint8[{HEIGHT}, {WIDTH}], by thumbnail().'
      )
    self._after.append(small)
    return [self._decide()] if len(self._after) > DELAY else []

  def flush(self) -> list[bool]:
    """Returns the same of the last frames, after the end of the stream."""
    return [self._decide() for _ in range(len(self._after))]

  def _decide(self) -> bool:
    small = self._after[0]
    pairs = ((a, b) for b in self._after for a in reversed(self._before))
    begins = bool(self._before) and not any(alike(a, b) for a, b in pairs)
    if begins:
      self._before.clear()
    self._before.append(small)
    self._after.popleft()
    return begins
