"""The one file that knows about devices: the mesh, where arrays live, how steps are compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from anon_jax import compiling


def make_mesh(devices: int = 0) -> Mesh:
  """Returns a mesh of one axis, 'data', over the first `devices` devices (0: all of them).

  Raises:
    ValueError: more devices asked for than there are.
  """
  available = jax.devices()
  if devices > len(available):
    raise ValueError(
      f'mesh_data={devices} asks for more devices than the {len(available)} that JAX sees '
      f'({available[0].platform}); use mesh_data=0 for all of them.'
    )
  chosen = available[: devices or len(available)]
  # Auto is written out: since jax 0.9 the default is Explicit, under which indexing a batch fails.
  return jax.make_mesh((len(chosen),), ('data',), axis_types=(AxisType.Auto,), devices=chosen)


def describe(mesh: Mesh) -> str:
  """Says how many devices a mesh has, of what kind, and over how many processes."""
  kind = mesh.devices.flat[0].device_kind
  over = f' over {jax.process_count()} processes' if jax.process_count() > 1 else ''
  return f'devices: {mesh.size} ({kind}){over}'


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, P())


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """Turns this process's NumPy rows into global arrays split over 'data'."""
  rows = NamedSharding(mesh, P('data'))
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), batch)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
  """Copies host arrays to every device of the mesh."""
  whole = replicated(mesh)
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(whole, np.asarray(x)), tree)


def init_sharded(init: Callable[..., Any], mesh: Mesh, *arguments: Any) -> Any:
  """Runs `init(*arguments)` under jit so that each of its arrays is born where it will live."""
  shapes = jax.eval_shape(init, *arguments)
  shardings = jax.tree.map(lambda _: replicated(mesh), shapes)
  return jax.jit(init, out_shardings=shardings)(*arguments)


class CompiledStep(NamedTuple):
  """A training step ready to run, and what its compilation told."""

  run: Callable[[Any, Any], tuple[Any, Any]]
  seconds: float
  flops: float


def compile_step(
  step: Callable, state: Any, batch: Any, mesh: Mesh, clock: Callable[[], float]
) -> CompiledStep:
  """Compiles `step(state, batch) -> (state, metrics)`; the state is donated.

  Args:
    step: a pure function.
    state: the state that training starts from, or its shapes.
    batch: a batch as `put_batch` returns it, or its shapes with shardings.
    mesh: the devices.
    clock: returns seconds.

  Returns:
    The compiled program, the seconds that it took, and XLA's count of floating-point operations
    of one step on one device, before optimization (0 where XLA does not say).
  """
  whole = replicated(mesh)
  start = clock()
  jitted = compiling.jit(step, donate_argnums=0, out_shardings=(whole, whole))
  lowered = jitted.lower(state, batch)
  compiled = lowered.compile()
  seconds = clock() - start
  cost = lowered.cost_analysis() or {}
  return CompiledStep(compiled, seconds, float(cost.get('flops', 0.0)) / mesh.size)


def fetch(tree: Any) -> Any:
  """Brings arrays to this host as NumPy: whole arrays, also those split over processes."""
  from jax.experimental import multihost_utils

  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)
