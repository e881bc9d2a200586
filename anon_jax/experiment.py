"""Dissolves a checked config into data, networks and evaluators: plain arguments from here on."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import train as training
from anon_jax.data import pipeline, prepare
from anon_jax.data.procedural import ProceduralFaces
from anon_jax.evaluation import harmonization as harmonization_evaluation
from anon_jax.evaluation import report
from anon_jax.nets import perceptual
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.state import TrainState
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage
from anon_jax.steps.stage import Stage

Config: TypeAlias = Any  # a checked config; ml_collections has no types


class Sources(NamedTuple):
  """Training and held-out examples."""

  train: pipeline.Source
  held_out: pipeline.Source


def weights_folders(config: Config) -> list[pathlib.Path]:
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


def resolve(config: Config) -> Config:
  """Returns the config with `best_available` replaced by the network that it stands for here.

  Raises:
    WeightsError: none is available.
  """
  config = config.copy_and_resolve_references()
  if config.get('perceptual_network') == 'best_available':
    folders = weights_folders(config)
    config.perceptual_network = perceptual.resolve_network('best_available', folders)
  return config


def stored_side(image_size: int, crop: float) -> int:
  """Returns the side in pixels at which pictures are prepared: room for jitter, no waste."""
  return 64 * -(-int(image_size / crop * 1.25) // 64)


def open_sources(config: Config) -> Sources:
  """Prepares or reuses the data set and opens its splits.

  Raises:
    DatasetError: missing or broken data; the message names the file and the way out.
  """
  if config.dataset == 'procedural_faces':
    count, size = config.procedural_faces, config.image_size
    held_out = max(count // 10, 8)
    # Another seed, so that no held-out picture is drawn in training.
    return Sources(
      ProceduralFaces(count, size, seed=config.seed),
      ProceduralFaces(held_out, size, seed=config.seed + 2**20),
    )
  side = stored_side(config.image_size, config.crop)
  folder = prepare.prepare(config.dataset, config.manual_dir, config.data_dir, side)
  return Sources(
    pipeline.with_maps(prepare.open_split(folder, 'train')),
    pipeline.with_maps(prepare.open_split(folder, config.eval_split)),
  )


def make_view(config: Config) -> pipeline.View:
  """Returns how stored pictures become crops."""
  return pipeline.View(config.image_size, config.crop, config.crop_jitter, config.flip)


def make_stage(config: Config) -> Stage:
  """Builds the networks and the step of a harmonize config.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  dtype = compute_dtype(config.dtype)
  net, params = None, None
  if config.perceptual_network != 'none' and config.perceptual_weight:
    folders = weights_folders(config)
    net, params = perceptual.load_perceptual(config.perceptual_network, folders, dtype)
  generator = HarmonizationNet(WIDTHS[config.preset], config.upscale, dtype)
  discriminator = MultiScaleDiscriminator(
    config.discriminator_scales, config.discriminator_width, config.discriminator_layers, dtype
  )
  options = HarmonizeOptions(
    image_size=config.image_size,
    upscale=config.upscale,
    sigma_fraction=config.condition_sigma,
    feather=config.feather,
    adversarial_weight=config.adversarial_weight,
    perceptual_weight=config.perceptual_weight,
    l1_weight=config.l1_weight,
    generator_lr=config.generator_lr,
    discriminator_lr=config.discriminator_lr,
    adam_b1=config.adam_b1,
    adam_b2=config.adam_b2,
    ema_decay=config.ema_decay,
  )
  return make_harmonize_stage(generator, discriminator, options, net, params)


def compute_dtype(name: str) -> Any:
  """Turns the config's `dtype` into a JAX type."""
  if name == 'auto':
    name = 'float32' if jax.default_backend() == 'cpu' else 'bfloat16'
  return jnp.dtype(name)


def make_plan(config: Config) -> training.Plan:
  """Returns the run's length and cadences."""
  return training.Plan(
    total_steps=config.num_train_steps,
    log_every=config.log_every_steps,
    checkpoint_every=config.checkpoint_every_steps,
    eval_every=config.eval_every_steps,
    sample_every=config.sample_every_steps,
    profile_steps=config.profile_steps,
  )


def make_evaluate(
  config: Config, stage: Stage, source: pipeline.Source, workdir: pathlib.Path, mesh: Any
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars."""
  batches = pipeline.eval_dataset(
    source,
    make_view(config),
    batch_size=config.eval_batch_size,
    count=config.eval_examples,
    shard=pipeline.Shard(jax.process_index(), jax.process_count()),
  )
  facts = {
    'dataset': config.dataset,
    'split': config.eval_split,
    'image_size': config.image_size,
    'seed': config.seed,
  }

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    result = harmonization_evaluation.evaluate_harmonization(stage, state, batches, mesh)
    if jax.process_index() == 0:
      report.write_report(workdir, step, result, facts)
    return harmonization_evaluation.scalars(result)

  return evaluate


def sample_batch(config: Config, source: pipeline.Source) -> dict[str, np.ndarray]:
  """Returns the held-out examples that sample grids show: the same ones all along a run."""
  count = min(config.sample_examples, len(source))
  batches = pipeline.eval_dataset(source, make_view(config), batch_size=count, count=count)
  return batches[0]
