"""The conditional two-scale PatchGAN discriminators D_A and D_H (design 2; Isola et al. 2017)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import blocks


class PatchDiscriminator(nn.Module):
  """Scores overlapping patches of a picture; 4x4 convolutions, leaky ReLU of slope .2.

  Attributes:
    width: channels of the first layer; doubled by each further one, up to 8 times.
    layers: strided convolutions.
    dtype: computation dtype; parameters stay float32.
  """

  width: int = 64
  layers: int = 3
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, h, w, c] to logits [b, h', w', 1], float32."""
    x = x.astype(self.dtype)
    for index in range(self.layers + 1):
      strided = index < self.layers
      x = nn.Conv(
        min(self.width * 2**index, self.width * 8),
        (4, 4),
        strides=2 if strided else 1,
        padding=1 if strided else ((2, 1), (2, 1)),
        use_bias=index == 0,  # a norm takes it away again
        dtype=self.dtype,
        name=f'conv{index}',
      )(x)
      if index:
        x = blocks.instance_norm(f'norm{index}')(x)
      x = nn.leaky_relu(x, 0.2).astype(self.dtype)
    logits = nn.Conv(1, (4, 4), padding=((2, 1), (2, 1)), dtype=self.dtype, name='logits')(x)
    return logits.astype(jnp.float32)


class MultiScaleDiscriminator(nn.Module):
  """The same kind of PatchGAN at full and at halved resolutions (Wang et al. 2018).

  Attributes:
    scales: number of resolutions.
    width: channels of each first layer.
    layers: strided convolutions of each PatchGAN.
    dtype: computation dtype; parameters stay float32.
  """

  scales: int = 2
  width: int = 64
  layers: int = 3
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, conditions: Sequence[jax.Array]) -> list[jax.Array]:
    """Scores images [b, h, w, 3] beside conditions [b, h, w, .]; one array of logits a scale."""
    x = jnp.concatenate([images, *conditions], axis=-1)
    logits = []
    for scale in range(self.scales):
      if scale:
        x = blocks.downsample(x)
      net = PatchDiscriminator(self.width, self.layers, self.dtype, name=f'scale{scale}')
      logits.append(net(x))
    return logits
