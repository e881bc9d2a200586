"""Pictures by pose that nobody has chosen: the source, what S makes of it, and every system's."""

import pathlib

import numpy as np

from anon_jax.data import semantic
from anon_jax.inference import crops
from anon_jax.inference.segmenting import Segmenter, segment_crops
from anon_jax.protocols import figures
from anon_jax.protocols.poses.pictures import Posed
from anon_jax.protocols.study import Study
from anon_jax.protocols.systems import ORIGINAL

_SIDE = 160
_STEP = 15  # degrees between two rows


def draw(
  path: pathlib.Path,
  study: Study,
  posed: Posed,
  places: np.ndarray,
  segmenter: Segmenter,
  seed: int,
) -> None:
  """Lays out one picture of each pose, a row each, as the pipeline cuts faces.

  A picture in which the pipeline finds no face is shown whole, and has no map.

  Args:
    path: of the PNG.
    study: whose systems were rendered.
    posed: the pictures.
    places: of those that may be drawn.
    segmenter: S.
    seed: of the draw.
  """
  rng = np.random.default_rng(seed)
  steps = np.round(posed.yaws[places] / _STEP).astype(int)
  drawn = [int(rng.choice(places[steps == step])) for step in np.unique(steps)]
  names = [posed.names[place] for place in drawn]
  columns = {
    title: [_cut(study, name, read(name)) for name in names]
    for title, read in study.readers.items()
  }
  source = columns.pop(ORIGINAL.title)
  maps = [_mapped(study, segmenter, name) for name in names]
  rows = [f'{posed.yaws[place]:+g}' for place in drawn]
  figures.sheet(path, {ORIGINAL.title: source, 'map by S': maps, **columns}, _SIDE, rows)


def _cut(study: Study, name: str, pixels: np.ndarray) -> np.ndarray:
  face = study.face(name)
  return pixels if face is None else crops.cut(pixels, crops.frame_of(face), _SIDE)


def _mapped(study: Study, segmenter: Segmenter, name: str) -> np.ndarray:
  face = study.face(name)
  if face is None:
    return np.zeros((_SIDE, _SIDE, 3), np.uint8)
  crop = crops.cut(study.read(name), crops.frame_of(face), segmenter.size)
  (found,) = segment_crops(segmenter, [crop], _SIDE, 1)
  return semantic.PALETTE[found]
