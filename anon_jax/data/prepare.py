"""Builds prepared data sets from raw folders, and opens the splits of prepared ones.

Preparing needs TensorFlow (TFDS writes with it); reading what is prepared does not.
"""

import contextlib
import fcntl
import importlib
import importlib.util
import io
import logging
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any, SupportsIndex

import numpy as np
from PIL import Image

from anon_jax.data.errors import DatasetError

# Data set -> module and class of its builder; imported on demand, because TFDS is slow to import.
BUILDERS = {
  'aflw2000': ('anon_jax.data.aflw2000', 'Aflw2000'),
  'body_folder': ('anon_jax.data.body_folder', 'BodyFolder'),
  'ccp': ('anon_jax.data.ccp', 'Ccp'),
  'celeba': ('anon_jax.data.celeba', 'Celeba'),
  'celeba_mask_hq': ('anon_jax.data.celeba_mask_hq', 'CelebaMaskHq'),
  'davis': ('anon_jax.data.davis', 'Davis'),
  'face_folder': ('anon_jax.data.face_folder', 'FaceFolder'),
  'fasseg': ('anon_jax.data.fasseg', 'Fasseg'),
  'lfw': ('anon_jax.data.lfw_builder', 'Lfw'),
  'mots': ('anon_jax.data.mots', 'Mots'),
}
_INSTALL = "pip install 'anon-jax[train]'"
_INFO = 'dataset_info.json'  # TFDS writes it last, into a folder that it renames when complete


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps TFDS's remarks about custom configs and the like out of the log."""
  log = logging.getLogger('absl')
  level = log.level
  log.setLevel(logging.ERROR)
  try:
    yield
  finally:
    log.setLevel(level)


def _import_tfds() -> Any:
  if importlib.util.find_spec('tensorflow_datasets') is None:
    raise DatasetError(f'Reading data sets needs tensorflow_datasets; run: {_INSTALL}')
  return importlib.import_module('tensorflow_datasets')


def builder_class(dataset: str) -> Any:
  """Returns the `RawBuilder` of a data set.

  Raises:
    DatasetError: an unknown name, or TFDS is missing.
  """
  if dataset not in BUILDERS:
    raise DatasetError(
      f'Unknown data set {dataset!r}; choose one of {", ".join(sorted(BUILDERS))}.'
    )
  _import_tfds()
  module, name = BUILDERS[dataset]
  return getattr(importlib.import_module(module), name)


def prepare(dataset: str, manual_dir: str, data_dir: str, max_side: int = 0) -> pathlib.Path:
  """Prepares a raw data set, or finds it prepared already.

  The prepared folder is `data_dir/<dataset>/<config>/<version>`; the config is named after the raw
  folder, a fingerprint of its contents and `max_side`, so that raw folders with different contents
  never share prepared files.

  Args:
    dataset: a key of BUILDERS.
    manual_dir: the raw folder; '' to reuse the only prepared one under `data_dir`.
    data_dir: where prepared data sets are kept.
    max_side: longest side of a stored picture in pixels, 0 to store pictures as they are; without
      `manual_dir`, 0 takes any size and another value only that one.

  Returns:
    The prepared folder, for `open_split`.

  Raises:
    DatasetError: the raw data are missing or broken, TensorFlow is needed and missing, or without
      `manual_dir` there is not exactly one prepared folder. Nothing half-made is left behind.
  """
  builder = builder_class(dataset)
  if max_side < 0:
    raise DatasetError(f'max_side={max_side} is negative; give a number of pixels, or 0.')
  root = pathlib.Path(data_dir).expanduser().absolute()
  version = str(builder.VERSION)
  if not manual_dir:
    return _only_prepared(root / dataset, version, max_side, builder.LAYOUT)
  raw = pathlib.Path(manual_dir).expanduser().resolve()
  if not raw.is_dir():
    raise DatasetError(f'manual_dir={manual_dir!r} is not a folder. {builder.LAYOUT}')
  name = f'{_readable(raw.name)}-{builder.fingerprint(raw)}-{max_side}'
  target = root / dataset / name / version
  if (target / _INFO).exists():
    return target
  if importlib.util.find_spec('tensorflow') is None:
    raise DatasetError(f'Preparing {dataset} needs TensorFlow, which is missing; run: {_INSTALL}')
  target.parent.mkdir(parents=True, exist_ok=True)
  with _locked(root / dataset / f'.{name}.lock'):
    if not (target / _INFO).exists():  # else another process prepared it while we waited
      _build(builder, name, raw, root, target, max_side)
  return target


def _readable(name: str) -> str:
  return re.sub(r'[^A-Za-z0-9_]+', '_', name).strip('_')[:40] or 'data'


def _only_prepared(folder: pathlib.Path, version: str, max_side: int, layout: str) -> pathlib.Path:
  """Returns the one prepared config under `folder`."""
  found = sorted(path.parent for path in folder.glob(f'*/{version}/{_INFO}'))
  fitting = [path for path in found if not max_side or path.parent.name.endswith(f'-{max_side}')]
  if len(fitting) == 1:
    return fitting[0]
  names = ', '.join(path.parent.name for path in found)
  if fitting:
    raise DatasetError(
      f'{folder} holds several prepared data sets ({names}); name the raw folder (manual_dir) or '
      'the size (max_side) to say which one.'
    )
  there = f'only {names}' if found else 'nothing'
  size = f' for pictures of up to {max_side} px' if max_side else ''
  raise DatasetError(
    f'{folder} holds {there} prepared{size}; give the folder with the raw files as manual_dir. '
    f'{layout}'
  )


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
  """Holds an exclusive lock, which the system drops when the process ends in whatever way."""
  with path.open('w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      print(f'Waiting for another process that prepares the same data ({path}).')
      fcntl.flock(file, fcntl.LOCK_EX)
    yield


def _build(
  builder_class: Any,
  name: str,
  raw: pathlib.Path,
  root: pathlib.Path,
  target: pathlib.Path,
  max_side: int,
) -> None:
  """Runs the builder. TFDS writes into a folder of another name and renames it at the end."""
  # The lock is ours, so whatever lies here was left by a process that was killed.
  for stale in target.parent.glob('incomplete.*'):
    shutil.rmtree(stale)
  if target.exists():
    shutil.rmtree(target)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  tfds = _import_tfds()
  config_class = importlib.import_module('anon_jax.data.raw_builder').SizeConfig
  print(f'Preparing {builder_class.name} from {raw} into {target}')
  start = time.monotonic()
  tfds.disable_progress_bar()  # the builder shows its own, which has a rate and no paths
  with _quiet(), tempfile.TemporaryDirectory() as downloads:
    builder = builder_class(data_dir=root, config=config_class(name=name, max_side=max_side))
    builder.download_and_prepare(
      file_format='array_record',
      download_dir=downloads,
      download_config=tfds.download.DownloadConfig(manual_dir=raw, try_download_gcs=False),
    )
  count = sum(split.num_examples for split in builder.info.splits.values())
  seconds = time.monotonic() - start
  print(f'Prepared {count} pictures in {seconds:.1f} s ({count / seconds:.0f} a second)')


def _check_shards(split: Any) -> None:
  """Raises unless every file of a split is whole; a cut one would read as empty records."""
  reader = importlib.import_module('array_record.python.array_record_module').ArrayRecordReader
  for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
    if not path.exists() or reader(str(path)).num_records() != length:
      raise DatasetError(
        f'{path} is missing or damaged; delete the folder {path.parent} and prepare it again.'
      )


class SplitSource:
  """Random access to one split of a prepared data set, for Grain.

  An element is `image` uint8 [h, w, 3] RGB, `map` uint8 [h, w] (IGNORE everywhere without a mask),
  `has_map` bool, `identity` int (-1 when unknown) and `name` str; what else the builder wrote, such
  as `joints`, comes as it was written. May be read by many threads, and pickled: a copy opens its
  files anew.
  """

  def __init__(self, folder: pathlib.Path, split: str):
    self._folder = pathlib.Path(folder)
    self._split = split
    self._open()

  def _open(self) -> None:
    tfds = _import_tfds()
    if not (self._folder / _INFO).exists():
      raise DatasetError(f'{self._folder} holds no prepared data set ({_INFO} is missing in it).')
    with _quiet():
      builder = tfds.builder_from_directory(self._folder)
      if self._split not in builder.info.splits:
        raise DatasetError(
          f'{self._folder} has no split {self._split!r}, only '
          f'{", ".join(sorted(builder.info.splits))}; a face_folder gets it by lines '
          f'`NAME {self._split}` in split.txt.'
        )
      _check_shards(builder.info.splits[self._split])
      skip = tfds.decode.SkipDecoding()
      self._source = builder.as_data_source(self._split, decoders={'image': skip, 'map': skip})

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
    position = index.__index__()
    if not 0 <= position < len(self):
      raise IndexError(f'{position} is outside the {len(self)} examples of {self!r}')
    record = self._source[position]
    image = Image.open(io.BytesIO(record['image']))
    example = {
      'image': np.array(image if image.mode == 'RGB' else image.convert('RGB')),
      'map': np.array(Image.open(io.BytesIO(record['map']))),
      'has_map': bool(record['has_map']),
      'identity': int(record['identity']),
      'name': record['name'].decode(),
    }
    return example | {name: record[name] for name in record if name not in example}

  def has_map(self) -> np.ndarray:
    """Tells which examples have a semantic map, bool [n]; pictures are not decoded."""
    return np.array([bool(self._source[i]['has_map']) for i in range(len(self))])

  def has_joints(self) -> np.ndarray:
    """Tells of which persons joints are known, bool [n]; of a data set of faces of none."""
    return np.array([bool(self._source[i].get('has_joints')) for i in range(len(self))])

  def identity_labels(self) -> np.ndarray:
    """Returns the identity of each example, int64 [n], -1 when unknown, decoding no picture."""
    return np.array([int(self._source[i]['identity']) for i in range(len(self))], np.int64)

  def names(self) -> list[str]:
    """Returns the name of each example, decoding no picture."""
    return [self._source[i]['name'].decode() for i in range(len(self))]

  def __repr__(self) -> str:
    # Without the folder's place: a run compares it when it resumes, perhaps elsewhere.
    return f'SplitSource({"/".join(self._folder.parts[-3:])!r}, {self._split!r})'

  def __getstate__(self) -> tuple[pathlib.Path, str]:
    return self._folder, self._split

  def __setstate__(self, state: tuple[pathlib.Path, str]) -> None:
    self._folder, self._split = state
    self._open()


def split_names(folder: pathlib.Path) -> list[str]:
  """Lists the splits of a folder that `prepare` returned, in alphabetical order."""
  with _quiet():
    return sorted(_import_tfds().builder_from_directory(folder).info.splits)


def open_split(folder: pathlib.Path, split: str) -> SplitSource:
  """Opens a split of a folder that `prepare` returned.

  Raises:
    DatasetError: the folder holds no prepared data set, or no such split (the message names those
      that there are).
  """
  return SplitSource(folder, split)
