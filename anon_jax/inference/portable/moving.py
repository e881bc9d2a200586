"""What operations that move values, and compute none, become in ONNX."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anon_jax.inference.portable.graph import Graph, NotExportable, Shape, Value, constant

# (graph, arguments, shapes of their arrays, shape of the result, its dtype, parameters) -> result
Rule = Callable[[Graph, Sequence[Value], Sequence[Shape], Shape, Any, dict[str, Any]], Value]


def _broadcast(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  """Puts axes of size 1 where new ones are; nothing is repeated here."""
  x, places = args[0], params['broadcast_dimensions']
  new = [axis for axis in range(len(shape)) if axis not in places]
  sizes = iter(x.shape)
  target = tuple(next(sizes) if axis in places else 1 for axis in range(len(shape)))
  if x.constant is not None:
    return constant(x.constant.reshape(target))
  return g.add('Unsqueeze', [x, g.numbers(*new)], target, dtype) if new else x


def _reshape(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  if params.get('dimensions') is not None:
    raise NotExportable('a reshape in another order of axes')
  x = args[0]
  if tuple(shape) == tuple(shapes[0]):
    return x
  found = g.reshaped(g.whole(x, shapes[0]), tuple(shape))
  if len(shape) == 3 and len(x.shape) == 4 and (shape[0], shape[2]) == (x.shape[0], x.shape[3]):
    return Value(found.shape, found.dtype, found.name, found.constant, pixels_of=x)
  return found


def _squeeze(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  axes = [axis % len(shapes[0]) for axis in params['dimensions']]
  kept = tuple(size for axis, size in enumerate(args[0].shape) if axis not in axes)
  return g.add('Squeeze', [args[0], g.numbers(*axes)], kept, dtype)


def _transpose(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  return g.transposed(args[0], params['permutation'])


def _gather(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  """Takes rows along one axis, or a part that begins at a fixed place."""
  numbers, indices = params['dimension_numbers'], args[1].constant
  if indices is None or numbers.operand_batching_dims:
    raise NotExportable('indices that depend on the input')
  axes, x = numbers.start_index_map, g.whole(args[0], shapes[0])
  if indices.ndim == 1:  # one place
    ends = [i + params['slice_sizes'][axis] for i, axis in zip(indices, axes, strict=True)]
    found = part(g, x, axes, indices, ends)
    dropped = numbers.collapsed_slice_dims
    return g.add('Squeeze', [found, g.numbers(*dropped)], tuple(shape), dtype) if dropped else found
  if indices.ndim != 2 or len(axes) != 1 or tuple(numbers.collapsed_slice_dims) != tuple(axes):
    raise NotExportable('a gather along several axes')
  (axis,) = axes
  if axis in numbers.offset_dims or np.any((indices < 0) | (indices >= shapes[0][axis])):
    raise NotExportable('a gather beyond the array, or to another axis')
  rows = constant(indices[:, 0].astype(np.int64))
  return g.add('Gather', [x, rows], tuple(shape), dtype, axis=axis)


def part(g: Graph, x: Value, axes: Any, starts: Any, ends: Any, steps: Any = None) -> Value:
  """Cuts a part out of a whole value along some axes, by numbers."""
  if not all(isinstance(n, int | np.integer) for n in (*starts, *ends)):
    raise NotExportable('a slice of the batch')
  steps = [1] * len(axes) if steps is None else steps
  shape = list(x.shape)
  for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
    shape[axis] = -(-(int(end) - int(start)) // int(step))
  values = [g.numbers(*(int(n) for n in given)) for given in (starts, ends, axes, steps)]
  return g.add('Slice', [x, *values], tuple(shape), x.dtype)


def _slice(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  starts, ends = params['start_indices'], params['limit_indices']
  steps = params['strides'] or (1,) * len(starts)
  cut = [
    axis
    for axis, old in enumerate(shapes[0])
    if (starts[axis], ends[axis], steps[axis]) != (0, old, 1)
  ]
  x = g.whole(args[0], shapes[0])
  return part(g, x, cut, *([given[axis] for axis in cut] for given in (starts, ends, steps)))


def _concatenate(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  whole = [g.whole(value, own) for value, own in zip(args, shapes, strict=True) if 0 not in own]
  if len(whole) == 1:
    return whole[0]
  return g.add('Concat', whole, tuple(shape), dtype, axis=params['dimension'])


def _pad(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  lows, highs, inner = zip(*params['padding_config'], strict=True)
  if any(inner) or min(*lows, *highs) < 0:
    raise NotExportable('padding between pixels, or a negative one')
  x = g.whole(args[0], shapes[0])
  return g.add('Pad', [x, g.numbers(*lows, *highs), args[1]], tuple(shape), dtype)


def _set_into(g: Graph, args: Any, shapes: Any, shape: Any, dtype: Any, params: Any) -> Value:
  """Writes a part over an array at a fixed place."""
  x, part, *starts = args
  if any(start.constant is None for start in starts):
    raise NotExportable('a part that is set in at a place which depends on the input')
  lows = [int(start.constant) for start in starts]
  inner = [axis for axis, size in enumerate(shape) if size != shapes[1][axis]]
  highs = [shape[a] - shapes[1][a] - lows[a] if a in inner else 0 for a in range(len(shape))]
  zero = constant(np.zeros((), dtype))
  pads = g.numbers(*lows, *highs)
  wide = g.add('Pad', [g.whole(part, shapes[1]), pads, zero], tuple(shape), dtype)
  inside = np.ones([shapes[1][a] if a in inner else 1 for a in range(len(shape))], bool)
  inside = np.pad(inside, list(zip(lows, highs, strict=True)))
  return g.add('Where', [constant(inside), wide, x], tuple(shape), dtype)


RULES: dict[str, Rule] = {
  'broadcast_in_dim': _broadcast,
  'concatenate': _concatenate,
  'dynamic_update_slice': _set_into,
  'gather': _gather,
  'pad': _pad,
  'reshape': _reshape,
  'slice': _slice,
  'squeeze': _squeeze,
  'transpose': _transpose,
}
