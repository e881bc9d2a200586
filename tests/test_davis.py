"""DAVIS: films of one person, in DAVIS's own parts, and what can be wrong with them."""

import json

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import body_crops
from anon_jax.data.davis import Davis
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare


def add(folder, sequence, count=2, mask=None):
  pictures = folder / 'JPEGImages' / '480p' / sequence
  masks = folder / 'Annotations' / '480p' / sequence
  pictures.mkdir(parents=True)
  masks.mkdir(parents=True)
  if mask is None:
    mask = np.zeros((48, 60), np.uint8)
    mask[4:44, 20:36] = 255
  for number in range(count):
    Image.new('RGB', (60, 48), 'teal').save(pictures / f'{number:05d}.jpg')
    Image.fromarray(mask).save(masks / f'{number:05d}.png')


@pytest.fixture
def raw(tmp_path):
  add(tmp_path / 'davis', 'dance-twirl')
  return tmp_path / 'davis'


def read(folder):
  return [Davis.read_item(item) for items in Davis.list_items(folder).values() for item in items]


def test_a_film_is_one_person_in_the_part_of_davis(raw, tmp_path, capsys):
  add(raw, 'hike', count=1)
  add(raw, 'blackswan')
  folder = prepare('davis', str(raw), str(tmp_path / 'out'))
  test, train = open_split(folder, 'test'), open_split(folder, 'train')
  assert test.names() == ['dance-twirl/00000', 'dance-twirl/00001']
  assert train.names() == ['hike/00000']
  assert len({*test.identity_labels().tolist(), *train.identity_labels().tolist()}) == 2
  assert np.unique(test[0]['map']).tolist() == [0, 1, 255]  # 255 beyond the picture
  assert not test[0]['has_joints']
  assert 'no single person moves in them: blackswan.' in capsys.readouterr().out


def test_joints_are_read_beside_the_pictures(raw):
  folder = raw / 'openpose' / '480p' / 'dance-twirl'
  folder.mkdir(parents=True)
  body = [28, 10, 0.9] * 18
  for number in range(2):
    path = folder / f'{number:05d}_keypoints.json'
    path.write_text(json.dumps({'people': [{'pose_keypoints_2d': body}]}))
  _, (person,) = read(raw)[1]
  np.testing.assert_allclose(person.joints[5], [28, 10, 0.9])


def test_a_sequence_without_joints_beside_one_that_has_them_is_named(raw):
  (raw / 'openpose' / '480p').mkdir(parents=True)
  with pytest.raises(DatasetError, match=r'480p/dance-twirl is missing, while .*without joints'):
    read(raw)


def test_a_missing_mask_is_named(raw):
  (raw / 'Annotations' / '480p' / 'dance-twirl' / '00001.png').unlink()
  with pytest.raises(DatasetError, match=r'dance-twirl/00001\.png is missing\. DAVIS 2016 is'):
    read(raw)


def test_a_mask_that_cannot_be_read_is_named(raw):
  path = raw / 'Annotations' / '480p' / 'dance-twirl' / '00000.png'
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with pytest.raises(DatasetError, match=r'dance-twirl/00000\.png cannot be decoded'):
    read(raw)


def test_a_picture_without_the_person_is_named(tmp_path):
  add(tmp_path, 'parkour', mask=np.zeros((48, 60), np.uint8))
  with pytest.raises(DatasetError, match=r'parkour/00000\.png shows no person'):
    read(tmp_path)


def test_a_folder_without_a_film_of_one_person_is_refused(tmp_path):
  add(tmp_path, 'camel')
  with pytest.raises(DatasetError, match='holds no sequence of a single person'):
    read(tmp_path)
  with pytest.raises(DatasetError, match=r'nowhere/JPEGImages/480p is missing\. .*https://davis'):
    Davis.list_items(tmp_path / 'nowhere')


def test_the_real_films_are_190_pictures_of_two_persons(real_data):
  splits = Davis.list_items(real_data / 'davis')
  assert {split: len(items) for split, items in splits.items()} == {'test': 190}
  assert len({item.item.identity for item in splits['test']}) == 2
  for item in splits['test'][::60]:
    picture, (person,) = Davis.read_item(item)
    assert picture.shape == (480, 854, 3)
    assert body_crops.person_box(person.body_map) is not None
