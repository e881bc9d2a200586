"""The fields of stage `harmonize`: HarmonizationNet and its proxy task."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import adversaries, bodies
from anon_jax.config.field import ConfigError, Field, at_least, between, one_of

FIELDS: dict[str, Field] = {
  'dataset': bodies.DATASET,
  'preset': Field(
    'base',
    "Width of H: 'base', 'small' (a quarter of the FLOPs), 'tiny' (tests).",
    **one_of('base', 'small', 'tiny'),
  ),
  'upscale': Field(
    1,
    'Output side over input side; the super-resolution variants have 2 and 4.',
    **one_of(1, 2, 4),
  ),
  'condition_sigma': Field(
    0.07,
    'Blur of the appearance condition, as a share of the side, of bodies of the height.',
    **between(0.005, 0.5),
  ),
  'softness': Field(
    0.0,
    'Blur of the softest recoloured foreground, as a share of the side, for an A that paints '
    'softly; 0 for none.',
    **between(0.0, 0.1),
  ),
  'natural_share': Field(
    0.0,
    'Share of pictures that are recoloured to what another face in another light may look like, as '
    'A paints it; the others get any colour.',
    **between(0.0, 1.0),
  ),
  'rim': Field(
    0.0,
    'How far a foreground is grown, as a share of the side, by a rim without detail, as what is '
    'replaced of a face is; 0 for not at all.',
    **between(0.0, 0.1),
  ),
  'grain': Field(
    0.0,
    'Standard deviation of the coarsest dots in a recoloured foreground, in [-1, 1], for an A that '
    'paints dots; 0 for none.',
    **between(0.0, 0.5),
  ),
  'feather': Field(
    2, 'Rim inside the foreground over which H fades in, in output pixels.', **between(0, 32)
  ),
  'remat': adversaries.REMAT,
  'adversarial_weight': Field(1.0, 'Weight of the LSGAN term of eq. 2.', **at_least(0.0)),
  'perceptual_weight': Field(10.0, 'Weight of the perceptual term of eq. 2.', **at_least(0.0)),
  'l1_weight': Field(10.0, 'Weight of the L1 term of eq. 2.', **at_least(0.0)),
  'perceptual_network': adversaries.perceptual_network('best_available'),
  'weights_dir': adversaries.WEIGHTS_DIR,
  **adversaries.discriminator('D_H'),
}

TINY = adversaries.TINY


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  bodies.check_together(values)
  inner = bodies.width_of(values) // values['upscale']
  if inner % 16:
    wide = ' in width' if bodies.of_bodies(values) else ''
    raise ConfigError(
      f'config.image_size={values["image_size"]} with config.upscale={values["upscale"]} gives '
      f'inputs of {inner} px{wide}, which must be a multiple of 16.'
    )
  adversaries.check_discriminator(values)
