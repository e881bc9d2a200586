"""Prints the table of network sizes in docs/method.md: `python docs/count_networks.py`."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from anon_jax.nets import identity
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.nets.identity import IdentityNet


def count(net: nn.Module, *shapes: Any) -> tuple[float, float]:
  """Returns millions of parameters and GFLOP of one forward pass (a multiply and an add are two).

  Nothing is computed: shapes are traced, and XLA counts the operations of the traced program.

  Args:
    net: a network.
    shapes: its arguments, as arrays or trees of `jax.ShapeDtypeStruct`.
  """
  variables = jax.eval_shape(net.init, jax.random.key(0), *shapes)
  parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
  cost: Any = jax.jit(net.apply).lower(variables, *shapes).cost_analysis()
  return parameters / 1e6, cost['flops'] / 1e9


def picture(side: int, channels: int) -> jax.ShapeDtypeStruct:
  """Stands for a batch of one picture."""
  return jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)


def table() -> str:
  """Returns the rows of the table, as Markdown."""
  rows = []
  for preset, upscale in [('base', 1), ('base', 2), ('base', 4), ('small', 1), ('tiny', 1)]:
    net = HarmonizationNet(WIDTHS[preset], upscale)
    name = f'H, `{preset}`' + (f', `upscale` {upscale}' if upscale > 1 else '')
    rows.append((name, f'128 -> {128 * upscale}', *count(net, picture(128, 7))))
  for side in (128, 256, 512):
    shapes = picture(side, 3), [picture(side, 1), picture(side, 3)]
    rows.append(('D_H', f'{side}', *count(MultiScaleDiscriminator(), *shapes)))
  for stage, preset, side in [
    ('', 'base', 128),
    ('', 'small', 128),
    ('', 'small', 64),
    (' of `single_stage`', 'base', 128),
  ]:
    net = AnonymizationNet(234, widths_for(preset, side), HIDDEN[preset])
    asked = jax.ShapeDtypeStruct((1, 234), jnp.float32)
    maps = jax.ShapeDtypeStruct((1, side, side), jnp.uint8)
    # In the ablation also the picture without its foreground, and the appearance condition.
    beside = [picture(side, 6)] if stage else []
    counted = count(net, asked, maps, *beside)
    rows.append((f'A{stage}, `{preset}`, 234 identities', f'{side}', *counted))
  for preset, side in [('base', 128), ('small', 64)]:
    judge = IdentityNet(identity.WIDTHS[preset])
    rows.append((f'I, `{preset}`', f'{side}', *count(judge, picture(side, 3))))
  for name, conditions in [('D_A', [8]), ('D of `single_stage`', [8, 3])]:
    shapes = picture(128, 3), [picture(128, channels) for channels in conditions]
    rows.append((name, '128', *count(MultiScaleDiscriminator(), *shapes)))
  return '\n'.join(f'| {n} | {s} | {p:.2f} | {f:.1f} |' for n, s, p, f in rows)


if __name__ == '__main__':
  print(table())
