"""The anonymize stage: networks, step and evaluation from a config."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from anon_jax import parallel
from anon_jax import train as training
from anon_jax.evaluation import anonymization, anonymization_report, crop_recognition
from anon_jax.experiment import identities, pretrained, sources
from anon_jax.experiment.identities import IdentitySources
from anon_jax.experiment.identity import RECOGNISER
from anon_jax.experiment.parts import Experiment
from anon_jax.losses.diffaugment import DiffAugment
from anon_jax.nets import anonymization as nets
from anon_jax.nets import identity, perceptual
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.state import TrainState
from anon_jax.steps.anonymize import AnonymizeOptions, Nets, make_anonymize_stage
from anon_jax.steps.stage import Stage

log = logging.getLogger('anon_jax')


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of an anonymize config."""
  opened = identities.open_sources(config, maps=True)
  numbers = identities.numbers_of(config, opened.train)
  dataset = identities.train_batches(config, opened.train)
  start = _pretrained_identity(config, workdir)
  modules, perceptual_params = make_nets(config, len(numbers))
  stage = make_stage(config, modules, start, perceptual_params)
  identities.keep_numbers(workdir, numbers)
  return Experiment(
    stage=stage,
    dataset=dataset,
    samples=sources.sample_batch(config, opened.held_out),
    evaluate=make_evaluate(config, modules, opened, numbers, workdir),
    data=sources.describe({'train': opened.train}),
  )


def _pretrained_identity(config: Any, workdir: pathlib.Path) -> Any:
  """Loads what I starts from; a run that goes on has its own I in its checkpoints."""
  checkpoints = workdir / 'checkpoints'
  if checkpoints.is_dir() and any(path.name.isdigit() for path in checkpoints.iterdir()):
    return None
  if not config.identity_from:
    log.warning('I starts from scratch: identity_from names no identity run.')
    return None
  found = pretrained.load_identity(config)
  log.warning('I starts from step %d of %s.', found.step, config.identity_from)
  return found.params


def make_nets(config: Any, count: int) -> tuple[Nets, Any]:
  """Builds the modules for `count` control identities, and loads the perceptual network.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  dtype = sources.compute_dtype(config.dtype)
  frozen, frozen_params = None, None
  if config.perceptual_network != 'none' and config.perceptual_weight:
    folders = sources.weights_folders(config)
    frozen, frozen_params = perceptual.load_perceptual(config.perceptual_network, folders, dtype)
  generator = nets.AnonymizationNet(
    count,
    nets.widths_for(config.preset, config.image_size),
    nets.HIDDEN[config.preset],
    spectral=config.spectral,
    dtype=dtype,
  )
  discriminator = MultiScaleDiscriminator(
    config.discriminator_scales,
    config.discriminator_width,
    config.discriminator_layers,
    dtype,
    config.discriminator_smooth,
    count if config.discriminator_projection else 0,
  )
  judge = identity.IdentityNet(identity.WIDTHS[config.preset], dtype=dtype)
  return Nets(generator, discriminator, judge, frozen), frozen_params


def make_stage(config: Any, modules: Nets, identity_params: Any, perceptual_params: Any) -> Stage:
  """Builds the step of an anonymize config."""
  options = AnonymizeOptions(
    image_size=config.image_size,
    identities_per_batch=config.identities_per_batch,
    identity_weight=config.identity_weight,
    real_pairs_weight=config.real_pairs_weight,
    margin=config.margin,
    adversarial_weight=config.adversarial_weight,
    adversarial_from_step=config.adversarial_from_step,
    reconstruction_share=config.reconstruction_share,
    reconstruction_weight=config.reconstruction_weight,
    perceptual_weight=config.perceptual_weight,
    r1_weight=config.r1_weight,
    real_label=config.real_label,
    augment=DiffAugment(
      config.augment_brightness, config.augment_translation, config.augment_cutout
    ),
    projection=config.discriminator_projection,
    generator_lr=config.generator_lr,
    discriminator_lr=config.discriminator_lr,
    identity_lr=config.identity_lr,
    adam_b1=config.adam_b1,
    adam_b2=config.adam_b2,
    ema_decay=config.ema_decay,
    sample_controls=config.sample_controls,
  )
  return make_anonymize_stage(modules, options, identity_params, perceptual_params)


def make_evaluate(
  config: Any,
  modules: Nets,
  opened: IdentitySources,
  numbers: np.ndarray,
  workdir: pathlib.Path,
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars."""
  recogniser, missing = crop_recognition.load_crop_recogniser(
    RECOGNISER, sources.weights_folders(config)
  )
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
  facts = {
    'dataset': config.dataset,
    'split': config.eval_split,
    'image_size': config.image_size,
    'seed': config.seed,
  }

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    params = parallel.fetch(state.ema['generator'])
    result: dict[str, Any] = {
      'own_l1': anonymization.own_identity_l1(modules.generator, params, own, numbers),
      'recognition': {'missing': missing},
    }
    if recogniser:
      measured = anonymization.Measurement(modules.generator, params, recogniser, people, sizes)
      result['recognition'] = anonymization.recognise(measured, people, sizes)
    if jax.process_index() == 0:
      anonymization_report.write_report(workdir, step, result, facts)
    return anonymization_report.scalars(result)

  return evaluate
