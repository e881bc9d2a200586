"""Every config field with its default, its meaning and its check, in one table."""

from collections.abc import Callable
from typing import Any, NamedTuple


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
    100,
    'Steps between lines of metrics; also when non-finite values stop the run.',
    **_at_least(1),
    resumable=True,
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
    0,
    'Steps recorded for the profiler, after the tenth of a run; 0 records none.',
    **_at_least(0),
    resumable=True,
  ),
  'workers': Field(
    0, 'Reading processes; 0 reads in threads of the training process.', **_between(0, 256)
  ),
  'mesh_data': Field(0, 'Devices that share a batch; 0 takes all.', **_at_least(0)),
  'dtype': Field(
    'auto',
    'Computation type; auto is bfloat16 on accelerators, float32 on a CPU.',
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
    'base',
    "Width of H: 'base', 'small' (a quarter of the FLOPs), 'tiny' (tests).",
    **_one_of('base', 'small', 'tiny'),
  ),
  'upscale': Field(
    1,
    'Output side over input side; the super-resolution variants have 2 and 4.',
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
    '',
    'Folder of published weights; empty looks into $ANON_JAX_WEIGHTS, $ANON_JAX_DATA/weights '
    'and the folder `weights` beside `manual_dir`.',
  ),
  'discriminator_width': Field(64, 'Channels of D_H in its first layer.', **_at_least(1)),
  'discriminator_layers': Field(3, 'Strided layers of D_H.', **_between(1, 5)),
  'discriminator_scales': Field(2, 'Resolutions that D_H sees.', **_between(1, 4)),
}

STAGES: dict[str, dict[str, Field]] = {'harmonize': COMMON | HARMONIZE}
