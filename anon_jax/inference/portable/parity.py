"""Whether an exported program computes what JAX does, on crops that look like nobody."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from anon_jax.data import semantic
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.painting import Networks
from anon_jax.inference.portable.programs import CHAIN, MAP, Array, Program, anonymized
from anon_jax.nets.calibration import photo_like_noise

BATCHES = (1, 3)
# A wrong graph is off by whole levels; what is left when sums are taken in another order, by
# thousandths of one.
_MOST = 0.05
_HALF_RANGE = 127.5


class Parity(NamedTuple):
  """How far a program is from JAX.

  Attributes:
    difference: largest one of all outputs; of pictures in levels of 255, of others as they are.
    other_classes: share of the chain's map where S decided otherwise: two classes were as likely.
  """

  difference: float
  other_classes: float = 0.0


def check(
  program: Program,
  networks: Networks,
  run: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]],
) -> Parity:
  """Runs a program beside JAX on drawn inputs, in batches of `BATCHES`.

  Raises:
    InferenceError: they differ by more than rounding.
  """
  worst = compare(program, networks, run, drawn(program.inputs, max(BATCHES)), BATCHES)
  if not worst.difference <= _MOST or worst.other_classes > 1e-3:
    raise InferenceError(
      f'the exported {program.name} differs from JAX by {worst.difference:.3g} of 255 levels, and '
      f'in {worst.other_classes:.2%} of a map; at most {_MOST} was expected. Nothing was written.'
    )
  return worst


def compare(
  program: Program,
  networks: Networks,
  run: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]],
  inputs: Mapping[str, np.ndarray],
  batches: Sequence[int],
) -> Parity:
  """Compares a program with JAX on the CPU.

  S of the chain ends in a choice among classes, which rounding may turn where two are as likely;
  so all behind it is compared for the map that the exported program found.

  Args:
    program: what was exported.
    networks: of which.
    run: the exported one.
    inputs: by name, for the largest batch.
    batches: sizes that the exported program runs with, on the first rows of the inputs. JAX runs
      with the largest: a row does not depend on the others.

  Raises:
    InferenceError: the program has other outputs.
  """
  found = {size: run({n: rows[:size] for n, rows in inputs.items()}) for size in batches}
  for outputs in found.values():
    if outputs.keys() != program.outputs.keys():
      raise InferenceError(
        f'{program.name} gives {sorted(outputs)}, not {sorted(program.outputs)}.'
      )
  with jax.default_device(jax.devices('cpu')[0]):
    if program.name == CHAIN:
      return _compare_chain(program, networks, found, inputs)
    wanted = jax.device_get(jax.jit(program.function)(*inputs.values()))
  return Parity(max(_apart(outputs, wanted, program.outputs) for outputs in found.values()))


def _compare_chain(
  program: Program,
  networks: Networks,
  found: Mapping[int, dict[str, np.ndarray]],
  inputs: Mapping[str, np.ndarray],
) -> Parity:
  """Compares what the chain found, by size of batch, for its own maps."""
  own = jax.device_get(jax.jit(lambda *given: program.function(*given)[MAP])(*inputs.values()))
  wanted = jax.jit(lambda maps, *given: anonymized(networks, *given, maps=maps))
  behind = {name: array for name, array in program.outputs.items() if name != MAP}
  worst = Parity(0.0)
  for size, outputs in found.items():
    maps = np.concatenate([outputs[MAP], own[size:]])  # of one shape: compiled once
    apart = _apart(outputs, jax.device_get(wanted(maps, *inputs.values())), behind)
    other = float(np.mean(outputs[MAP] != own[:size]))
    worst = Parity(max(worst.difference, apart), max(worst.other_classes, other))
  return worst


def _apart(
  found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], arrays: Mapping[str, Array]
) -> float:
  """Returns the largest difference of all outputs from the first rows of what was wanted."""
  worst = 0.0
  for name, array in arrays.items():
    rows = wanted[name][: len(found[name])]
    if (found[name].shape, found[name].dtype) != (rows.shape, rows.dtype):
      return float('inf')
    difference = np.abs(found[name].astype(np.float64) - rows.astype(np.float64)).max()
    picture = array.range == (-1.0, 1.0) and len(array.shape) == 4
    worst = max(worst, float(difference * (_HALF_RANGE if picture else 1)))
  return worst


def drawn(inputs: Mapping[str, Array], size: int) -> dict[str, np.ndarray]:
  """Draws inputs for a batch, the same ones each time: noise with the spectrum of photographs."""
  rng = np.random.default_rng(size)
  found = {}
  values: Any
  for number, (name, array) in enumerate(inputs.items()):
    shape = array.spec(size).shape
    if name == 'controls':
      values = rng.dirichlet(np.full(shape[1], 0.05), size)
    elif name == 'maps':
      values = _blocks(rng, shape)
    elif len(shape) == 4:
      noise = [photo_like_noise(size, shape[1], 3 * number + n) for n in range(-(-shape[3] // 3))]
      values = np.concatenate(noise, axis=-1)[..., : shape[3]]
      values = values if array.range == (-1.0, 1.0) else np.round(values * 127.5 + 127.5)
    else:
      values = rng.integers(0, 2, shape)
    found[name] = values.astype(array.dtype)
  return found


def _blocks(rng: np.random.Generator, shape: Any) -> np.ndarray:
  """Returns maps of large blocks."""
  count, side = shape[0], shape[1]
  few = rng.integers(0, semantic.NUM_CLASSES, (count, 4, 4))
  places = np.arange(side) * 4 // side
  return few[:, places][:, :, places]
