"""How well H gives clips their colours back, and how much it flickers where the clip does not.

The same for a recurrent H and for one that works frame by frame: both are given the same runs of
frames, recoloured in the same way.
"""

from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import compiling
from anon_jax.evaluation import quality
from anon_jax.evaluation.harmonization import Measure
from anon_jax.evaluation.lpips import Lpips
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage


def flicker(target: jax.Array, output: jax.Array, mask: jax.Array) -> jax.Array:
  """Mean absolute difference of the changes from frame to frame, as a share of the range.

  Where the target moves the output should move alike; a colour that is off but stays off counts
  nothing.

  Args:
    target: [b, n, s, s, 3] in [-1, 1].
    output: the same.
    mask: [b, n, s, s, 1] of zeros and ones; pixels count that are in it in both frames.

  Returns:
    float32 [b]; 0 for a single frame.
  """
  if target.shape[1] < 2:
    return jnp.zeros(len(target))
  off = jnp.abs(jnp.diff(target, axis=1) - jnp.diff(output, axis=1)) / 2
  both = mask[:, 1:] * mask[:, :-1]
  count = jnp.sum(both, axis=(1, 2, 3, 4)) * target.shape[-1]
  return jnp.sum(off * both, axis=(1, 2, 3, 4)) / jnp.maximum(count, 1.0)


def make_measure(stage: Stage, distance: tuple[Lpips, Any] | None = None) -> Measure:
  """Compiles what is measured on a batch of clips; to be made once and used at every evaluation.

  Args:
    stage: a harmonize_video stage.
    distance: from `load_lpips`, its parameters on the devices; None leaves tLP out.

  Returns:
    As `harmonization.make_measure`, one row a clip: means over its frames, and `flicker`; with a
    distance also `tlp` (the clip itself is the input) and `consecutive`, of the clip itself as
    `target/consecutive`. Whole frames count, as their backgrounds are the same.
  """
  net, weights = distance if distance else (None, None)

  def measure(state: TrainState, batch: dict[str, jax.Array], weights: Any) -> dict[str, jax.Array]:
    shown = stage.predict(state, batch)
    target, mask = shown['target'], shown['mask']
    rows = {'covered': mask.sum(axis=(1, 2, 3, 4)), '_mask': batch['_mask']}
    own = net.consecutive(weights, target) if net else None
    if own is not None:
      rows['target/consecutive'] = own.mean(axis=1)
    for who, name in (('method', 'output'), ('baseline', 'recoloured')):
      given = [_flat(value) for value in (target, shown[name], mask)]
      for metric, compute in quality.METRICS.items():
        rows[f'{who}/{metric}'] = compute(*given).reshape(target.shape[:2]).mean(axis=1)
      rows[f'{who}/flicker'] = flicker(target, shown[name], mask)
      if net and own is not None:
        steps = net.consecutive(weights, shown[name])
        rows[f'{who}/tlp'] = jnp.abs(steps - own).mean(axis=1)
        rows[f'{who}/consecutive'] = steps.mean(axis=1)
    return rows

  compiled = compiling.jit(measure)  # weights are an argument: closed over, they would be constants
  return lambda state, batch: compiled(state, batch, weights)


def _flat(clips: Any) -> jax.Array:
  return clips.reshape(-1, *clips.shape[2:])
