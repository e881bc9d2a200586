"""Stage `anonymize`: AnonymizationNet against D_A, and with IdentityNet (paper 3.3, eq. 1, 3)."""

from typing import Any

import jax

from anon_jax.nets.anonymization import Modulations, masked
from anon_jax.steps.guided import Guided, Seen
from anon_jax.steps.guided_losses import Judged
from anon_jax.steps.guided_parts import GuidedOptions, Nets
from anon_jax.steps.stage import Batch, Stage


def make_anonymize_stage(
  nets: Nets,
  options: GuidedOptions,
  identity_params: Any = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  Args:
    nets: the modules; D_A sees a foreground beside the one-hot map, and joints where A sees them.
    options: plain numbers.
    identity_params: what I starts from (host arrays); None starts it from scratch.
    perceptual_params: published weights of the perceptual network.

  Returns:
    A stage whose batches hold `image` uint8 [b, s, s, 3], `map` uint8 [b, s, s] and, in training,
    `identity_class` int32 [b] with `identities_per_batch` different classes. With an `aspect` of 2
    pictures are [b, s, s / 2, .], and with a `joint_sigma` batches hold `joints` [b, 18, 3]. Its
    final pictures have A's faces pasted into them as they are: no H is involved.
  """
  return _Anonymize(nets, options).stage('anonymize', identity_params, perceptual_params)


class _Anonymize(Guided):
  """A paints foregrounds; D_A and I see them alone."""

  def see(self, batch: Batch) -> Seen:
    seen = self.basics(batch)
    told = [seen[name] for name in ('classes', 'joints') if name in seen]  # what A was told
    return seen | {'judged': {'discriminator': Judged(seen['real'], told)}}

  def paint(
    self, params: Any, seen: Seen, modulations: Modulations, mixtures: jax.Array
  ) -> dict[str, jax.Array]:
    faces = self.apply('generator', params, modulations, mixtures, method='paint')
    return {'discriminator': masked(faces, seen['mask'])}
