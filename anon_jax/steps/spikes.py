"""Leaving out updates whose gradients are far larger than usual, decided on the device."""

import dataclasses

import jax
import jax.numpy as jnp

from anon_jax.state import Net, TrainState
from anon_jax.steps.stage import Batch, Metrics, Stage

_NET = 'spikes'  # kept among the networks, so that states without it are what they always were
_LEARNED_AFTER = 20  # updates before any is left out
_DECAY = 0.98


def skipping(stage: Stage, factor: float) -> Stage:
  """Returns a stage that leaves out updates by spikes; networks and averages stay as they were.

  What counts is the L2 norm over all of the step's `*grad_norm`, against a running average of it.
  A spike moves that average as if it were just at the limit: where gradients have become larger
  for good, updates go on after some steps. What is not finite is no spike: it stops the run.

  Args:
    stage: any stage.
    factor: how many times the average is a spike; 0 returns the stage as it is.

  Returns:
    A stage whose state has one more net, `spikes`, and whose metrics have `skipped_updates`, how
    many were left out since the run began.
  """
  if not factor:
    return stage

  def init(key: jax.Array) -> TrainState:
    state = stage.init(key)
    zero = jnp.zeros(())
    usual = {'mean': zero, 'seen': jnp.zeros(()), 'skipped': jnp.zeros(())}
    return state.replace(nets={**state.nets, _NET: Net(usual, ())})

  def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    nets = dict(state.nets)
    usual = nets.pop(_NET).params
    old = state.replace(nets=nets)
    new, metrics = stage.step(old, batch)
    squares = [value**2 for name, value in metrics.items() if name.endswith('grad_norm')]
    if not squares:
      raise ValueError(
        f'stage {stage.name!r} tells no gradient norm, which spikes are told by; use skip_spikes=0.'
      )
    norm, limit = jnp.sqrt(sum(squares[1:], start=squares[0])), factor * usual['mean']
    spike = (usual['seen'] >= _LEARNED_AFTER) & (norm > limit) & jnp.isfinite(norm)
    kept = jax.tree.map(
      lambda before, after: jnp.where(spike, before, after),
      (old.nets, old.ema),
      (new.nets, new.ema),
    )
    weight = 1 - jnp.minimum(_DECAY, usual['seen'] / (1 + usual['seen']))
    usual = {
      'mean': usual['mean'] + weight * (jnp.where(spike, limit, norm) - usual['mean']),
      'seen': usual['seen'] + 1,
      'skipped': usual['skipped'] + spike,
    }
    state = new.replace(nets={**kept[0], _NET: Net(usual, ())}, ema=kept[1])
    return state, {**metrics, 'skipped_updates': usual['skipped']}

  return dataclasses.replace(stage, init=init, step=step)
