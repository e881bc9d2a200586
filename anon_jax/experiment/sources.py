"""Data sets, crops and weights folders of a config."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.config import bodies
from anon_jax.data import pipeline, prepare, semantic
from anon_jax.data.body_view import BodyView
from anon_jax.data.errors import DatasetError
from anon_jax.data.procedural import ProceduralBodies, ProceduralFaces

# Data sets that are drawn and not read.
DRAWN: dict[str, Any] = {
  'procedural_faces': ProceduralFaces,
  'procedural_bodies': ProceduralBodies,
}


class Sources(NamedTuple):
  """Training and held-out examples."""

  train: pipeline.Source
  held_out: pipeline.Source


def weights_folders(config: Any) -> list[pathlib.Path]:
  """Lists the folders that published weights are looked for in."""
  if config.weights_dir:
    return [pathlib.Path(config.weights_dir).expanduser()]
  folders = []
  if os.environ.get('ANON_JAX_WEIGHTS'):
    folders.append(pathlib.Path(os.environ['ANON_JAX_WEIGHTS']))
  if os.environ.get('ANON_JAX_DATA'):
    folders.append(pathlib.Path(os.environ['ANON_JAX_DATA']) / 'weights')
  if config.manual_dir:
    folders.append(pathlib.Path(config.manual_dir).expanduser().absolute().parent / 'weights')
  return folders or [pathlib.Path('weights')]


def stored_side(image_size: int, crop: float) -> int:
  """Returns the side in pixels at which pictures are prepared: room for jitter, no waste."""
  return 64 * -(-int(image_size / crop * 1.25) // 64)


def open_sources(config: Any) -> Sources:
  """Prepares or reuses the data set and opens its splits.

  Raises:
    DatasetError: missing or broken data; the message names the file and the way out.
  """
  if config.dataset in DRAWN:
    draw, count, size = DRAWN[config.dataset], config.procedural_faces, config.image_size
    held_out = max(count // 10, 8)
    # Another seed, so that no held-out picture is drawn in training.
    return Sources(
      draw(count, size, seed=config.seed), draw(held_out, size, seed=config.seed + 2**20)
    )
  side = stored_side(config.image_size, config.crop)
  folder = prepare.prepare(config.dataset, config.manual_dir, config.data_dir, side)
  return Sources(
    labelled_split(config, folder, 'train'), labelled_split(config, folder, config.eval_split)
  )


def labelled_split(config: Any, folder: pathlib.Path, split: str) -> pipeline.Source:
  """Opens the examples of a prepared split that have a semantic map.

  Raises:
    DatasetError: no such split, or none of its examples has a map.
  """
  source = pipeline.with_maps(prepare.open_split(folder, split))
  if not len(source):
    raise DatasetError(
      f'no picture of the split {split!r} of {config.dataset} in {config.manual_dir or folder} has '
      'a semantic map; add masks/NAME.png of the classes in docs/data.md.'
    )
  return source


def describe(sources: Mapping[str, Any]) -> dict[str, str]:
  """Says what each source holds, so that a run can be kept from going on with other data."""
  return {name: f'{len(source)} pictures: {source!r}' for name, source in sources.items()}


def require_foreground(batch: Mapping[str, np.ndarray], where: str) -> None:
  """Refuses data in whose pictures there is nothing to replace.

  Args:
    batch: held-out examples.
    where: the data's name, for the message.

  Raises:
    DatasetError: no map of the batch shows a class of the foreground.
  """
  if not np.isin(batch['map'], semantic.FOREGROUND).any():
    raise DatasetError(
      f'none of the {len(batch["map"])} maps looked at in {where} shows a face or a body (classes '
      f'{semantic.FOREGROUND}); check that masks hold the class numbers of docs/data.md.'
    )


def require_joints(config: Any, source: Any) -> None:
  """Refuses to learn from joints where none are known.

  Raises:
    DatasetError: the config asks for joints, and no example of the source has any.
  """
  if config.get('joint_sigma', 0.0) and not source.has_joints().any():
    raise DatasetError(
      f'config.joint_sigma={config.joint_sigma} shows A the joints of bodies, and none of the '
      f'{len(source)} persons of {config.dataset} has any; put the JSON files of OpenPose where '
      'docs/data.md says, or set joint_sigma to 0.'
    )


def make_view(config: Any) -> Any:
  """Returns how stored pictures become crops: a `View`, or of bodies a `BodyView`."""
  cut = config.image_size, config.crop, config.crop_jitter, config.flip
  if bodies.of_bodies(config):
    return BodyView(*cut, parts=config.get('parts_share', 1.0))
  return pipeline.View(*cut)


def this_shard() -> pipeline.Shard:
  """Returns this process's share of each batch."""
  return pipeline.Shard(jax.process_index(), jax.process_count())


def train_batches(config: Any, source: pipeline.Source) -> Any:
  """Returns this process's endless training batches."""
  return pipeline.train_dataset(
    source,
    make_view(config),
    batch_size=config.batch_size,
    seed=config.seed,
    shard=this_shard(),
    workers=config.workers,
  )


def held_out_batches(config: Any, source: pipeline.Source) -> Any:
  """Returns this process's evaluation batches, padded and masked."""
  return pipeline.eval_dataset(
    source,
    make_view(config),
    batch_size=config.eval_batch_size,
    count=config.eval_examples,
    shard=this_shard(),
  )


def sample_batch(config: Any, source: pipeline.Source) -> dict[str, np.ndarray]:
  """Returns the held-out examples that sample grids show: the same ones all along a run."""
  count = min(config.sample_examples, len(source))
  return pipeline.eval_dataset(source, make_view(config), batch_size=count, count=count)[0]


def compute_dtype(name: str) -> Any:
  """Turns the config's `dtype` into a JAX type."""
  if name == 'auto':
    name = 'float32' if jax.default_backend() == 'cpu' else 'bfloat16'
  return jnp.dtype(name)
