"""Checkpoints of a run: training state and data iterator, written by Orbax under one step."""

import pathlib
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from anon_jax.state import TrainState


class CheckpointError(ValueError):
  """A checkpoint that cannot be used for what it was asked for."""


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
    self._folder = folder.resolve()
    self._manager = ocp.CheckpointManager(self._folder, options=options)

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

  def restore(
    self, step: int, state: TrainState, data: grain.DatasetIterator | None = None
  ) -> TrainState:
    """Returns the saved state, placed like `state`, and sets the iterator to where it was.

    Args:
      step: a saved step.
      state: a state of the same shapes and shardings; its frozen weights are kept.
      data: the iterator that is set; None restores the state alone, as evaluation does.

    Raises:
      CheckpointError: what was saved is of other shapes, types or names than `state`.
    """
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state.replace(frozen={}))
    items: dict[str, Any] = {'state': ocp.args.StandardRestore(target)}
    if data is not None:
      items['data'] = grain.checkpoint.CheckpointRestore(data)
    try:
      self._require_fit(step, target)
      restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    except CheckpointError:
      raise
    except (
      OSError,
      ValueError,
      KeyError,
      TypeError,
    ) as error:  # whatever its files may bring about
      older = [other for other in self._manager.all_steps() if other < step]
      onward = f'go on from step {max(older)}' if older else 'start again'
      reason = ' '.join(str(error).split())[:200]
      raise CheckpointError(
        f'{self._folder / str(step)} is damaged ({type(error).__name__}: {reason}); remove this '
        f'folder to {onward}.'
      ) from error
    return restored['state'].replace(frozen=state.frozen)

  def _require_fit(self, step: int, target: TrainState) -> None:
    """Compares names, shapes and types before reading: Orbax would cast other types silently."""
    path = self._folder / str(step) / 'state'
    if not (path / '_METADATA').is_file():
      raise FileNotFoundError(f'{path}/_METADATA is missing')
    saved = _kinds(ocp.StandardCheckpointHandler().metadata(path).tree)
    wanted = _kinds(target)
    wrong = [
      f'{name} is {saved.get(name, "absent")} there and {wanted.get(name, "absent")} here'
      for name in sorted(set(saved) | set(wanted))
      if saved.get(name) != wanted.get(name)
    ]
    if wrong:
      more = f' (and {len(wrong) - 3} more)' if len(wrong) > 3 else ''
      raise CheckpointError(
        f'{path.parent} does not fit this config: {"; ".join(wrong[:3])}{more}. It was written by '
        'another stage or preset; use the config that it was trained with.'
      )

  def wait(self) -> None:
    """Blocks until all saves are on disk; raises what went wrong in one."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for saves and lets go of the folder."""
    self._manager.close()


def _kinds(tree: Any) -> dict[str, str]:
  """Returns 'dtype[shape]' by dotted name for the leaves of a state or of its saved description."""
  kinds = {}
  for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    name = '.'.join(
      str(getattr(part, 'name', getattr(part, 'key', getattr(part, 'idx', part)))) for part in path
    )
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    kinds[name] = 'key[]' if is_key or name == 'key' else f'{leaf.dtype}{list(leaf.shape)}'
  return kinds


def describe(state: TrainState) -> dict[str, int]:
  """Counts parameters by network, for the log."""
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(net.params)) for name, net in state.nets.items()
  }
