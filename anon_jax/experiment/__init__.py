"""Dissolves a checked config into data, networks and evaluators: plain arguments from here on."""

from anon_jax.experiment.building import Experiment, build, make_plan, resolve

__all__ = ['Experiment', 'build', 'make_plan', 'resolve']
