"""Stage `joint`: A and H trained together, no proxy task (paper 4.1, Table 1, configuration 2)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from anon_jax.nets import harmonization
from anon_jax.nets.anonymization import Modulations, masked
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.steps import blended
from anon_jax.steps.blended import BlendedOptions
from anon_jax.steps.guided import Guided, Painter, Seen
from anon_jax.steps.guided_losses import Judge, Judged
from anon_jax.steps.guided_parts import Nets
from anon_jax.steps.stage import Batch, Stage


class BlendingNets(NamedTuple):
  """The modules that blend A's faces.

  Attributes:
    harmonizer: H.
    discriminator: D_H; sees final pictures beside the mask and the appearance condition.
  """

  harmonizer: HarmonizationNet
  discriminator: MultiScaleDiscriminator


def make_joint_stage(
  nets: Nets,
  blending: BlendingNets,
  options: BlendedOptions,
  identity_params: Any = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  L_id is taken of A's faces, before H: that A decides who is painted and H how it is blended is
  what this configuration has in common with the two-step one, and only H's training differs. On
  H's output L_id would ask H for features of people too.

  The L1 and perceptual terms of eq. 2 need the original as their target, so they can hold rows of
  the source's own identity only (`reconstruction_share`); there they are taken of H's output.

  Args:
    nets: A, D_A, which sees A's foregrounds beside the one-hot map, and I.
    blending: H and D_H; D_H's gradient goes through H into A.
    options: plain numbers; `generator_lr` is A's and H's, `discriminator_lr` D_A's and D_H's.
    identity_params: what I starts from (host arrays); None starts it from scratch.
    perceptual_params: published weights of the perceptual network.

  Returns:
    A stage with the batches of stage `anonymize`.
  """
  task = _Joint(nets, blending, options)
  return task.stage('joint', identity_params, perceptual_params)


class _Joint(Guided):
  """A paints, H blends, each before a discriminator of its own."""

  def __init__(self, nets: Nets, blending: BlendingNets, options: BlendedOptions):
    super().__init__(nets, options)
    self._blending = options
    self.painters['harmonizer'] = Painter(blending.harmonizer, 'h')
    self.judges['harmonizer_discriminator'] = Judge(blending.discriminator, 'dh', 'h')

  def see(self, batch: Batch) -> Seen:
    seen = self.basics(batch)
    seen |= blended.surroundings(seen, self._blending)
    judged = {
      'discriminator': Judged(seen['real'], [seen['classes']]),
      'harmonizer_discriminator': Judged(seen['reachable'], [seen['mask'], seen['condition']]),
    }
    return seen | {'judged': judged}

  def starts(self, seen: Seen) -> dict[str, tuple[Any, ...]]:
    inputs = harmonization.harmonizer_inputs(seen['mask'], seen['background'], seen['condition'])
    return super().starts(seen) | {'harmonizer': (inputs,)}

  def paint(
    self, params: Any, seen: Seen, modulations: Modulations, mixtures: jax.Array
  ) -> dict[str, jax.Array]:
    faces = self.apply('generator', params, modulations, mixtures, method='paint')
    background, condition, mask = blended.repeated(seen, len(mixtures))
    pasted = jnp.where(mask > 0, faces, background)
    inputs = harmonization.harmonizer_inputs(mask, pasted, condition)
    rgb = self.apply('harmonizer', params, inputs)
    width = self._blending.feather
    return {
      'discriminator': masked(faces, mask),
      'harmonizer_discriminator': harmonization.composite(rgb, background, condition, mask, width),
    }
