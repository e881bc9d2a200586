"""What each operation of JAX that the networks use becomes in ONNX.

JAX's pictures are [b, h, w, c] and ONNX's [b, c, h, w]: axes are reordered about each operator that
cares, and onnxruntime takes most of that out again.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from anon_jax.inference.portable import moving
from anon_jax.inference.portable.graph import Graph, NotExportable, Shape, Value, constant
from anon_jax.inference.portable.moving import Rule

ELEMENTWISE = {
  'abs': 'Abs',
  'add': 'Add',
  'and': 'And',
  'ceil': 'Ceil',
  'div': 'Div',
  'exp': 'Exp',
  'floor': 'Floor',
  'log': 'Log',
  'logistic': 'Sigmoid',
  'max': 'Max',
  'min': 'Min',
  'mul': 'Mul',
  'neg': 'Neg',
  'not': 'Not',
  'or': 'Or',
  'pow': 'Pow',
  'round': 'Round',
  'sign': 'Sign',
  'sqrt': 'Sqrt',
  'sub': 'Sub',
  'tanh': 'Tanh',
}
_COMPARISONS = {
  'eq': ('Equal', False),
  'ne': ('Equal', True),
  'lt': ('Less', False),
  'ge': ('Less', True),
  'gt': ('Greater', False),
  'le': ('Greater', True),
}
_REDUCTIONS = {'reduce_sum': 'ReduceSum', 'reduce_max': 'ReduceMax', 'reduce_min': 'ReduceMin'}
_NCHW = (0, 3, 1, 2)
_NHWC = (0, 2, 3, 1)


def _elementwise(operator: str) -> Rule:
  def rule(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
    if operator == 'Round' and params['rounding_method'] != jax.lax.RoundingMethod.TO_NEAREST_EVEN:
      raise NotExportable('rounding half away from zero')
    if operator in ('And', 'Or', 'Not') and np.dtype(dtype) != np.bool_:
      raise NotExportable(f'{operator} of bits')
    return g.add(operator, args, _joined(args), dtype)

  return rule


def _comparison(operator: str, turned: bool) -> Rule:
  def rule(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
    if args[0].dtype.itemsize == 1:  # onnxruntime compares no bytes
      args = [g.cast(value, np.int32) for value in args]
    found = g.add(operator, args, _joined(args), bool)
    return g.add('Not', [found], found.shape, bool) if turned else found

  return rule


def _joined(args: Sequence[Value]) -> Shape:
  """Returns the shape that values broadcast to."""
  rank = max(len(value.shape) for value in args)
  padded = [(1,) * (rank - len(value.shape)) + tuple(value.shape) for value in args]
  return tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True))


def _select(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  which, *cases = args
  if len(cases) != 2 or which.dtype != bool:
    raise NotExportable('a choice of more than two')
  if which.constant is not None and np.all(which.constant == which.constant.flat[0]):
    return cases[int(which.constant.flat[0])]
  return g.add('Where', [which, cases[1], cases[0]], _joined(args), dtype)


def _cast(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  return g.cast(args[0], dtype)


def _same(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  return args[0]


def _square(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  return g.add('Mul', [args[0], args[0]], args[0].shape, dtype)


def _rsqrt(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  root = g.add('Sqrt', args, args[0].shape, dtype)
  return g.add('Reciprocal', [root], root.shape, dtype)


def _integer_pow(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  exponent = constant(np.asarray(params['y'], dtype))
  return g.add('Pow', [args[0], exponent], args[0].shape, dtype)


def _clamp(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  low, x, high = args
  at_least = g.add('Max', [x, low], _joined([x, low]), dtype)
  return g.add('Min', [at_least, high], _joined([at_least, high]), dtype)


def _reduction(operator: str) -> Rule:
  def rule(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
    x, axes = g.whole(args[0], shapes[0]), params['axes']
    return g.add(operator, [x, g.numbers(*axes)], tuple(shape), dtype, keepdims=0)

  return rule


def _any(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  x = g.cast(g.whole(args[0], shapes[0]), np.int32)
  most = g.add('ReduceMax', [x, g.numbers(*params['axes'])], tuple(shape), np.int32, keepdims=0)
  return g.cast(most, bool)


def _argmax(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  (axis,) = params['axes']
  found = g.add('ArgMax', args, tuple(shape), np.int64, axis=axis, keepdims=0)
  return g.cast(found, dtype)


def _dot(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  (contracted, batched) = params['dimension_numbers']
  for own, other in ((0, 1), (1, 0)):
    ones = args[own].constant
    if ones is not None and np.all(ones == 1) and _only_sums(own, contracted, batched, shapes):
      return _sum(g, args[other], shapes[other], contracted[other], shape, dtype)
  letters = iter('abcdefghijklmnopqrstuvwxyz')
  named: list[list[str]] = [['' for _ in own] for own in shapes]
  for axes in (batched, contracted):
    for left, right in zip(*axes, strict=True):
      named[0][left] = named[1][right] = next(letters)
  for axes in named:
    axes[:] = [name or next(letters) for name in axes]
  first = [named[0][axis] for axis in batched[0]]
  free = [
    n for s in (0, 1) for i, n in enumerate(named[s]) if i not in (*contracted[s], *batched[s])
  ]
  equation = f'{"".join(named[0])},{"".join(named[1])}->{"".join(first + free)}'
  whole = [g.whole(value, own) for value, own in zip(args, shapes, strict=True)]
  return g.add('Einsum', whole, tuple(shape), dtype, equation=equation)


def _only_sums(own: int, contracted: Any, batched: Any, shapes: Any) -> bool:
  """Tells whether one factor, which is all ones, has no axis of its own."""
  return len(contracted[own]) + len(batched[own]) == len(shapes[own])


def _sum(
  g: Graph, value: Value, shape: Shape, axes: Sequence[int], result: Shape, dtype: Any
) -> Value:
  """Sums over axes; over the pixels of a map without putting them into a row first."""
  if value.pixels_of is not None and tuple(axes) == (1,):
    value, axes = value.pixels_of, (1, 2)
  else:
    value = g.whole(value, shape)
  return g.add('ReduceSum', [value, g.numbers(*axes)], tuple(result), dtype, keepdims=0)


def _conv(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  numbers = params['dimension_numbers']
  if any(n != 1 for n in params['lhs_dilation']) or params['batch_group_count'] != 1:
    raise NotExportable('a convolution that enlarges, or over groups of the batch')
  x = g.transposed(g.whole(args[0], shapes[0]), numbers.lhs_spec)
  kernel = g.transposed(g.whole(args[1], shapes[1]), numbers.rhs_spec)
  lows, highs = zip(*params['padding'], strict=True)
  found = g.add(
    'Conv',
    [x, kernel],
    tuple(shape[axis] for axis in numbers.out_spec),
    dtype,
    pads=[int(n) for n in (*lows, *highs)],
    strides=list(params['window_strides']),
    dilations=list(params['rhs_dilation']),
    group=params['feature_group_count'],
  )
  return g.transposed(found, np.argsort(numbers.out_spec).tolist())


def _window(operator: str) -> Rule:
  """Pools over windows of [b, h, w, c]; a sum is the mean of all places times their number."""

  def rule(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
    sizes, strides, pads = (
      [params[name][axis] for axis in (1, 2)]
      for name in ('window_dimensions', 'window_strides', 'padding')
    )
    outer = [params['window_dimensions'][axis] for axis in (0, 3)] if len(shape) == 4 else []
    if outer != [1, 1] or set(params['base_dilation'] + params['window_dilation']) != {1}:
      raise NotExportable('windows of another kind than of pixels')
    x = g.transposed(g.whole(args[0], shapes[0]), _NCHW)
    more = {'count_include_pad': 1} if operator == 'AveragePool' else {}
    found = g.add(
      operator,
      [x],
      tuple(shape[axis] for axis in _NCHW),
      dtype,
      kernel_shape=list(sizes),
      strides=list(strides),
      pads=[int(pads[axis][end]) for end in (0, 1) for axis in (0, 1)],
      **more,
    )
    if operator == 'AveragePool':
      number = constant(np.asarray(math.prod(sizes), dtype))
      found = g.add('Mul', [found, number], found.shape, dtype)
    return g.transposed(found, _NHWC)

  return rule


def _dim(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  size = g.batch_size(params['dim'])
  return g.cast(g.add('Squeeze', [size, g.numbers(0)], (), np.int64), dtype)


def _leaky_relu(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  x, slope = args
  if slope.constant is None:
    raise NotExportable('a leaky ReLU whose slope depends on the input')
  return g.add('LeakyRelu', [x], x.shape, dtype, alpha=float(slope.constant))


# Functions of JAX for which ONNX has an operator: one pass over a feature map instead of four.
FUNCTIONS: dict[str, Rule] = {'leaky_relu': _leaky_relu}

RULES: dict[str, Rule] = {
  **moving.RULES,
  **{name: _elementwise(operator) for name, operator in ELEMENTWISE.items()},
  **{name: _comparison(*how) for name, how in _COMPARISONS.items()},
  **{name: _reduction(operator) for name, operator in _REDUCTIONS.items()},
  'argmax': _argmax,
  'clamp': _clamp,
  'conv_general_dilated': _conv,
  'convert_element_type': _cast,
  'copy': _same,
  'dim_as_value': _dim,
  'dot_general': _dot,
  'integer_pow': _integer_pow,
  'optimization_barrier': _same,
  'reduce_or': _any,
  'reduce_window_max': _window('MaxPool'),
  'reduce_window_sum': _window('AveragePool'),
  'rsqrt': _rsqrt,
  'select_n': _select,
  'square': _square,
  'stop_gradient': _same,
}
