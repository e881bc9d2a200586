"""The anonymize stage from a config."""

import pathlib
from typing import Any

import jax

from anon_jax.experiment import guided
from anon_jax.experiment.parts import Experiment
from anon_jax.steps.anonymize import make_anonymize_stage
from anon_jax.steps.guided_parts import GuidedOptions
from anon_jax.steps.stage import Stage


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of an anonymize config."""
  return guided.build(config, workdir, make_stage)


def make_stage(config: Any, count: int, identity_params: Any) -> Stage:
  """Builds networks and step of an anonymize config for `count` control identities.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  modules, frozen = guided.make_nets(config, count)
  options = GuidedOptions(**guided.options_of(config))
  return make_anonymize_stage(modules, options, identity_params, frozen)
