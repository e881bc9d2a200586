"""Run lengths of masks, with strings worked by hand and compared with pycocotools."""

import numpy as np
import pytest

from anon_jax.data import run_lengths
from anon_jax.data.errors import DatasetError

coco = pytest.importorskip('pycocotools.mask')


def test_runs_go_down_the_columns_and_begin_with_background():
  # 1 off, 2 on, 1 off: rows 0 and 1 of column 0, then of column 1.
  np.testing.assert_array_equal(run_lengths.decode('121', 2, 2), [[False, True], [True, False]])


@pytest.mark.parametrize(
  ('counts', 'runs'),
  [
    ('121', [1, 2, 1]),
    ('`0', [16]),  # 16 needs a second character: the fifth bit is the sign
    ('T3', [100]),  # 100 = 3 x 32 + 4
    ('532N', [5, 3, 2, 1]),  # the fourth is 3 - 2
  ],
)
def test_lengths_worked_by_hand(counts, runs):
  assert run_lengths.lengths(counts) == runs


def test_lengths_and_masks_are_those_of_pycocotools():
  rng = np.random.default_rng(0)
  for share in (0.0, 0.02, 0.5, 1.0):
    mask = rng.random((37, 53)) < share
    counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()
    np.testing.assert_array_equal(run_lengths.decode(counts, 37, 53), mask)
    assert sum(run_lengths.lengths(counts)) == 37 * 53


@pytest.mark.parametrize(
  ('counts', 'message'),
  [
    ('12', r'cover 3 pixels; expected 2 x 2 = 4'),
    ('122', r'cover 5 pixels; expected 2 x 2 = 4'),
    ('', r'cover 0 pixels; expected 2 x 2 = 4'),
    ('532O', r'cover 12 pixels'),
    ('12`', r'end inside a number: they are cut short'),
    ('1é1', r"'é' is no character of COCO's"),
    ('1 1', r"' ' is no character of COCO's"),
  ],
)
def test_run_lengths_that_do_not_fit_are_refused_and_not_guessed(counts, message):
  with pytest.raises(DatasetError, match=message):
    run_lengths.decode(counts, 2, 2)


def test_a_negative_run_is_refused_though_the_sum_may_fit():
  # 5, 3, 2, then 3 - 4 = -1: 9 pixels in all.
  assert run_lengths.lengths('532L') == [5, 3, 2, -1]
  with pytest.raises(DatasetError, match='hold a run of -1 pixels'):
    run_lengths.decode('532L', 3, 3)
