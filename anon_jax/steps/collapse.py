"""What tells that a GAN collapses: how well D tells, and how different painted pictures are."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from anon_jax.losses.adversarial import FAKE_LABEL, REAL_LABEL
from anon_jax.steps.stage import Metrics

Logits = jax.Array | Sequence[jax.Array]
_LEAST = 1e-3  # of a deviation that a ratio is taken to: half a grey level of [-1, 1] is more


def accuracies(
  real_logits: Logits, fake_logits: Logits, letter: str, real_label: float = REAL_LABEL
) -> Metrics:
  """Returns the shares of a discriminator's answers that are on the right side.

  Args:
    real_logits: answers to real pictures, of any shape or one array a scale.
    fake_logits: answers to painted ones.
    letter: under which the discriminator is logged.
    real_label: what it is to say of real pictures; the middle between the labels divides.

  Returns:
    `LETTER_real_accuracy` and `LETTER_fake_accuracy`, float32 in [0, 1], scales of equal weight.
  """
  middle = (real_label + FAKE_LABEL) / 2
  return {
    f'{letter}_real_accuracy': _share(real_logits, lambda x: x > middle),
    f'{letter}_fake_accuracy': _share(fake_logits, lambda x: x < middle),
  }


def diversity(fakes: jax.Array, reals: jax.Array, letter: str) -> Metrics:
  """Returns the deviation over a batch of painted pictures over that of real ones.

  Args:
    fakes: [b, s, s, c].
    reals: of the same shape.
    letter: under which the painter is logged.

  Returns:
    `LETTER_diversity`, float32: about 1 where painted pictures differ as real ones do, 0 where all
    are the same. Nothing for a batch of one picture, which does not tell.
  """
  if len(fakes) < 2:
    return {}
  return {f'{letter}_diversity': _deviation(fakes) / jnp.maximum(_deviation(reals), _LEAST)}


def _deviation(pictures: jax.Array) -> jax.Array:
  return jnp.mean(jnp.std(pictures.astype(jnp.float32), axis=0))


def _share(logits: Logits, right: Callable[[jax.Array], jax.Array]) -> jax.Array:
  scales = list(logits) if isinstance(logits, list | tuple) else [jnp.asarray(logits)]
  shares = [jnp.mean(right(scale.astype(jnp.float32)).astype(jnp.float32)) for scale in scales]
  return jnp.stack(shares).mean()
