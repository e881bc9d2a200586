"""Classes of bodies: their numbers, Clothing Co-Parsing's names, parts taken away."""

import numpy as np
import pytest

from anon_jax.config.every_stage import BODY_DATASETS, DATASETS
from anon_jax.data import body_classes, semantic
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import BUILDERS


def test_the_foreground_of_a_body_has_the_numbers_of_a_faces():
  assert body_classes.FOREGROUND == semantic.FOREGROUND
  assert len(body_classes.CLASSES) - 1 == len(body_classes.FOREGROUND)


def test_the_names_of_clothing_co_parsing_are_59_and_only_null_is_background():
  assert len(body_classes.CCP) == 59
  assert [name for name, part in body_classes.CCP.items() if part == 0] == ['null']


@pytest.mark.parametrize(
  ('name', 'part'),
  [('skin', 2), ('sunglasses', 2), ('hat', 3), ('dress', 4), ('coat', 4), ('jeans', 5), ('bag', 1)],
)
def test_a_name_of_clothing_co_parsing_has_its_part(name, part):
  assert body_classes.CCP[name] == part


def test_the_real_list_of_labels_has_our_59_names(real_data):
  lines = (real_data / 'ccp' / 'label_list.txt').read_text().splitlines()
  assert {line.split(maxsplit=1)[1] for line in lines} == set(body_classes.CCP)


def test_without_parts_every_part_is_the_person_and_unlabelled_pixels_stay():
  body_map = np.array([[0, 1, 2, 5, 255]], np.uint8)
  result = body_classes.without_parts(body_map)
  np.testing.assert_array_equal(result, [[0, 1, 1, 1, 255]])
  assert result.dtype == np.uint8


def test_a_class_of_faces_that_bodies_lack_is_refused():
  with pytest.raises(DatasetError, match=r'm\.png: pixel values 6, 7 are no class of a body; .* 5'):
    body_classes.check_map(np.array([[5, 6, 7, 255]], np.uint8), 'm.png')


def test_data_sets_of_bodies_can_be_prepared_and_are_none_of_faces():
  assert set(BODY_DATASETS) <= set(BUILDERS)
  assert not set(BODY_DATASETS) & set(DATASETS)
