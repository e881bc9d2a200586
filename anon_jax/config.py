"""Configs: every field with its default, its meaning and its check, in one table.

A config is checked once, at the start, and then dissolved into plain arguments; no module holds
one. `configs/NAME.py` starts from `defaults(stage)` and sets what differs.
"""

import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_collections


class ConfigError(ValueError):
  """A config that cannot be run; the message names the field and the way out."""


class Field(NamedTuple):
  """One config field.

  Attributes:
    default: value where a config says nothing; its type is the field's type.
    doc: what it means, with unit or range.
    valid: tells whether a value can be used.
    wanted: what `valid` accepts, in words.
    resumable: whether it may change when a run is resumed.
  """

  default: Any
  doc: str
  valid: Callable[[Any], bool] = lambda value: True
  wanted: str = 'any value'
  resumable: bool = False


def _at_least(least: float) -> dict[str, Any]:
  return {'valid': lambda value: value >= least, 'wanted': f'a number >= {least}'}


def _between(low: float, high: float) -> dict[str, Any]:
  return {'valid': lambda value: low <= value <= high, 'wanted': f'a number in [{low}, {high}]'}


def _one_of(*choices: Any) -> dict[str, Any]:
  return {'valid': lambda value: value in choices, 'wanted': f'one of {list(choices)}'}


def _multiple_of(factor: int) -> dict[str, Any]:
  return {
    'valid': lambda value: value > 0 and value % factor == 0,
    'wanted': f'a multiple of {factor}',
  }


DATASETS = ('procedural_faces', 'face_folder', 'celeba', 'celeba_mask_hq')

COMMON: dict[str, Field] = {
  'stage': Field('', 'Which networks are trained on which task.', **_one_of('harmonize')),
  'dataset': Field(
    'procedural_faces', 'Data set; `docs/data.md` has their layouts.', **_one_of(*DATASETS)
  ),
  'manual_dir': Field('', 'Folder of the raw files; empty reuses the only prepared data set.'),
  'data_dir': Field(
    '~/.cache/anon_jax/datasets',
    'Folder of the prepared files; the first run writes them, later runs reuse them.',
  ),
  'eval_split': Field(
    'validation', 'Held-out split that evaluation reads.', **_one_of('validation', 'test')
  ),
  'crop': Field(
    1.0,
    'Side of the central square that is used, as a share of the stored picture.',
    **_between(0.1, 1.0),
  ),
  'crop_jitter': Field(
    0.05, 'Largest random change of the square, as a share of its side.', **_between(0.0, 0.5)
  ),
  'flip': Field(True, 'Mirror half of the training pictures.'),
  'procedural_faces': Field(
    2000, 'Pictures of `procedural_faces`, a tenth more for evaluation.', **_at_least(1)
  ),
  'image_size': Field(128, "Side of the networks' output in pixels.", **_multiple_of(16)),
  'batch_size': Field(32, 'Examples a step over all devices and hosts.', **_at_least(1)),
  'eval_batch_size': Field(32, 'Examples a batch in evaluation.', **_at_least(1)),
  'seed': Field(0, 'Seed of parameters, data order and augmentation.', **_between(0, 2**31 - 1)),
  'num_train_steps': Field(100_000, 'Length of the run.', **_at_least(1), resumable=True),
  'log_every_steps': Field(
    100, 'Steps between lines of metrics; also when non-finite values stop the run.',
    **_at_least(1), resumable=True,
  ),
  'checkpoint_every_steps': Field(
    1000, 'Steps between checkpoints.', **_at_least(1), resumable=True
  ),
  'eval_every_steps': Field(
    5000, 'Steps between evaluations; 0 evaluates at the end only.', **_at_least(0), resumable=True
  ),
  'sample_every_steps': Field(
    1000, 'Steps between sample grids; 0 draws one at the end.', **_at_least(0), resumable=True
  ),
  'eval_examples': Field(
    1000, 'Held-out examples of an evaluation; 0 takes all.', **_at_least(0), resumable=True
  ),
  'sample_examples': Field(8, 'Rows of a sample grid.', **_between(1, 64), resumable=True),
  'keep_checkpoints': Field(3, 'Newest checkpoints kept.', **_at_least(1), resumable=True),
  'profile_steps': Field(
    0, 'Steps recorded for the profiler, after the tenth of a run; 0 records none.',
    **_at_least(0), resumable=True,
  ),
  'workers': Field(
    0, 'Reading processes; 0 reads in threads of the training process.', **_between(0, 256)
  ),
  'mesh_data': Field(0, 'Devices that share a batch; 0 takes all.', **_at_least(0)),
  'dtype': Field(
    'auto', 'Computation type; auto is bfloat16 on accelerators, float32 on a CPU.',
    **_one_of('auto', 'float32', 'bfloat16'),
  ),
  'ema_decay': Field(
    0.999, 'Decay of the running average of parameters, warmed up.', **_between(0.0, 0.99999)
  ),
  'adam_b1': Field(0.5, "Adam's first decay.", **_between(0.0, 0.9999)),
  'adam_b2': Field(0.999, "Adam's second decay.", **_between(0.0, 0.99999)),
  'generator_lr': Field(1e-4, "Adam's rate for the generator.", **_between(0.0, 1.0)),
  'discriminator_lr': Field(4e-4, "Adam's rate for the discriminator.", **_between(0.0, 1.0)),
}

HARMONIZE: dict[str, Field] = {
  'preset': Field(
    'base', "Width of H: 'base', 'small' (a quarter of the FLOPs), 'tiny' (tests).",
    **_one_of('base', 'small', 'tiny'),
  ),
  'upscale': Field(
    1, 'Output side over input side; the super-resolution variants have 2 and 4.',
    **_one_of(1, 2, 4),
  ),
  'condition_sigma': Field(
    0.07, 'Blur of the appearance condition, as a share of the side.', **_between(0.005, 0.5)
  ),
  'feather': Field(
    2, 'Rim inside the foreground over which H fades in, in output pixels.', **_between(0, 32)
  ),
  'adversarial_weight': Field(1.0, 'Weight of the LSGAN term of eq. 2.', **_at_least(0.0)),
  'perceptual_weight': Field(10.0, 'Weight of the perceptual term of eq. 2.', **_at_least(0.0)),
  'l1_weight': Field(10.0, 'Weight of the L1 term of eq. 2.', **_at_least(0.0)),
  'perceptual_network': Field(
    'best_available',
    'Frozen network of the perceptual term: vgg19 (the paper), squeezenet, best_available '
    '(vgg19 where its weights are found, else squeezenet), or none.',
    **_one_of('vgg19', 'squeezenet', 'best_available', 'none'),
  ),
  'weights_dir': Field(
    '', 'Folder of published weights; empty looks into $ANON_JAX_WEIGHTS, $ANON_JAX_DATA/weights '
    'and the folder `weights` beside `manual_dir`.',
  ),
  'discriminator_width': Field(64, 'Channels of D_H in its first layer.', **_at_least(1)),
  'discriminator_layers': Field(3, 'Strided layers of D_H.', **_between(1, 5)),
  'discriminator_scales': Field(2, 'Resolutions that D_H sees.', **_between(1, 4)),
}

STAGES: dict[str, dict[str, Field]] = {'harmonize': COMMON | HARMONIZE}


def defaults(stage: str) -> ml_collections.ConfigDict:
  """Returns a config of `stage` with every field at its default."""
  values = {name: field.default for name, field in _fields(stage).items()}
  return ml_collections.ConfigDict(values | {'stage': stage})


def tiny(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Returns a copy of a harmonize config that a test can run in seconds, on procedural faces."""
  config = config.copy_and_resolve_references()
  config.update(
    dataset='procedural_faces',
    manual_dir='',
    crop=1.0,
    procedural_faces=24,
    preset='tiny',
    perceptual_network='none',
    discriminator_width=8,
    discriminator_layers=2,
    image_size=32 * config.upscale,
    batch_size=8,
    eval_batch_size=8,
    eval_examples=12,
    sample_examples=3,
    num_train_steps=4,
    log_every_steps=1,
    checkpoint_every_steps=2,
  )
  return config


def _fields(stage: Any) -> dict[str, Field]:
  if stage not in STAGES:
    raise ConfigError(f'stage={stage!r} is not known; choose one of {sorted(STAGES)}.')
  return STAGES[stage]


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
    if name not in fields:
      close = difflib.get_close_matches(name, fields, 1)
      hint = f'did you mean {close[0]!r}?' if close else 'see docs/configs.md for the fields.'
      raise ConfigError(f'config.{name}={values[name]!r} is not a field of this stage; {hint}')
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
  parts = values['mesh_data'] or devices
  for name in ('batch_size', 'eval_batch_size'):
    if values[name] % parts:
      lower = max(values[name] // parts, 1) * parts
      raise ConfigError(
        f'config.{name}={values[name]} does not divide over {parts} devices; use a multiple of '
        f'{parts}, for example {lower}, or fewer devices by config.mesh_data.'
      )
  if values['dataset'] not in ('procedural_faces',) and values['manual_dir']:
    folder = os.path.expanduser(values['manual_dir'])
    if not os.path.isdir(folder):
      raise ConfigError(
        f'config.manual_dir={values["manual_dir"]!r} is not a folder; give the folder that holds '
        f'the raw files of {values["dataset"]} (docs/data.md shows its layout).'
      )
  if values['stage'] == 'harmonize':
    inner = values['image_size'] // values['upscale']
    if inner % 16:
      raise ConfigError(
        f'config.image_size={values["image_size"]} with config.upscale={values["upscale"]} gives '
        f'inputs of {inner} px, which must be a multiple of 16.'
      )
    smallest = 2 ** (values['discriminator_layers'] + values['discriminator_scales'])
    if values['image_size'] < smallest:
      raise ConfigError(
        f'config.image_size={values["image_size"]} is too small for discriminator_layers='
        f'{values["discriminator_layers"]} at {values["discriminator_scales"]} scales; '
        f'use at least {smallest}, or fewer of either.'
      )


def differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
  """Lists what was changed between a run and its resumption and may not be.

  Args:
    saved: the config that the run was started with.
    given: the config that it is to go on with, checked.

  Returns:
    One phrase a field, 'name: saved -> given'.
  """
  fields = _fields(given['stage'])
  changed = []
  for name in sorted(set(saved) | set(given)):
    old, new = saved.get(name, '(absent)'), given.get(name, '(absent)')
    if old != new and not (name in fields and fields[name].resumable):
      changed.append(f'{name}: {old!r} -> {new!r}')
  return changed
