"""The one training loop, for every stage, and what it is told."""

from anon_jax.train.interrupt import Interrupt
from anon_jax.train.loop import Diverged, Evaluate, Outcome, new_state, train
from anon_jax.train.plan import Plan, Run, due

__all__ = [
  'Diverged',
  'Evaluate',
  'Interrupt',
  'Outcome',
  'Plan',
  'Run',
  'due',
  'new_state',
  'train',
]
