"""Defaults of a stage, and the one check that a config goes through before anything is built."""

import difflib
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from anon_jax.config import bodies
from anon_jax.config.field import ConfigError, Field
from anon_jax.config.stages import EVALUATIONS, STAGES, StageFields


def defaults(stage: str) -> ml_collections.ConfigDict:
  """Returns a config of a stage, or of an evaluation, with every field at its default."""
  values = {name: field.default for name, field in _fields(stage).items()}
  return ml_collections.ConfigDict(values | {'stage': stage})


def tiny(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Returns a copy of a config that a test can run in seconds, on procedural faces or bodies."""
  config = config.copy_and_resolve_references()
  if config.stage in EVALUATIONS:
    config.update(EVALUATIONS[config.stage].tiny)
    return config
  config.update(
    dataset='procedural_bodies' if bodies.of_bodies(config) else 'procedural_faces',
    manual_dir='',
    crop=1.0,
    procedural_faces=24,
    image_size=32 * config.get('upscale', 1),
    batch_size=8,
    eval_batch_size=8,
    eval_examples=12,
    sample_examples=3,
    num_train_steps=4,
    log_every_steps=1,
    checkpoint_every_steps=2,
  )
  config.update(STAGES[config.stage].tiny)
  return config


def _known() -> dict[str, StageFields]:
  return STAGES | EVALUATIONS


def _fields(stage: Any) -> dict[str, Field]:
  if stage not in _known():
    raise ConfigError(f'stage={stage!r} is not known; choose one of {sorted(_known())}.')
  return _known()[stage].fields


def unknown_field(name: str, stage: str = '') -> str:
  """Says that no stage, or not this one, has a field of this name, and which one may be meant."""
  known = _fields(stage) if stage else {k for name in _known() for k in _fields(name)}
  close = difflib.get_close_matches(name, known, 1)
  hint = f'did you mean {close[0]!r}?' if close else 'see docs/configs.md for the fields.'
  return f'{name!r} is not a field of {f"stage {stage!r}" if stage else "any stage"}; {hint}'


def check(config: Mapping[str, Any], devices: int = 1) -> ml_collections.FrozenConfigDict:
  """Returns an immutable copy of a config that can be run.

  Args:
    config: the fields of a stage, all of them.
    devices: devices that `mesh_data=0` stands for.

  Raises:
    ConfigError: an unknown, missing or unusable field; the message names it, the value that was
      given, and what can be given instead.
  """
  values = dict(config)
  fields = _fields(values.get('stage'))
  for name in values:
    if name not in fields and name != 'stage':
      raise ConfigError(f'config.{name}={values[name]!r}: {unknown_field(name, values["stage"])}')
  for name, field in fields.items():
    if name not in values:
      raise ConfigError(f'config.{name} is missing; its default is {field.default!r}.')
    value = values[name]
    kind = type(field.default)
    if kind is float and type(value) is int:
      value = values[name] = float(value)
    if type(value) is not kind:
      raise ConfigError(f'config.{name}={value!r} is not of type {kind.__name__}.')
    if not field.valid(value):
      raise ConfigError(f'config.{name}={value!r} cannot be used; give {field.wanted}.')
  _check_together(values, devices)
  return ml_collections.FrozenConfigDict(values)


def _check_together(values: Mapping[str, Any], devices: int) -> None:
  """Refuses fields that are fine one by one and not together."""
  if values['stage'] in STAGES:
    _check_training(values, devices)
  _known()[values['stage']].check_together(values)


def _check_training(values: Mapping[str, Any], devices: int) -> None:
  parts = values['mesh_data'] or devices
  if parts > devices:
    raise ConfigError(
      f'config.mesh_data={parts} asks for more devices than the {devices} that JAX sees; '
      'use 0 for all of them.'
    )
  for name in ('batch_size', 'eval_batch_size'):
    if values[name] % parts:
      lower = max(values[name] // parts, 1) * parts
      raise ConfigError(
        f'config.{name}={values[name]} does not divide over {parts} devices; use a multiple of '
        f'{parts}, for example {lower}, or fewer devices by config.mesh_data.'
      )
  if parts % values['mesh_fsdp']:
    raise ConfigError(
      f'config.mesh_fsdp={values["mesh_fsdp"]} does not divide the {parts} devices of the mesh; '
      'give a divisor, or 1 for a whole copy on each.'
    )
  apart = values['eval_every_steps'] % values['checkpoint_every_steps']
  if values['best_scalar'] and apart:
    raise ConfigError(
      f'config.best_scalar={values["best_scalar"]!r} needs evaluations of what is saved, and '
      f'eval_every_steps={values["eval_every_steps"]} is no multiple of checkpoint_every_steps='
      f'{values["checkpoint_every_steps"]}; make it one.'
    )
  if 0 < values['skip_spikes'] <= 1:
    raise ConfigError(
      f'config.skip_spikes={values["skip_spikes"]} would leave out what is usual; give 0 for none, '
      'or more than 1, for example 6.'
    )
  raw, dataset = values['manual_dir'], values['dataset']
  drawn = dataset in ('procedural_faces', 'procedural_bodies')
  if drawn:
    if raw:
      kind = 'body_folder' if bodies.of_bodies(values) else 'face_folder'
      raise ConfigError(
        f'config.manual_dir={raw!r} is not used by dataset={dataset}; set config.dataset to '
        f'the kind of data that are there, for example {kind}.'
      )
    if values['image_size'] > 1024:
      raise ConfigError(
        f'config.image_size={values["image_size"]} is more than {dataset} can draw; '
        'use at most 1024, or another dataset.'
      )
  if not drawn and raw and not pathlib.Path(raw).expanduser().is_dir():
    raise ConfigError(
      f'config.manual_dir={raw!r} is not a folder; give the folder that holds the raw files of '
      f'{values["dataset"]} (docs/data.md shows its layout).'
    )


def differences(
  saved: Mapping[str, Any], given: Mapping[str, Any], *, measuring: bool = False
) -> list[str]:
  """Lists what was changed between a run and its resumption and may not be.

  A field that one of them lacks, because it is younger than the run, has its default there.

  Args:
    saved: the config that the run was started with.
    given: the config that it is to go on with, checked.
    measuring: `given` is for evaluation; fields that only say what is measured, where, and what
      only training needs, may differ too.

  Returns:
    One phrase a field, 'name: saved -> given'.
  """
  fields = _fields(given['stage'])
  changed = []
  for name in sorted(set(saved) | set(given)):
    default = fields[name].default if name in fields else '(absent)'
    old, new = saved.get(name, default), given.get(name, default)
    free = name in fields and (fields[name].resumable or (measuring and fields[name].measured))
    if old != new and not free:
      changed.append(f'{name}: {old!r} -> {new!r}')
  return changed
