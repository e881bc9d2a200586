"""Dissolves a checked config into data, networks and evaluators: plain arguments from here on."""

from anon_jax.experiment.building import build, make_plan, resolve, without_losses
from anon_jax.experiment.parts import Experiment

__all__ = ['Experiment', 'build', 'make_plan', 'resolve', 'without_losses']
