"""Who says whether a person is seen: a detector of whole people, and a network asked about a place.

Neither is part of any pipeline here.
"""

import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage
from PIL import Image

from anon_jax.data import body_crops, pictures
from anon_jax.inference.faces import Face
from anon_jax.nets.frozen import WeightsError, find_file
from anon_jax.protocols.bodies.frames import Box

Find = Callable[[np.ndarray, Box], Sequence[Face]]

# OpenCV's sample makes what its HOG finds so much smaller: windows have a border around the person.
_LEFT, _WIDTH, _TOP, _HEIGHT = 0.1, 0.8, 0.07, 0.8
_PRISMANET = 'aeef118740b74a908886f247457c9866b5c002769eda4bb901f049dc7821b1c0'
_SIDE = 256  # of what PrismaNet takes
_ROOM = 1.6  # side of the square that it sees, in longer sides of the person's box


class Finder(NamedTuple):
  """A detector.

  Attributes:
    name: of its file of boxes and of its key in results.json.
    title: of its columns.
    find: finds people in a frame, uint8 [h, w, 3]; the box says where the person is, for those who
      have to be asked about a place. Scores may have any range.
  """

  name: str
  title: str
  find: Find


def load_hog(name: str) -> tuple[Finder | None, str]:
  """Loads OpenCV's HOG and the linear filter for people that comes with it.

  Args:
    name: 'hog', or 'none'.

  Returns:
    It and '', or None and why there is none.
  """
  if name == 'none':
    return None, 'none was asked for.'
  try:
    import cv2

    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))
  except ImportError:
    return None, 'OpenCV is not installed; `pip install anon-jax[opencv]` brings it.'
  except AttributeError:
    return None, f'OpenCV {cv2.__version__} has no HOG; `pip install anon-jax[opencv]` brings one.'

  def find(pixels: np.ndarray, box: Box) -> list[Face]:
    found, scores = hog.detectMultiScale(
      np.ascontiguousarray(pixels[..., ::-1]), winStride=(8, 8), padding=(32, 32), scale=1.05
    )
    return [
      _shrunk(each, float(score)) for each, score in zip(found, np.ravel(scores), strict=True)
    ]

  # Dalal and Triggs 2005: upright people who are seen whole, 96 px high or more
  return Finder('hog', "OpenCV's HOG", find), ''


def _shrunk(found: Sequence[float], score: float) -> Face:
  left, top, width, height = map(float, found)
  left, top = left + _LEFT * width, top + _TOP * height
  return Face((left, top, left + _WIDTH * width, top + _HEIGHT * height), score)


def load_prismanet(name: str, folders: Sequence[pathlib.Path]) -> tuple[Finder | None, str]:
  """Loads PrismaNet, which finds the pixels of people in portraits.

  Args:
    name: 'prismanet', or 'none'.
    folders: searched for its file.

  Returns:
    It and '', or None and why there is none.

  Raises:
    WeightsError: its file is damaged.
  """
  if name == 'none':
    return None, 'none was asked for.'
  way_out = 'It is part of the data bundle, in its folder weights; name that by config.weights_dir.'
  try:
    path = find_file('prismanet', 'prisma_nchw.onnx', folders, way_out)
  except WeightsError as error:
    return None, str(error)
  content = path.read_bytes()
  if hashlib.sha256(content).hexdigest() != _PRISMANET:
    raise WeightsError(f'{path} is not the known file; copy it again.')
  import onnxruntime

  session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
  entry = session.get_inputs()[0].name

  def shares(crop: np.ndarray) -> np.ndarray:
    image = crop.astype(np.float32).transpose(2, 0, 1)[None] / 255
    return np.asarray(session.run(None, {entry: image})[0]).reshape(_SIDE, _SIDE)

  return Finder('prismanet', 'PrismaNet', lambda pixels, box: place(pixels, box, shares)), ''


def place(pixels: np.ndarray, box: Box, shares: Callable[[np.ndarray], np.ndarray]) -> list[Face]:
  """Returns what a segmenting network takes for the person at a place: its largest piece.

  Args:
    pixels: uint8 [h, w, 3].
    box: where the person is; the network sees a square of 1.6 times its longer side about it.
    shares: uint8 [256, 256, 3] -> how sure it is of a person, float [256, 256].

  Returns:
    One face, which is a body, or none where no pixel is a person's by a half or more.
  """
  left, top, right, bottom = box
  side = max(round(_ROOM * max(right - left, bottom - top)), 1)
  corner = round((left + right - side) / 2), round((top + bottom - side) / 2)
  nobody = np.zeros(pixels.shape[:2], np.uint8)
  square, _ = pictures.cut_square(pixels, nobody, *corner, side)
  crop = Image.fromarray(square).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
  sure = shares(np.asarray(crop))
  pieces, count = scipy.ndimage.label(sure >= 0.5)
  if not count:
    return []
  largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
  found: Any = body_crops.mask_box(pieces == largest)
  scale = side / _SIDE
  x, y = (np.array(found).reshape(2, 2) * scale + corner).T
  score = float(sure[pieces == largest].mean())
  return [Face((float(x[0]), float(y[0]), float(x[1]), float(y[1])), score)]
