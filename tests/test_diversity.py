"""Distinct nearest identities and distances of random pairs, on outputs known by hand."""

import numpy as np
import pytest

from anon_jax.evaluation import diversity
from anon_jax.evaluation.diversity import (
  distinct_nearest,
  lpips_diversity,
  random_pairs,
  reid_diversity,
)

PEOPLE = np.eye(4, 3)  # three axes, and a fourth identity at nothing
PEOPLE[3] = [-1, 0, 0]


def test_identities_that_some_output_is_nearest_to_are_counted_once():
  outputs = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0.1], [0, 0.6, 0.5], [-0.2, -0.9, -0.9]])
  # nearest: 0, 0, 1, and 3 by .2 against -.2, -.9, -.9
  assert distinct_nearest(outputs, PEOPLE) == 3
  assert distinct_nearest(np.ones((5, 3)), PEOPLE) == 1  # equally near ones: the first


def test_the_nearest_identity_is_that_of_the_smallest_distance():
  rng = np.random.default_rng(0)
  outputs, people = (rng.normal(size=(n, 6)) for n in (40, 25))
  outputs, people = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (outputs, people))
  nearest = [min(range(25), key=lambda k: np.linalg.norm(row - people[k])) for row in outputs]
  assert distinct_nearest(outputs, people) == len(set(nearest)) > 5


def test_reid_diversity_is_the_mean_over_inputs_and_knows_its_bound():
  everyone, one = PEOPLE[:, :3].copy(), np.tile(PEOPLE[:1], (4, 1))
  found = reid_diversity([everyone, one, one], PEOPLE)
  assert (found['inputs'], found['outputs'], found['bound']) == (3, 4, 4)
  assert found['mean'] == pytest.approx((4 + 1 + 1) / 3)
  assert found['low'] < found['mean'] < found['high']
  assert reid_diversity([np.tile(everyone, (5, 1))], PEOPLE)['bound'] == 4  # 20 outputs
  assert reid_diversity([everyone[:2]], PEOPLE)['bound'] == 2


def test_inputs_with_other_numbers_of_outputs_are_refused():
  with pytest.raises(ValueError, match=r'have \[3, 4\] outputs; expected one number'):
    reid_diversity([PEOPLE, PEOPLE[:3]], PEOPLE)
  with pytest.raises(ValueError, match=r'have \[\] outputs'):
    reid_diversity([], PEOPLE)


def test_pairs_are_different_and_of_different_outputs():
  drawn = random_pairs(500, 500, np.random.default_rng(0))  # the paper's 500 of 124,750
  assert drawn.shape == (500, 2)
  assert (drawn[:, 0] < drawn[:, 1]).all()
  assert len({tuple(pair) for pair in drawn}) == 500
  assert drawn.max() > 480  # from all outputs
  assert drawn.min() < 20
  every = random_pairs(5, 99, np.random.default_rng(0))
  assert sorted(map(tuple, every)) == [(i, j) for i in range(5) for j in range(i + 1, 5)]
  for count, pairs in ((1, 5), (5, 0)):
    with pytest.raises(ValueError, match='give 1 or more of 2 or more'):
      random_pairs(count, pairs, np.random.default_rng(0))


class _Distance:
  """Stands for LPIPS: the difference of the first pixels; remembers how many it was given."""

  def __init__(self):
    self.sizes = []

  def __call__(self, a, b):
    self.sizes.append((len(a), len(b)))
    return np.abs(a - b)[:, 0, 0, 0]


def _outputs(*levels):
  return np.array(levels, np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3), np.float32)


def test_lpips_diversity_worked_by_hand():
  # all pairs of 0, 1, 3: 1, 3, 2; of 5, 5, 5: 0
  found = lpips_diversity(_Distance(), [_outputs(0, 1, 3), _outputs(5, 5, 5)], pairs=9)
  assert (found['inputs'], found['pairs'], found['seed']) == (2, 6, 0)
  assert found['mean'] == pytest.approx((2 + 0) / 2)
  assert (found['low'], found['high']) == (0, 2)


def test_batches_have_one_size_and_their_filling_does_not_count():
  outputs = _outputs(*np.random.default_rng(0).random(12))
  distance = _Distance()
  found = lpips_diversity(distance, [outputs], pairs=23, batch=10)
  assert distance.sizes == [(10, 10)] * 3
  for batch in (1, 23, 64):
    again = lpips_diversity(_Distance(), [outputs], pairs=23, batch=batch)
    assert again['mean'] == pytest.approx(found['mean'], rel=1e-12)


def test_the_seed_decides_the_pairs_and_inputs_have_their_own():
  outputs = _outputs(*np.random.default_rng(0).random(30))

  def mean(seed, *groups):
    return lpips_diversity(_Distance(), groups, pairs=5, seed=seed)['mean']

  assert mean(1, outputs) == mean(1, outputs) != mean(2, outputs)
  # had both inputs the same pairs, their mean would be that of one
  assert mean(1, outputs, outputs) != mean(1, outputs)
  assert diversity.lpips_diversity(_Distance(), [], pairs=5)['inputs'] == 0
