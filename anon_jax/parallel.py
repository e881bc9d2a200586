"""The one file that knows about devices: the mesh, where arrays live, how steps are compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from anon_jax import compiling

_AXES = ('data', 'fsdp')
# Fewer numbers than this are held whole on each device: their parts would not be worth fetching.
_LEAST_SHARED = 4096


def make_mesh(devices: int = 0, fsdp: int = 1) -> Mesh:
  """Returns a mesh over the first `devices` devices (0: all of them).

  Its axes are 'data', copies of the state, and 'fsdp', devices that share a copy; a batch is split
  over both.

  Args:
    devices: how many.
    fsdp: how many of them share a copy.

  Raises:
    ValueError: more devices asked for than there are, or devices that `fsdp` does not divide.
  """
  available = jax.devices()
  if devices > len(available):
    raise ValueError(
      f'mesh_data={devices} asks for more devices than the {len(available)} that JAX sees '
      f'({available[0].platform}); use mesh_data=0 for all of them.'
    )
  chosen = available[: devices or len(available)]
  if len(chosen) % fsdp:
    raise ValueError(f'mesh_fsdp={fsdp} does not divide {len(chosen)} devices; give a divisor.')
  # Auto is written out: since jax 0.9 the default is Explicit, under which indexing a batch fails.
  return jax.make_mesh(
    (len(chosen) // fsdp, fsdp), _AXES, axis_types=(AxisType.Auto,) * 2, devices=chosen
  )


def describe(mesh: Mesh) -> str:
  """Says how many devices a mesh has, of what kind, and over how many processes."""
  kind = mesh.devices.flat[0].device_kind
  over = f' over {jax.process_count()} processes' if jax.process_count() > 1 else ''
  shared = f', {mesh.shape["fsdp"]} share a state' if mesh.shape['fsdp'] > 1 else ''
  return f'devices: {mesh.size} ({kind}){over}{shared}'


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, P())


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """Turns this process's NumPy rows into global arrays split over all devices."""
  rows = NamedSharding(mesh, P(_AXES))
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), batch)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
  """Copies host arrays to every device of the mesh."""
  whole = replicated(mesh)
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(whole, np.asarray(x)), tree)


def sharding_of(leaf: Any, mesh: Mesh) -> NamedSharding:
  """Returns where an array of the state lives: its longest divisible side split over 'fsdp'.

  Args:
    leaf: anything with a `shape` and a `size`.
    mesh: the devices.
  """
  parts = mesh.shape['fsdp']
  sides = [side if side % parts == 0 else 0 for side in leaf.shape]
  if parts == 1 or leaf.size < _LEAST_SHARED or not any(sides):
    return replicated(mesh)
  longest = max(range(len(sides)), key=sides.__getitem__)
  return NamedSharding(mesh, P(*[None] * longest, 'fsdp'))


def init_sharded(init: Callable[..., Any], mesh: Mesh, *arguments: Any) -> Any:
  """Runs `init(*arguments)` under jit so that each of its arrays is born where it will live."""
  shapes = jax.eval_shape(init, *arguments)
  shardings = jax.tree.map(lambda shape: sharding_of(shape, mesh), shapes)
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
  # where the state is: what is donated can be taken only by what lies in the same places
  kept = jax.tree.map(lambda leaf: getattr(leaf, 'sharding', None) or whole, state)
  jitted = compiling.jit(step, donate_argnums=0, out_shardings=(kept, whole))
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
