"""LFW as a prepared data set: all pictures, persons as labels, and every pair."""

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import lfw
from anon_jax.data.errors import DatasetError
from anon_jax.data.lfw_builder import Lfw, read_prepared_pairs
from anon_jax.data.prepare import open_split, prepare

PERSONS = {'Cy': 2, 'Ann_Lee': 3, 'Bo_2nd': 2}


@pytest.fixture
def raw(tmp_path):
  """Three folds with one pair of each kind, in the official layout."""
  rng = np.random.default_rng(0)
  for name, count in PERSONS.items():
    folder = tmp_path / 'raw' / 'lfw-deepfunneled' / name
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
      pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
      Image.fromarray(pixels).save(folder / f'{name}_{number:04d}.jpg')
  lines = ['3\t1', 'Ann_Lee\t1\t3', 'Cy\t1\tAnn_Lee\t1', 'Cy\t1\t2', 'Bo_2nd\t2\tCy\t2']
  lines += ['Bo_2nd\t1\t2', 'Ann_Lee\t1\tBo_2nd\t1']
  (tmp_path / 'raw' / 'pairs.txt').write_text('\n'.join(lines) + '\n')
  return tmp_path / 'raw'


def test_every_picture_is_prepared_byte_for_byte_with_its_person_and_without_a_map(raw, tmp_path):
  folder = prepare('lfw', str(raw), str(tmp_path / 'out'))
  source = open_split(folder, 'test')
  examples = [source[i] for i in range(len(source))]
  found = {example['name']: example for example in examples}
  assert len(found) == len(examples) == sum(PERSONS.values())
  for name, example in found.items():
    picture = Image.open(raw / 'lfw-deepfunneled' / name)
    np.testing.assert_array_equal(example['image'], np.asarray(picture))
    assert example['has_map'] is False
    # alphabetical: Ann_Lee, Bo_2nd, Cy
    assert example['identity'] == sorted(PERSONS).index(name.partition('/')[0])
  assert 'Ann_Lee/Ann_Lee_0002.jpg' in found  # which no pair names


def test_the_pairs_lead_to_the_prepared_pictures_in_the_order_of_the_list(raw, tmp_path):
  folder = prepare('lfw', str(raw), str(tmp_path / 'out'))
  pairs, listed = read_prepared_pairs(folder), lfw.read_pairs(raw)
  assert pairs.folder == folder
  assert (pairs.first, pairs.second) == (listed.first, listed.second)
  np.testing.assert_array_equal(pairs.same, listed.same)
  np.testing.assert_array_equal(pairs.fold, [0, 0, 1, 1, 2, 2])
  source = open_split(folder, 'test')
  labels = dict(zip(source.names(), source.identity_labels(), strict=True))
  same = [labels[a] == labels[b] for a, b in zip(pairs.first, pairs.second, strict=True)]
  np.testing.assert_array_equal(same, pairs.same)


def test_a_changed_list_is_prepared_anew(raw, tmp_path):
  folder = prepare('lfw', str(raw), str(tmp_path / 'out'))
  lines = (raw / 'pairs.txt').read_text().splitlines()
  (raw / 'pairs.txt').write_text('\n'.join(['2\t1', *lines[1:5]]))
  again = prepare('lfw', str(raw), str(tmp_path / 'out'))
  assert again != folder
  assert [len(read_prepared_pairs(f).first) for f in (folder, again)] == [6, 4]


def test_a_picture_that_a_pair_names_is_never_left_out(raw, tmp_path):
  (raw / 'lfw-deepfunneled' / 'Cy' / 'Cy_0002.jpg').unlink()
  with pytest.raises(DatasetError, match=r'Cy_0002\.jpg is missing, which line 4 of .*no pair'):
    prepare('lfw', str(raw), str(tmp_path / 'out'))
  assert not list((tmp_path).glob('out/lfw/*/1.0.0'))


def test_a_damaged_picture_is_named(raw, tmp_path):
  path = raw / 'lfw-deepfunneled' / 'Cy' / 'Cy_0001.jpg'
  path.write_bytes(path.read_bytes()[:-200])
  with pytest.raises(DatasetError, match=r'Cy_0001\.jpg cannot be decoded'):
    prepare('lfw', str(raw), str(tmp_path / 'out'))


@pytest.mark.parametrize(
  ('place', 'message'),
  [
    ('Cy/Bo_0001.jpg', r'Cy/Bo_0001\.jpg is not called Cy_NNNN\.jpg, as LFW has it'),
    ('Cy/Cy_1.jpg', r'Cy/Cy_1\.jpg is not called Cy_NNNN\.jpg'),
    ('Cy/Cy_0009.png', r'Cy/Cy_0009\.png is not called Cy_NNNN\.jpg'),
    ('Cy/list.csv', r'list\.csv is not a picture'),
    ('0001.jpg', r'0001\.jpg is no folder of a person; .* may hold nothing else'),
  ],
)
def test_what_is_no_picture_of_a_person_is_refused_by_name(raw, place, message):
  (raw / 'lfw-deepfunneled' / place).touch()
  with pytest.raises(DatasetError, match=message) as caught:
    Lfw.list_items(raw)
  assert '\n' not in str(caught.value)


def test_litter_of_file_managers_is_passed_over(raw):
  for place in ('.DS_Store', 'Thumbs.db', 'Cy/.hidden'):
    (raw / 'lfw-deepfunneled' / place).touch()
  assert len(Lfw.list_items(raw)['test']) == sum(PERSONS.values())


@pytest.mark.parametrize('name', ['pairs.txt', 'lfw-deepfunneled'])
def test_a_missing_part_is_told_with_layout_and_source(raw, tmp_path, name):
  (raw / name).rename(raw / 'elsewhere')
  with pytest.raises(
    DatasetError, match=r'holds no LFW\. LFW is expected as pairs.txt beside'
  ) as e:
    prepare('lfw', str(raw), str(tmp_path / 'out'))
  assert 'https://vis-www.cs.umass.edu/lfw' in str(e.value)


def test_a_list_that_is_no_text_is_refused(raw):
  (raw / 'pairs.txt').write_bytes(b'10\t300\n\xff\xfe\n')
  with pytest.raises(DatasetError, match=r'pairs\.txt cannot be read as UTF-8 text'):
    lfw.read_pairs(raw)


def test_a_folder_without_pairs_is_refused_and_so_is_a_cut_list(raw, tmp_path):
  with pytest.raises(DatasetError, match=r'metadata\.json holds no pairs of a prepared LFW'):
    read_prepared_pairs(tmp_path)
  (tmp_path / 'metadata.json').write_text('{"first": ["a"], "second": [], "same": [], "fold": []}')
  with pytest.raises(DatasetError, match='different lengths'):
    read_prepared_pairs(tmp_path)


def test_the_bundles_two_folds_are_prepared_with_all_their_pairs(real_data, tmp_path):
  folder = prepare('lfw', str(real_data / 'lfw'), str(tmp_path))
  source, pairs = open_split(folder, 'test'), read_prepared_pairs(folder)
  assert (len(source), len(set(source.identity_labels()))) == (1583, 844)
  assert len(pairs.first) == 1200
  assert {*pairs.first, *pairs.second} == set(source.names())
  assert source[7]['image'].shape == (250, 250, 3)
