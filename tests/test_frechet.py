"""The Frechet distance: hand-worked numbers, the textbook formula, small samples, streaming."""

import itertools

import numpy as np
import pytest
import scipy.linalg

from anon_jax.evaluation import frechet
from anon_jax.evaluation.frechet import Moments, Statistics, frechet_distance


def _features(count, dimensions, seed=0, mix=None):
  """Correlated features as a network gives them: float32, none below 0."""
  rng = np.random.default_rng(seed)
  mix = np.random.default_rng(99).normal(size=(dimensions, dimensions)) if mix is None else mix
  return np.maximum(rng.normal(0.3, 1, (count, dimensions)) @ mix, 0).astype(np.float32)


def _moments(features, batch=7, parts=1):
  """Through padded batches, whose padding is far away."""

  def batches():
    for start in range(0, len(features), batch):
      rows = features[start : start + batch]
      mask = np.arange(batch) < len(rows)
      padding = np.full((batch - len(rows), features.shape[1]), 1e6, np.float32)
      yield {'rows': np.concatenate([rows, padding]), '_mask': mask.astype(np.float32)}

  return frechet.moments_of(lambda b: b['rows'], batches(), features.shape[1], parts)


def _statistics(features, **how):
  return frechet.summed(_moments(features, **how)).statistics()


def _textbook(a, b):
  """The formula with the root of the product, on NumPy's covariances."""
  a, b = a.astype(np.float64), b.astype(np.float64)
  s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
  root = scipy.linalg.sqrtm(s @ t)
  gap = a.mean(0) - b.mean(0)
  return float(gap @ gap + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


def test_two_distributions_worked_by_hand():
  # apart by (3, 4); deviations 1, 2 and 3, 5 on common axes: 25 + (1 - 3)^2 + (2 - 5)^2
  a = Statistics(9, np.zeros(2), np.diag([1.0, 4.0]))
  b = Statistics(9, np.array([3.0, 4.0]), np.diag([9.0, 25.0]))
  assert frechet_distance(a, b) == pytest.approx(38, abs=1e-12)
  # x along one axis, y along the other: they share nothing
  a = Statistics(9, np.zeros(2), np.diag([4.0, 0.0]))
  b = Statistics(9, np.zeros(2), np.diag([0.0, 9.0]))
  assert frechet_distance(a, b) == pytest.approx(13, abs=1e-12)


def test_mean_and_covariance_worked_by_hand():
  moments = Moments.empty(2)
  moments.add(np.array([[1.0, 2.0], [3.0, 6.0]]))
  moments.add(np.array([[5.0, 1.0], [700.0, 7.0]]), np.array([1.0, 0.0]))
  found = moments.statistics()
  assert found.count == 3
  np.testing.assert_allclose(found.mean, [3, 3])
  np.testing.assert_allclose(found.covariance, [[4, -1], [-1, 7]])


def test_the_distance_is_the_textbook_formulas_where_that_has_a_root():
  a, b = _features(400, 24), 1.2 * _features(300, 24, seed=1) + np.float32(0.1)
  wanted = _textbook(a, b)
  assert wanted > 1
  assert frechet_distance(_statistics(a), _statistics(b)) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize('count', [20, 500])
def test_a_set_has_no_distance_from_itself_with_more_or_fewer_samples_than_dimensions(count):
  found = _statistics(_features(count, 96))
  assert np.trace(found.covariance) > 1000
  assert frechet_distance(found, found) <= 1e-6
  shuffled = _features(count, 96)[np.random.default_rng(5).permutation(count)]
  assert frechet_distance(found, _statistics(shuffled, batch=13)) <= 1e-6


def test_with_fewer_samples_than_dimensions_it_is_that_of_the_samples_own_plane():
  # features of 6 dimensions, turned into 80: nothing about the distance may change
  a, b = _features(200, 6), 2 * _features(150, 6, seed=1)
  turn = np.linalg.qr(np.random.default_rng(3).normal(size=(80, 6)))[0].T
  wanted = frechet_distance(_statistics(a), _statistics(b))
  turned = [_statistics(side.astype(np.float64) @ turn) for side in (a, b)]
  assert wanted > 1
  assert frechet_distance(*turned) == pytest.approx(wanted, rel=1e-9)
  few = [_statistics(side[:5].astype(np.float64) @ turn) for side in (a, b)]
  assert frechet_distance(*few) == pytest.approx(
    frechet_distance(_statistics(a[:5]), _statistics(b[:5])), rel=1e-9
  )


def test_rounding_errors_of_missing_dimensions_are_no_overlap():
  # two sets in planes at right angles share nothing; roots of 1e-16 would make 1e-6 of it
  rng = np.random.default_rng(0)
  axes = np.linalg.qr(rng.normal(size=(300, 300)))[0]
  a, b = (_statistics(rng.normal(size=(100, 50)) @ axes[start : start + 50]) for start in (0, 50))
  gap = a.mean - b.mean
  wanted = gap @ gap + np.trace(a.covariance) + np.trace(b.covariance)
  assert frechet_distance(a, b) == pytest.approx(wanted, abs=1e-9)


def test_neither_batch_size_nor_order_nor_a_break_changes_anything():
  a, b = _features(101, 16), _features(90, 16, seed=1)
  wanted = frechet_distance(_statistics(a), _statistics(b))
  for batch in (1, 32, 101):
    assert frechet_distance(_statistics(a, batch=batch), _statistics(b)) == pytest.approx(
      wanted, rel=1e-12
    )
  order = np.random.default_rng(2).permutation(101)
  assert frechet_distance(_statistics(a[order]), _statistics(b)) == pytest.approx(wanted, rel=1e-12)
  first = _moments(a[:40])[0]
  again = Moments(first.count, first.total.copy(), first.products.copy())  # as read from a file
  again.add(a[40:])
  assert frechet_distance(again.statistics(), _statistics(b)) == pytest.approx(wanted, rel=1e-12)


def test_float32_sums_would_have_been_too_coarse():
  """The negative control: what float64 is for."""
  features = _features(4000, 64) + np.float32(30)
  rough = features.astype(np.float32)
  products = np.zeros((64, 64), np.float32)
  for row in rough:
    products += np.outer(row, row)
  mean = rough.sum(0) / np.float32(4000)
  covariance = (products - 4000 * np.outer(mean, mean)) / 3999
  coarse = Statistics(4000, mean.astype(float), (covariance + covariance.T).astype(float) / 2)
  exact = Statistics(4000, features.astype(float).mean(0), np.cov(features.T.astype(float)))
  assert frechet_distance(coarse, exact) > 1e-5
  assert frechet_distance(_statistics(features), exact) < 1e-9


def test_the_distance_grows_with_the_difference():
  a = _features(300, 12)
  noisy = [a + np.random.default_rng(1).normal(0, s, a.shape) for s in (0.1, 0.5, 2.0)]
  values = [frechet_distance(_statistics(a), _statistics(side)) for side in noisy]
  assert all(x < y for x, y in itertools.pairwise(values)), values


def test_parts_hold_every_picture_once_whatever_the_batch_size():
  features = _features(23, 4)
  for batch in (1, 5, 23):
    parts = _moments(features, batch=batch, parts=4)
    assert [part.count for part in parts] == [6, 6, 6, 5]
    for place, part in enumerate(parts):
      np.testing.assert_allclose(part.total, features[place::4].astype(float).sum(0), rtol=1e-12)
  with pytest.raises(ValueError, match='no part to sum up'):
    frechet.summed([])


def test_the_interval_covers_what_repetition_shows_and_takes_the_bias_away():
  # the distance of the distributions is 0: 12 dimensions, equal means and deviations
  rng = np.random.default_rng(0)
  shift = np.zeros(12)
  shift[0] = 1.0  # so the true squared distance is 1
  repeated = []
  for _ in range(60):
    a, b = rng.normal(size=(300, 12)), rng.normal(size=(300, 12)) + shift
    repeated.append(frechet.interval(_moments(a, 300, 20), _moments(b, 300, 20)))
  values = np.array([row['mean'] for row in repeated])
  assert values.mean() > 1.1  # biased
  assert np.mean([row['unbiased'] for row in repeated]) == pytest.approx(1, abs=0.06)
  assert np.mean([row['error'] for row in repeated]) == pytest.approx(values.std(), rel=0.35)
  covered = [row['low'] <= values.mean() <= row['high'] for row in repeated]
  assert np.mean(covered) > 0.85


def test_a_result_names_its_network_and_says_what_it_cannot_be_compared_with():
  a, b = _statistics(_features(60, 8)), _statistics(_features(60, 8, seed=1))
  found = frechet.compare('Frechet distance, X features', a, b)
  assert found == {
    'name': 'Frechet distance, X features',
    'value': frechet_distance(a, b),
    'dimensions': 8,
    'real': 60,
    'generated': 60,
    'note': '',
  }
  few = _statistics(_features(8, 8))
  note = frechet.compare('x', a, few)['note']
  assert 'counts differ' in note
  assert 'no more pictures than dimensions' in note


def test_what_cannot_be_measured_is_refused():
  moments = Moments.empty(3)
  with pytest.raises(ValueError, match=r'shape \(2, 4\); expected \[b, 3\]'):
    moments.add(np.zeros((2, 4)))
  with pytest.raises(ValueError, match=r'mask has shape \(3,\); expected \[2\]'):
    moments.add(np.zeros((2, 3)), np.ones(3))
  with pytest.raises(ValueError, match='hold NaN or infinity'):
    moments.add(np.full((2, 3), np.nan))
  moments.add(np.full((1, 3), np.nan), np.zeros(1))  # padding may hold anything
  with pytest.raises(ValueError, match='0 features have no covariance'):
    moments.statistics()
  a, b = _statistics(_features(9, 2)), _statistics(_features(9, 3))
  with pytest.raises(ValueError, match=r'\(2,\) and \(3,\) dimensions'):
    frechet_distance(a, b)
  parts = _moments(_features(9, 2), parts=2)
  for one, other in ((parts, parts[:1]), (parts[:1], parts[:1])):
    with pytest.raises(ValueError, match='expected as many, and at least 2'):
      frechet.interval(one, other)
