"""Expressions as maps show them, on numbers worked by hand."""

import numpy as np
import pytest

from anon_jax.data import semantic
from anon_jax.evaluation.expression import expression_preservation, openness

EYES, MOUTH = semantic.CLASSES.index('eyes'), semantic.CLASSES.index('mouth')


def _map(mouth_rows=2, eyes=4, side=32):
  """A face of 20 x 20 pixels with a mouth 8 wide and eyes of some pixels in a row."""
  found = np.zeros((side, side), np.uint8)
  found[6:26, 6:26] = 1
  found[18 : 18 + mouth_rows, 12:20] = MOUTH
  found[10, 8 : 8 + eyes] = EYES
  return found


def test_an_open_mouth_is_as_high_as_wide_and_wide_eyes_are_a_larger_share():
  flat, square = openness(np.stack([_map(1), _map(8, 16)]))
  assert flat.tolist() == [0, pytest.approx((4 / 400) ** 0.5)]
  assert square.tolist() == [pytest.approx(1), pytest.approx((16 / 400) ** 0.5)]


def test_a_part_of_too_few_pixels_has_no_openness():
  hidden = _map(0, 3)
  assert np.isnan(openness(hidden[None])).all()


def test_the_same_expressions_differ_by_nothing_and_others_by_what_they_differ():
  rng = np.random.default_rng(0)
  forms = rng.integers((1, 5), (8, 12), (40, 2))
  maps = np.stack([_map(*form) for form in forms])
  same = expression_preservation(maps, maps)
  for name in ('mouth', 'eyes'):
    assert same[name]['mean'] == 0 < same[name]['chance']
    assert same[name]['correlation'] == pytest.approx(1)
  assert same['overlap']['mean'] == 1 > same['overlap']['chance']
  others = expression_preservation(maps, maps[::-1])
  assert others['mouth']['mean'] == pytest.approx(same['mouth']['chance'], rel=0.35)
  assert abs(others['mouth']['correlation']) < 0.5


def test_overlap_is_that_of_mouth_and_eyes_together():
  # 8 and 16 pixels of mouth, 8 of them shared, and the same 4 of eyes
  found = expression_preservation(_map(1)[None], _map(2)[None])
  assert found['overlap']['mean'] == pytest.approx(12 / 20)
  assert np.isnan(found['overlap']['chance']) and np.isnan(found['mouth']['chance'])


def test_faces_without_a_mouth_do_not_count_for_it():
  found = expression_preservation(
    np.stack([_map(0), _map(4)]), np.stack([_map(4), _map(4)]), np.array([1, 2])
  )
  assert found['mouth']['mean'] == 0
  assert found['overlap']['mean'] == pytest.approx((4 / 36 + 1) / 2)


def test_maps_of_other_sizes_are_refused():
  with pytest.raises(ValueError, match=r'maps have shapes \(1, 32, 32\) and \(1, 16, 16\)'):
    expression_preservation(_map()[None], np.zeros((1, 16, 16)))
