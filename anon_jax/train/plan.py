"""How long a run is, how often it does what, and where it writes."""

import dataclasses
import pathlib
from typing import NamedTuple

from anon_jax.checkpoints import NEWEST_ONLY, Best


class Plan(NamedTuple):
  """Length and cadences of a run, in steps; 0 means at the end only."""

  total_steps: int
  log_every: int
  checkpoint_every: int
  eval_every: int = 0
  sample_every: int = 0
  profile_steps: int = 0


def due(step: int, every: int, plan: Plan) -> bool:
  """True on each multiple of `every`, and always on the last step."""
  return step == plan.total_steps or (every > 0 and step % every == 0)


@dataclasses.dataclass(frozen=True)
class Run:
  """Where a run reads and writes.

  Attributes:
    workdir: folder of checkpoints, metrics and samples.
    plan: length and cadences.
    batch_size: examples a step over all hosts.
    seed: of the parameters and of the steps' randomness.
    keep_checkpoints: newest checkpoints kept.
    best: which checkpoint is kept beside them.
  """

  workdir: pathlib.Path
  plan: Plan
  batch_size: int
  seed: int
  keep_checkpoints: int
  best: Best = NEWEST_ONLY
