"""Checkpoints of a run: training state and data iterator, written by Orbax under one step."""

import pathlib
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from anon_jax.state import TrainState


class Checkpoints:
  """The checkpoints in one folder.

  A checkpoint appears under its final name only when it is whole; one that a crash cut short is
  never listed. Frozen weights are left out: they come from their own files.
  """

  def __init__(self, folder: pathlib.Path, keep: int):
    options = ocp.CheckpointManagerOptions(
      preservation_policy=checkpoint_managers.LatestN(keep),
      enable_async_checkpointing=True,
    )
    self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

  def latest(self) -> int | None:
    """Returns the newest step that was saved whole, None where there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: TrainState, data: grain.DatasetIterator) -> None:
    """Saves the state after `step` updates, and the iterator that has given `step` batches.

    Returns while the files are still being written; a failed write is raised by the next save
    or by `close`. A step that is there already is left alone.
    """
    if step in self._manager.all_steps():
      return
    saved = self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state.replace(frozen={})),
        data=grain.checkpoint.CheckpointSave(data),
      ),
    )
    if not saved:
      raise RuntimeError(f'Orbax declined to save step {step} and did not say why.')

  def restore(self, step: int, state: TrainState, data: grain.DatasetIterator) -> TrainState:
    """Returns the saved state, placed like `state`, and sets the iterator to where it was.

    Args:
      step: a saved step.
      state: a state of the same shapes and shardings; its frozen weights are kept.
      data: the iterator that is set.

    Raises:
      ValueError: what was saved does not fit `state`; Orbax names the arrays.
    """
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state.replace(frozen={}))
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(target),
        data=grain.checkpoint.CheckpointRestore(data),
      ),
    )
    return restored['state'].replace(frozen=state.frozen)

  def restore_state(self, step: int, state: TrainState) -> TrainState:
    """Returns the saved state alone, for evaluation."""
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state.replace(frozen={}))
    args = ocp.args.Composite(state=ocp.args.StandardRestore(target))
    return self._manager.restore(step, args=args)['state'].replace(frozen=state.frozen)

  def wait(self) -> None:
    """Blocks until all saves are on disk; raises what went wrong in one."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for saves and lets go of the folder."""
    self._manager.close()


def describe(state: TrainState) -> dict[str, Any]:
  """Counts parameters by network, for the log."""
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(net.params)) for name, net in state.nets.items()
  }
