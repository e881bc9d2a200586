"""Fields of the losses that several stages share: discriminators and the perceptual network."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import bodies
from anon_jax.config.field import ConfigError, Field, at_least, between, one_of

WEIGHTS_DIR = Field(
  '',
  'Folder of published weights; empty looks into $ANON_JAX_WEIGHTS, $ANON_JAX_DATA/weights '
  'and the folder `weights` beside `manual_dir`.',
  measured=True,
)

REMAT = Field(
  False,
  'Compute each block again for its gradient: less memory for larger pictures, more time.',
  resumable=True,
  measured=True,
)

# What makes a run that a test can wait for.
TINY = {
  'preset': 'tiny',
  'perceptual_network': 'none',
  'discriminator_width': 8,
  'discriminator_layers': 2,
}


def perceptual_network(default: str) -> Field:
  """Returns the field that names the perceptual term's network."""
  return Field(
    default,
    'Frozen network of the perceptual term: vgg19 (the paper), squeezenet, best_available (vgg19 '
    'where its weights are found, else squeezenet), or none.',
    **one_of('vgg19', 'squeezenet', 'best_available', 'none'),
    measured=True,
  )


def discriminator(name: str) -> dict[str, Field]:
  """Returns the fields that say how large a stage's discriminator `name` is."""
  return {
    'discriminator_width': Field(64, f'Channels of {name} in its first layer.', **at_least(1)),
    'discriminator_layers': Field(3, f'Strided layers of {name}.', **between(1, 5)),
    'discriminator_scales': Field(2, f'Resolutions that {name} sees.', **between(1, 4)),
  }


def check_discriminator(values: Mapping[str, Any]) -> None:
  """Refuses pictures that are too small for the discriminator."""
  smallest = 2 ** (values['discriminator_layers'] + values['discriminator_scales'])
  if bodies.width_of(values) < smallest:
    raise ConfigError(
      f'config.image_size={values["image_size"]} is too small for discriminator_layers='
      f'{values["discriminator_layers"]} at {values["discriminator_scales"]} scales; '
      f'use at least {smallest * bodies.aspect_of(values)}, or fewer of either.'
    )
