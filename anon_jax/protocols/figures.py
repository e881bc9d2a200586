"""The pictures beside a table: ROC curves, histograms of similarities, contact sheets."""

import pathlib
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

matplotlib.use('Agg')
from matplotlib import pyplot as plt

_LEAST_FAR = 1e-4
_GAP, _TITLE = 2, 14
_LETTER = 6  # pixels of the width of one


def roc(path: pathlib.Path, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
  """Draws ROC curves, false accepts on a logarithmic axis.

  Args:
    path: of the PNG.
    pairs: by title, similarities of pairs of one person and of pairs of two; -inf for what cannot
      be compared.
  """
  figure, axes = plt.subplots(figsize=(6, 5))
  for title, (genuine, impostor) in pairs.items():
    limits = np.unique(impostor[np.isfinite(impostor)])[::-1]
    if not len(limits):
      continue
    false = np.array([np.mean(impostor >= limit) for limit in limits])
    true = np.array([np.mean(genuine >= limit) for limit in limits])
    axes.step(false, true, where='post', label=title)
  axes.plot(*[np.geomspace(_LEAST_FAR, 1, 50)] * 2, ':', color='grey', label='chance')
  axes.set(xscale='log', xlim=(_LEAST_FAR, 1), ylim=(0, 1))
  axes.set(xlabel='false accept rate', ylabel='true accept rate')
  axes.legend(fontsize='small')
  _save(figure, path)


def histograms(path: pathlib.Path, values: Mapping[str, np.ndarray], label: str) -> None:
  """Draws outlines of histograms over each other.

  Args:
    path: of the PNG.
    values: by title; what is not finite is left out.
    label: of the axis.
  """
  figure, axes = plt.subplots(figsize=(6, 4))
  finite = {title: row[np.isfinite(row)] for title, row in values.items()}
  everything = np.concatenate(list(finite.values()))
  if len(everything):
    edges = np.linspace(everything.min(), everything.max(), 61).tolist()
    for title, row in finite.items():
      if len(row):
        axes.hist(row, edges, density=True, histtype='step', label=f'{title} ({len(row)})')
    axes.legend(fontsize='small')
  axes.set(xlabel=label, ylabel='density')
  _save(figure, path)


def _save(figure: plt.Figure, path: pathlib.Path) -> None:
  figure.tight_layout()
  part = path.with_name(f'.{path.name}.part')
  figure.savefig(part, dpi=120, format='png')
  plt.close(figure)
  part.replace(path)


def sheet(
  path: pathlib.Path,
  columns: Mapping[str, Sequence[np.ndarray]],
  side: int = 128,
  rows: Sequence[str] = (),
) -> None:
  """Lays pictures out: one titled column a system, one row a picture.

  Args:
    path: of the PNG.
    columns: uint8 [h, w, 3] each, as many in every column; they are scaled into squares.
    side: of the squares, in pixels.
    rows: what each row is called, at its left; empty: nothing.
  """
  count = len(next(iter(columns.values())))
  margin = _LETTER * (1 + max(map(len, rows))) if rows else 0
  size = (margin + len(columns) * (side + _GAP) - _GAP, _TITLE + count * (side + _GAP) - _GAP)
  page = Image.new('RGB', size, 'white')
  draw = ImageDraw.Draw(page)
  for place, (title, pictures) in enumerate(columns.items()):
    left = margin + place * (side + _GAP)
    draw.text((left, 1), title[: side // 6], fill='black')
    for row, pixels in enumerate(pictures):
      picture = Image.fromarray(pixels)
      picture.thumbnail((side, side))
      page.paste(picture, (left, _TITLE + row * (side + _GAP)))
  for row, name in enumerate(rows):
    draw.text((1, _TITLE + row * (side + _GAP)), name, fill='black')
  part = path.with_name(f'.{path.name}.part')
  page.save(part, format='PNG')
  part.replace(path)


def pairs(
  path: pathlib.Path,
  pictures: Sequence[tuple[np.ndarray, np.ndarray]],
  across: int = 5,
  side: int = 128,
) -> None:
  """Lays pictures out in pairs, before and after beside each other, several pairs a row.

  Args:
    path: of the PNG.
    pictures: uint8 [h, w, 3] each; they are scaled into squares.
    across: pairs in a row.
    side: of the squares, in pixels.
  """
  width = 2 * side + 3 * _GAP
  rows = -(-len(pictures) // across)
  page = Image.new('RGB', (across * width, rows * (side + _GAP)), 'white')
  for place, both in enumerate(pictures):
    row, column = divmod(place, across)
    for number, pixels in enumerate(both):
      picture = Image.fromarray(pixels)
      picture.thumbnail((side, side))
      page.paste(picture, (column * width + number * side, row * (side + _GAP)))
  part = path.with_name(f'.{path.name}.part')
  page.save(part, format='PNG')
  part.replace(path)
