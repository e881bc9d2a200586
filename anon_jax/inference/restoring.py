"""The averaged parameters out of a run's checkpoints, without its networks and optimizers."""

import pathlib
from typing import Any

import jax
import numpy as np

from anon_jax.inference.errors import InferenceError


def restore_averages(
  folder: pathlib.Path, best: tuple[str, bool] | None = None
) -> tuple[int, dict[str, Any]]:
  """Reads the running averages of the newest checkpoint, or of the best.

  Args:
    folder: `checkpoints` of a workdir.
    best: the scalar of evaluation by which one is the best, and whether more of it is better.

  Returns:
    The step, and nested dicts of host arrays, as they were saved, by the networks' names.

  Raises:
    InferenceError: no checkpoint there, or one that cannot be read.
  """
  # here and not above: it imports Orbax and Grain, which nothing else of inference needs
  from anon_jax.checkpoints import Best, Checkpoints, DamagedError

  if not folder.is_dir():
    raise InferenceError(f'{folder} is missing; train first.')
  with Checkpoints(folder, keep=1) as saved:
    step = saved.latest()
    if step is None:
      raise InferenceError(f'{folder} holds no complete checkpoint; train first.')
    if best is not None:
      step = saved.best(Best(*best))
      if step is None:
        raise InferenceError(
          f'no checkpoint in {folder} was evaluated by {best[0]!r}; export without --best.'
        )
    try:
      saved.require_whole(step)
    except DamagedError as error:  # not the one before it in silence: it would be another network
      raise InferenceError(str(error)) from None
  path = folder.resolve() / str(step)
  try:
    return step, _restore(path / 'state')
  except (OSError, ValueError, KeyError, TypeError) as error:  # whatever its files may bring about
    reason = ' '.join(str(error).split())[:200]
    raise InferenceError(
      f'{path} is damaged ({type(error).__name__}: {reason}); remove this folder to take the '
      'checkpoint before it.'
    ) from None


def _restore(path: pathlib.Path) -> dict[str, Any]:
  import orbax.checkpoint as ocp

  if not (path / '_METADATA').is_file():
    raise FileNotFoundError(f'{path}/_METADATA is missing')
  saved = ocp.StandardCheckpointHandler().metadata(path).tree['ema']
  target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), saved)
  # as NumPy arrays, so that it does not matter which devices the run had
  arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
  arguments = ocp.args.PyTreeRestore(
    item={'ema': target}, restore_args={'ema': arrays}, partial_restore=True
  )
  with ocp.PyTreeCheckpointer() as checkpointer:
    restored: dict[str, Any] = checkpointer.restore(path, args=arguments)['ema']
  return restored
