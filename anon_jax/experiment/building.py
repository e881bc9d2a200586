"""From a checked config to everything that a run needs."""

import pathlib
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from anon_jax import train as training
from anon_jax.experiment import harmonize, sources
from anon_jax.nets import perceptual
from anon_jax.steps.stage import Stage


class Experiment(NamedTuple):
  """What the loop is called with.

  Attributes:
    stage: networks and step.
    dataset: this process's training batches.
    samples: the batch that sample grids show.
    evaluate: measures a state and writes the workdir's report.
  """

  stage: Stage
  dataset: grain.IterDataset
  samples: dict[str, np.ndarray]
  evaluate: training.Evaluate


def resolve(config: Any) -> Any:
  """Returns the config with `best_available` replaced by the network that it stands for here.

  Raises:
    WeightsError: none is available.
  """
  config = config.copy_and_resolve_references()
  if config.get('perceptual_network') == 'best_available':
    folders = sources.weights_folders(config)
    config.perceptual_network = perceptual.resolve_network('best_available', folders)
  return config


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the networks of a checked and resolved config.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: missing or damaged published weights.
  """
  stage = harmonize.make_stage(config)
  train, held_out = sources.open_sources(config)
  return Experiment(
    stage=stage,
    dataset=sources.train_batches(config, train),
    samples=sources.sample_batch(config, held_out),
    evaluate=harmonize.make_evaluate(config, stage, held_out, workdir, mesh),
  )


def make_plan(config: Any) -> training.Plan:
  """Returns the run's length and cadences."""
  return training.Plan(
    total_steps=config.num_train_steps,
    log_every=config.log_every_steps,
    checkpoint_every=config.checkpoint_every_steps,
    eval_every=config.eval_every_steps,
    sample_every=config.sample_every_steps,
    profile_steps=config.profile_steps,
  )
