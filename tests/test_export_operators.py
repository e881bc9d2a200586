"""The ONNX converter: each operation that it knows gives JAX's numbers, for batches of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import linen as nn

from anon_jax import proxy
from anon_jax.inference.portable import conversion
from anon_jax.inference.portable.graph import NotExportable
from anon_jax.nets import anonymization, blocks, convolution, harmonization, normalization

KERNEL = np.random.default_rng(1).normal(size=(3, 3, 2, 4)).astype(np.float32)
MAPS = np.random.default_rng(2).integers(0, 8, (3, 8, 8), np.uint8)
PLACES = np.random.default_rng(3).normal(size=(3, 8, 8, 2)).astype(np.float32)


def _converted(function, *arrays):
  """Runs a function of arrays by onnxruntime, converted for a batch of any size."""
  batch = conversion.batch_axis()
  specs = {
    f'in{number}': jax.ShapeDtypeStruct((batch, *array.shape[1:]), array.dtype)
    for number, array in enumerate(arrays)
  }
  model = conversion.to_onnx(lambda *a: {'out': function(*a)}, specs, 'test', 'a test')
  onnx.checker.check_model(model, full_check=True)
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=['CPUExecutionProvider']
  )
  found = [
    session.run(None, dict(zip(specs, given, strict=True)))[0] for given in (arrays, _first(arrays))
  ]
  np.testing.assert_array_equal(found[1].shape[0], 1)
  return found, model


def _first(arrays):
  return [array[:1] for array in arrays]


def _same(function, *arrays, tolerance=1e-6):
  (three, one), model = _converted(function, *arrays)
  for found, given in ((three, arrays), (one, _first(arrays))):
    wanted = np.asarray(function(*map(jnp.asarray, given)))
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
  return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
  'function',
  [
    lambda x: nn.leaky_relu(x, 0.2),
    lambda x: nn.swish(x) + jnp.tanh(x) * jnp.sqrt(jnp.abs(x)),
    lambda x: jnp.clip(jnp.round(x * 3), -2, 2) - jnp.floor(-x) ** 2,
    lambda x: jnp.where((x > 0) & (x <= 1) | (x != x), x, -1.0),
    lambda x: jnp.concatenate([x[:, 1:7:2], x[:, 2:5] * 2], axis=1),
    lambda x: jnp.max(x, axis=(1, 2)) + jnp.min(x, axis=(1, 2)) + x.sum(axis=(1, 2)),
    lambda x: jnp.argmax(x, axis=-1).astype(jnp.uint8),
    lambda x: jnp.any(x > 1, axis=-1),
    lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=3.0),
    lambda x: jnp.pad(x, ((0, 0), (1, 2), (2, 2), (0, 0)), mode='edge'),
    lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)[:, :, None],
    lambda x: jnp.repeat(x, 2, axis=3) + jnp.ones((x.shape[0], 1, 1, 4)),
    lambda x: jnp.broadcast_to(x[:, :1, :1], x.shape),
  ],
)
def test_an_operation_gives_the_numbers_of_jax(function):
  _same(function, PLACES)


@pytest.mark.parametrize(
  'function',
  [
    lambda x: convolution.convolve(x, jnp.asarray(KERNEL)),
    lambda x: convolution.convolve(x, jnp.asarray(KERNEL), 2, ((1, 1), (0, 1))),
    lambda x: jax.image.resize(x, (x.shape[0], 5, 12, 2), 'bilinear'),
    lambda x: jax.image.resize(x, (x.shape[0], 16, 16, 2), 'cubic'),
    lambda x: proxy.blur(x, 1.5),
    lambda x: blocks.upsample(blocks.downsample(x)),
    lambda x: nn.max_pool(x, (3, 3), padding='SAME'),
    lambda x: harmonization.feather((x[..., :1] > 0).astype(jnp.float32), 2),
    lambda x: jax.lax.dynamic_update_slice(x, x[:, 2:6, 2:6] + 1, (0, 1, 3, 0)),
    lambda x: x.reshape(x.shape[0], -1) @ jnp.arange(256.0).reshape(128, 2) / 999,
  ],
)
def test_what_the_networks_do_to_pictures_gives_the_numbers_of_jax(function):
  _same(function, PLACES, tolerance=1e-5)


def test_maps_are_resized_and_read_class_by_class():
  def read(maps):
    small = anonymization.resize_nearest(anonymization.coarsened(maps[:, 1:7, 1:7]), 4)
    return jax.nn.one_hot(small, 8)

  _same(read, MAPS)


def test_a_norm_sums_over_a_map_without_products():
  operators = _same(normalization.instance_norm, PLACES, tolerance=1e-5)
  assert operators.count('ReduceSum') >= 2
  assert not {'MatMul', 'Einsum', 'Expand'} & set(operators)


def test_what_does_not_depend_on_the_inputs_is_computed_once():
  operators = _same(lambda x: x * jnp.sum(jnp.sin(jnp.arange(9.0))), PLACES)
  assert operators == ['Mul', 'Identity']


def test_the_same_operation_on_the_same_values_is_one_node():
  operators = _same(lambda x: jnp.tanh(x) * 2 + jnp.tanh(x), PLACES)
  assert operators.count('Tanh') == 1


def test_an_operation_that_is_not_known_is_refused_by_name():
  with pytest.raises(NotExportable, match="the operation 'sin' cannot be written as ONNX yet"):
    _converted(jnp.sin, PLACES)


@pytest.mark.parametrize(
  ('function', 'message'),
  [
    (lambda x: x[:, ::-1], "'rev'"),
    (lambda x: x[1:], 'slice of the batch'),
    (lambda x: jnp.take(x, jnp.argmax(x[:, 0, 0], -1), axis=1), 'indices that depend on the input'),
  ],
)
def test_what_cannot_be_written_is_said(function, message):
  with pytest.raises(NotExportable, match=message):
    _converted(function, PLACES)
