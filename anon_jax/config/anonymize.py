"""The fields of stage `anonymize`: AnonymizationNet, D_A, and I fine-tuned with them."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import adversaries, bodies, identity
from anon_jax.config.field import ConfigError, Field, at_least, between, one_of

_SIZES = (32, 64, 128, 256, 512)

FIELDS: dict[str, Field] = identity.BATCHES | {
  'dataset': bodies.DATASET,
  'preset': Field(
    'base',
    "Width of A and I: 'base', 'small' (a quarter of the FLOPs), 'tiny' (tests).",
    **one_of('base', 'small', 'tiny'),
  ),
  'spectral': Field(False, "Spectral norm in A's residual blocks."),
  'coarse_map': Field(
    False,
    'Show A and D_A brows and nose as skin: they come from the control identity alone then.',
  ),
  'bilinear': Field(
    False,
    "Enlarge A's feature maps bilinearly; SPADE repeats pixels, and their cells can stay visible.",
  ),
  **bodies.FIELDS,
  'remat': adversaries.REMAT,
  'identity_from': Field(
    '',
    'Workdir of an `identity` run of the same preset, whose I is fine-tuned; empty starts I from '
    'scratch.',
    measured=True,
  ),
  'identity_size': Field(
    0,
    'Height to which pictures are halved for I, that of the run that `identity_from` names; 0 is '
    '`image_size`.',
    **at_least(0),
  ),
  'identity_weight': Field(1.0, 'Weight of L_id in eq. 1.', **at_least(0.0)),
  'identity_lr': Field(1e-4, "Adam's rate for I.", **between(0.0, 1.0)),
  'real_pairs_weight': Field(
    0.0,
    'Weight of the same loss between real faces, for I alone: it keeps I true to real people.',
    **at_least(0.0),
  ),
  'margin': Field(
    1.0, 'Distance at which L_id lets different identities be.', **between(0.01, 2.0)
  ),
  'adversarial_weight': Field(1.0, 'Weight of the LSGAN term of eq. 1.', **at_least(0.0)),
  'adversarial_from_step': Field(
    0,
    'Steps before which the LSGAN term has no weight in A and every control identity is the '
    "source's own.",
    **at_least(0),
  ),
  'reconstruction_share': Field(
    0.0, "Share of a batch whose control identity is the source's own.", **between(0.0, 1.0)
  ),
  'reconstruction_weight': Field(
    0.0,
    'Weight of the multi-scale L1 between A and the real foreground, own identities only.',
    **at_least(0.0),
  ),
  'perceptual_weight': Field(
    0.0, 'Weight of the perceptual term, own identities only.', **at_least(0.0)
  ),
  'perceptual_network': adversaries.perceptual_network('none'),
  'r1_weight': Field(0.0, 'Weight of the R1 penalty on D_A; 0 leaves it out.', **at_least(0.0)),
  'real_label': Field(1.0, 'What D_A is to say of real faces.', **between(0.5, 1.0)),
  'augment_brightness': Field(
    0.0, 'DiffAugment on D_A: largest change, in units of [-1, 1].', **between(0.0, 2.0)
  ),
  'augment_translation': Field(
    0.0, 'DiffAugment on D_A: largest shift, as a share of the side.', **between(0.0, 1.0)
  ),
  'augment_cutout': Field(
    0.0, 'DiffAugment on D_A: side of the blanked square, as a share.', **between(0.0, 1.0)
  ),
  **adversaries.discriminator('D_A'),
  'discriminator_smooth': Field(False, 'Blur before each strided layer of D_A, against grids.'),
  'discriminator_projection': Field(
    False, 'Let D_A also judge whether a face is that of the control identity.'
  ),
  'sample_controls': Field(5, 'Control identities of a sample sheet.', **between(1, 32)),
  'eval_outputs': Field(
    2000,
    'Outputs that a recogniser compares with real people in evaluation.',
    **at_least(2),
    measured=True,
  ),
  'diversity_maps': Field(
    10,
    'Maps for which distinct nearest identities are counted; 0 leaves it out.',
    **at_least(0),
    measured=True,
  ),
  'diversity_controls': Field(
    50, 'Control identities of each of these maps.', **at_least(1), measured=True
  ),
  'gallery_images': Field(
    8,
    'Real pictures at most that stand for a training identity in evaluation.',
    **at_least(1),
    measured=True,
  ),
}

# What makes a run that a test can wait for.
TINY = (
  adversaries.TINY
  | identity.TINY_BATCHES
  | {
    'perceptual_weight': 0.0,
    'sample_controls': 2,
    'eval_outputs': 24,
    'diversity_maps': 2,
    'diversity_controls': 3,
    'gallery_images': 2,
  }
)


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  identity.check_together(values)
  if values['image_size'] not in _SIZES:
    raise ConfigError(
      f'config.image_size={values["image_size"]} cannot be painted by A; give one of '
      f'{list(_SIZES)}.'
    )
  times, rest = divmod(values['image_size'], values['identity_size'] or values['image_size'])
  if rest or times.bit_count() != 1:
    raise ConfigError(
      f'config.identity_size={values["identity_size"]} is not image_size={values["image_size"]} '
      'halved some times; give such a height, or 0.'
    )
  adversaries.check_discriminator(values)
  for name in ('reconstruction_weight', 'perceptual_weight'):
    own = values['reconstruction_share'] or values['adversarial_from_step']
    if values[name] and not own:
      raise ConfigError(
        f"config.{name}={values[name]} holds A to its source's own face, but no control identity "
        "is the source's own; set reconstruction_share above 0."
      )
