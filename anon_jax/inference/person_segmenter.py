"""Finds the people of a picture by a segmentation network in an ONNX file that the user brings."""

import hashlib
import importlib
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from anon_jax.inference.centerface import runtime_errors
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.opening import opened
from anon_jax.inference.paths import shown

_CHANNELS = 3
_SIDE = 256  # of a file whose input has no fixed one
_MOST_SIDE = 2048
# Probability from which a pixel counts as of a person. Low: what is missed shows.
_LEAST = 0.1


class SegmenterError(InferenceError):
  """A person segmenter that cannot be loaded, or that failed: where people are is not known."""


class PersonSegmenter:
  """A network that tells, pixel by pixel, how likely a person is.

  Its input is one RGB picture, float32 in [0, 1], [1, 3, h, w] or [1, h, w, 3]; its first output
  has h x w probabilities, or two channels of which the second is the person's. Pictures of any
  shape are scaled to that, whole.

  Attributes:
    sha256: hex digits of its file.

  Args:
    session: of onnxruntime, or what behaves like one.
    sha256: of its file.

  Raises:
    SegmenterError: its input is another.
  """

  def __init__(self, session: Any, sha256: str = ''):
    self._session, self.sha256 = session, sha256
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if inputs else []
    # names and None stand for sides that are free
    sides = [side if isinstance(side, int) else _SIDE for side in shape]
    if len(inputs) != 1 or len(sides) != 4 or _CHANNELS not in (sides[1], sides[3]):
      raise SegmenterError(
        f'the person segmenter has {len(inputs)} inputs, the first of shape {shape}; expected one '
        'of [1, 3, h, w] or [1, h, w, 3].'
      )
    self._name, self._first = inputs[0].name, sides[1] == _CHANNELS
    self._size = (sides[3], sides[2]) if self._first else (sides[2], sides[1])
    if not all(1 <= side <= _MOST_SIDE for side in self._size):
      raise SegmenterError(f'the person segmenter takes {self._size} pixels, which is too much.')

  def __call__(self, picture: np.ndarray) -> np.ndarray:
    """Finds the pixels of people: uint8 RGB [h, w, 3] -> bool [h, w].

    Raises:
      SegmenterError: it failed, or returned anything but probabilities.
    """
    height, width = picture.shape[:2]
    small = Image.fromarray(picture).resize(self._size, Image.Resampling.BOX)
    values = (np.asarray(small, np.float32) / 255)[None]
    if self._first:
      values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    try:
      found = self._session.run(None, {self._name: values})[0]
    except runtime_errors() as error:
      reason = ' '.join(str(error).split())[:100]
      raise SegmenterError(f'the person segmenter failed: {reason}.') from None
    likely = self._likely(np.asarray(found, np.float32))
    enlarged = Image.fromarray(likely).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(enlarged) >= _LEAST

  def _likely(self, found: np.ndarray) -> np.ndarray:
    """Returns the probabilities, float32 [h, w], that an output holds."""
    columns, rows = self._size
    one, two = rows * columns, 2 * rows * columns
    if found.size not in (one, two):
      raise SegmenterError(
        f'the person segmenter returned shape {found.shape}; expected {rows} x {columns} '
        'probabilities, or two channels of them.'
      )
    if not np.isfinite(found).all() or found.min() < -0.01 or found.max() > 1.01:
      raise SegmenterError(
        'the person segmenter returned numbers that are no probabilities; export it with its last '
        'sigmoid or softmax.'
      )
    if found.size == two:
      apart = found.reshape(-1, rows, columns) if found.shape[-1] != 2 else None
      found = found.reshape(rows, columns, 2)[..., 1] if apart is None else apart[1]
    return np.ascontiguousarray(found.reshape(rows, columns))


def load(path: pathlib.Path) -> PersonSegmenter:
  """Loads an ONNX file.

  Raises:
    SegmenterError: it cannot be read, is no such network, or onnxruntime is missing.
  """
  with opened(path, SegmenterError, 'ONNX') as file:
    model = file.read()
  try:
    runtime = importlib.import_module('onnxruntime')
  except ImportError:
    raise SegmenterError(
      "the person segmenter needs onnxruntime; run 'pip install onnxruntime'."
    ) from None
  options = runtime.SessionOptions()
  options.log_severity_level = 3  # of its warnings nobody is the wiser
  try:
    session = runtime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
  except runtime_errors() as error:
    reason = ' '.join(str(error).split())[:100]
    raise SegmenterError(f'{shown(path)} is no ONNX network that runs here: {reason}.') from None
  return PersonSegmenter(session, hashlib.sha256(model).hexdigest())
