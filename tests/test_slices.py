"""Slices of pictures by their file names, and what is measured of each."""

import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation.detection_rate import Detections
from anon_jax.protocols import slices, slices_report
from anon_jax.protocols.study import Rendered
from anon_jax.protocols.systems import METHOD, ORIGINAL

UTKFACE = configs.defaults('evaluate_slices').groups


def test_utkfaces_names_make_slices_by_gender_and_race():
  names = ('20_0_1_2017.jpg', '31_1_1_2017.jpg', '40_0_3_2016.jpg', '7_0_0_2017.jpg')
  found = slices.slices_of(names, UTKFACE)
  # one picture is no slice
  assert {title: places.tolist() for title, places in found.items()} == {
    'gender 0': [0, 2, 3],
    'race 1': [0, 1],
  }


@pytest.mark.parametrize(
  ('names', 'pattern', 'error', 'message'),
  [
    (('a.jpg',), '(', ValueError, r"'\(' is no regular expression"),
    (('a.jpg',), 'a', ValueError, r"'a' names no group; write \(\?P<name>"),
    (('20_0_1_x.jpg', 'a.jpg'), UTKFACE, DatasetError, r'a\.jpg does not match config\.groups='),
  ],
)
def test_names_and_patterns_that_do_not_fit_are_named(names, pattern, error, message):
  with pytest.raises(error, match=message):
    slices.slices_of(names, pattern)


def _rendered(system, vectors, actions, found):
  box = np.array([[0.0, 0, 10, 10]])
  return Rendered(
    system,
    dict(zip('abcd', actions, strict=True)),
    [Detections(box[: int(each)], np.ones(int(each))) for each in found],
    np.asarray(vectors, float),
    np.asarray(vectors, float),
    np.zeros((4, 5, 2)),
  )


def test_a_slice_counts_its_own_pictures_only():
  nan = [np.nan, np.nan]
  clear = _rendered(ORIGINAL, [[1, 0], [0, 1], [1, 0], nan], ['original'] * 4, [1, 1, 1, 0])
  actions = ['synthesized', 'synthesized', 'filled', 'no face']
  made = _rendered(METHOD, [[0.6, 0.8], [0.6, 0.8], [0, 1], nan], actions, [1, 0, 0, 0])
  row = slices._row(clear, made, np.arange(4), 'abcd')
  assert row['pictures'] == 4
  assert row['found']['mean'] == 0.75
  assert row['painted']['mean'] == pytest.approx(2 / 3)
  assert row['detection']['same_place']['mean'] == pytest.approx(1 / 3)
  assert row['cosine']['mean'] == pytest.approx(0.7)  # of .6 and .8
  # own .6 and .8 against strangers' .8 and .6: one is above, two are alike, one is below
  assert row['auc'] == pytest.approx(0.5)
  few = slices._row(clear, made, np.array([0, 3]), 'ad')
  assert (few['cosine']['mean'], few['auc']) == (pytest.approx(0.6), None)
  text = '\n'.join(
    slices_report.lines(
      {
        'rows': {'all': {**row, 'judged': None}, 'gender 0': {**few, 'judged': None}},
        'pictures': 4,
        'judge': '',
        'judge_missing': 'none was asked for.',
      },
      {'seed': '0'},
    )
  )
  assert '| gender 0 | 2 | 0.500' in text and 'No other detector: none was asked for.' in text
