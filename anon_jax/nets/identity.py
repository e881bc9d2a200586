"""IdentityNet (I): the siamese network that judges whose face it sees (paper 3.1, 3.4)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import blocks
from anon_jax.nets.convolution import Conv
from anon_jax.nets.embedding import normalise

DIMENSIONS = 128
# Channels by stage, two residual blocks each. 'base' has ResNet-18's widths: 15.4 M parameters, 4.2
# GFLOP for a crop of 128 px. 'small' has half of them: 3.3 M, .25 GFLOP at 64 px. 'tiny' is for
# tests.
WIDTHS = {
  'base': (64, 128, 256, 512),
  'small': (32, 64, 128, 256),
  'tiny': (8, 16),
}
_BLOCKS = 2  # residual blocks a stage, as in ResNet-18


class IdentityNet(nn.Module):
  """A ResNet-18-like network (He et al. 2016), crop -> embedding of unit length.

  What differs from ResNet-18, and why:

  - Group norm. With batch norm an embedding would depend on the other faces of its batch: the
    pictures of one identity that the sampler puts side by side would betray each other in
    training, and evaluation, one device and eight would each see another network. Instance norm
    would take away each channel's mean, and with it the skin's tone.
  - Sides are halved by averaging and by no more than 2 ** stages in all: crops have 64 or 128
    pixels and not 224, and A learns from this network's gradient, in which strided convolutions
    leave a grid.
  - Pre-activation blocks, those of the other networks.
  - The last feature map is projected as it is and not averaged (as in ArcFace, Deng et al. 2019,
    3.2.2): faces are aligned, so places in it mean something. Parameters fit one size of crops.

  Attributes:
    widths: channels by stage; each stage halves the sides.
    dimensions: numbers in an embedding.
    dtype: computation dtype; parameters, norms and the embedding stay float32.
  """

  widths: tuple[int, ...] = WIDTHS['base']
  dimensions: int = DIMENSIONS
  dtype: Any = jnp.float32

  def __call__(self, crops: jax.Array) -> jax.Array:
    """Maps crops [b, h, w, 3], RGB in [-1, 1], to float32 embeddings [b, dimensions] of length 1.

    Raises:
      ValueError: as `project`.
    """
    return normalise(self.project(crops))

  @nn.compact
  def project(self, crops: jax.Array) -> jax.Array:
    """Maps crops [b, h, w, 3], RGB in [-1, 1], to float32 [b, dimensions] of any length.

    Raises:
      ValueError: crops of another form, or sides that are no multiples of 2 ** stages.
    """
    factor = 2 ** len(self.widths)
    if crops.ndim != 4 or crops.shape[-1] != 3 or any(side % factor for side in crops.shape[1:3]):
      raise ValueError(
        f'Crops have shape {crops.shape}; expected [b, h, w, 3] with h and w multiples of {factor}.'
      )
    x = crops.astype(self.dtype)
    x = Conv(self.widths[0], (3, 3), dtype=self.dtype, name='stem')(x)  # [b h w widths[0]]
    for stage, width in enumerate(self.widths):
      x = blocks.downsample(x)
      for number in range(_BLOCKS):
        name = f'stage{stage}_block{number}'
        x = blocks.ResidualBlock(width, self.dtype, name=name)(x)  # [b h/2^(stage+1) . width]
    x = nn.swish(blocks.group_norm(x.shape[-1], 'norm')(x))
    x = x.reshape(x.shape[0], -1)  # [b h/2^stages * w/2^stages * widths[-1]]
    return nn.Dense(self.dimensions, dtype=jnp.float32, name='embedding')(x)
