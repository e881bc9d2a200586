"""What a run leaves to be read: metrics.jsonl, sample grids, TensorBoard events, a progress bar."""

import json
import logging
import math
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

log = logging.getLogger('anon_jax')


def write_whole(path: pathlib.Path, content: bytes) -> None:
  """Writes a file so that its final name never shows a part of it."""
  part = path.with_name(f'.{path.name}.part')
  with part.open('wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  part.replace(path)


_FRAMES = 6  # of a clip that a sheet has room for


def grid(columns: Mapping[str, np.ndarray], gap: int = 2) -> Image.Image:
  """Lays pictures out as a sheet: one row an example, one titled column a name.

  Args:
    columns: float [n, s, s, 3] in [-1, 1] by title, all of one shape; or clips [n, k, s, s, 3],
      whose first frames lie side by side, up to `_FRAMES` of them.
    gap: pixels between pictures.

  Returns:
    An RGB picture.
  """
  title = 14
  columns = {name: _strips(np.asarray(pictures)) for name, pictures in columns.items()}
  count, side, across = next(iter(columns.values())).shape[:3]
  width = len(columns) * (across + gap) - gap
  sheet = Image.new('RGB', (width, title + count * (side + gap) - gap), 'white')
  draw = ImageDraw.Draw(sheet)
  for column, (name, pictures) in enumerate(columns.items()):
    left = column * (across + gap)
    draw.text((left + 2, 1), name, fill='black')
    values = np.clip((np.asarray(pictures, np.float32) + 1) * 127.5 + 0.5, 0, 255)
    for row, picture in enumerate(values.astype(np.uint8)):
      sheet.paste(Image.fromarray(picture), (left, title + row * (side + gap)))
  return sheet


def _strips(pictures: np.ndarray) -> np.ndarray:
  if pictures.ndim == 4:
    return pictures
  shown = pictures[:, :_FRAMES]
  return np.concatenate([shown[:, k] for k in range(shown.shape[1])], axis=2)


def _tensorboard(workdir: pathlib.Path) -> Any:
  """Returns clu's TensorBoard writer, or None where TensorFlow is not installed."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  try:
    from clu import metric_writers

    return metric_writers.SummaryWriter(str(workdir))
  except ModuleNotFoundError as error:
    log.warning(
      "TensorBoard is off (%s is not installed; pip install 'anon-jax[train]'): metrics.jsonl and "
      'samples/*.png are written.',
      error.name,
    )
    return None


class Telemetry:
  """Writes a run's metrics and pictures into its workdir; silent on hosts other than the first.

  Args:
    workdir: folder of the run.
    first_step: step that the run goes on from; lines of later steps, left by an interrupted run,
      are taken out of metrics.jsonl, because they will be written again.
    total_steps: length of the run, for the progress bar.
    active: whether this process writes.
  """

  def __init__(self, workdir: pathlib.Path, first_step: int, total_steps: int, active: bool = True):
    self._active = active
    self._samples = workdir / 'samples'
    self._metrics = workdir / 'metrics.jsonl'
    self._tensorboard = None
    if active:
      self._samples.mkdir(parents=True, exist_ok=True)
      _forget_after(self._metrics, first_step)
      self._tensorboard = _tensorboard(workdir)
    self._bar = tqdm(
      total=total_steps,
      initial=first_step,
      unit='step',
      dynamic_ncols=True,
      disable=not active,
      mininterval=0.5 if sys.stderr.isatty() else 15,
      file=sys.stderr,
    )

  def advance(self) -> None:
    """Moves the progress bar by one step."""
    self._bar.update()

  def note(self, text: str) -> None:
    """Prints a line above the progress bar."""
    if self._active:
      with tqdm.external_write_mode(file=sys.stderr):
        print(text, file=sys.stderr, flush=True)

  def scalars(self, step: int, values: Mapping[str, float], shown: Sequence[str] = ()) -> None:
    """Appends one line to metrics.jsonl and one point a name to TensorBoard.

    Args:
      step: updates applied.
      values: numbers by name; those that are not finite are written as null.
      shown: names that the progress bar shows.
    """
    if not self._active:
      return
    plain = {k: float(v) if math.isfinite(v) else None for k, v in values.items()}
    with self._metrics.open('a') as file:
      file.write(json.dumps({'step': step, **plain}) + '\n')
    if self._tensorboard:
      self._tensorboard.write_scalars(step, dict(values))
    self._bar.set_postfix({k: f'{values[k]:.3g}' for k in shown if k in values}, refresh=False)

  def pictures(self, step: int, columns: Mapping[str, np.ndarray]) -> pathlib.Path:
    """Writes a sample grid as samples/STEP.png and to TensorBoard; returns its path."""
    path = self._samples / f'{step:08d}.png'
    if self._active:
      sheet = grid(columns)
      part = path.with_name(f'.{path.name}.part')
      sheet.save(part, format='PNG')
      part.replace(path)
      if self._tensorboard:
        self._tensorboard.write_images(step, {'samples': np.asarray(sheet)[None] / 255.0})
    return path

  def close(self) -> None:
    """Flushes and closes."""
    self._bar.close()
    if self._tensorboard:
      self._tensorboard.flush()
      self._tensorboard.close()


def _forget_after(path: pathlib.Path, step: int) -> None:
  """Drops the lines of metrics.jsonl that lie after `step`, and a last line that was cut short."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text(errors='replace').splitlines():
    try:
      if json.loads(line)['step'] <= step:
        kept.append(line)
    except (json.JSONDecodeError, KeyError, TypeError):
      continue
  write_whole(path, ''.join(f'{line}\n' for line in kept).encode())
