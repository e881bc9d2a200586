"""Intersection over union, worked by hand; merged classes; intervals; the report."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import parallel
from anon_jax.data import semantic
from anon_jax.evaluation import segmentation as metrics
from anon_jax.evaluation import segmentation_report
from anon_jax.losses.segmentation import MERGED, allowed_classes
from anon_jax.steps.stage import Stage

C = semantic.NUM_CLASSES
EACH = np.eye(C, dtype=bool)
FASSEG = allowed_classes(MERGED['fasseg'])


def _confusion(labels, predictions, allowed=EACH):
  labels, predictions = (np.array(x, np.uint8)[None, None] for x in (labels, predictions))
  return np.asarray(metrics.confusion_matrices(labels, predictions, allowed))[0]


def test_a_confusion_matrix_counts_labelled_pixels_by_label_and_prediction():
  confusion = _confusion([0, 0, 1, 1, 255, 6], [0, 1, 1, 1, 1, 0])
  expected = np.zeros((C, C), int)
  expected[0, 0], expected[0, 1], expected[1, 1], expected[6, 0] = 1, 1, 2, 1
  np.testing.assert_array_equal(confusion, expected)
  assert confusion.dtype == np.int32


def test_iou_is_the_intersection_over_the_union():
  # background: 1 right, labelled 2, predicted 2: 1 / 3; skin: 2 right of 2 and 3: 2 / 3; hair 0.
  iou = metrics.intersection_over_union(_confusion([0, 0, 1, 1, 255, 6], [0, 1, 1, 1, 1, 0]))
  np.testing.assert_allclose(iou[[0, 1, 6]], [1 / 3, 2 / 3, 0])
  assert np.isnan(np.delete(iou, [0, 1, 6])).all()


def test_a_prediction_that_the_label_may_stand_for_counts_as_the_label():
  # In FASSEG skin takes in the neck, and hair the brows.
  confusion = _confusion([1, 1, 6, 2, 0], [7, 1, 2, 2, 7], FASSEG)
  assert (confusion[1, 1], confusion[6, 6], confusion[2, 2]) == (2, 1, 1)
  assert confusion[0, 7] == 1  # neck on background is wrong whatever neck stands for
  assert confusion.sum() == 5


def test_a_class_that_is_not_labelled_lowers_the_figure_of_the_label_that_takes_it_in():
  confusion = _confusion([1, 1, 0, 0], [7, 1, 7, 0], FASSEG)
  labelled = confusion.sum(axis=1) > 0
  folded = metrics.fold_unlabelled(confusion, FASSEG, labelled)
  assert folded.sum() == 4
  np.testing.assert_allclose(
    metrics.intersection_over_union(folded)[[0, 1]], [1 / 2, 2 / 3]
  )  # skin: 2 right, one on background
  assert confusion[0, 7] == 1  # the argument is left alone


def test_a_class_that_no_label_takes_in_stays_itself():
  confusion = _confusion([1, 0], [7, 0])
  folded = metrics.fold_unlabelled(confusion, EACH, confusion.sum(axis=1) > 0)
  np.testing.assert_array_equal(folded, confusion)


def _two_classes(right, wrong):
  confusion = np.zeros((C, C), int)
  confusion[0, 0], confusion[1, 1], confusion[1, 0] = right, right, wrong
  return confusion


def test_a_summary_sums_pixels_before_it_divides_and_resamples_persons():
  confusions = np.stack([_two_classes(3, 1), _two_classes(1, 3), _two_classes(4, 0)])
  result = metrics.summary(confusions, np.array([5, 5, 9]), draws=200)
  # 8 right of each; 4 of skin called background: 8 / 12 both.
  assert (result['pictures'], result['units']) == (3, 2)
  assert set(result['iou']) == {'background', 'skin'}
  assert result['mean_iou']['mean'] == pytest.approx(2 / 3)
  # A resampling holds person 5 twice (4 / 8), both (8 / 12), or person 9 twice (1).
  assert result['mean_iou']['low'] == pytest.approx(1 / 2)
  assert result['mean_iou']['high'] == pytest.approx(1)


def test_a_class_missing_from_a_resampling_does_not_spoil_the_interval():
  only_background = np.zeros((C, C), int)
  only_background[0, 0] = 2
  result = metrics.summary(
    np.stack([only_background, _two_classes(1, 1)]), np.array([0, 1]), draws=50
  )
  assert result['iou']['skin'] == {'mean': 0.5, 'low': 0.5, 'high': 0.5}


class Fixed:
  """A stage that predicts class 1 everywhere but in the first column."""

  def __call__(self, state, batch):
    del state
    return {'classes': jnp.ones(batch['map'].shape, jnp.uint8).at[:, :, 0].set(0)}


def _batches():
  """Three pictures of 8 x 4 in batches of 8, the last five places padded."""
  maps = np.full((8, 8, 4), 1, np.uint8)
  maps[0, :, 0] = 0  # right
  maps[1] = 0  # three columns wrong
  maps[2, 0] = 255
  yield {
    'map': maps,
    'identity': np.array([4, 4, -1, 0, 0, 0, 0, 0], np.int32),
    'index': np.minimum(np.arange(8), 2).astype(np.int32),
    '_mask': (np.arange(8) < 3).astype(np.float32),
  }


def test_pictures_are_measured_once_and_by_group():
  stage = Stage('toy', jax.random.key, lambda s, b: (s, {}), Fixed(), ())
  result = metrics.evaluate_segmentation(
    metrics.make_measure(stage),
    jnp.zeros(()),
    list(_batches()),
    parallel.make_mesh(),
    EACH,
    ('a', 'b', ''),
  )
  assert (result['pictures'], result['units']) == (3, 2)
  assert {g: r['pictures'] for g, r in result['groups'].items()} == {'a': 1, 'b': 1}
  assert result['groups']['a']['mean_iou']['mean'] == 1
  assert result['groups']['b']['iou']['background']['mean'] == 0.25
  # background: 8 + 8 right, labelled 40, predicted 24 - 1 unlabelled: 16 / (40 + 23 - 16)
  assert result['iou']['background']['mean'] == pytest.approx(16 / 47)


def test_the_report_has_a_table_for_each_data_set_with_its_classes_and_groups(tmp_path):
  confusions = np.stack([_two_classes(3, 1), _two_classes(1, 3)])
  result = metrics.summary(confusions, np.arange(2), draws=20)
  result['groups'] = {'yaw 90': metrics.summary(confusions[:1], np.arange(1), draws=20)}
  path = segmentation_report.write_report(
    tmp_path, 7, {'fasseg': result}, {'split': 'test', 'mixture': ''}
  )
  text = path.read_text()
  assert 'Step 7; split test.' in text
  assert '| pictures | number | persons | mean IoU | background | skin |' in text
  # 4 right, 4 of skin called background: 4 / 8 both; the first alone 3 / 4
  assert '| all | 2 | 2 | 0.500 [' in text
  assert '| yaw 90 | 1 | 1 | 0.750 [0.750, 0.750] | 0.750 | 0.750 |' in text
  saved = json.loads((tmp_path / 'results.json').read_text())
  assert saved['step'] == 7
  assert saved['segmentation']['fasseg']['groups']['yaw 90']['iou']['skin']['mean'] == 0.75
  flat = metrics.scalars({'fasseg': result})
  assert flat['eval/fasseg/mean_iou'] == 0.5
  assert flat['eval/fasseg/skin'] == 0.5
