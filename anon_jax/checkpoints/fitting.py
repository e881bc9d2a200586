"""Whether what was saved has the names, shapes and types that are asked for."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from anon_jax.checkpoints.errors import CheckpointError
from anon_jax.state import TrainState


def require_fit(path: pathlib.Path, target: TrainState) -> None:
  """Compares before reading: Orbax would cast other types silently.

  Args:
    path: of the checkpoint.
    target: shapes and types of the state that is asked for.

  Raises:
    CheckpointError: they differ; names the first three leaves.
    FileNotFoundError: the checkpoint has no description.
  """
  saved_at = path / 'state'
  if not (saved_at / '_METADATA').is_file():
    raise FileNotFoundError(f'{saved_at}/_METADATA is missing')
  saved = _kinds(ocp.StandardCheckpointHandler().metadata(saved_at).tree)
  wanted = _kinds(target)
  wrong = [
    f'{name} is {saved.get(name, "absent")} there and {wanted.get(name, "absent")} here'
    for name in sorted(set(saved) | set(wanted))
    if saved.get(name) != wanted.get(name)
  ]
  if wrong:
    more = f' (and {len(wrong) - 3} more)' if len(wrong) > 3 else ''
    raise CheckpointError(
      f'{path} does not fit this config: {"; ".join(wrong[:3])}{more}. It was written by '
      'another stage or preset; use the config that it was trained with.'
    )


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
