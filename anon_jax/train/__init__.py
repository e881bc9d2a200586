"""The one training loop, for every stage, and what it is told."""

from anon_jax.train.divergence import Diverged
from anon_jax.train.interrupt import Interrupt
from anon_jax.train.loop import Evaluate, Outcome, train
from anon_jax.train.plan import Plan, Run, due
from anon_jax.train.start import new_state

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
