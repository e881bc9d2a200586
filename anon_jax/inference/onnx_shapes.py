"""Frees an ONNX model from the picture size that its file states; needs no package onnx."""

from collections.abc import Iterator

# Numbers of the fields of ONNX's messages (onnx.proto) that `with_free_shapes` looks at.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 7, 5, 11, 12
_TENSOR_NAME, _VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR = 8, 1, 2, 1
_FLOAT_TENSOR = b'\x08\x01'  # element type 1, no shape


def with_free_shapes(model: bytes) -> bytes:
  """Returns an ONNX model that takes pictures of any size.

  The file is made for ten pictures of 32x32, and onnxruntime refuses others, though every layer of
  the network is a convolution. The shapes of the graph's inputs and outputs are left out; so are
  the weights from its inputs, among which they keep onnxruntime from folding constants.

  Raises:
    ValueError: `model` is not a protocol buffer.
  """
  parts = []
  for number, value, raw in _fields(model):
    parts.append(_message(number, _free_graph(value)) if number == _MODEL_GRAPH else raw)
  return b''.join(parts)


def _free_graph(graph: bytes) -> bytes:
  weights = {
    _first(value, _TENSOR_NAME)
    for number, value, _ in _fields(graph)
    if number == _GRAPH_INITIALIZER
  }
  parts = []
  for number, value, raw in _fields(graph):
    if number in (_GRAPH_INPUT, _GRAPH_OUTPUT):
      name = _first(value, _VALUE_NAME)
      if name in weights:
        continue
      kind = _message(_VALUE_TYPE, _message(_TYPE_TENSOR, _FLOAT_TENSOR))
      raw = _message(number, _message(_VALUE_NAME, name) + kind)
    parts.append(raw)
  return b''.join(parts)


def _first(message: bytes, wanted: int) -> bytes:
  return next((value for number, value, _ in _fields(message) if number == wanted), b'')


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
  """Yields number, value and the whole bytes of every field of a protocol buffer."""
  position = 0
  while position < len(message):
    start = position
    key, position = _varint(message, position)
    kind = key & 7
    if kind == 0:
      _, end = _varint(message, position)
    elif kind == 2:
      length, position = _varint(message, position)
      end = position + length
    else:
      end = position + {1: 8, 5: 4}.get(kind, len(message) + 1)
    if end > len(message):
      raise ValueError('it is not an ONNX model')
    yield key >> 3, message[position:end], message[start:end]
    position = end


def _varint(message: bytes, position: int) -> tuple[int, int]:
  value = 0
  for shift in range(0, 64, 7):
    if position >= len(message):
      break
    byte = message[position]
    position += 1
    value |= (byte & 127) << shift
    if byte < 128:
      return value, position
  raise ValueError('it is not an ONNX model')


def _message(number: int, value: bytes) -> bytes:
  return _encoded(number << 3 | 2) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
  digits = []
  while value > 127:
    digits.append(value & 127 | 128)
    value >>= 7
  return bytes([*digits, value])
