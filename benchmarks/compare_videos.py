"""Sets anonymized clips of one face beside their sources: flicker, trembling, change of identity.

  python benchmarks/compare_videos.py SOURCE OUTPUT [SOURCE OUTPUT ...] --weights FOLDER

FOLDER holds published weights (SqueezeNet, LPIPS' heads, MobileFaceNet). Per pair of clips: tLP
against the source and the distances of consecutive frames, on frames of 256 rows; landmark jitter
by the detector, in sizes of the face; the identity variance within the output beside the source's,
and how alike source and output are to the recogniser.
"""

import argparse
import pathlib
from typing import Any

import jax
import numpy as np
from PIL import Image

from anon_jax.data import alignment
from anon_jax.evaluation import landmark_jitter
from anon_jax.evaluation.identity_variance import IdentityVariance
from anon_jax.evaluation.lpips import load_lpips
from anon_jax.evaluation.temporal_lpips import TemporalLpips
from anon_jax.inference import detection, looks
from anon_jax.inference.faces import Face
from anon_jax.inference.video_reading import VideoReader
from anon_jax.nets import recognition

ROWS = 256
_NOWHERE = np.full((5, 2), np.nan)


def reduced(pixels: np.ndarray) -> np.ndarray:
  """Returns a frame of ROWS rows, float32 [1, h, w, 3] in [-1, 1]."""
  height, width = pixels.shape[:2]
  size = (round(width * ROWS / height), ROWS)
  small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
  return np.asarray(small, np.float32)[None] / 127.5 - 1


def main_face(faces: list[Face], near: np.ndarray | None) -> Face | None:
  """Returns the surest face with landmarks, or the one next to a place (x, y)."""
  found = [face for face in faces if face.landmarks is not None]
  if not found:
    return None
  if near is None:
    return max(found, key=lambda face: face.score)
  return min(found, key=lambda face: float(np.hypot(*(centre(face) - near))))


def centre(face: Face) -> np.ndarray:
  """Returns the centre of a face's box, (x, y)."""
  return np.reshape(face.box, (2, 2)).mean(0)


class Sides:
  """Landmarks and embeddings of source and output, frame by frame."""

  def __init__(self, folder: pathlib.Path):
    self._find = detection.load_detector().at(looks.GLANCE)
    self._net, params = recognition.load_recogniser('mobilefacenet', [folder])
    self._embed: Any = jax.jit(lambda rows: self._net.apply(params, rows))
    self.landmarks: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    self.variance = IdentityVariance(), IdentityVariance()
    self.sizes: list[float] = []
    self.alike: list[float] = []

  def add(self, frames: tuple[np.ndarray, np.ndarray]) -> None:
    """Takes a frame of the source and of the output."""
    own = main_face(self._find(frames[0]), None)
    new = main_face(self._find(frames[1]), None if own is None else centre(own))
    self.sizes.append(np.nan if own is None else own.box[3] - own.box[1])
    crops = []
    for pixels, face, kept in zip(frames, (own, new), self.landmarks, strict=True):
      points = None if face is None else face.landmarks
      kept.append(_NOWHERE if points is None else np.asarray(points))
      if points is not None:
        row = alignment.align_face(Image.fromarray(pixels), points, self._net.alignment)
        crops.append(np.asarray(row, np.float32) / 127.5 - 1)
    if len(crops) == 2:
      rows = np.asarray(self._embed(np.stack(crops)))
      pair = rows / np.linalg.norm(rows, axis=1, keepdims=True)
      for embedding, variance in zip(pair, self.variance, strict=True):
        variance.add(embedding)
      self.alike.append(float(pair[0] @ pair[1]))


def measure(source: str, output: str, folder: pathlib.Path) -> dict[str, float]:
  """Measures one pair of clips."""
  distance, params = load_lpips([folder])
  compare = jax.jit(lambda a, b: distance.distances(params, a, b)[0])
  temporal, sides = TemporalLpips(compare), Sides(folder)
  with VideoReader(source) as one, VideoReader(output) as two:
    for before, after in zip(one, two, strict=True):
      height, width = before.pixels.shape[:2]
      shown = after.pixels[:height, :width]  # odd sides have grown by one
      temporal.add(reduced(before.pixels), reduced(shown))
      sides.add((before.pixels, shown))
  trembling = landmark_jitter.compare(
    np.array(sides.landmarks[0]), np.array(sides.landmarks[1]), np.array(sides.sizes)
  )
  return {
    **temporal.result(),
    **{f'jitter {name}': value for name, value in trembling.items()},
    'identity variance of source': sides.variance[0].result(),
    'identity variance of output': sides.variance[1].result(),
    'similarity to source': float(np.mean(sides.alike)) if sides.alike else float('nan'),
  }


def main() -> None:
  """Runs the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('clips', nargs='+', metavar='SOURCE OUTPUT')
  parser.add_argument('--weights', type=pathlib.Path, required=True, metavar='FOLDER')
  given = parser.parse_args()
  if len(given.clips) % 2:
    parser.error('clips come in pairs: SOURCE OUTPUT')
  for source, output in zip(given.clips[::2], given.clips[1::2], strict=True):
    print(f'{source} -> {output}')
    for name, value in measure(source, output, given.weights).items():
      print(f'  {name:28} {value:.4f}')


if __name__ == '__main__':
  main()
