"""LPIPS and tLP against the package lpips, on random backbones and real pictures."""

import pathlib
from collections.abc import Callable

import jax
import numpy as np
import torch
from real_pictures import CLIPS, frames_of, pairs_of, picture_files
from reference_networks import lpips_pair

from anon_jax.evaluation.temporal_lpips import TemporalLpips, centre

# height, width, pairs: 52 pairs; most are small, since VGG-16 takes seconds for a large one
SIZES = ((64, 64, 30), (65, 79, 16), (255, 129, 4), (512, 101, 2))


def _nchw(rows: np.ndarray) -> torch.Tensor:
  return torch.from_numpy(rows.transpose(0, 3, 1, 2).copy())


def lpips_distances(
  network: str, data: pathlib.Path, folder: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
  """Distances of the pairs of `SIZES` by us and by the package lpips, float [52] each."""
  theirs, ours, params = lpips_pair(network, data / 'weights', folder)
  run, found, wanted = jax.jit(ours.distances), [], []
  for height, width, count in SIZES:
    a, b = pairs_of(picture_files(data)[0], height, width, count)
    found.append(run(params, a, b))
    with torch.no_grad():
      wanted.append(theirs(_nchw(a), _nchw(b)).flatten().numpy())
  return np.concatenate(found), np.concatenate(wanted)


def tecogan_tlp(
  distance: Callable[[np.ndarray, np.ndarray], float], target: np.ndarray, output: np.ndarray
) -> float:
  """Measures tLP as metrics.md 3 writes it down, unscaled; frames are uint8 [n, h, w, 3]."""
  height, width = target.shape[1:3]
  output = output[:, :height, :width]

  def crop_8x8(frame: np.ndarray) -> np.ndarray:
    h, w = height // 32 * 32, width // 32 * 32
    while h > height - 16:
      h -= 32
    while w > width - 16:
      w -= 32
    y, x = (height - h) // 2, (width - w) // 2
    return frame[y : y + h, x : x + w].astype(np.float32) / 127.5 - 1

  values = []
  for i in range(2, len(target) - 2):
    if i >= 3:
      of_target = distance(crop_8x8(target[i - 1]), crop_8x8(target[i]))
      of_output = distance(crop_8x8(output[i - 1]), crop_8x8(output[i]))
      values.append(abs(of_target - of_output))
  return float(np.mean(values))


def tlp(data: pathlib.Path, folder: pathlib.Path) -> list[tuple[float, float]]:
  """Measures tLP of three clips of nine frames, coarsened by 8, by us and by the transcription."""
  theirs, ours, params = lpips_pair('alex', data / 'weights', folder)
  run = jax.jit(ours.distances)

  def reference_distance(a: np.ndarray, b: np.ndarray) -> float:
    with torch.no_grad():
      return float(theirs(_nchw(a[None]), _nchw(b[None])))

  def our_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(run(params, a[None], b[None])[0])

  pairs = []
  for clip in CLIPS:
    source = frames_of(data / 'video' / f'{clip}.mp4', 9, 144, 200)
    output = np.repeat(np.repeat(source[:, ::8, ::8], 8, 1), 8, 2)
    measured = TemporalLpips(our_distance, cut=2)
    for frames in zip(source, output, strict=True):
      measured.add(*(centre(frame).astype(np.float32) / 127.5 - 1 for frame in frames))
    pairs.append((measured.result()['tlp'], tecogan_tlp(reference_distance, source, output)))
  return pairs
