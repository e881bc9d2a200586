"""The identity stage: network, step and evaluation from a config."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from anon_jax import train as training
from anon_jax.config import bodies
from anon_jax.data.identity_batches import IdentitySource
from anon_jax.evaluation import crop_recognition
from anon_jax.evaluation import identity as identity_evaluation
from anon_jax.evaluation.crop_recognition import CropRecogniser
from anon_jax.experiment import identities, networks, sources
from anon_jax.experiment.parts import Experiment
from anon_jax.nets.identity import WIDTHS, IdentityNet
from anon_jax.state import TrainState
from anon_jax.steps.identity import IdentityOptions, make_identity_stage
from anon_jax.steps.stage import Stage

RECOGNISER = 'mobilefacenet'


def load_recogniser(config: Any) -> tuple[CropRecogniser | None, str]:
  """Loads the recogniser that stands beside I, or says why there is none."""
  if bodies.of_bodies(config):
    return None, 'it knows faces, and here are bodies.'
  return crop_recognition.load_crop_recogniser(
    RECOGNISER, sources.weights_folders(config), config.face_share
  )


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of an identity config."""
  train, held_out = identities.open_sources(config, maps=config.foreground_only)
  numbers = identities.numbers_of(config, train)
  dataset = identities.train_batches(config, train)
  identities.keep_numbers(workdir, numbers)
  stage = make_stage(config, len(numbers))
  return Experiment(
    stage=stage,
    dataset=dataset,
    samples=sources.sample_batch(config, held_out),
    evaluate=make_evaluate(config, stage, held_out, workdir, mesh),
    data=sources.describe({'train': train}),
  )


def make_stage(config: Any, count: int) -> Stage:
  """Builds the network and the step of an identity config for `count` training identities."""
  net = IdentityNet(WIDTHS[config.preset], dtype=sources.compute_dtype(config.dtype))
  return make_identity_stage(
    net,
    IdentityOptions(
      image_size=config.image_size,
      aspect=bodies.aspect_of(config),
      identities=count,
      foreground_only=config.foreground_only,
      proxy_scale=config.proxy_scale,
      label_smoothing=config.label_smoothing,
      positive_in_denominator=config.positive_in_denominator,
      identity_lr=config.identity_lr,
      proxy_lr=config.proxy_lr,
      adam_b1=config.adam_b1,
      adam_b2=config.adam_b2,
      decay_steps=config.decay_steps,
      **networks.averaging(config),
    ),
  )


def make_evaluate(
  config: Any, stage: Stage, source: IdentitySource, workdir: pathlib.Path, mesh: Any
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars."""
  paired = identities.with_pairs(source)
  batches = sources.held_out_batches(config, paired)
  recogniser, missing = load_recogniser(config)
  facts = {
    'dataset': config.dataset,
    'split': config.eval_split,
    'image_size': config.image_size,
    'seed': config.seed,
    'input': 'foreground' if config.foreground_only else 'crop',
  }
  if paired is not source:
    facts['pairs'] = 'mirror images'

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    result = identity_evaluation.evaluate_identity(stage, state, batches, mesh, recogniser, missing)
    if jax.process_index() == 0:
      identity_evaluation.write_report(workdir, step, result, facts)
    return identity_evaluation.scalars(result)

  return evaluate
