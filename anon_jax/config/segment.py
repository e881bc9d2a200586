"""The fields of stage `segment`: SegmentationNet, its mixture of data and its augmentation."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config.field import Field, between, one_of
from anon_jax.config.mixture import SYNTAX, parse_mixture

FIELDS: dict[str, Field] = {
  'preset': Field(
    'base',
    "Width of S: 'base', 'small' (a fifth of the FLOPs), 'tiny' (tests).",
    **one_of('base', 'small', 'tiny'),
  ),
  'mixture': Field(
    '',
    f'Data sets to train on together: `{SYNTAX}`. Replaces `dataset`, `manual_dir` and `crop`; '
    'empty uses those.',
    measured=True,
  ),
  'segmenter_lr': Field(1e-3, "Adam's rate for S.", **between(0.0, 1.0)),
  'parts_weight': Field(
    2.0, 'Weight of pixels of brows, eyes, nose and mouth in the loss.', **between(0.1, 100.0)
  ),
  'rotation': Field(45.0, 'Largest turn of a training picture in degrees.', **between(0.0, 180.0)),
  'any_rotation': Field(
    0.05, 'Share of training pictures that are turned by any angle.', **between(0.0, 1.0)
  ),
  'colour': Field(
    0.3,
    'Strength of the changes of brightness, contrast, saturation and tint; also the share of '
    'pictures that are blurred and, by half, made grey.',
    **between(0.0, 1.0),
  ),
  'occluded': Field(
    0.3, 'Share of training pictures that an object covers in part.', **between(0.0, 1.0)
  ),
}

# What makes a run that a test can wait for.
TINY = {'preset': 'tiny', 'mixture': ''}


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  if values['mixture']:
    parse_mixture(values['mixture'])
