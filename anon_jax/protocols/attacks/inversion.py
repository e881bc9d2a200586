"""An attacker who has pairs: a U-Net learns to bring the original back from the anonymized face."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from tqdm import tqdm

from anon_jax import compiling
from anon_jax.losses import reconstruction
from anon_jax.nets import unet
from anon_jax.nets.convolution import Conv
from anon_jax.protocols.batches import in_batches
from anon_jax.proxy import to_signed

Embed = Callable[[jax.Array], jax.Array]
WIDTHS = (16, 32, 64, 96)
_BATCH, _RATE = 16, 2e-3
_L1 = 1.0  # weight beside the distance of the embeddings


class Inverter(nn.Module):
  """U-Net from an anonymized face to the original, both [b, h, w, 3] in [-1, 1].

  Attributes:
    widths: channels by level; sides are multiples of 2 ** (levels - 1).
  """

  widths: tuple[int, ...] = WIDTHS

  @nn.compact
  def __call__(self, faces: jax.Array) -> jax.Array:
    x = unet.features(faces, self.widths, jnp.float32)
    return jnp.tanh(faces + Conv(3, (3, 3), name='rgb')(x))


def train(
  anonymized: np.ndarray,
  originals: np.ndarray,
  embed: Embed,
  steps: int,
  seed: int,
  widths: tuple[int, ...] = WIDTHS,
) -> Callable[[np.ndarray], np.ndarray]:
  """Trains on pairs of people whom nobody looks for later.

  The loss is L1 and one minus the cosine of the recogniser's embeddings: the attacker has the
  recogniser that will judge, and wants the identity more than the looks.

  Args:
    anonymized: uint8 [n, h, w, 3], aligned faces.
    originals: the same, before.
    embed: the recogniser, faces [b, h, w, 3] in [-1, 1] -> unit vectors; traceable.
    steps: of training; 0 trains nothing, and faces come back nearly as they are.
    seed: of the parameters and the batches.
    widths: of the network; sides of faces are multiples of 2 ** (levels - 1).

  Returns:
    uint8 [m, h, w, 3] -> uint8 [m, h, w, 3].
  """
  net = Inverter(widths)
  variables: Any = net.init(jax.random.key(seed), jnp.zeros((1, *anonymized.shape[1:])))
  optimizer = optax.adam(optax.cosine_decay_schedule(_RATE, max(steps, 1)), b1=0.9)

  def loss(params: Any, faces: jax.Array, wanted: jax.Array) -> jax.Array:
    found: Any = net.apply({'params': params}, to_signed(faces))
    real = to_signed(wanted)
    cosines = jnp.sum(embed(found) * jax.lax.stop_gradient(embed(real)), axis=-1)
    return _L1 * reconstruction.l1(real, found) + jnp.mean(1 - cosines)

  @compiling.jit
  def step(params: Any, state: Any, faces: jax.Array, wanted: jax.Array) -> tuple[Any, Any]:
    gradients = jax.grad(loss)(params, faces, wanted)
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state

  params = variables['params']
  state, rng = optimizer.init(params), np.random.default_rng(seed)
  for _ in tqdm(range(steps), desc='training the inversion', file=sys.stderr, disable=None):
    rows = rng.integers(0, len(anonymized), _BATCH)
    params, state = step(params, state, anonymized[rows], originals[rows])
  run = compiling.jit(lambda p, faces: net.apply({'params': p}, to_signed(faces)))

  def invert(faces: np.ndarray) -> np.ndarray:
    found = in_batches(lambda rows: run(params, rows), _BATCH, 'inverting', faces)
    return np.round(np.clip(found * 127.5 + 127.5, 0, 255)).astype(np.uint8)

  return invert
