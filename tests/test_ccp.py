"""Clothing Co-Parsing: labels grouped by name, a tenth held out, and what can be wrong with it."""

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import body_crops
from anon_jax.data.ccp import Ccp
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare

NAMES = '0 null\n1 bag\n2 skin\n3 hair\n4 dress\n5 heels\n'


def labels():
  """60 x 40: a person of 40 rows from hair to heels, with a bag."""
  result = np.zeros((60, 40), np.uint8)
  result[10:14, 15:25] = 3
  result[14:20, 15:25] = 2
  result[20:44, 15:25] = 4
  result[44:50, 15:25] = 5
  result[30:36, 25:28] = 1
  return result


@pytest.fixture
def raw(tmp_path):
  folder = tmp_path / 'ccp'
  (folder / 'photos').mkdir(parents=True)
  (folder / 'labels').mkdir()
  (folder / 'label_list.txt').write_text(NAMES)
  for number in range(1, 5):
    pixels = np.full((60, 40, 3), 40 * number, np.uint8)
    Image.fromarray(pixels).save(folder / 'photos' / f'{number:04d}.jpg')
    Image.fromarray(labels()).save(folder / 'labels' / f'{number:04d}.png')
  return folder


def read(folder):
  return [Ccp.read_item(item) for items in Ccp.list_items(folder).values() for item in items]


def test_labels_become_parts_by_their_names(raw):
  _, (person,) = read(raw)[0]
  # bag -> person 1, skin 2, hair 3, dress -> upper 4, heels -> lower 5.
  np.testing.assert_array_equal(person.body_map, labels())
  (raw / 'label_list.txt').write_text(NAMES.replace('dress', 'jeans'))
  _, (person,) = read(raw)[0]
  np.testing.assert_array_equal(np.unique(person.body_map), [0, 1, 2, 3, 5])


def test_every_photograph_is_one_crop_with_its_number_as_identity(raw, tmp_path):
  folder = prepare('ccp', str(raw), str(tmp_path / 'out'))
  sources = [open_split(folder, split) for split in ('train', 'validation')]
  assert [len(source) for source in sources] == [3, 1]
  examples = [source[i] for source in sources for i in range(len(source))]
  assert sorted(example['identity'] for example in examples) == [1, 2, 3, 4]
  for example in examples:
    assert example['name'] == f'{example["identity"]:04d}.jpg'
    assert example['image'].shape[0] == 2 * example['image'].shape[1]
    assert np.unique(example['map']).tolist() == [0, 1, 2, 3, 4, 5]
    assert not example['has_joints']


def test_what_is_held_out_depends_on_names_alone(raw):
  first, second = (Ccp.list_items(raw)['validation'] for _ in range(2))
  assert [one.item.name for one in first] == [one.item.name for one in second]


@pytest.mark.parametrize('part', ['photos', 'labels', 'label_list.txt'])
def test_a_missing_part_is_named_with_layout_and_source(raw, part):
  (raw / part).rename(raw / 'elsewhere')
  with pytest.raises(DatasetError, match=rf'{part} is missing\. Clothing Co-Parsing is .*https://'):
    read(raw)


def test_a_photograph_without_labels_is_named(raw):
  (raw / 'labels' / '0003.png').unlink()
  with pytest.raises(DatasetError, match=r'labels/0003\.png is missing'):
    read(raw)


def test_a_label_that_the_list_does_not_name_is_refused(raw):
  (raw / 'label_list.txt').write_text(NAMES.replace('5 heels\n', ''))
  with pytest.raises(DatasetError, match=r'000\d\.png holds the label 5, which .*list\.txt does'):
    read(raw)


@pytest.mark.parametrize('line', ['6 spacesuit', 'six skin', '300 skin', '6'])
def test_a_line_of_the_list_that_is_none_is_quoted(raw, line):
  (raw / 'label_list.txt').write_text(NAMES + line + '\n')
  with pytest.raises(DatasetError, match=f"has the line '{line}'; expected `INDEX NAME`"):
    read(raw)


def test_labels_that_cannot_be_read_are_named(raw):
  (raw / 'labels' / '0001.png').write_bytes(b'no picture')
  with pytest.raises(DatasetError, match=r'labels/0001\.png is neither a JPEG nor a PNG'):
    read(raw)


def test_a_photograph_that_shows_nobody_is_named(raw):
  Image.fromarray(np.zeros((60, 40), np.uint8)).save(raw / 'labels' / '0002.png')
  with pytest.raises(DatasetError, match=r'labels/0002\.png shows no person'):
    read(raw)


def test_a_photograph_that_is_not_named_by_its_number_is_refused(raw):
  (raw / 'photos' / '0001.jpg').rename(raw / 'photos' / 'cover.jpg')
  with pytest.raises(DatasetError, match=r'cover\.jpg is not named by its number'):
    read(raw)


def test_the_real_photographs_are_150_persons_15_of_them_held_out(real_data):
  splits = Ccp.list_items(real_data / 'ccp')
  assert {split: len(items) for split, items in splits.items()} == {'train': 135, 'validation': 15}
  for item in splits['validation'][:3]:
    picture, (person,) = Ccp.read_item(item)
    left, top, right, bottom = body_crops.person_box(person.body_map)
    assert bottom - top > picture.shape[0] / 2
    assert right - left < bottom - top
    assert {2, 4} <= set(np.unique(person.body_map).tolist()) <= set(range(6))
