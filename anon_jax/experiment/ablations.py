"""The ablations' stages, `single_stage` and `joint`, from a config."""

import pathlib
from typing import Any

import jax

from anon_jax.experiment import guided, networks, sources
from anon_jax.experiment.parts import Experiment
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.steps.blended import BlendedOptions
from anon_jax.steps.joint import BlendingNets, make_joint_stage
from anon_jax.steps.single_stage import make_single_stage
from anon_jax.steps.stage import Stage


def build_single(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of a single_stage config."""
  return guided.build(config, workdir, make_single)


def build_joint(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of a joint config."""
  return guided.build(config, workdir, make_joint)


def make_single(config: Any, count: int, identity_params: Any) -> Stage:
  """Builds networks and step of a single_stage config for `count` control identities.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  modules, frozen = guided.make_nets(config, count)
  return make_single_stage(modules, _options(config), identity_params, frozen)


def make_joint(config: Any, count: int, identity_params: Any) -> Stage:
  """Builds networks and step of a joint config for `count` control identities.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  modules, frozen = guided.make_nets(config, count)
  harmonizer = HarmonizationNet(
    WIDTHS[config.preset], dtype=sources.compute_dtype(config.dtype), remat=config.remat
  )
  blending = BlendingNets(harmonizer, networks.make_discriminator(config))
  return make_joint_stage(modules, blending, _options(config), identity_params, frozen)


def _options(config: Any) -> BlendedOptions:
  return BlendedOptions(
    **guided.options_of(config), sigma_fraction=config.condition_sigma, feather=config.feather
  )
