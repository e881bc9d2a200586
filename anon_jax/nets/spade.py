"""Spatially-adaptive denormalization (Park et al. 2019): the residual blocks of AnonymizationNet.

What a block takes from the semantic map, its modulations, is computed apart from what it does with
them: they depend on the map alone and serve any number of identities.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets.convolution import Conv
from anon_jax.nets.normalization import instance_norm

_POWER_ITERATIONS = 8


class Modulation(nn.Module):
  """Turns a semantic map into a scale and a shift for every pixel and channel.

  Attributes:
    width: channels that are modulated.
    hidden: channels of the layer that reads the map, shared by scale and shift.
    dtype: computation dtype; parameters stay float32.
  """

  width: int
  hidden: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, classes: jax.Array) -> jax.Array:
    """Maps one-hot classes [b, h, w, k] to [b, h, w, 2 * width]: scales, then shifts."""
    x = Conv(self.hidden, (3, 3), dtype=self.dtype, name='shared')(classes.astype(self.dtype))
    return Conv(2 * self.width, (3, 3), dtype=self.dtype, name='scale_shift')(nn.relu(x))


def modulate(normed: jax.Array, modulation: jax.Array) -> jax.Array:
  """Scales [n, h, w, c] by 1 + gamma and shifts it by beta; `modulation` is [1 or n, h, w, 2c]."""
  gamma, beta = jnp.split(modulation, 2, axis=-1)
  return normed * (1 + gamma) + beta


class SpadeBlock(nn.Module):
  """Norm, modulation, activation, convolution, twice, beside a shortcut.

  The shortcut is learned, and modulated too, where the widths differ.

  Attributes:
    width_in: input channels.
    width: output channels.
    hidden: channels of each modulation's shared layer.
    spectral: divides the convolutions by their spectral norms.
    dtype: computation dtype; parameters stay float32. Norms are float32.
  """

  width_in: int
  width: int
  hidden: int
  spectral: bool = False
  dtype: Any = jnp.float32

  def setup(self) -> None:
    inner = min(self.width_in, self.width)
    self.modulation1 = Modulation(self.width_in, self.hidden, self.dtype)
    self.modulation2 = Modulation(inner, self.hidden, self.dtype)
    # A norm follows the first convolution and would take its bias away.
    self.conv1 = self._conv(inner, 3, use_bias=False)
    self.conv2 = self._conv(self.width, 3, use_bias=True)
    if self.width_in != self.width:
      self.modulation_shortcut = Modulation(self.width_in, self.hidden, self.dtype)
      self.shortcut = self._conv(self.width, 1, use_bias=False)  # conv2 has one

  def _conv(self, width: int, size: int, use_bias: bool) -> nn.Module:
    layer: Any = Conv
    if self.spectral:
      layer = nn.map_variables(Conv, 'params', divide_by_spectral_norm, init=self.is_initializing())
    return layer(width, (size, size), use_bias=use_bias, dtype=self.dtype)

  def modulations(self, classes: jax.Array) -> tuple[jax.Array, ...]:
    """Maps one-hot classes [b, h, w, k] to what `__call__` needs of them."""
    found: tuple[jax.Array, ...] = (self.modulation1(classes), self.modulation2(classes))
    if self.width_in != self.width:
      found += (self.modulation_shortcut(classes),)
    return found

  def __call__(self, x: jax.Array, modulations: tuple[jax.Array, ...]) -> jax.Array:
    """Maps [n, h, w, width_in] to [n, h, w, width]; the modulations are of one map or of n."""
    normed = instance_norm(x)  # float32, for the block and its shortcut
    inner = self.conv1(self._activate(modulate(normed, modulations[0])))
    inner = self.conv2(self._activate(modulate(instance_norm(inner), modulations[1])))
    if self.width_in == self.width:
      return x + inner
    return self.shortcut(modulate(normed, modulations[2]).astype(self.dtype)) + inner

  def _activate(self, x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2).astype(self.dtype)


def divide_by_spectral_norm(params: Any) -> Any:
  """Divides convolution kernels by their largest singular value (Miyato et al. 2018).

  The value comes from a power iteration that starts from the same vector at each call. A vector
  kept from step to step would be a little nearer, but would have to be trained state: this way the
  same function serves training, sampling and export, and costs under 1 % of a batch.

  Args:
    params: a tree of parameters; leaves of rank 4 (kernels [h, w, in, out]) are divided.

  Returns:
    The same tree. The gradient passes through the kernels, not through the iteration.
  """

  def divided(leaf: jax.Array) -> jax.Array:
    if leaf.ndim != 4:
      return leaf
    matrix = leaf.reshape(-1, leaf.shape[-1])
    frozen = jax.lax.stop_gradient(matrix)
    right = jax.random.normal(jax.random.key(0), (leaf.shape[-1],))
    for _ in range(_POWER_ITERATIONS):
      left = _unit(frozen @ right)
      right = _unit(left @ frozen)
    return leaf / jnp.maximum(left @ matrix @ right, 1e-6)

  return jax.tree.map(divided, params)


def _unit(vector: jax.Array) -> jax.Array:
  return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
