"""Least-squares adversarial losses (Mao et al. 2017) with the labels and halves of the paper.

The label of a generated image is a = 0 and the label of a real one b = 1 (the paper's eq. 1-3).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

FAKE_LABEL = 0.0
REAL_LABEL = 1.0

Logits = jax.Array | Sequence[jax.Array]


def lsgan_discriminator(
  real_logits: Logits, fake_logits: Logits, real_label: float = REAL_LABEL
) -> jax.Array:
  """Half the mean of (D(x) - 1)^2 plus half the mean of D(G(i))^2 (the paper's eq. 3).

  Args:
    real_logits: a discriminator's outputs for real images: one array of any shape, or one array
      per scale; the scales are averaged with equal weight.
    fake_logits: the same for generated images.
    real_label: what D is to say of real images; below 1 it is smoothed on one side.

  Returns:
    A float32 scalar.

  Raises:
    ValueError: no scale at all, or different numbers of scales.
  """
  real, fake = _scales(real_logits), _scales(fake_logits)
  if len(real) != len(fake):
    raise ValueError(f'{len(real)} scales of real logits, but {len(fake)} of generated ones.')
  return _half_square(real, real_label) + _half_square(fake, FAKE_LABEL)


def lsgan_generator(fake_logits: Logits) -> jax.Array:
  """Half the mean of (D(G(i)) - 1)^2 (the first term of the paper's eq. 1 and 2), float32.

  Args:
    fake_logits: a discriminator's outputs for generated images: one array of any shape, or one
      array per scale; the scales are averaged with equal weight.

  Raises:
    ValueError: no scale at all.
  """
  return _half_square(_scales(fake_logits), REAL_LABEL)


def _scales(logits: Logits) -> list[jax.Array]:
  scales = list(logits) if isinstance(logits, list | tuple) else [jnp.asarray(logits)]
  if not scales:
    raise ValueError('The sequence of logits is empty; expected one array per scale.')
  return scales


def _half_square(scales: list[jax.Array], label: float) -> jax.Array:
  means = [jnp.mean(jnp.square(scale.astype(jnp.float32) - label)) for scale in scales]
  return 0.5 * sum(means[1:], start=means[0]) / len(means)
