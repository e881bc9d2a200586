"""Saving and restoring.

Orbax's `CheckpointManager` makes a step visible by renaming its folder, and offers no place for
something that covers *all* files and is written before that. So Orbax writes to `STEP.part` here,
as it would write to any folder, and then, in a thread of this file: every file is hashed, the
manifest is written, both are flushed to disk, and only then `STEP.part` becomes `STEP`. A folder
`STEP` without a valid manifest is therefore damaged, and does not count, unless it is from a
version without manifests.
"""

import concurrent.futures
import pathlib
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grain
import jax
import orbax.checkpoint as ocp

from anon_jax import durable, processes
from anon_jax.checkpoints import folder as folders
from anon_jax.checkpoints import manifest
from anon_jax.checkpoints.errors import CheckpointError, DamagedError
from anon_jax.checkpoints.fitting import require_fit
from anon_jax.state import TrainState


class Checkpoints:
  """The checkpoints in one folder; with several processes, all of them call the same methods.

  A checkpoint appears under its final name only when it is whole and has its manifest. Frozen
  weights are left out: they come from their own files.
  """

  def __init__(self, folder: pathlib.Path, keep: int, best: folders.Best = folders.NEWEST_ONLY):
    """Names the folder, which the first save creates.

    Args:
      folder: `checkpoints` of a workdir.
      keep: newest checkpoints kept.
      best: which one is kept beside them.
    """
    self._folder, self._keep, self._best = folder.resolve(), keep, best
    self._checkpointer: ocp.AsyncCheckpointer | None = None
    self._thread = concurrent.futures.ThreadPoolExecutor(1, 'commit')
    self._under_way: tuple[int, concurrent.futures.Future[None]] | None = None

  def latest(self) -> int | None:
    """Returns the newest step that was saved whole, None where there is none. Not verified."""
    return max(folders.steps(self._folder), default=None)

  def best(self, by: folders.Best) -> int | None:
    """Returns the step with the best scalar; None where none was evaluated by it."""
    return folders.best_step(self._folder, by)

  def save(
    self,
    step: int,
    state: TrainState,
    data: grain.DatasetIterator,
    scores: Mapping[str, float] | None = None,
  ) -> None:
    """Saves the state after `step` updates, and the iterator that has given `step` batches.

    Returns while the files are still being written and hashed; a failure of that is raised by the
    next save, by `wait` or by `close`. A step that is there already is left alone.

    Args:
      step: updates applied.
      state: what is saved; may be donated as soon as this returns.
      data: the iterator.
      scores: what the evaluation of this very state gave, if there was one.

    Raises:
      CheckpointError: this save or the one before it failed, because the disk is full for example.
    """
    self.wait()
    if step in folders.steps(self._folder):
      return
    part = self._folder / f'{step}.part'
    try:
      if processes.is_first():
        self._folder.mkdir(parents=True, exist_ok=True)
        folders.clear(self._folder)
      processes.meet('checkpoint folder is ready')
      if self._checkpointer is None:
        self._checkpointer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
      self._checkpointer.save(
        part,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state.replace(frozen={})),
          data=grain.checkpoint.CheckpointSave(data),
        ),
        custom_metadata=manifest.PROMISE,
      )
    except (OSError, ValueError, RuntimeError) as error:
      raise self._not_saved(step, error) from error
    self._under_way = step, self._thread.submit(self._commit, step, part, dict(scores or {}))

  def _commit(self, step: int, part: pathlib.Path, scores: dict[str, float]) -> None:
    """Waits for Orbax, hashes, and makes the checkpoint visible; runs in the thread."""
    assert self._checkpointer is not None
    self._checkpointer.wait_until_finished()
    if not processes.is_first():
      return
    if scores:
      folders.write_scores(part, scores)
    manifest.write(part, step)
    part.rename(self._folder / str(step))
    durable.settle(self._folder)
    folders.forget(self._folder, self._keep, self._best)

  def _not_saved(self, step: int, error: BaseException) -> CheckpointError:
    reason = ' '.join(str(error).split())[:200]
    left = self.latest()
    kept = 'there is none before it' if left is None else f'step {left} is untouched'
    return CheckpointError(
      f'{self._folder / str(step)} could not be saved ({type(error).__name__}: {reason}); {kept}. '
      'Make room, or what else it names, and run again to go on from there.'
    )

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
      DamagedError: its files are not what was written.
    """
    self.require_whole(step)
    return self._read(step, state, data)

  def restore_newest(
    self,
    state: TrainState,
    data: grain.DatasetIterator | None = None,
    *,
    set_aside: bool = False,
  ) -> tuple[TrainState, int | None]:
    """Restores the newest checkpoint that is whole; a line on stderr names each that is not.

    Args:
      state: as in `restore`.
      data: as in `restore`.
      set_aside: whether damaged checkpoints get a name under which nothing reads them again. Only
        who trains in the folder may ask for it.

    Returns:
      The restored state and its step; `state` itself and None where nothing was ever saved.

    Raises:
      CheckpointError: what was saved does not fit, or all of it is damaged.
    """
    processes.require_alike({'the newest checkpoint': self.latest()})
    for step in reversed(folders.steps(self._folder)):
      try:
        self.require_whole(step)
        return self._read(step, state, data), step
      except DamagedError as error:
        processes.meet('damage is seen')
        aside = self._folder / str(step)
        if processes.is_first():
          aside = folders.set_aside(aside) if set_aside else aside
          kept = f'set aside as {aside.name}' if set_aside else 'left out'
          _say(f'{error.found}; {kept}.')
        processes.meet('damage is set aside')
    known = folders.damaged(self._folder)
    if self.latest() is not None or known:
      raise CheckpointError(
        f'{self._folder} holds no checkpoint that is whole; '
        f'{", ".join(known) or "all of them"} cannot be used. Restore one from a backup, or take '
        'another --workdir to start again.'
      )
    return state, None

  def require_whole(self, step: int) -> None:
    """Compares a checkpoint with its manifest; the first process does it for all.

    Raises:
      DamagedError: a file is not what was written; names it.
    """
    path = self._folder / str(step)
    damage: tuple[str, ...] = ()
    if processes.is_first():
      damage, verified = manifest.examine(path, step)
      if not damage and not verified:
        _say(f'{path} was written without a manifest; it cannot be verified, and is read as it is.')
    if not processes.all_say(not damage):
      raise self._damaged(step, '; '.join(damage[:3]) or 'the first process says so')

  def _damaged(self, step: int, reason: str) -> DamagedError:
    path = self._folder / str(step)
    older = [other for other in folders.steps(self._folder) if other < step]
    onward = f'go on from step {max(older)}' if older else 'start again'
    return DamagedError(f'{path} is damaged ({reason})', f'remove this folder to {onward}')

  def _read(self, step: int, state: TrainState, data: grain.DatasetIterator | None) -> TrainState:
    path = self._folder / str(step)
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state.replace(frozen={}))
    items: dict[str, Any] = {'state': ocp.args.StandardRestore(target)}
    if data is not None:
      items['data'] = grain.checkpoint.CheckpointRestore(data)
    try:
      require_fit(path, target)
      with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        restored = checkpointer.restore(path, args=ocp.args.Composite(**items))
    except CheckpointError:
      raise
    # whatever the files of a checkpoint without a manifest may bring about
    except (OSError, ValueError, KeyError, TypeError) as error:
      reason = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
      raise self._damaged(step, reason) from error
    return restored['state'].replace(frozen=state.frozen)

  def wait(self) -> None:
    """Blocks until all saves are on disk.

    Raises:
      CheckpointError: one failed, here or in another process.
    """
    if self._under_way is None:
      return
    (step, commit), self._under_way = self._under_way, None
    error = commit.exception()
    whole = processes.all_say(error is None)
    if error is not None:
      raise self._not_saved(step, error) from error
    if not whole:
      raise self._not_saved(step, RuntimeError('another process failed'))

  def close(self) -> None:
    """Waits for saves, lets go of the folder, and raises what `wait` raises."""
    try:
      self.wait()
    finally:
      self._let_go()

  def _let_go(self) -> None:
    self._thread.shutdown()
    if self._checkpointer is not None:
      self._checkpointer.close()
      self._checkpointer = None

  def __enter__(self) -> Self:
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    """Closes; after an error a save that failed as well is told on stderr, not raised over it."""
    if error is None:
      self.close()
      return
    if self._under_way is not None:
      step, commit = self._under_way
      self._under_way = None
      failure = commit.exception()
      if failure is not None:
        _say(str(self._not_saved(step, failure)))
    self._let_go()


def describe(state: TrainState) -> dict[str, int]:
  """Counts parameters by network, for the log."""
  return {
    name: sum(leaf.size for leaf in jax.tree.leaves(net.params)) for name, net in state.nets.items()
  }


def _say(line: str) -> None:
  if processes.is_first():
    print(f'anon_jax: {line}', file=sys.stderr, flush=True)
