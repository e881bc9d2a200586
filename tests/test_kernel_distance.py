"""The kernel distance: by hand, by a loop over pairs, and that it is unbiased."""

import itertools

import numpy as np
import pytest

from anon_jax.evaluation import kernel_distance as kid


def _features(count, dimensions=5, seed=0, shift=0.0):
  return np.random.default_rng(seed).normal(shift, 1, (count, dimensions)).astype(np.float32)


def _by_pairs(a, b):
  """The definition: averages over pairs of different pictures."""

  def kernel(x, y):
    return (float(np.dot(x.astype(float), y.astype(float))) / len(x) + 1) ** 3

  def within(side):
    return np.mean([kernel(x, y) for x, y in itertools.permutations(side, 2)])

  return within(a) + within(b) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_two_pairs_of_numbers_worked_by_hand():
  # d = 1: k(1, 2) = 27; k(0, 3) = 1; k(1, 0) = 1, k(1, 3) = 64, k(2, 0) = 1, k(2, 3) = 343
  a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [3.0]])
  assert kid.kernel_distance(a, b) == pytest.approx(27 + 1 - 2 * (1 + 64 + 1 + 343) / 4)


@pytest.mark.parametrize('rows', [1, 4, 1000])
def test_it_is_the_average_over_pairs_whatever_the_block_size(rows):
  a, b = _features(9), _features(14, seed=1, shift=0.3)
  assert kid.kernel_distance(a, b, rows) == pytest.approx(_by_pairs(a, b), rel=1e-12)


def test_other_samples_of_the_same_pictures_average_to_zero_and_others_do_not():
  rng = np.random.default_rng(0)
  null = [kid.kernel_distance(*rng.normal(size=(2, 20, 5))) for _ in range(400)]
  error = np.std(null) / np.sqrt(400)
  assert min(null) < 0  # unbiased estimates lie on both sides
  assert abs(np.mean(null)) < 4 * error
  moved = [kid.kernel_distance(x, y + 0.5) for x, y in rng.normal(size=(50, 2, 20, 5))]
  assert np.mean(moved) > 20 * error


def test_subsets_average_to_the_estimate_over_all_pictures():
  a, b = _features(60), _features(50, seed=1, shift=0.2)
  drawn = kid.subset_distances(a, b, subsets=400, size=20)
  error = drawn.std() / 20
  assert drawn.shape == (400,)
  assert drawn.mean() == pytest.approx(kid.kernel_distance(a, b), abs=4 * error)
  assert drawn.std() > 0


def test_the_order_of_the_files_changes_nothing_and_the_seed_does():
  a, b = _features(40), _features(40, seed=1, shift=0.2)
  order = np.random.default_rng(3).permutation(40)
  options = {'subsets': 5, 'size': 15}
  found = kid.subset_distances(a, b, **options)
  np.testing.assert_array_equal(kid.subset_distances(a[order], b[order[::-1]], **options), found)
  assert (kid.subset_distances(a, b, **options, seed=1) != found).all()
  assert kid.kernel_distance(a[order], b) == pytest.approx(kid.kernel_distance(a, b), rel=1e-12)


def test_a_result_names_its_network_counts_and_draws():
  a, b = _features(30), _features(12, seed=1)
  found = kid.compare('Kernel distance, X features', a, b, subsets=3, size=1000, seed=4)
  drawn = kid.subset_distances(a, b, subsets=3, size=12, seed=4)
  assert found == {
    'name': 'Kernel distance, X features',
    'value': kid.kernel_distance(a, b),
    'subset_mean': drawn.mean(),
    'subset_std': drawn.std(),
    'subsets': 3,
    'subset_size': 12,
    'seed': 4,
    'dimensions': 5,
    'real': 30,
    'generated': 12,
  }


def test_what_cannot_be_measured_is_refused():
  a = _features(4)
  for b in (_features(4, 6), a[:1], a[0]):
    with pytest.raises(ValueError, match=r'expected \[n, d\] and \[m, d\]'):
      kid.kernel_distance(a, b)
  with pytest.raises(ValueError, match='NaN or infinity'):
    kid.kernel_distance(a, np.full((4, 5), np.inf))
  for size in (1, 5):
    with pytest.raises(ValueError, match='choose a size from 2 to 4'):
      kid.subset_distances(a, a, size=size)
