"""LFW's list of pairs, and its protocol of folds."""

import numpy as np
import pytest

from anon_jax.data import lfw
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import lfw_protocol


@pytest.fixture
def folder(tmp_path):
  """Two folds with one pair of each kind."""
  for name in ('Ann_Lee', 'Bo', 'Cy'):
    (tmp_path / 'lfw-funneled' / name).mkdir(parents=True)
    for number in (1, 2, 12):
      (tmp_path / 'lfw-funneled' / name / f'{name}_{number:04d}.jpg').touch()
  lines = ['2\t1', 'Ann_Lee\t1\t2', 'Bo\t1\tCy\t2', 'Bo\t1\t12', 'Cy\t1\tAnn_Lee\t12']
  (tmp_path / 'pairs.txt').write_text('\n'.join(lines) + '\n')
  return tmp_path


def test_pairs_come_in_the_order_of_the_list_with_their_folds(folder):
  pairs = lfw.read_pairs(folder)
  assert pairs.folder == folder / 'lfw-funneled'
  assert pairs.first == (
    'Ann_Lee/Ann_Lee_0001.jpg',
    'Bo/Bo_0001.jpg',
    'Bo/Bo_0001.jpg',
    'Cy/Cy_0001.jpg',
  )
  assert pairs.second[1:] == (
    'Cy/Cy_0002.jpg',
    'Bo/Bo_0012.jpg',
    'Ann_Lee/Ann_Lee_0012.jpg',
  )
  assert pairs.same.tolist() == [True, False, True, False]
  assert pairs.fold.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
  ('old', 'new', 'message'),
  [
    ('Bo\t1\t12', 'Bo\t1\t13', 'Bo_0013.jpg is missing, which line 4 of .* no pair is left out'),
    ('2\t1\n', '2\t2\n', 'has 4 pairs; its first line promises 2 x 2 x 2'),
    ('2\t1\n', 'two\n', "line 1 is 'two'; expected the numbers of folds"),
    ('Bo\t1\tCy\t2', 'Bo\t1\t2', "line 3 is 'Bo 1 2'; expected NAME I OTHER J"),
    ('Bo\t1\t12', 'Bo\tone\t12', "line 4: 'one' is not the number of a picture"),
  ],
)
def test_a_list_of_another_form_is_refused_by_its_line(folder, old, new, message):
  text = (folder / 'pairs.txt').read_text()
  assert old in text
  (folder / 'pairs.txt').write_text(text.replace(old, new, 1))
  with pytest.raises(DatasetError, match=message):
    lfw.read_pairs(folder)


def test_a_list_of_one_fold_may_leave_the_number_of_folds_out(folder):
  (folder / 'pairs.txt').write_text('1\nBo\t1\t2\nBo\t1\tCy\t2\n')
  assert lfw.read_pairs(folder).fold.tolist() == [0, 0]


def test_a_folder_without_lfw_says_what_is_expected(tmp_path):
  with pytest.raises(DatasetError, match=r'holds no LFW\. LFW is expected as pairs.txt beside'):
    lfw.read_pairs(tmp_path)


def test_the_bundles_two_folds_have_all_their_pairs(real_data):
  pairs = lfw.read_pairs(real_data / 'lfw')
  assert (len(pairs.first), pairs.same.sum(), pairs.fold.max()) == (1200, 600, 1)
  assert len({*pairs.first, *pairs.second}) == 1583


SAME = np.array([True, True, False, False] * 2)
FOLD = np.repeat([0, 1], 4)


def test_accuracy_and_rates_are_those_worked_by_hand():
  # fold 0 is told apart at .305, and fold 1 not by any threshold
  distances = np.array([0.1, 0.3, 0.5, 0.9, 0.2, 0.8, 0.6, 1.0])
  found = lfw_protocol.by_folds(distances, SAME, FOLD, far=0.25)
  # Fold 1 (for fold 0): thresholds .21 to .6 and from .81 on get 3 of 4 right; the first is .21,
  # which in fold 0 gets .1 and both strangers right. Fold 0 (for fold 1): .31 gets all right.
  assert found['accuracy'] == pytest.approx(np.mean([3 / 4, 3 / 4]))
  # The share of accepted strangers jumps from 0 to a half at .6 (fold 1) and .5 (fold 0).
  assert found['thresholds'] == pytest.approx([0.6005, 0.5005], abs=2e-3)
  assert found['tar'] == pytest.approx(np.mean([2 / 2, 1 / 2]))
  assert found['tar_std'] == pytest.approx(0.25)
  assert found['far'] == pytest.approx(np.mean([1 / 2, 0]))


def _reference(distances, same, fold, far):
  """The published functions, written anew with loops over single pairs."""
  thresholds, tars, fars = np.arange(0, 4, 0.001), [], []
  for number in sorted(set(fold)):
    rates = []
    for threshold in thresholds:
      wrong = [
        d < threshold
        for d, s, f in zip(distances, same, fold, strict=True)
        if f != number and not s
      ]
      rates.append(sum(wrong) / len(wrong))
    limit = np.interp(far, rates, thresholds) if max(rates) >= far else 0.0
    own = [(d < limit, s) for d, s, f in zip(distances, same, fold, strict=True) if f == number]
    tars.append(np.mean([accepted for accepted, s in own if s]))
    fars.append(np.mean([accepted for accepted, s in own if not s]))
  return np.mean(tars), np.std(tars), np.mean(fars)


def test_the_rates_equal_the_published_rule_exactly():
  rng = np.random.default_rng(0)
  same, fold = np.tile([True] * 15 + [False] * 15, 4), np.repeat(np.arange(4), 30)
  distances = np.where(same, rng.normal(0.9, 0.3, 120), rng.normal(1.5, 0.3, 120)).clip(0, 4)
  for far in (0.02, 0.1):
    found = lfw_protocol.by_folds(distances, same, fold, far=far)
    assert (found['tar'], found['tar_std'], found['far']) == _reference(distances, same, fold, far)


def test_a_face_that_is_not_found_is_accepted_at_no_threshold():
  distances = np.array([0.1, 0.1, 1.0, 1.0] * 2)
  lost = np.where(SAME, np.inf, distances)
  assert lfw_protocol.by_folds(distances, SAME, FOLD, far=0.5)['tar'] == 1
  found = lfw_protocol.by_folds(lost, SAME, FOLD, far=0.5, threshold_distances=distances)
  assert (found['tar'], found['accuracy']) == (0, 0.5)


def test_thresholds_may_come_from_other_distances_of_the_same_pairs():
  originals = np.array([0.1, 0.2, 1.0, 1.2] * 2)
  found = lfw_protocol.by_folds(originals + 0.5, SAME, FOLD, threshold_distances=originals)
  # accepted below 1.0 and a little: .6 and .7 of the same, none of the others
  assert (found['tar'], found['far']) == (1, 0)
  assert lfw_protocol.by_folds(originals + 1, SAME, FOLD, threshold_distances=originals)['tar'] == 0


def test_a_rate_that_no_threshold_reaches_accepts_nobody():
  distances = np.full(8, np.inf)
  assert lfw_protocol.by_folds(distances, SAME, FOLD)['thresholds'] == [0, 0]


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'fold': np.zeros(8)}, 'give two folds or more'),
    ({'distances': np.full(8, np.nan)}, 'NaN'),
    ({'same': SAME[:7]}, r'expected \[n\] of each'),
  ],
)
def test_what_cannot_be_judged_is_refused(change, message):
  given = {'distances': np.ones(8), 'same': SAME, 'fold': FOLD} | change
  with pytest.raises(ValueError, match=message):
    lfw_protocol.by_folds(**given)
