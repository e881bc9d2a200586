import numpy as np
import pytest
from PIL import Image

from anon_jax.data.celeba_mask_hq import CelebaMaskHq
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare

MASKS = 'CelebAMask-HQ-mask-anno'


def noise(side, seed):
  return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def add_part(folder, number, part, rows, columns=slice(None), side=16, mode='L'):
  """Writes the mask of one part: white in the given rows and columns."""
  stencil = np.zeros((side, side), np.uint8)
  stencil[rows, columns] = 255
  target = folder / MASKS / str(number // 2000)
  target.mkdir(parents=True, exist_ok=True)
  Image.fromarray(stencil).convert(mode).save(target / f'{number:05d}_{part}.png')


@pytest.fixture
def raw(tmp_path):
  """Three pictures of 32 px with parts at 16 px; 2 and 2001 are CelebA's 000020 and 000021."""
  folder = tmp_path / 'raw'
  (folder / 'CelebA-HQ-img').mkdir(parents=True)
  for number in (0, 2, 2001):
    Image.fromarray(noise(32, number)).save(folder / 'CelebA-HQ-img' / f'{number}.jpg')
    add_part(folder, number, 'skin', slice(2, 14))
  (folder / 'CelebA-HQ-to-CelebA-mapping.txt').write_text(
    'idx     orig_idx    orig_file\n'
    '0       119612      119613.jpg\n2       19      000020.jpg\n2001    20  000021.jpg\n'
  )
  (folder / 'list_eval_partition.txt').write_text(
    '000020.jpg 1\n000021.jpg 2\n000022.jpg 0\n119613.jpg 0\n'
  )
  return folder


def read(folder, number):
  for items in CelebaMaskHq.list_items(folder).values():
    for item in items:
      if item.name == f'{number}.jpg':
        return CelebaMaskHq.read_item(item)
  raise AssertionError(number)


def example(folder, split):
  source = open_split(folder, split)
  assert len(source) == 1
  return source[0]


def test_pictures_follow_the_partition_of_their_celeba_originals(raw, tmp_path):
  (raw / 'identity_CelebA.txt').write_text('119613.jpg 5\n000020.jpg 6\n000021.jpg 7\n')
  folder = prepare('celeba_mask_hq', str(raw), str(tmp_path / 'out'))
  found = {split: example(folder, split) for split in ('train', 'validation', 'test')}
  assert {split: (e['name'], e['identity']) for split, e in found.items()} == {
    'train': ('0.jpg', 5),
    'validation': ('2.jpg', 6),
    'test': ('2001.jpg', 7),
  }
  for e in found.values():
    original = np.asarray(Image.open(raw / 'CelebA-HQ-img' / e['name']))
    np.testing.assert_array_equal(e['image'], original)
    expected = np.zeros((32, 32))
    expected[4:28] = 1  # rows 2 to 13 at 16 px, twice as large
    np.testing.assert_array_equal(e['map'], expected)
    assert e['has_map'] is True


def test_identities_are_unknown_without_their_list(raw):
  assert {i.identity for items in CelebaMaskHq.list_items(raw).values() for i in items} == {-1}


def test_covering_parts_win_whatever_the_order_of_their_files(raw):
  add_part(raw, 0, 'eye_g', slice(4, 8))
  add_part(raw, 0, 'l_eye', slice(5, 6), slice(2, 5))
  add_part(raw, 0, 'nose', slice(6, 10), slice(7, 9))
  add_part(raw, 0, 'hair', slice(0, 5))
  add_part(raw, 0, 'hat', slice(0, 2))
  _, _, semantic_map = read(raw, 0)
  expected = np.zeros((16, 16))
  expected[2:14] = 1
  expected[6:10, 7:9] = 4
  expected[4:8] = 1  # glasses lie over the upper nose
  expected[5, 2:5] = 3
  expected[:5] = 6
  expected[:2] = 0
  np.testing.assert_array_equal(semantic_map, expected)


@pytest.mark.parametrize('mode', ['L', 'RGB', 'P', '1'])
def test_parts_are_read_whatever_their_kind_of_pixel(raw, mode):
  add_part(raw, 0, 'neck', slice(14, 16), mode=mode)
  _, _, semantic_map = read(raw, 0)
  assert (semantic_map[14:] == 7).all()
  assert (semantic_map[2:14] == 1).all()


def test_max_side_brings_picture_and_map_to_one_size(raw, tmp_path):
  folder = prepare('celeba_mask_hq', str(raw), str(tmp_path / 'out'), max_side=16)
  e = example(folder, 'train')
  assert e['image'].shape == (16, 16, 3)
  _, _, semantic_map = read(raw, 0)
  np.testing.assert_array_equal(e['map'], semantic_map)


@pytest.mark.parametrize(
  'name',
  ['CelebA-HQ-img', MASKS, 'CelebA-HQ-to-CelebA-mapping.txt', 'list_eval_partition.txt'],
)
def test_a_missing_part_is_named_with_layout_source_and_terms(raw, tmp_path, name):
  (raw / name).rename(raw / 'elsewhere')
  with pytest.raises(
    DatasetError, match=rf'raw/{name} is missing\. CelebAMask-HQ is exp'
  ) as caught:
    prepare('celeba_mask_hq', str(raw), str(tmp_path / 'out'))
  message = str(caught.value)
  assert 'https://github.com/switchablenorms/CelebAMask-HQ' in message
  assert 'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html' in message
  assert 'non-commercial' in message
  assert '\n' not in message


def test_a_missing_raw_folder_is_named_with_the_layout(tmp_path):
  with pytest.raises(DatasetError, match=r"manual_dir='.*nowhere' is not a folder\. CelebAMask-HQ"):
    prepare('celeba_mask_hq', str(tmp_path / 'nowhere'), str(tmp_path / 'out'))


def test_a_picture_without_any_part_is_named(raw):
  (raw / MASKS / '0' / '00002_skin.png').unlink()
  with pytest.raises(DatasetError, match=r'2\.jpg has no part 00002_\*\.png anywhere in .*anno'):
    read(raw, 0)


@pytest.mark.parametrize('name', ['00000_beard.png', 'skin.png', '00000_skin.bmp'])
def test_a_file_that_is_no_part_is_named(raw, name):
  (raw / MASKS / '0' / name).write_bytes(b'')
  with pytest.raises(DatasetError, match=rf'{name} is not the mask of a part; expected NNNNN_part'):
    read(raw, 0)


def test_parts_of_two_sizes_are_refused(raw):
  add_part(raw, 0, 'nose', slice(3, 6), side=8)
  with pytest.raises(
    DatasetError, match=r'00000_nose\.png is 8 x 8 but .*00000_skin\.png is 16 x 16; the parts'
  ):
    read(raw, 0)


def test_a_picture_that_is_no_multiple_of_its_parts_is_refused(raw):
  Image.fromarray(noise(40, 0)).save(raw / 'CelebA-HQ-img' / '0.jpg')
  with pytest.raises(
    DatasetError, match=r'00000_skin\.png is 16 x 16 but its picture .*/0\.jpg is 40 x 40'
  ):
    read(raw, 0)


def test_a_truncated_part_and_a_truncated_picture_are_named(raw):
  part = raw / MASKS / '0' / '00000_skin.png'
  part.write_bytes(part.read_bytes()[:-30])
  with pytest.raises(DatasetError, match=r'00000_skin\.png cannot be decoded'):
    read(raw, 0)
  picture = raw / 'CelebA-HQ-img' / '2.jpg'
  picture.write_bytes(picture.read_bytes()[:-200])
  with pytest.raises(DatasetError, match=r'2\.jpg cannot be decoded'):
    read(raw, 2)


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('CelebA-HQ-to-CelebA-mapping.txt', '0 119613.jpg\n', r'line 1 is .*expected `idx orig_idx'),
    ('CelebA-HQ-to-CelebA-mapping.txt', '0 1 2.jpg\n', r'does not list 2 of the pictures in'),
    ('list_eval_partition.txt', '000020.jpg 1\n000021.jpg 2\n', r'does not list 119613, which'),
    ('identity_CelebA.txt', '000020.jpg 1\n', r'identity_CelebA\.txt does not list 119613'),
  ],
)
def test_a_list_that_does_not_fit_the_pictures_is_refused(raw, name, text, message):
  (raw / name).write_text(text)
  with pytest.raises(DatasetError, match=message):
    read(raw, 0)


def test_an_incomplete_download_is_refused(raw):
  (raw / 'CelebA-HQ-img' / '2001.jpg').unlink()
  with pytest.raises(DatasetError, match=r'CelebA-HQ-img lacks 1 of the 3 pictures .*first: 2001'):
    read(raw, 0)


def test_pictures_must_be_named_by_their_number(raw):
  (raw / 'CelebA-HQ-img' / '0.jpg').rename(raw / 'CelebA-HQ-img' / 'zero.jpg')
  with pytest.raises(DatasetError, match=r'zero\.jpg is not named by a number'):
    read(raw, 0)


def test_two_pictures_of_one_number_are_refused(raw):
  Image.fromarray(noise(32, 0)).save(raw / 'CelebA-HQ-img' / '00002.jpg')
  with pytest.raises(DatasetError, match=r'00002\.jpg and .*/2\.jpg have one number'):
    read(raw, 0)
