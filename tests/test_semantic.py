import re

import numpy as np
import pytest

from anon_jax.data import semantic
from anon_jax.data.errors import DatasetError


def test_classes_are_the_eight_of_the_design_in_order():
  assert semantic.CLASSES == (
    'background', 'skin', 'brows', 'eyes', 'nose', 'mouth', 'hair', 'neck',
  )  # fmt: skip
  assert semantic.NUM_CLASSES == 8
  assert [semantic.CLASSES[i] for i in semantic.FOREGROUND] == [
    'skin', 'brows', 'eyes', 'nose', 'mouth',
  ]  # fmt: skip
  assert semantic.IGNORE == 255


def test_own_classes_map_onto_themselves():
  assert list(semantic.TABLES['anon_jax'].items()) == [
    (name, i) for i, name in enumerate(semantic.CLASSES)
  ]


def test_celeba_mask_hq_parts_have_their_classes():
  expected = {
    0: {'ear_r', 'hat', 'cloth'},
    1: {'skin', 'eye_g'},
    2: {'l_brow', 'r_brow'},
    3: {'l_eye', 'r_eye'},
    4: {'nose'},
    5: {'mouth', 'u_lip', 'l_lip'},
    6: {'hair'},
    7: {'l_ear', 'r_ear', 'neck', 'neck_l'},
  }
  table = semantic.TABLES['celeba_mask_hq']
  assert {c: {p for p in table if table[p] == c} for c in range(8)} == expected
  assert len(table) == 18


@pytest.mark.parametrize(
  ('below', 'above'),
  [('skin', 'nose'), ('eye_g', 'l_eye'), ('eye_g', 'r_eye'), ('skin', 'hair'), ('hair', 'hat')],
)
def test_parts_are_painted_so_that_the_covering_one_wins(below, above):
  order = list(semantic.TABLES['celeba_mask_hq'])
  assert order.index(below) < order.index(above)


def test_fasseg_keeps_the_numbers_and_has_no_neck():
  fasseg = semantic.TABLES['fasseg']
  assert 'neck' not in fasseg
  assert all(semantic.CLASSES[index] == name for name, index in fasseg.items())
  assert len(fasseg) == 7


def test_tables_cannot_be_changed():
  with pytest.raises(TypeError):
    semantic.TABLES['anon_jax']['skin'] = 3  # type: ignore[index]


def test_all_classes_and_ignore_pass():
  semantic.check_map(np.array([[0, 1, 2, 3, 4], [5, 6, 7, 255, 255]], np.uint8), 'a.png')


def test_other_values_are_refused_by_file_and_value():
  bad = np.array([[0, 8], [254, 8]], np.uint8)
  with pytest.raises(
    DatasetError, match=re.escape('masks/a.png: pixel values 8, 254 are no class')
  ):
    semantic.check_map(bad, 'masks/a.png')


def test_many_bad_values_are_cut_short():
  with pytest.raises(DatasetError, match=r'values 8, 9, 10, 11, 12, 13, 14, 15, \.\.\. are'):
    semantic.check_map(np.arange(256, dtype=np.uint8).reshape(16, 16), 'a.png')
