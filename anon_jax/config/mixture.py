"""Mixtures of data sets, as one config field writes them down."""

import math
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from anon_jax.config.every_stage import DATASETS
from anon_jax.config.field import ConfigError

SYNTAX = 'DATASET:MANUAL_DIR:WEIGHT:CROP, several joined by commas'
_CROPS = (0.1, 2.0)
# Folders may hold commas and colons: an entry begins only where a word and a colon follow a comma,
# and its weight and crop are what stands behind its last two colons.
_BETWEEN = re.compile(r',\s*(?=\w+:)')


class Part(NamedTuple):
  """One data set of a mixture.

  Attributes:
    dataset: its name.
    manual_dir: folder of its raw files; '' reuses the only prepared one.
    weight: how often its examples are drawn, beside the other parts' weights.
    crop: side of the central square that is used, as a share of the stored picture's shorter side;
      above 1 it reaches beyond the picture.
  """

  dataset: str
  manual_dir: str
  weight: float
  crop: float


def parse_mixture(text: str, *, folders_exist: bool = True) -> tuple[Part, ...]:
  """Reads `DATASET:MANUAL_DIR:WEIGHT:CROP,...`.

  Args:
    text: the field.
    folders_exist: refuse folders that are not there.

  Raises:
    ConfigError: naming the entry that cannot be used and why.
  """
  return tuple(_parse(entry.strip(), folders_exist) for entry in _BETWEEN.split(text))


def write_mixture(parts: Sequence[Part]) -> str:
  """Writes parts down as `parse_mixture` reads them."""
  return ','.join(f'{p.dataset}:{p.manual_dir}:{p.weight:g}:{p.crop:g}' for p in parts)


def with_absolute_folders(text: str) -> str:
  """Returns the mixture with its folders made absolute, so that a run can be resumed elsewhere."""
  return write_mixture(
    [
      part._replace(manual_dir=str(pathlib.Path(part.manual_dir).expanduser().absolute()))
      if part.manual_dir
      else part
      for part in parse_mixture(text)
    ]
  )


def _parse(entry: str, folders_exist: bool) -> Part:
  dataset, _, rest = entry.partition(':')
  pieces = rest.rsplit(':', 2)
  if len(pieces) != 3:
    raise ConfigError(f'config.mixture has the entry {entry!r}; expected {SYNTAX}.')
  if dataset not in DATASETS:
    raise ConfigError(
      f'config.mixture names the data set {dataset!r}; choose of {", ".join(DATASETS)}.'
    )
  manual_dir = pieces[0]
  weight = _number(entry, 'weight', pieces[1])
  crop = _number(entry, 'crop', pieces[2])
  if weight <= 0:
    raise ConfigError(f'config.mixture gives {dataset} the weight {weight:g}; give a number > 0.')
  if not _CROPS[0] <= crop <= _CROPS[1]:
    raise ConfigError(
      f'config.mixture gives {dataset} the crop {crop:g}; give a number in {list(_CROPS)}.'
    )
  named = folders_exist and dataset != 'procedural_faces' and manual_dir
  if named and not pathlib.Path(manual_dir).expanduser().is_dir():
    raise ConfigError(
      f'config.mixture gives {dataset} the folder {manual_dir!r}, which is not there; give the '
      'folder of its raw files, or none to reuse the only prepared one.'
    )
  return Part(dataset, manual_dir, weight, crop)


def _number(entry: str, what: str, text: str) -> float:
  try:
    value = float(text)
  except ValueError:
    value = math.nan
  if not math.isfinite(value):
    raise ConfigError(f'config.mixture has the {what} {text!r} in {entry!r}; expected a number.')
  return value
