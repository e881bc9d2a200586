"""Training identities: who has which class, and batches that are balanced over them."""

import json
import pathlib
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from anon_jax.data import identity_batches, prepare
from anon_jax.data.errors import DatasetError
from anon_jax.data.identity_batches import IdentitySource
from anon_jax.data.mirrored import WithMirrorImages
from anon_jax.experiment import sources
from anon_jax.telemetry import write_whole

_FILE = 'identities.json'


class IdentitySources(NamedTuple):
  """Training and held-out examples with identities; no person is in both."""

  train: IdentitySource
  held_out: IdentitySource


def open_sources(config: Any, *, maps: bool) -> IdentitySources:
  """Prepares or reuses the data set and opens its splits.

  Args:
    config: of a stage that needs identities.
    maps: leave out pictures without a semantic map.

  Raises:
    DatasetError: missing or broken data, or no identities.
  """
  if config.dataset in sources.DRAWN:
    draw, count, size = sources.DRAWN[config.dataset], config.procedural_faces, config.image_size
    held_out = max(count // 10, 24)
    # Another seed draws other people too.
    return IdentitySources(
      draw(count, size, config.seed, _people(count)),
      draw(held_out, size, config.seed + 2**20, _people(held_out)),
    )
  if maps:
    train, held_out_source = sources.open_sources(config)
    return IdentitySources(_known(train, 'train'), _known(held_out_source, config.eval_split))
  side = sources.stored_side(config.image_size, config.crop)
  folder = prepare.prepare(config.dataset, config.manual_dir, config.data_dir, side)
  splits = [_known(prepare.open_split(folder, s), s) for s in ('train', config.eval_split)]
  return IdentitySources(*splits)


def _people(count: int) -> int:
  """Eight pictures of each, up to 64 people."""
  return min(max(count // 8, 3), 64)


def _known(source: Any, split: str) -> IdentitySource:
  labels = source.identity_labels()
  if not len(labels) or (labels < 0).any():
    raise DatasetError(
      f'{int((labels < 0).sum())} of {len(labels)} pictures of the split {split!r} have no '
      'identity, and this stage learns from identities; complete identities.txt or '
      'identity_CelebA.txt (docs/data.md), or take another data set.'
    )
  return source


def with_pairs(held_out: IdentitySource) -> IdentitySource:
  """Returns held-out examples of which I can be asked who is who.

  Where nobody has two pictures each comes with its mirror image.
  """
  _, counts = np.unique(held_out.identity_labels(), return_counts=True)
  return held_out if counts.max() > 1 else WithMirrorImages(held_out)


def numbers_of(config: Any, train: IdentitySource) -> np.ndarray:
  """Returns the original numbers of the training identities by class, ascending, int64 [n].

  Raises:
    DatasetError: nobody has enough pictures, or fewer than a batch needs have.
  """
  try:
    return identity_batches.identity_numbers(train, config.min_images)
  except ValueError as error:
    raise DatasetError(str(error)) from None


def train_batches(config: Any, train: IdentitySource) -> grain.IterDataset:
  """Returns this process's endless identity-balanced training batches.

  Raises:
    DatasetError: an identity with too few pictures, or too few identities; the message says which.
  """
  try:
    return identity_batches.identity_dataset(
      train,
      sources.make_view(config),
      identities_per_batch=config.identities_per_batch,
      images_per_identity=config.images_per_identity,
      seed=config.seed,
      min_images=config.min_images,
      repeat_images=config.repeat_images,
      shard=sources.this_shard(),
      workers=config.workers,
    )
  except ValueError as error:
    raise DatasetError(str(error)) from None


def keep_numbers(workdir: pathlib.Path, numbers: np.ndarray) -> None:
  """Writes identities.json, from which inference knows what A's classes are.

  Raises:
    DatasetError: the run was started with other identities.
  """
  path = workdir / _FILE
  given = [int(number) for number in numbers]
  if path.exists():
    kept = read_numbers(workdir)
    if kept != given:
      raise DatasetError(
        f'{path} lists {len(kept)} identities, and the training split now has {len(given)} that '
        'are not the same; use the data that the run was started with, or another --workdir.'
      )
  elif jax.process_index() == 0:
    workdir.mkdir(parents=True, exist_ok=True)
    content = json.dumps({'identities': given}) + '\n'
    write_whole(path, content.encode())


def read_numbers(workdir: pathlib.Path) -> list[int]:
  """Reads the original identity numbers by class from a workdir.

  Raises:
    DatasetError: identities.json is missing or damaged.
  """
  path = workdir / _FILE
  try:
    return [int(number) for number in json.loads(path.read_text())['identities']]
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise DatasetError(
      f'{path} cannot be read ({type(error).__name__}); it is written by stages identity and '
      'anonymize, so give the workdir of such a run.'
    ) from None
