"""Stages that paint control identities, from a config: data, networks, evaluation."""

import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from anon_jax import compiling, parallel
from anon_jax import train as training
from anon_jax.config import bodies
from anon_jax.data import joints
from anon_jax.evaluation import anonymization, anonymization_report
from anon_jax.evaluation import identity as identity_evaluation
from anon_jax.experiment import hair, identities, networks, pretrained, sources
from anon_jax.experiment.identities import IdentitySources
from anon_jax.experiment.identity import load_recogniser
from anon_jax.experiment.parts import Experiment
from anon_jax.losses.diffaugment import DiffAugment
from anon_jax.nets import anonymization as nets
from anon_jax.nets import identity
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.state import TrainState
from anon_jax.steps.guided_parts import Nets
from anon_jax.steps.stage import Stage
from anon_jax.workdir import has_checkpoint

log = logging.getLogger('anon_jax')

MakeStage = Callable[[Any, int, Any], Stage]
"""(config, control identities, what I starts from or None) -> stage."""


def build(config: Any, workdir: pathlib.Path, make_stage: MakeStage) -> Experiment:
  """Opens the data and builds the stage of a config."""
  opened = identities.open_sources(config, maps=True)
  sources.require_joints(config, opened.train)
  numbers = identities.numbers_of(config, opened.train)
  dataset = identities.train_batches(config, opened.train)
  stage = make_stage(config, len(numbers), _pretrained_identity(config, workdir))
  identities.keep_numbers(workdir, numbers)
  hair.keep(workdir, config, opened.train, numbers)
  return Experiment(
    stage=stage,
    dataset=dataset,
    samples=sources.sample_batch(config, opened.held_out),
    evaluate=make_evaluate(config, stage, opened, numbers, workdir),
    data=sources.describe({'train': opened.train}),
  )


def _pretrained_identity(config: Any, workdir: pathlib.Path) -> Any:
  """Loads what I starts from; a run that goes on has its own I in its checkpoints."""
  if has_checkpoint(workdir):
    return None
  if not config.identity_from:
    if not config.start_from:
      log.warning('I starts from scratch: identity_from names no identity run.')
    return None
  found = pretrained.load_identity(config)
  log.warning('I starts from step %d of %s.', found.step, config.identity_from)
  return found.params


def make_nets(config: Any, count: int) -> tuple[Nets, Any]:
  """Builds A, its discriminator and I for `count` control identities, loads the perceptual network.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  dtype = sources.compute_dtype(config.dtype)
  frozen, frozen_params = networks.load_perceptual(config)
  shape: dict[str, Any] = {
    'identities': count,
    'widths': nets.widths_for(config.preset, config.image_size),
    'hidden': nets.HIDDEN[config.preset],
    'spectral': config.spectral,
    'bilinear': config.bilinear,
    'dtype': dtype,
    'remat': config.remat,
  }
  generator: nets.AnonymizationNet
  if bodies.of_bodies(config):
    told = joints.NUM_JOINTS if config.joint_sigma else 0
    generator = BodyAnonymizationNet(**shape, joints=told)
  else:
    generator = nets.AnonymizationNet(**shape, coarse=config.coarse_map)
  discriminator = networks.make_discriminator(config, count)
  judge = identity.IdentityNet(identity.WIDTHS[config.preset], dtype=dtype)
  return Nets(generator, discriminator, judge, frozen), frozen_params


# Options of the step that have a config field of the same name.
_SAME = (
  'image_size',
  'identities_per_batch',
  'identity_size',
  'identity_weight',
  'real_pairs_weight',
  'margin',
  'adversarial_weight',
  'adversarial_from_step',
  'reconstruction_share',
  'reconstruction_weight',
  'perceptual_weight',
  'r1_weight',
  'real_label',
  'identity_lr',
  'sample_controls',
)


def options_of(config: Any) -> dict[str, Any]:
  """Returns the fields of GuidedOptions."""
  strengths = (config.augment_brightness, config.augment_translation, config.augment_cutout)
  return {
    **{name: config[name] for name in _SAME},
    **networks.rates(config),
    'augment': DiffAugment(*strengths),
    'aspect': bodies.aspect_of(config),
    'joint_sigma': config.get('joint_sigma', 0.0),
  }


def make_evaluate(
  config: Any,
  stage: Stage,
  opened: IdentitySources,
  numbers: np.ndarray,
  workdir: pathlib.Path,
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars."""
  recogniser, missing = load_recogniser(config)
  people = anonymization.People(*opened, numbers, sources.make_view(config))
  sizes = anonymization.Sizes(
    outputs=config.eval_outputs,
    maps=config.diversity_maps,
    controls=config.diversity_controls,
    gallery=config.gallery_images,
    batch=config.eval_batch_size,
    seed=config.seed,
  )
  own = sources.held_out_batches(config, opened.train)
  paired = identities.with_pairs(opened.held_out)
  strangers = sources.held_out_batches(config, paired)
  facts = {
    'dataset': config.dataset,
    'split': config.eval_split,
    'image_size': config.image_size,
    'seed': config.seed,
  }
  if paired is not opened.held_out:
    facts['pairs'] = 'mirror images'

  paint, subject = stage.paint, anonymization_report.SUBJECTS[stage.name]
  assert paint is not None and stage.embed is not None
  embed = compiling.jit(stage.embed)

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    params = parallel.fetch(state.ema)
    result: dict[str, Any] = {
      'own_l1': anonymization.own_identity_l1(paint, params, own, numbers),
      'recognition': {'missing': missing},
      'identification': identity_evaluation.measure_embedded(embed, params, strangers),
    }
    if recogniser:
      measured = anonymization.Measurement(paint, params, recogniser, people, sizes)
      result['recognition'] = anonymization.recognise(measured, people, sizes)
    if jax.process_index() == 0:
      anonymization_report.write_report(workdir, step, result, facts, subject)
    return anonymization_report.scalars(result)

  return evaluate
