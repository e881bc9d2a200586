"""The conditional two-scale PatchGAN discriminators D_A and D_H (design 2; Isola et al. 2017)."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax.nets import blocks
from anon_jax.nets.convolution import Conv
from anon_jax.nets.normalization import instance_norm

_BINOMIAL = (1 / 8, 3 / 8, 3 / 8, 1 / 8)
_EXACT = jax.lax.Precision.HIGHEST


@functools.lru_cache(maxsize=32)
def _binomial_matrix(size: int) -> np.ndarray:
  """Returns the [size, size] float32 matrix whose product with a column is its smoothed self."""
  matrix = np.zeros((size, size), np.float32)
  for row in range(size):
    for offset, weight in enumerate(_BINOMIAL, start=-1):
      matrix[row, min(max(row + offset, 0), size - 1)] += weight
  return matrix


def smooth(x: jax.Array) -> jax.Array:
  """Blurs [b, h, w, c] by the binomial filter [1, 3, 3, 1] / 8 along both sides (Zhang 2019).

  The finest grid, pixels of alternating sign, becomes 0. The border is continued by its own
  values: a constant picture stays constant. The result lies half a pixel to the lower right.
  """
  b, h, w, c = x.shape
  # Products with matrices: shifted sums are as fast on a CPU, but their gradient takes ten times
  # as long, a convolution of each channel by itself longer still.
  rows, columns = (_binomial_matrix(side).astype(x.dtype) for side in (h, w))
  x = jnp.einsum('ih,bhk->bik', rows, x.reshape(b, h, w * c), precision=_EXACT)
  return jnp.einsum('jw,bhwc->bhjc', columns, x.reshape(b, h, w, c), precision=_EXACT)


class ClassProjection(nn.Module):
  """Judges pooled features as those of an identity (Miyato and Koyama 2018).

  Attributes:
    identities: number of control identities.
    width: features that are compared.
    dtype: computation dtype; parameters stay float32.
  """

  identities: int
  width: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, pooled: jax.Array, identity: jax.Array) -> jax.Array:
    """Maps pooled features [b, p] and mixtures [b, identities] to logits [b, 1], float32."""
    x = nn.Dense(self.width, dtype=self.dtype, name='features')(pooled.astype(self.dtype))
    x = nn.leaky_relu(x, 0.2)  # [b width]
    unit = nn.initializers.normal(self.width**-0.5)  # rows of length ~1, however many there are
    wanted = nn.Dense(self.width, use_bias=False, kernel_init=unit, dtype=self.dtype, name='embed')(
      identity.astype(self.dtype)
    )  # [b width]
    plain = nn.Dense(1, dtype=self.dtype, name='logit')(x).astype(jnp.float32)
    product = x.astype(jnp.float32) * wanted.astype(jnp.float32)
    return plain + product.sum(axis=-1, keepdims=True)


class PatchDiscriminator(nn.Module):
  """Scores overlapping patches of a picture; 4x4 convolutions, leaky ReLU of slope .2.

  Attributes:
    width: channels of the first layer; doubled by each further one, up to 8 times.
    layers: strided convolutions.
    dtype: computation dtype; parameters stay float32.
    smooth: blurs before each strided convolution, against the grid that striding prints into the
      gradient and thereby into the generator's pictures.
    identities: above 0 adds one logit a picture that judges it as the asked identity's.
  """

  width: int = 64
  layers: int = 3
  dtype: Any = jnp.float32
  smooth: bool = False
  identities: int = 0

  @nn.compact
  def __call__(self, x: jax.Array, identity: jax.Array | None = None) -> list[jax.Array]:
    """Maps [b, h, w, c] to logits [b, h', w', 1], float32.

    Args:
      x: pictures with their conditions.
      identity: mixtures of control identities [b, identities], where there is a projection.

    Returns:
      The patches' logits and, where there is a projection, its logits [b, 1].

    Raises:
      ValueError: identities missing, of another form, or given without a projection.
    """
    expected = (x.shape[0], self.identities) if self.identities else None
    given = None if identity is None else identity.shape
    if given != expected:
      raise ValueError(f'The identities have shape {given}; this discriminator needs {expected}.')
    x = x.astype(self.dtype)
    pooled = []
    for index in range(self.layers + 1):
      strided = index < self.layers
      if strided and self.smooth:
        x = smooth(x)
      x = Conv(
        min(self.width * 2**index, self.width * 8),
        (4, 4),
        strides=2 if strided else 1,
        padding=1 if strided else ((2, 1), (2, 1)),
        use_bias=index == 0,  # a norm takes it away again
        dtype=self.dtype,
        name=f'conv{index}',
      )(x)
      # Pooled before the norm, which takes means away and with them the tone of a face.
      pooled.append(nn.leaky_relu(x, 0.2).astype(jnp.float32).mean(axis=(1, 2)))
      if index:
        x = instance_norm(x)
      x = nn.leaky_relu(x, 0.2).astype(self.dtype)
    logits = Conv(1, (4, 4), padding=((2, 1), (2, 1)), dtype=self.dtype, name='logits')(x)
    found = [logits.astype(jnp.float32)]
    if identity is not None:
      head = ClassProjection(self.identities, 8 * self.width, self.dtype, name='projection')
      found.append(head(jnp.concatenate(pooled, axis=-1), identity))
    return found


class MultiScaleDiscriminator(nn.Module):
  """The same kind of PatchGAN at full and at halved resolutions (Wang et al. 2018).

  Attributes:
    scales: number of resolutions.
    width: channels of each first layer.
    layers: strided convolutions of each PatchGAN.
    dtype: computation dtype; parameters stay float32.
    smooth: blurs before each strided convolution.
    identities: number of control identities of the class projections; 0 leaves them out.
  """

  scales: int = 2
  width: int = 64
  layers: int = 3
  dtype: Any = jnp.float32
  smooth: bool = False
  identities: int = 0

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    conditions: Sequence[jax.Array],
    identity: jax.Array | None = None,
  ) -> list[jax.Array]:
    """Scores images.

    Args:
      images: [b, h, w, 3].
      conditions: pictures [b, h, w, .] that are seen beside the images.
      identity: mixtures of control identities [b, identities]; given if and only if there are
        class projections.

    Returns:
      One array of float32 logits a scale [b, h', w', 1]; with class projections each is followed
      by the scale's global logits [b, 1]. The adversarial losses give all of them equal weight.

    Raises:
      ValueError: identities missing, of another form, or given without class projections.
    """
    x = jnp.concatenate([images, *conditions], axis=-1)
    logits = []
    for scale in range(self.scales):
      if scale:
        x = blocks.downsample(x)
      net = PatchDiscriminator(
        self.width, self.layers, self.dtype, self.smooth, self.identities, name=f'scale{scale}'
      )
      logits += net(x, identity)
    return logits
