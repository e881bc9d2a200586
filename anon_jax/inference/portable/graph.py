"""An ONNX graph that grows node by node; what does not depend on its inputs stays out of it.

A value of the graph stands for an array of a traced JAX program. Its shape may have a 1 where the
array has more: ONNX broadcasts as NumPy does, so an array is repeated only where an operator needs
all of it (`Graph.whole`).
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
import onnx
from onnx import helper

from anon_jax.inference.errors import InferenceError

# What onnxruntime 1.20, the oldest that the project takes, can read.
OPSET, IR_VERSION = 18, 9
BATCH = 'batch'

# A number, or the symbolic size of the batch, or a multiple of that.
Shape: TypeAlias = tuple[Any, ...]


class NotExportable(InferenceError):
  """An operation that ONNX lacks, or that the converter does not know."""

  def __init__(self, what: str):
    super().__init__(f'{what} cannot be written as ONNX yet; --format stablehlo takes everything.')


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
  """A value of the graph, or a constant that is not in it yet.

  Attributes:
    shape: with a 1 for every axis along which the array is repeated.
    dtype: of the array.
    name: in the graph; '' for a constant.
    constant: None for a value of the graph.
    pixels_of: where the value is a feature map [b, h, w, c] with its pixels in a row, that map.
  """

  shape: Shape
  dtype: np.dtype
  name: str = ''
  constant: Any = None
  pixels_of: 'Value | None' = None


def constant(array: Any) -> Value:
  """Returns a constant; random keys, which spectral norms begin with, have no array of NumPy."""
  if not jax.dtypes.issubdtype(getattr(array, 'dtype', None), jax.dtypes.prng_key):
    array = np.asarray(array)
  return Value(array.shape, array.dtype, constant=array)


class Graph:
  """Collects inputs, nodes and constants of one ONNX model."""

  def __init__(self) -> None:
    self._nodes: list[Any] = []
    self._inputs: list[Any] = []
    self._constants: dict[str, np.ndarray] = {}
    self._names: dict[Any, str] = {}  # of constants, and of what was computed once already
    self._count = 0

  def input(self, name: str, shape: Shape, dtype: Any) -> Value:
    """Adds an input; an axis whose size is no number is the batch."""
    self._inputs.append(_described(name, shape, np.dtype(dtype)))
    return Value(shape, np.dtype(dtype), name)

  def add(
    self, operator: str, inputs: Sequence[Value], shape: Shape, dtype: Any, **attributes: Any
  ) -> Value:
    """Adds a node with one output, or finds the same one that was added before."""
    names = tuple(self._name(value) for value in inputs)
    key = (operator, names, np.dtype(dtype).str, repr(sorted(attributes.items())))
    if key not in self._names:
      self._count += 1
      self._names[key] = f'{operator}_{self._count}'
      self._nodes.append(helper.make_node(operator, names, [self._names[key]], **attributes))
    return Value(shape, np.dtype(dtype), self._names[key])

  def numbers(self, *values: int) -> Value:
    """Returns a constant of whole numbers, as operators take axes and shapes."""
    return constant(np.array(values, np.int64))

  def cast(self, value: Value, dtype: Any) -> Value:
    """Changes the type of a value."""
    dtype = np.dtype(dtype)
    if value.dtype == dtype:
      return value
    if value.constant is not None:
      return constant(value.constant.astype(dtype))
    return self.add('Cast', [value], value.shape, dtype, to=helper.np_dtype_to_tensor_dtype(dtype))

  def transposed(self, value: Value, order: Sequence[int]) -> Value:
    """Reorders the axes of a value."""
    if tuple(order) == tuple(range(len(order))):
      return value
    if value.constant is not None:
      return constant(value.constant.transpose(order))
    shape = tuple(value.shape[axis] for axis in order)
    return self.add('Transpose', [value], shape, value.dtype, perm=list(order))

  def reshaped(self, value: Value, shape: Shape) -> Value:
    """Gives a value that is whole another shape, in which one axis may depend on the batch."""
    if value.constant is not None:
      return constant(value.constant.reshape([_number(size) for size in shape]))
    sizes = [size if isinstance(size, int) else -1 for size in shape]
    if sizes.count(-1) > 1:
      raise NotExportable(f'a shape {shape} with two axes that depend on the batch')
    return self.add('Reshape', [value, self.numbers(*sizes)], shape, value.dtype)

  def whole(self, value: Value, shape: Shape) -> Value:
    """Repeats a value along the axes where it has a 1, up to the shape of its array."""
    if value.shape == tuple(shape):
      return value
    if all(isinstance(size, int) for size in shape):
      if value.constant is not None:
        return constant(np.broadcast_to(value.constant, shape))
      target = self.numbers(*shape)
    else:
      target = self._dynamic(shape)
    return self.add('Expand', [value, target], tuple(shape), value.dtype)

  def _dynamic(self, shape: Shape) -> Value:
    """Returns the sizes of a shape as a value of the graph."""
    (symbol,) = {size for size in shape if not isinstance(size, int)}
    batch = self.batch_size(symbol)
    parts = [self.numbers(size) if isinstance(size, int) else batch for size in shape]
    return self.add('Concat', parts, (len(shape),), np.int64, axis=0)

  def batch_size(self, symbol: Any) -> Value:
    """Returns the size of the batch, int64 [1].

    Raises:
      NotExportable: `symbol` is something else, like twice the batch.
    """
    if str(symbol) != BATCH:
      raise NotExportable(f'an axis of {symbol}')
    first = Value((), np.dtype(np.float32), self._inputs[0].name)
    return self.add('Shape', [first], (1,), np.int64, start=0, end=1)

  def _name(self, value: Value) -> str:
    """Returns a value's name; a constant gets into the graph, once however often it is used."""
    if value.constant is None:
      return value.name
    array = np.ascontiguousarray(value.constant).reshape(value.constant.shape)
    key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
    if key not in self._names:
      self._count += 1
      self._names[key] = f'constant_{self._count}'
      self._constants[self._names[key]] = array
    return self._names[key]

  def model(self, name: str, outputs: Mapping[str, tuple[Value, Shape]], about: str) -> Any:
    """Returns the finished model, without nodes that no output needs.

    Args:
      name: of the graph.
      outputs: value and shape of its array by name.
      about: one line for people who open the file.
    """
    for output, (value, shape) in outputs.items():
      names = [self._name(self.whole(value, shape))]
      self._nodes.append(helper.make_node('Identity', names, [output]))
    nodes, needed = [], set(outputs)
    for node in reversed(self._nodes):
      if needed & set(node.output):
        nodes.append(node)
        needed |= set(node.input)
    graph = helper.make_graph(
      nodes[::-1],
      name,
      self._inputs,
      [_described(name, shape, value.dtype) for name, (value, shape) in outputs.items()],
      [onnx.numpy_helper.from_array(a, n) for n, a in self._constants.items() if n in needed],
    )
    opset = [helper.make_opsetid('', OPSET)]
    model = helper.make_model(graph, opset_imports=opset, producer_name='anon_jax')
    model.ir_version, model.doc_string = IR_VERSION, about
    return model


def _described(name: str, shape: Shape, dtype: np.dtype) -> Any:
  sizes = [size if isinstance(size, int) else BATCH for size in shape]
  return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), sizes)


def _number(size: Any) -> int:
  return size if isinstance(size, int) else -1
