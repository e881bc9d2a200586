"""Semantic maps for pictures that have none, by a trained S; reads neither TensorFlow nor TFDS."""

import dataclasses
import hashlib
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from PIL import Image
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.data import pictures
from anon_jax.data.errors import DatasetError
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.runs import read_run
from anon_jax.inference.weights import load_weights
from anon_jax.proxy import to_signed
from anon_jax.telemetry import write_whole

# Which network wrote the maps of a folder: those of two networks must not be mixed by resuming.
_SOURCE = '.segmented_by.json'


@dataclasses.dataclass(frozen=True)
class Segmenter:
  """A trained S.

  Attributes:
    logits: uint8 pictures [b, size, size, 3] -> float32 [b, size, size, classes].
    size: side of its input in pixels.
    step: updates that its parameters have had.
    fingerprint: hex digits that differ between different parameters.
  """

  logits: Callable[[np.ndarray], np.ndarray]
  size: int
  step: int
  fingerprint: str


@dataclasses.dataclass
class Outcome:
  """What became of a folder's pictures, by number; failures by their messages."""

  written: int = 0
  there_already: int = 0
  failures: list[str] = dataclasses.field(default_factory=list)


def load_segmenter(workdir: pathlib.Path) -> Segmenter:
  """Loads the averaged parameters of the newest checkpoint of a segment run.

  Args:
    workdir: folder of the run, which holds config.json and checkpoints/.

  Raises:
    InferenceError: no run of that stage, no whole checkpoint, or one that does not fit.
  """
  ((_, source),) = read_run(workdir, None, only='segment')
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(source.params):
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return Segmenter(
    _logits_of(source.module, source.params),
    source.input.image_size,
    source.training.steps,
    digest.hexdigest()[:16],
  )


def load_exported_segmenter(folder: pathlib.Path) -> Segmenter:
  """Loads the S of a folder of exported networks.

  Args:
    folder: written by `anon-jax weights export`.

  Raises:
    WeightsError: a missing, changed or damaged file.
    InferenceError: the folder has no S.
  """
  network = load_weights(folder).segmentation
  if network is None:
    raise InferenceError(
      f'{folder} has no segmentation network; add it by `anon-jax weights export`.'
    )
  return Segmenter(
    _logits_of(network.module, network.params),
    network.input.image_size,
    network.entry.training.steps,
    network.entry.sha256[:16],
  )


def _logits_of(module: nn.Module, params: Any) -> Callable[[np.ndarray], np.ndarray]:
  """Compiles S with its parameters in place."""

  @compiling.jit
  def apply(params: Any, images: jax.Array) -> jax.Array:
    return jnp.asarray(module.apply({'params': params}, to_signed(images)))

  placed = jax.device_put(params)
  return lambda images: np.asarray(apply(placed, images))


def segment_crops(
  segmenter: Segmenter, crops: Sequence[np.ndarray], size: int, batch_size: int = 16
) -> list[np.ndarray]:
  """Finds the maps of crops in memory.

  Args:
    segmenter: a trained S.
    crops: up to `batch_size` pictures, uint8 [s, s, 3], s the segmenter's size.
    size: side of the maps.
    batch_size: of S: always full, so that it is compiled once.

  Returns:
    uint8 [size, size] for each crop.
  """
  inputs = np.zeros((batch_size, segmenter.size, segmenter.size, 3), np.uint8)
  for row, crop in enumerate(crops):
    inputs[row] = crop
  if not len(crops):
    return []
  return [_enlarged(row, (size, size)) for row in segmenter.logits(inputs)[: len(crops)]]


def segment_folder(
  segmenter: Segmenter, images: pathlib.Path, masks: pathlib.Path, batch_size: int = 16
) -> Outcome:
  """Writes a map for every picture of a folder that has none yet.

  A map has its picture's size and upright orientation and is the mask that a `face_folder` wants.
  Pictures should be crops: one upright face that fills about 60 % of the side; one that is not
  square is made so by repeating its border. Each file appears whole or not at all, so the work can
  be broken off and taken up again. A picture that cannot be read is named, and the rest goes on.

  Args:
    segmenter: a trained S.
    images: folder of JPEG and PNG files.
    masks: where NAME.png is written; made if it is missing. Masks that are there are kept.
    batch_size: pictures at a time.

  Returns:
    What was written, was there already, and failed.

  Raises:
    DatasetError: `images` holds other files, or no picture.
    InferenceError: `masks` holds maps of another network.
  """
  if not images.is_dir():
    raise InferenceError(f'{images} is not a folder; give the folder that holds the pictures.')
  if batch_size < 1:
    raise InferenceError(f'batch_size={batch_size}; give 1 or more.')
  found = pictures.list_pictures(images)
  masks.mkdir(parents=True, exist_ok=True)
  _claim(masks, segmenter)
  todo = [path for stem, path in found.items() if not (masks / f'{stem}.png').exists()]
  outcome = Outcome(there_already=len(found) - len(todo))
  bar = tqdm(total=len(todo), desc='segmenting', unit=' pictures', file=sys.stderr)
  with bar:
    for start in range(0, len(todo), batch_size):
      batch = todo[start : start + batch_size]
      for path, semantic_map in _maps(segmenter, batch, batch_size, outcome):
        content = pictures.encode_map(semantic_map, semantic_map.shape[::-1])
        write_whole(masks / f'{path.stem}.png', content)
        outcome.written += 1
      bar.update(len(batch))
  return outcome


def _claim(masks: pathlib.Path, segmenter: Segmenter) -> None:
  """Notes which network writes into a folder; refuses another one."""
  path = masks / _SOURCE
  own = {'parameters': segmenter.fingerprint, 'step': segmenter.step, 'size': segmenter.size}
  if not path.exists():
    write_whole(path, (json.dumps(own) + '\n').encode())
    return
  other = json.loads(path.read_text())
  if other != own:
    raise InferenceError(
      f'{masks} holds maps of another network (step {other.get("step")}; this one is at step '
      f'{segmenter.step}); give another folder, or remove this one.'
    )


def _maps(
  segmenter: Segmenter, paths: Sequence[pathlib.Path], batch_size: int, outcome: Outcome
) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
  """Yields the map of each picture that can be read; the others' messages go into `outcome`."""
  size = segmenter.size
  inputs = np.zeros((batch_size, size, size, 3), np.uint8)  # always full: one compilation
  read: list[tuple[pathlib.Path, tuple[int, int]]] = []
  for path in paths:
    try:
      picture, _ = pictures.read_picture(path)
    except (DatasetError, OSError) as error:
      message = ' '.join(str(error).split())
      outcome.failures.append(message)
      tqdm.write(message, file=sys.stderr)
      continue
    square = _squared(np.asarray(picture))
    inputs[len(read)] = np.asarray(
      Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC)
    )
    read.append((path, picture.size))
  if not read:
    return
  for (path, picture_size), logits in zip(read, segmenter.logits(inputs), strict=False):
    yield path, _enlarged(logits, picture_size)


def _squared(pixels: np.ndarray) -> np.ndarray:
  """Returns uint8 [h, w, 3] as a square of its longer side, the border repeated."""
  height, width = pixels.shape[:2]
  side = max(height, width)
  left, top = -((side - width) // 2), -((side - height) // 2)
  return pictures.cut_square(pixels, np.zeros((height, width), np.uint8), left, top, side)[0]


def _enlarged(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Returns the likeliest classes at a picture's size, uint8 [h, w], from those of its square.

  The scores are interpolated, not the classes, so borders are smooth.

  Args:
    logits: float32 [s, s, classes].
    size: of the picture, (width, height).
  """
  width, height = size
  side = max(size)
  left, top = (side - width) // 2, (side - height) // 2
  best = np.full((height, width), -np.inf, np.float32)
  classes = np.zeros((height, width), np.uint8)
  for number in range(logits.shape[-1]):
    channel = Image.fromarray(np.ascontiguousarray(logits[..., number]))
    scores = np.asarray(channel.resize((side, side), Image.Resampling.BILINEAR))
    scores = scores[top : top + height, left : left + width]
    better = scores > best
    best[better], classes[better] = scores[better], number
  return classes
