"""Cross-entropy of semantic maps, against numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.data import semantic
from anon_jax.losses.segmentation import MERGED, allowed_classes, cross_entropy


def _logits(*probabilities):
  """One row of pixels whose softmax is the given probabilities, [1, 1, w, c]."""
  return jnp.log(jnp.array(probabilities, jnp.float32))[None, None] + 3.0  # a shift is nothing


def _labels(*labels):
  return jnp.array(labels, jnp.uint8)[None, None]


def test_the_loss_is_the_mean_negative_log_probability_of_the_labels():
  loss = cross_entropy(_logits([0.5, 0.25, 0.25], [0.8, 0.1, 0.1]), _labels(1, 0))
  assert loss.dtype == jnp.float32
  assert float(loss) == pytest.approx(-(np.log(0.25) + np.log(0.8)) / 2, rel=1e-5)


def test_unlabelled_pixels_neither_count_nor_pull():
  logits = _logits([0.5, 0.25, 0.25], [0.8, 0.1, 0.1])
  labels = _labels(1, semantic.IGNORE)
  assert float(cross_entropy(logits, labels)) == pytest.approx(-np.log(0.25), rel=1e-5)
  grad = jax.grad(cross_entropy)(logits, labels)
  # softmax - one-hot at the labelled pixel
  np.testing.assert_allclose(grad[0, 0], [[0.5, -0.75, 0.25], [0, 0, 0]], atol=1e-6)


def test_a_batch_without_any_label_costs_nothing_and_has_no_gradient():
  logits, labels = _logits([0.5, 0.25, 0.25]), _labels(semantic.IGNORE)
  loss, grad = jax.value_and_grad(cross_entropy)(logits, labels, np.eye(3, dtype=bool))
  assert float(loss) == 0
  np.testing.assert_array_equal(grad, np.zeros((1, 1, 1, 3)))


def test_a_label_that_may_stand_for_two_classes_has_the_sum_of_their_probabilities():
  logits = _logits([0.5, 0.2, 0.3], [0.5, 0.2, 0.3])
  allowed = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]], bool)  # label 0: class 0 or 2
  loss, grad = jax.value_and_grad(cross_entropy)(logits, _labels(0, 2), allowed)
  assert float(loss) == pytest.approx(-(np.log(0.8) + np.log(0.3)) / 2, rel=1e-5)
  # p - p / .8 within the label's classes: they rise in proportion, neither is preferred
  np.testing.assert_allclose(grad[0, 0, 0], np.array([-0.125, 0.2, -0.075]) / 2, atol=1e-6)


def test_every_example_may_have_a_table_of_its_own():
  logits = jnp.tile(_logits([0.5, 0.2, 0.3]), (2, 1, 1, 1))
  labels = jnp.zeros((2, 1, 1), jnp.uint8)
  plain, merged = np.eye(3, dtype=bool), np.ones((3, 3), bool)
  loss = cross_entropy(logits, labels, np.stack([plain, merged]))
  assert float(loss) == pytest.approx(-np.log(0.5) / 2, rel=1e-5)  # the second may be anything


def test_class_weights_weigh_pixels_by_their_label():
  logits, labels = _logits([0.5, 0.25, 0.25], [0.8, 0.1, 0.1]), _labels(1, 0)
  loss = cross_entropy(logits, labels, class_weights=np.array([1.0, 3.0, 7.0]))
  assert float(loss) == pytest.approx(-(3 * np.log(0.25) + np.log(0.8)) / 4, rel=1e-5)


def test_large_logits_and_half_precision_stay_finite():
  logits = jnp.array([[[[3e4, -3e4], [0.0, 0.0]]]], jnp.bfloat16)
  loss = cross_entropy(logits, _labels(0, 1))
  assert float(loss) == pytest.approx(np.log(2) / 2, rel=1e-5)
  assert np.isfinite(jax.grad(cross_entropy)(logits, _labels(1, 1)).astype(jnp.float32)).all()


def test_fasseg_skin_may_be_neck_and_its_hair_may_be_brows():
  table = allowed_classes(MERGED['fasseg'])
  skin, brows, eyes, hair, neck = (
    semantic.CLASSES.index(name) for name in ('skin', 'brows', 'eyes', 'hair', 'neck')
  )
  assert np.flatnonzero(table[skin]).tolist() == [skin, neck]
  assert np.flatnonzero(table[hair]).tolist() == [brows, hair]
  assert np.flatnonzero(table[eyes]).tolist() == [eyes]
  # what fasseg calls skin costs nothing where S is sure that it is neck
  logits = jnp.full((1, 1, 1, 8), -50.0).at[..., neck].set(50.0)
  assert float(cross_entropy(logits, _labels(skin), table)) == pytest.approx(0, abs=1e-6)
  assert float(cross_entropy(logits, _labels(skin))) == pytest.approx(100)


def test_names_that_are_no_class_are_refused():
  with pytest.raises(ValueError, match="'beard' is no class; choose of background, skin"):
    allowed_classes({'skin': ('skin', 'beard')})
  with pytest.raises(ValueError, match="'skin' stands for no class"):
    allowed_classes({'skin': ()})


def test_shapes_that_do_not_go_together_are_refused():
  logits = jnp.zeros((2, 4, 4, 8))
  labels = jnp.zeros((2, 4, 4), jnp.uint8)
  with pytest.raises(ValueError, match=r'labels \(2, 4\)'):
    cross_entropy(logits, labels[..., 0])
  with pytest.raises(ValueError, match=r'`allowed` has shape \(3, 8, 8\)'):
    cross_entropy(logits, labels, np.ones((3, 8, 8), bool))
  with pytest.raises(ValueError, match=r'`class_weights` has shape \(7,\); expected \(8,\)'):
    cross_entropy(logits, labels, class_weights=np.ones(7))
