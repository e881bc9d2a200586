"""The harmonize stages: networks, step and evaluation from a config."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from anon_jax import proxy
from anon_jax import train as training
from anon_jax.config import bodies
from anon_jax.evaluation import harmonization, report
from anon_jax.evaluation.harmonization import Measure
from anon_jax.experiment import networks, sources
from anon_jax.experiment.parts import Experiment
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.state import TrainState
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage
from anon_jax.steps.stage import Stage


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of a harmonize config."""
  stage = make_stage(config)
  train, held_out = sources.open_sources(config)
  samples = sources.sample_batch(config, held_out)
  sources.require_foreground(samples, config.manual_dir or config.dataset)
  return Experiment(
    stage=stage,
    dataset=sources.train_batches(config, train),
    samples=samples,
    evaluate=make_evaluate(
      config,
      harmonization.make_measure(stage),
      sources.held_out_batches(config, held_out),
      workdir,
      mesh,
    ),
    data=sources.describe({'train': train}),
  )


def make_stage(config: Any) -> Stage:
  """Builds the networks and the step of a harmonize config.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  net, params = networks.load_perceptual(config)
  dtype = sources.compute_dtype(config.dtype)
  generator = HarmonizationNet(WIDTHS[config.preset], config.upscale, dtype, remat=config.remat)
  discriminator = networks.make_discriminator(config)
  options = HarmonizeOptions(upscale=config.upscale, **options_of(config))
  return make_harmonize_stage(generator, discriminator, options, net, params)


def options_of(config: Any) -> dict[str, Any]:
  """Returns the options of the step that H has for pictures and for clips."""
  return {
    'image_size': config.image_size,
    'aspect': bodies.aspect_of(config),
    'sigma_fraction': config.condition_sigma,
    'likeness': proxy.Likeness(*(config[name] for name in proxy.Likeness._fields)),
    'feather': config.feather,
    'adversarial_weight': config.adversarial_weight,
    'perceptual_weight': config.perceptual_weight,
    'l1_weight': config.l1_weight,
    **networks.rates(config),
  }


def make_evaluate(
  config: Any,
  measure: Measure,
  batches: Any,
  workdir: pathlib.Path,
  mesh: Any,
  notes: Mapping[str, str] | None = None,
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars.

  Args:
    config: of the stage.
    measure: from the stage's `make_measure`.
    batches: held-out ones.
    workdir: where the report is written.
    mesh: the devices.
    notes: what else the result says of itself.
  """
  named = ('dataset', 'eval_split', 'image_size', 'frames', 'seed')
  facts = {name.removeprefix('eval_'): config[name] for name in named if name in config}

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    result = harmonization.evaluate_harmonization(measure, state, batches, mesh)
    result |= notes or {}
    if jax.process_index() == 0:
      report.write_report(workdir, step, result, facts)
    return harmonization.scalars(result)

  return evaluate
