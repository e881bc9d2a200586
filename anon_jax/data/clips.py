"""Clips as training examples: a folder of face crops with their maps, in runs of a few frames."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from anon_jax.data import pictures, semantic
from anon_jax.data.errors import DatasetError
from anon_jax.data.pipeline import Example, View

SPLITS = ('train', 'validation', 'test')
LAYOUT = (
  'A clip_folder holds images/CLIP/NAME.jpg (.jpeg, .png) and masks/CLIP/NAME.png with the class '
  'number of each pixel, one CLIP a face and NAMEs in the order of time, and optionally split.txt.'
)
_VALIDATION_SHARE = 0.1


class ClipView:
  """Cuts all frames of a clip in the same way; stands in for a `View` in a pipeline."""

  def __init__(self, view: View):
    self._view = view

  def fixed(self, images: np.ndarray, maps: np.ndarray) -> Example:
    """Cuts central squares out of [n, h, w, 3] and [n, h, w]."""
    return _stacked([self._view.fixed(*frame) for frame in zip(images, maps, strict=True)])

  def random(self, images: np.ndarray, maps: np.ndarray, rng: np.random.Generator) -> Example:
    """Cuts jittered squares, the same ones for all frames, and mirrors all or none."""
    state = rng.bit_generator.state
    cut = []
    for frame in zip(images, maps, strict=True):
      rng.bit_generator.state = state
      cut.append(self._view.random(*frame, rng))
    return _stacked(cut)


def _stacked(frames: list[Example]) -> Example:
  return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


class ClipFolder:
  """One split of a clip_folder; each element is a run of `frames` consecutive frames.

  Runs overlap by half, so that every frame is seen with another past; clips that are shorter than
  a run are left out.

  Args:
    folder: laid out as `LAYOUT` says.
    split: 'train', 'validation' or 'test'. Without split.txt (lines `CLIP SPLIT`, every clip), a
      tenth of the clips, chosen by the SHA-256 of their names, are for validation; at least one.
    frames: of a run.

  Raises:
    DatasetError: a missing folder, list, mask or clip; the message names it.
  """

  def __init__(self, folder: pathlib.Path, split: str, frames: int):
    self._folder, self._frames = folder, frames
    self._clips = {name: _frames_of(folder, name) for name in _names(folder, split)}
    starts = range(0, 10**9, max(frames // 2, 1))
    self._runs = [
      (name, start)
      for name, paths in self._clips.items()
      for start in starts[: max(0, (len(paths) - frames) // starts.step + 1)]
    ]
    if not self._runs:
      raise DatasetError(
        f'no clip of the split {split!r} of {folder} has {frames} frames; give longer clips, or '
        'fewer `frames`.'
      )
    # Whatever changes these bytes changes the data; names and sizes do for frames.
    listed = [f'{p.name} {p.stat().st_size}' for paths in self._clips.values() for p in paths]
    self._digest = hashlib.sha256('\n'.join(map(str, [*self._runs, *listed])).encode()).hexdigest()

  def __len__(self) -> int:
    return len(self._runs)

  def __repr__(self) -> str:
    return f'runs of {self._frames} frames of {len(self._clips)} clips ({self._digest[:16]})'

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    """Reads a run: image uint8 [frames, h, w, 3], map uint8 [frames, h, w], identity -1.

    Raises:
      DatasetError: a broken picture or mask, or frames of several sizes.
    """
    name, start = self._runs[index]
    images, maps = [], []
    for path in self._clips[name][start : start + self._frames]:
      mask = self._folder / 'masks' / name / f'{path.stem}.png'
      picture, _ = pictures.read_picture(path)
      semantic_map = pictures.read_map(mask)
      pictures.check_same_size(picture, path, semantic_map, mask)
      semantic.check_map(semantic_map, str(mask))
      images.append(np.asarray(picture))
      maps.append(semantic_map)
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
      raise DatasetError(f'{self._folder}/images/{name} has frames of several sizes; cut it again.')
    return {'image': np.stack(images), 'map': np.stack(maps), 'identity': np.int32(-1)}


def _names(folder: pathlib.Path, split: str) -> list[str]:
  """Lists the clips of a split by name."""
  images = folder / 'images'
  if not images.is_dir():
    raise DatasetError(f'{images} is missing. {LAYOUT}')
  found = sorted(path.name for path in images.iterdir() if path.is_dir())
  lines = [line.split() for line in pictures.read_lines(folder / 'split.txt')]
  if not lines:
    by_hash = sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = set(by_hash[: max(1, round(_VALIDATION_SHARE * len(found)))])
    chosen = {name: 'validation' if name in held_out else 'train' for name in found}
  else:
    chosen = {line[0]: line[-1] for line in lines if len(line) == 2}
    wrong = sorted(set(found) ^ set(chosen)) or sorted(set(chosen.values()) - set(SPLITS))
    if wrong or len(chosen) < len(lines):
      raise DatasetError(
        f'{folder / "split.txt"} has to name each clip once and its split, one of '
        f'{", ".join(SPLITS)}{f": look at {wrong[0]!r}" if wrong else ""}.'
      )
  names = [name for name in found if chosen[name] == split]
  if not names:
    raise DatasetError(f'{folder} has no clip in the split {split!r}. {LAYOUT}')
  return names


def _frames_of(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
  """Lists a clip's pictures in the order of their names; each has a mask."""
  paths = list(pictures.list_pictures(folder / 'images' / name).values())
  for path in paths:
    mask = folder / 'masks' / name / f'{path.stem}.png'
    if not mask.is_file():
      raise DatasetError(f'{path} has no mask: {mask} is missing. {LAYOUT}')
  return sorted(paths)
