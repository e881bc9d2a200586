"""SegmentationNet."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.losses.segmentation import cross_entropy
from anon_jax.nets.segmentation import WIDTHS, SegmentationNet, segment


def _cost(preset: str) -> tuple[int, float]:
  """Parameters, and floating-point operations of a crop of 128 px."""
  net = SegmentationNet(WIDTHS[preset])
  crop = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
  params = jax.eval_shape(net.init, jax.random.key(0), crop)
  flops = jax.jit(net.apply).lower(params, crop).cost_analysis()['flops']
  return sum(leaf.size for leaf in jax.tree.leaves(params)), flops


def test_a_crop_gives_a_float32_score_for_each_of_eight_classes_and_pixel():
  net = SegmentationNet(WIDTHS['tiny'], dtype=jnp.bfloat16)
  crops = jax.random.uniform(jax.random.key(0), (2, 16, 24, 3), minval=-1.0)
  logits, variables = jax.jit(net.init_with_output)(jax.random.key(1), crops)
  assert (logits.shape, logits.dtype) == ((2, 16, 24, 8), jnp.float32)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}


def test_presets_cost_what_the_docs_say():
  base, small = _cost('base'), _cost('small')
  assert base == (6_609_928, pytest.approx(7.2e9, rel=0.02))
  assert small[0] < 1.25e6
  assert small[1] == pytest.approx(1.26e9, rel=0.02)


def test_a_crop_that_cannot_be_halved_often_enough_is_refused():
  net = SegmentationNet(WIDTHS['base'])
  with pytest.raises(ValueError, match=r'100 x 96 cannot be halved 4 times.*multiples of 16'):
    jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 100, 96, 3)))


def test_the_map_is_the_likeliest_class_in_one_byte():
  logits = jnp.zeros((1, 1, 3, 8)).at[0, 0, 0, 7].set(2.0).at[0, 0, 1, 3].set(0.1)
  maps = segment(logits)
  assert maps.dtype == jnp.uint8
  np.testing.assert_array_equal(maps, [[[7, 3, 0]]])


def test_gradient_descent_teaches_it_to_tell_left_from_right():
  net = SegmentationNet(WIDTHS['tiny'])
  crops = jnp.ones((1, 16, 16, 3)).at[:, :, 8:].set(-1.0)
  labels = jnp.ones((1, 16, 16), jnp.uint8).at[:, :, 8:].set(6)
  params = jax.jit(net.init)(jax.random.key(0), crops)

  @jax.jit
  def descend(params):
    grads = jax.grad(lambda p: cross_entropy(net.apply(p, crops), labels))(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

  for _ in range(30):
    params = descend(params)
  right = segment(jax.jit(net.apply)(params, crops)) == labels
  assert float(right.mean()) > 0.95


def test_networks_and_their_losses_load_without_training_packages():
  program = (
    'import sys; import anon_jax.nets.segmentation, anon_jax.nets.anonymization, '
    'anon_jax.losses.segmentation, anon_jax.losses.regularisation, anon_jax.losses.diffaugment; '
    'print(sorted({"tensorflow", "tensorflow_datasets", "clu", "grain"} & sys.modules.keys()))'
  )
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert (done.returncode, done.stdout.strip()) == (0, '[]'), done.stderr
