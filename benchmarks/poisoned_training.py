"""`anon_jax.main` with NaN in one place of its step; for `kill_training.py`.

python benchmarks/poisoned_training.py g_loss|d_loss|gradients|parameters [anon_jax.main's flags]
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
from absl import app

from anon_jax import main, optim
from anon_jax.losses import adversarial


def poison(place: str) -> None:
  """Puts NaN where `place` says, from the first step of this process on."""
  if place in ('g_loss', 'd_loss'):
    name = {'g_loss': 'lsgan_generator', 'd_loss': 'lsgan_discriminator'}[place]
    original = getattr(adversarial, name)
    setattr(adversarial, name, lambda *given, **named: original(*given, **named) * jnp.nan)
    return
  update = optim.update

  def poisoned(net: Any, grads: Any, optimizer: Any) -> Any:
    if place == 'gradients':
      return update(net, jax.tree.map(lambda leaf: leaf * jnp.nan, grads), optimizer)
    new = update(net, grads, optimizer)
    return new.replace(params=jax.tree.map(lambda leaf: leaf * jnp.nan, new.params))

  optim.update = poisoned


if __name__ == '__main__':
  poison(sys.argv.pop(1))
  app.run(main._guarded, flags_parser=main._parse)
