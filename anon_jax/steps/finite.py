"""Whether what a step has brought about is finite: looked at on the device, told when asked."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax.state import Net, TrainState
from anon_jax.steps.stage import Batch, Metrics

FLAGS = '_finite'
"""Name of the flags among a watched step's metrics."""

Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def watched(step: Step) -> Step:
  """Returns the step with one more metric, `FLAGS`: bool [n] in the order of `names`.

  Gradients are told by the optimizer's averages of them: one that is not finite stays in there.
  """

  def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    new, metrics = step(state, batch)
    flags = [jnp.all(jnp.isfinite(metrics[name])) for name in sorted(metrics)]
    flags += [_finite(new.nets[name].opt_state) for name in sorted(new.nets)]
    flags += [_finite(new.nets[name].params) for name in sorted(new.nets)]
    return new, {**metrics, FLAGS: jnp.stack(flags)}

  return run


def names(metrics: Iterable[str], nets: Mapping[str, Net]) -> list[str]:
  """Names what each flag is about.

  Args:
    metrics: names of the step's own metrics.
    nets: the state's networks.
  """
  own = sorted(name for name in metrics if name != FLAGS)
  of_nets = [f'{what} of {name}' for what in ('gradients', 'parameters') for name in sorted(nets)]
  return [*own, *of_nets]


def _finite(tree: Any) -> jax.Array:
  leaves = [
    leaf for leaf in jax.tree.leaves(tree) if leaf.size and jnp.issubdtype(leaf.dtype, jnp.floating)
  ]
  if not leaves:
    return jnp.array(True)
  # NaN is the largest of any numbers to jnp.max; on a CPU this takes half the time of isfinite.all
  return jnp.stack([jnp.isfinite(jnp.max(jnp.abs(leaf))) for leaf in leaves]).all()
