"""The losses of the stages that paint control identities (eq. 1 and 3, and what small data need).

`ex` is what one step takes from its batch beside parameters: `Guided` makes it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from anon_jax.losses import adversarial, diffaugment, perceptual, reconstruction
from anon_jax.losses.regularisation import r1_penalty
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.perceptual import PerceptualNet
from anon_jax.steps import collapse, controls
from anon_jax.steps.guided_parts import GuidedOptions
from anon_jax.steps.stage import Metrics


class Judged(NamedTuple):
  """What a discriminator is shown beside painted pictures.

  Attributes:
    real: real pictures, [b, s, s, 3].
    conditions: [b, s, s, .] each, seen beside real and painted pictures alike.
  """

  real: jax.Array
  conditions: list[jax.Array]


class Judge(NamedTuple):
  """A discriminator, and the letters under which it and its opponent are logged."""

  net: MultiScaleDiscriminator
  letter: str
  opponent: str

  def __call__(
    self, params: Any, pictures: jax.Array, judged: Judged, who: jax.Array, changes: Any
  ) -> Any:
    """Returns logits of pictures, augmented; `who` are their identities, if it is to be told."""
    pictures, conditions = diffaugment.apply(changes, pictures, judged.conditions)
    told = who if self.net.identities else None
    return self.net.apply({'params': params}, pictures, conditions, told)


def discriminator_loss(
  params: Any,
  judge: Judge,
  judged: Judged,
  fakes: jax.Array,
  ex: dict[str, Any],
  o: GuidedOptions,
) -> tuple[jax.Array, Metrics]:
  """Eq. 3, with R1 where it is wanted."""

  def judge_real(pictures: jax.Array) -> Any:
    return judge(params, pictures, judged, ex['identity'], ex['changes'])

  real_logits = judge_real(judged.real)
  fake_logits = judge(params, fakes, judged, ex['control'], ex['changes'])
  loss = adversarial.lsgan_discriminator(real_logits, fake_logits, o.real_label)
  terms = {f'{judge.letter}_loss': loss}
  terms |= collapse.accuracies(real_logits, fake_logits, judge.letter, o.real_label)
  if o.r1_weight:
    penalty = terms[f'{judge.letter}_r1'] = r1_penalty(judge_real, judged.real)
    loss += o.r1_weight * penalty
  return loss, terms


def identity_terms(
  net: IdentityNet,
  params: Any,
  fakes: jax.Array,
  real: jax.Array,
  ex: dict[str, Any],
  margin: float,
) -> Metrics:
  """L_id between painted and real foregrounds, and the same loss between real ones."""
  embeddings: Any = net.apply({'params': params}, jnp.concatenate([fakes, real]))
  painted, known = embeddings[: len(fakes)], embeddings[len(fakes) :]
  return {
    'g_identity': controls.contrast(painted, known, ex['partners'], margin),
    'i_real_pairs': controls.contrast(known, known, ex['real_partners'], margin),
  }


def own_identity_terms(
  net: PerceptualNet | None,
  params: Any,
  real: jax.Array,
  fakes: jax.Array,
  ex: dict[str, Any],
  o: GuidedOptions,
) -> tuple[jax.Array, Metrics]:
  """What holds painted pictures to the real ones, in rows of the source's own identity only.

  Args:
    net: frozen network of the perceptual term, or None.
    params: its weights.
    real: real pictures [b, s, s, 3].
    fakes: painted ones.
    ex: of the step.
    o: plain numbers.

  Returns:
    The weighted sum, and its terms.
  """
  total, terms = jnp.zeros(()), {}
  own = ex['own'][:, None, None, None]
  if o.reconstruction_weight:
    mask = jnp.where(own, ex['mask'], 0.0)
    terms['g_l1'] = reconstruction.foreground_l1(real, fakes, mask)
    total += o.reconstruction_weight * terms['g_l1']
  if net and o.perceptual_weight:
    shown = jnp.where(own, fakes, real)  # equal pictures: no loss and no gradient
    share = jnp.maximum(jnp.mean(ex['own'].astype(jnp.float32)), 1 / len(fakes))
    terms['g_perceptual'] = perceptual.perceptual_loss(net, params, real, shown) / share
    total += o.perceptual_weight * terms['g_perceptual']
  return total, terms
