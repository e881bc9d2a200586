"""Stops a run whose numbers are no longer finite, and says which and since when."""

import collections
from collections.abc import Mapping

import jax

from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.state import Net
from anon_jax.steps import finite

_REMEMBERED = 1000  # steps whose flags stay on the device until somebody looks


class Diverged(RuntimeError):
  """A metric, a gradient or a parameter is not finite; the last checkpoint is from before it."""


class Divergence:
  """Keeps the flags of `steps.finite` on the device, and reads them when asked."""

  def __init__(self, saved: Checkpoints):
    self._saved = saved
    self._names: list[str] = []
    self._unseen: collections.deque = collections.deque(maxlen=_REMEMBERED)

  def note(self, step: int, metrics: Mapping[str, jax.Array], nets: Mapping[str, Net]) -> None:
    """Remembers a step's flags; nothing is waited for."""
    if not self._names:
      self._names = finite.names(metrics, nets)
    self._unseen.append((step, metrics[finite.FLAGS]))

  def require_finite(self, step: int) -> None:
    """Reads the flags that were noted since the last time.

    Args:
      step: updates applied.

    Raises:
      Diverged: something was not finite; names it as of the first step where that was so.
    """
    flags = jax.device_get(list(self._unseen))
    self._unseen.clear()
    for since, good in flags:
      bad = [name for name, fine in zip(self._names, good, strict=True) if not fine]
      if bad:
        raise Diverged(self._message(int(since), step, bad))

  def _message(self, since: int, step: int, bad: list[str]) -> str:
    when = f'at step {step}' if since == step else f'since step {since}, found at step {step}'
    failed = ''
    try:
      self._saved.wait()
    except CheckpointError as error:
      failed = f' Besides: {error}'
    latest = self._saved.latest()
    before = f'the last checkpoint, step {latest}, is from before it'
    before = 'no checkpoint was written' if latest is None else before
    return (
      f'not finite {when}: {", ".join(bad)}; {before}. Running again repeats the same '
      f'steps: start in another --workdir with lower learning rates or another seed.{failed}'
    )
