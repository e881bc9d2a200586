"""From a checked config to everything that a run needs."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from anon_jax import train as training
from anon_jax.config.mixture import with_absolute_folders
from anon_jax.experiment import (
  ablations,
  anonymize,
  harmonize,
  harmonize_video,
  identity,
  pretrained,
  segment,
  sources,
)
from anon_jax.experiment.parts import Experiment
from anon_jax.nets import perceptual
from anon_jax.steps.spikes import skipping
from anon_jax.workdir import has_checkpoint


def resolve(config: Any) -> Any:
  """Returns the config with absolute folders, and what depends on the machine written out.

  `best_available` becomes the network that is found and `auto` the computation type. So a run can
  be resumed from another working folder, and not by accident with another network or type.

  Raises:
    WeightsError: none is available.
  """
  config = config.copy_and_resolve_references()
  for name in ('manual_dir', 'data_dir', 'weights_dir', 'identity_from', 'start_from'):
    if config.get(name):
      config[name] = str(pathlib.Path(config[name]).expanduser().absolute())
  if config.get('mixture'):
    config.mixture = with_absolute_folders(config.mixture)
  config.dtype = sources.compute_dtype(config.dtype).name
  if config.get('perceptual_weight') == 0:
    config.perceptual_network = 'none'
  if config.get('perceptual_network') == 'best_available':
    folders = sources.weights_folders(config)
    config.perceptual_network = perceptual.resolve_network('best_available', folders)
  return config


def without_losses(config: Any) -> Any:
  """Returns the config without the frozen networks that only a loss needs: evaluation has none."""
  config = config.copy_and_resolve_references()
  if 'perceptual_network' in config:
    config.perceptual_network = 'none'
  return config


# Stage -> what builds its networks, data and evaluation.
BUILDERS: dict[str, Callable[[Any, pathlib.Path, jax.sharding.Mesh], Experiment]] = {
  'harmonize': harmonize.build,
  'harmonize_video': harmonize_video.build,
  'segment': segment.build,
  'identity': identity.build,
  'anonymize': anonymize.build,
  'single_stage': ablations.build_single,
  'joint': ablations.build_joint,
}


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the networks of a checked and resolved config.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: missing or damaged published weights, or exported networks to start from.
  """
  built = BUILDERS[config.stage](config, workdir, mesh)
  if config.skip_spikes:
    built = built._replace(stage=skipping(built.stage, config.skip_spikes))
  if not config.start_from or has_checkpoint(workdir):
    return built
  initial = pretrained.load_exported(config) | built.stage.initial  # identity_from comes first
  return built._replace(stage=dataclasses.replace(built.stage, initial=initial))


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
