"""Runs the evaluation of bodies that a config names."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from anon_jax.config.field import ConfigError
from anon_jax.experiment.sources import weights_folders
from anon_jax.protocols import figures
from anon_jax.protocols import report as reports
from anon_jax.protocols.bodies import detectors, frames, likeness, report
from anon_jax.protocols.bodies import evaluate as bodies
from anon_jax.protocols.systems import System

_ROWS = 3  # of the sheet, for each sequence
_SIDE = 200


def run(config: Any, data: pathlib.Path, workdir: pathlib.Path, more: Sequence[System]) -> None:
  """Measures, and writes results.json, results.md and a sheet.

  Args:
    config: the fields.
    data: folder of the source frames.
    workdir: for results.
    more: other tools' frames.

  Raises:
    ConfigError: fields that cannot be used.
    DatasetError: missing or broken frames.
    WeightsError: networks that are damaged.
    InferenceError: no identity network of bodies is where one is named.
  """
  gallery = pathlib.Path(config.gallery).expanduser() if config.gallery else None
  if gallery is not None and not gallery.is_dir():
    raise ConfigError(
      f'config.gallery={config.gallery!r} is not a folder; give that of Clothing Co-Parsing, or '
      'leave it empty.'
    )
  ways = [likeness.COLOURS]
  if config.body_identity:
    ways.append(likeness.load_identity(config.body_identity, config.batch_size))
  given, boxes = frames.load(data, config.masks, config.frames)
  loaded = {
    'detector': detectors.load_hog(config.detector),
    'segmenter': detectors.load_prismanet(config.segmenter, weights_folders(config)),
  }
  workdir.mkdir(parents=True, exist_ok=True)
  result, readers = bodies.evaluate(
    given,
    boxes,
    workdir,
    more,
    finders=[finder for finder, _ in loaded.values() if finder is not None],
    ways=ways,
    strangers=likeness.strangers(gallery) if gallery is not None else (),
    gap=config.gap,
    block=config.block,
  )
  result['missing'] = {name: why for name, (finder, why) in loaded.items() if finder is None}
  result['data'] = 'frames and masks that were given' if config.masks else 'DAVIS 2016'
  result |= {'gap': config.gap, 'block': config.block}
  facts = {'list': str(result['list'])[:12]}
  reports.write(workdir, {**facts, **result}, report.lines(result, facts))
  _sheet(workdir / 'sheet.png', given, boxes, readers)


def _sheet(path: pathlib.Path, given: Any, boxes: Any, readers: Any) -> None:
  """Draws frames of each sequence, as far apart as they can be, cut about the person."""
  drawn = []
  for number in np.unique(given.people):
    mine = np.flatnonzero(given.people == number)
    drawn += [given.names[mine[len(mine) * (2 * row + 1) // (2 * _ROWS)]] for row in range(_ROWS)]

  def cut(pixels: np.ndarray, name: str) -> np.ndarray:
    left, top, right, bottom = boxes[name]
    room = max(right - left, bottom - top) // 4
    return pixels[max(0, top - room) : bottom + room, max(0, left - room) : right + room]

  columns = {title: [cut(read(name), name) for name in drawn] for title, read in readers.items()}
  figures.sheet(path, columns, _SIDE, drawn)
