"""Stage `single_stage`: one network paints and blends (paper 4.1, Table 1, configuration 1)."""

from typing import Any

import jax
import jax.numpy as jnp

from anon_jax.nets import harmonization
from anon_jax.nets.anonymization import Modulations
from anon_jax.steps import blended
from anon_jax.steps.blended import BlendedOptions
from anon_jax.steps.guided import Guided, Seen
from anon_jax.steps.guided_losses import Judged
from anon_jax.steps.guided_parts import Nets
from anon_jax.steps.stage import Batch, Stage


def make_single_stage(
  nets: Nets,
  options: BlendedOptions,
  identity_params: Any = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  Args:
    nets: the modules. The generator reads, beside the map, the picture without its foreground and
      the appearance condition; the discriminator sees whole pictures beside the one-hot map and
      the appearance condition; I sees their foregrounds.
    options: plain numbers.
    identity_params: what I starts from (host arrays); None starts it from scratch.
    perceptual_params: published weights of the perceptual network.

  Returns:
    A stage with the batches of stage `anonymize`.
  """
  return _SingleStage(nets, options).stage('single_stage', identity_params, perceptual_params)


class _SingleStage(Guided):
  """One generator and one discriminator of whole pictures."""

  def __init__(self, nets: Nets, options: BlendedOptions):
    super().__init__(nets, options)
    self._blending = options

  def see(self, batch: Batch) -> Seen:
    seen = self.basics(batch)
    seen |= blended.surroundings(seen, self._blending)
    judged = Judged(seen['reachable'], [seen['classes'], seen['condition']])
    return seen | {'judged': {'discriminator': judged}}

  def starts(self, seen: Seen) -> dict[str, tuple[Any, ...]]:
    (inputs,) = super().starts(seen).values()
    return {'generator': (*inputs, _conditions(seen))}

  def read(self, params: Any, seen: Seen) -> Modulations:
    return self.apply('generator', params, seen['map'], _conditions(seen), method='modulations')

  def paint(
    self, params: Any, seen: Seen, modulations: Modulations, mixtures: jax.Array
  ) -> dict[str, jax.Array]:
    rgb = self.apply('generator', params, modulations, mixtures, method='paint')
    background, condition, mask = blended.repeated(seen, len(mixtures))
    width = self._blending.feather
    return {
      'discriminator': harmonization.composite(rgb, background, condition, mask, width),
    }


def _conditions(seen: Seen) -> jax.Array:
  return jnp.concatenate([seen['background'], seen['condition']], axis=-1)
