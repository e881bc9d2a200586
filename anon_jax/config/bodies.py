"""Stages that learn from persons as well as from faces: their data sets, and what bodies add."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config.every_stage import BODY_DATASETS, DATASETS
from anon_jax.config.field import ConfigError, Field, between, one_of

BODIES = ('procedural_bodies', *BODY_DATASETS)

DATASET = Field(
  'procedural_faces',
  'Data set, of faces or of bodies; `docs/data.md` has their layouts.',
  **one_of(*DATASETS, *BODIES),
  measured=True,
)
# What A and D_A are told of a body.
FIELDS: dict[str, Field] = {
  'parts_share': Field(
    1.0,
    'Bodies: share of the training pictures whose maps tell parts; in the others, and with 0 in '
    'evaluation too, a person is one class.',
    **between(0.0, 1.0),
    measured=True,
  ),
  'joint_sigma': Field(
    0.0,
    'Bodies: spread of a joint in the heatmaps that A and D_A see beside the map, as a share of '
    'the height; 0 leaves joints out. .02 is usual.',
    **between(0.0, 0.2),
  ),
}

_FACES_ONLY = {'coarse_map': False}


def of_bodies(config: Mapping[str, Any]) -> bool:
  """Tells whether a config's data set shows persons."""
  return config.get('dataset') in BODIES


def aspect_of(config: Mapping[str, Any]) -> int:
  """Returns the height of a config's pictures over their width: 1 of faces, 2 of bodies."""
  return 2 if of_bodies(config) else 1


def width_of(values: Mapping[str, Any]) -> int:
  """Returns the width of a config's pictures; `image_size` is their height."""
  return int(values['image_size'] // aspect_of(values))


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields of faces for bodies, and of bodies for faces."""
  if of_bodies(values):
    width = width_of(values)
    if width % 16:
      raise ConfigError(
        f'config.image_size={values["image_size"]} makes pictures of bodies {width} px wide, which '
        'must be a multiple of 16; give a height that is a multiple of 32.'
      )
    wrong, others = _FACES_ONLY, 'faces'
  else:
    wrong, others = {name: field.default for name, field in FIELDS.items()}, 'bodies'
  for name, neutral in wrong.items():
    if values.get(name, neutral) != neutral:
      raise ConfigError(
        f'config.{name}={values[name]} is for {others}, and dataset={values["dataset"]!r} shows '
        f'none; set it to {neutral}, or take another dataset.'
      )
