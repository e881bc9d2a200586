"""Numbers and networks of the stages that paint control identities (paper 3.3)."""

import dataclasses
from typing import NamedTuple

from anon_jax.losses import adversarial, diffaugment
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.perceptual import PerceptualNet

_NO_AUGMENT = diffaugment.DiffAugment()


@dataclasses.dataclass(frozen=True)
class GuidedOptions:
  """Plain numbers of such a stage; the defaults are the paper's where it has any.

  Attributes:
    image_size: side of the crops in pixels; of crops that are not square their height.
    identities_per_batch: different identities of a batch.
    identity_weight: weight of L_id in eq. 1, for A and I.
    real_pairs_weight: weight of the contrastive loss between real faces, for I.
    margin: distance at which the contrastive loss lets different identities be.
    adversarial_weight: weight of each LSGAN term.
    adversarial_from_step: before it these terms have no weight and all controls are own.
    reconstruction_share: share of a batch whose control identity is the source's own.
    reconstruction_weight: weight of the multi-scale L1 of those rows.
    perceptual_weight: weight of their perceptual term.
    r1_weight: weight of R1 on the discriminators; 0 leaves it out.
    real_label: what the discriminators are to say of real pictures.
    augment: what is done to all that the discriminators see.
    generator_lr: Adam's rate for the networks that paint.
    discriminator_lr: Adam's rate for the discriminators.
    identity_lr: Adam's rate for I.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    decay_steps: steps over which the rates fall to a hundredth by a cosine; 0 keeps them.
    accumulate: steps whose gradients are averaged for one update.
    ema_decay: decay of the running averages of the networks that paint, and of I.
    sample_controls: control identities of a sample sheet.
    identity_size: height to which foregrounds are halved for I; 0 shows them as they are.
    aspect: height of a crop over its width.
    joint_sigma: spread of a joint in the heatmaps that A and D_A see beside the map, as a share of
      the height; 0 leaves joints out.
  """

  image_size: int
  identities_per_batch: int
  identity_weight: float = 1.0
  real_pairs_weight: float = 0.0
  margin: float = 1.0
  adversarial_weight: float = 1.0
  adversarial_from_step: int = 0
  reconstruction_share: float = 0.0
  reconstruction_weight: float = 0.0
  perceptual_weight: float = 0.0
  r1_weight: float = 0.0
  real_label: float = adversarial.REAL_LABEL
  augment: diffaugment.DiffAugment = _NO_AUGMENT
  generator_lr: float = 1e-4
  discriminator_lr: float = 4e-4
  identity_lr: float = 1e-4
  adam_b1: float = 0.5
  adam_b2: float = 0.999
  decay_steps: int = 0
  accumulate: int = 1
  ema_decay: float = 0.999
  sample_controls: int = 5
  identity_size: int = 0
  aspect: int = 1
  joint_sigma: float = 0.0


class Nets(NamedTuple):
  """The modules that every such stage has.

  Attributes:
    generator: A, or what stands in its place.
    discriminator: D_A, or what judges whole pictures in its place; one with class projections is
      told the control identity.
    identity: I; sees foregrounds, real and painted.
    perceptual: frozen network of the perceptual term, or None to leave the term out.
  """

  generator: AnonymizationNet
  discriminator: MultiScaleDiscriminator
  identity: IdentityNet
  perceptual: PerceptualNet | None = None
