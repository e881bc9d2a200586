"""The state that a run starts from."""

from collections.abc import Mapping
from typing import Any

import jax

from anon_jax import optim, parallel
from anon_jax.checkpoints import CheckpointError
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage


def new_state(stage: Stage, seed: int, mesh: jax.sharding.Mesh) -> TrainState:
  """Returns the state before the first step, born on the mesh.

  Raises:
    CheckpointError: the stage's initial parameters are of other shapes, types or names.
  """

  def born(initial: Mapping[str, Any]) -> TrainState:
    state = stage.init(jax.random.key(seed))
    for name, params in initial.items():
      _require_fit(name, params, state)
    nets = {name: state.nets[name].replace(params=params) for name, params in initial.items()}
    averages = {name: optim.copy(params) for name, params in initial.items() if name in state.ema}
    return state.replace(nets=state.nets | nets, ema=state.ema | averages)

  state = parallel.init_sharded(born, mesh, parallel.put_replicated(stage.initial, mesh))
  return state.replace(frozen=parallel.put_replicated(stage.frozen, mesh))


def _require_fit(name: str, params: Any, state: TrainState) -> None:
  if name not in state.nets:
    raise CheckpointError(
      f'initial parameters are given for {name!r}; the networks are {sorted(state.nets)}.'
    )
  given, wanted = (
    {jax.tree_util.keystr(path): f'{leaf.dtype}{list(leaf.shape)}' for path, leaf in leaves}
    for leaves in (
      jax.tree_util.tree_leaves_with_path(params),
      jax.tree_util.tree_leaves_with_path(state.nets[name].params),
    )
  )
  wrong = [
    f'{leaf} is {given.get(leaf, "absent")} there and {wanted.get(leaf, "absent")} here'
    for leaf in sorted(given | wanted)
    if given.get(leaf) != wanted.get(leaf)
  ]
  if wrong:
    raise CheckpointError(
      f'the initial parameters of {name!r} do not fit: {"; ".join(wrong[:3])}; take those of a '
      'network of the same preset and size.'
    )
