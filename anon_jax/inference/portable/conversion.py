"""From a JAX function to an ONNX model: its traced operations, one by one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from anon_jax.inference.portable import moving, operators
from anon_jax.inference.portable.graph import BATCH, Graph, NotExportable, Value, constant

# Operations that hold a program of their own, and where: their gradients are not exported.
_CALLS = {
  'closed_call': 'call_jaxpr',
  'custom_jvp_call': 'call_jaxpr',
  'custom_vjp_call': 'call_jaxpr',
  'jit': 'jaxpr',
  'checkpoint': 'jaxpr',
}


def to_onnx(
  function: Callable[..., Any], inputs: Mapping[str, jax.ShapeDtypeStruct], name: str, about: str
) -> Any:
  """Converts a function of arrays.

  What does not depend on the inputs, like parameters in another order of axes or the weights of
  resizing, is computed here and not each time the model runs.

  Args:
    function: takes arrays by position and returns a dict of arrays.
    inputs: shape and dtype by name; a batch of any size is `batch_axis()`.
    name: of the model.
    about: one line for people who open it.

  Returns:
    An `onnx.ModelProto` whose outputs have the names of the dict.

  Raises:
    NotExportable: an operation that is not in `operators.RULES`.
  """
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(*inputs.values())
  graph = Graph()
  given = [graph.input(name, spec.shape, spec.dtype) for name, spec in inputs.items()]
  found = _run(graph, closed.jaxpr, [constant(value) for value in closed.consts], given)
  # the leaves of a dict come in the order of its sorted names
  outputs = dict(zip(sorted(shapes), found, strict=True))
  return graph.model(name, {n: (outputs[n], shapes[n].shape) for n in shapes}, about)


def batch_axis() -> Any:
  """Returns the symbolic size of a batch, for shapes of inputs."""
  (size,) = jax.export.symbolic_shape(BATCH)
  return size


def _run(
  graph: Graph, program: Any, constants: Sequence[Value], given: Sequence[Value]
) -> list[Value]:
  """Converts a traced program; returns the values of its outputs."""
  values: dict[Any, Value] = dict(zip(program.constvars, constants, strict=True))
  values |= zip(program.invars, given, strict=True)

  def read(variable: Any) -> Value:
    if hasattr(variable, 'val'):
      return constant(np.asarray(variable.val, variable.aval.dtype))
    return values[variable]

  for equation in _needed(program):
    if _is_empty(equation):
      for variable in equation.outvars:
        values[variable] = Value(tuple(variable.aval.shape), variable.aval.dtype)
      continue
    args = [read(variable) for variable in equation.invars]
    for variable, value in zip(equation.outvars, _results(graph, equation, args), strict=True):
      values[variable] = value
  return [read(variable) for variable in program.outvars]


def _needed(program: Any) -> list[Any]:
  """Lists the operations on which an output depends, in their order."""
  wanted = {id(variable) for variable in program.outvars}
  kept = []
  for equation in reversed(program.eqns):
    if any(id(variable) in wanted for variable in equation.outvars):
      kept.append(equation)
      if not _is_empty(equation):
        wanted |= {id(variable) for variable in equation.invars}
  return kept[::-1]


def _is_empty(equation: Any) -> bool:
  """Tells whether nothing comes out; `jnp.pad` makes that where it adds nothing to an axis."""
  return all(0 in variable.aval.shape for variable in equation.outvars)


def _results(graph: Graph, equation: Any, args: Sequence[Value]) -> list[Value]:
  name, params = equation.primitive.name, equation.params
  shapes = [tuple(variable.aval.shape) for variable in equation.invars]
  targets = [tuple(variable.aval.shape) for variable in equation.outvars]
  dtype = equation.outvars[0].aval.dtype
  if params.get('name') in operators.FUNCTIONS and name == 'jit':
    rule = operators.FUNCTIONS[params['name']]
    return [rule(graph, args, shapes, targets[0], dtype, params)]
  if name in _CALLS:
    inner = params[_CALLS[name]]
    closed = [constant(value) for value in getattr(inner, 'consts', ())]
    return _run(graph, getattr(inner, 'jaxpr', inner), closed, args)
  if all(value.constant is not None for value in args):
    if _known(shapes) and _known(targets) and _known(_sizes(params)):
      return _computed(equation, args, shapes)
    if name in operators.ELEMENTWISE and len(targets) == 1:  # repeated over the batch
      same = np.broadcast_arrays(*[value.constant for value in args])
      return [constant(equation.primitive.bind(*same, **params))]
  if name == 'split':
    return _split(graph, args[0], shapes[0], params)
  if name not in operators.RULES:
    raise NotExportable(f'the operation {name!r}')
  return [operators.RULES[name](graph, args, shapes, targets[0], dtype, params)]


def _split(graph: Graph, value: Value, shape: Any, params: Any) -> list[Value]:
  found, start, axis = [], 0, params['axis']
  whole = graph.whole(value, shape)
  for size in map(int, params['sizes']):
    found.append(moving.part(graph, whole, [axis], [start], [start + size]))
    start += size
  return found


def _computed(equation: Any, args: Sequence[Value], shapes: Sequence[Any]) -> list[Value]:
  """Computes an operation on constants."""
  arrays = [
    value.constant if value.shape == shape else np.broadcast_to(value.constant, shape)
    for value, shape in zip(args, shapes, strict=True)
  ]
  found = equation.primitive.bind(*arrays, **equation.params)
  return [constant(value) for value in (found if equation.primitive.multiple_results else [found])]


def _known(shapes: Any) -> bool:
  return all(isinstance(size, int | np.integer) for shape in shapes for size in shape)


def _sizes(params: Mapping[str, Any]) -> list[Any]:
  return [params[name] for name in ('shape', 'slice_sizes') if params.get(name) is not None]
