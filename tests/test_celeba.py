import math

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import alignment
from anon_jax.data.celeba import Celeba
from anon_jax.data.errors import DatasetError
from anon_jax.data.prepare import open_split, prepare


def noise(height, width, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def layout(folder, sizes, images='images', partition='0120', extension='.png'):
  """Writes a CelebA folder of len(sizes) pictures (height, width); returns them by stem."""
  (folder / images).mkdir(parents=True)
  stems = [f'{i:06d}' for i in range(1, len(sizes) + 1)]
  pictures = {
    stem: noise(*size, i) for i, (stem, size) in enumerate(zip(stems, sizes, strict=True))
  }
  for stem, picture in pictures.items():
    Image.fromarray(picture).save(folder / images / f'{stem}{extension}')
  (folder / 'identity_CelebA.txt').write_text(
    ''.join(f'{stem}.jpg {100 + i}\n' for i, stem in enumerate(stems))
  )
  (folder / 'list_eval_partition.txt').write_text(
    ''.join(f'{stem}.jpg {part}\n' for stem, part in zip(stems, partition, strict=False))
  )
  return pictures


def add_mask(folder, stem, classes):
  (folder / 'masks').mkdir(exist_ok=True)
  Image.fromarray(classes).save(folder / 'masks' / f'{stem}.png')


def add_landmarks(folder, points):
  lines = [f'{stem}.jpg  {" ".join(f"{v:g}" for xy in five for v in xy)}' for stem, five in points]
  header = f'{len(lines)}\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y ...\n'
  (folder / 'list_landmarks_celeba.txt').write_text(header + '\n'.join(lines) + '\n')


def examples(folder, split):
  source = open_split(folder, split)
  return {source[i]['name']: source[i] for i in range(len(source))}


@pytest.fixture
def raw(tmp_path):
  return tmp_path / 'raw'


def test_square_pictures_come_back_exactly_in_their_parts(raw, tmp_path):
  pictures = layout(raw, [(20, 20), (24, 24), (28, 28), (32, 32)])
  classes = np.random.default_rng(1).integers(0, 8, (20, 20), np.uint8)
  add_mask(raw, '000001', classes)
  folder = prepare('celeba', str(raw), str(tmp_path / 'out'))
  parts = {split: examples(folder, split) for split in ('train', 'validation', 'test')}
  assert {split: sorted(found) for split, found in parts.items()} == {
    'train': ['000001.png', '000004.png'],
    'validation': ['000002.png'],
    'test': ['000003.png'],
  }
  for found in parts.values():
    for name, example in found.items():
      np.testing.assert_array_equal(example['image'], pictures[name[:6]])
  labelled, unlabelled = parts['train']['000001.png'], parts['train']['000004.png']
  assert (labelled['identity'], unlabelled['identity']) == (100, 103)
  np.testing.assert_array_equal(labelled['map'], classes)
  assert labelled['has_map'] is True
  np.testing.assert_array_equal(unlabelled['map'], np.full((32, 32), 255))
  assert unlabelled['has_map'] is False


@pytest.mark.parametrize('images', ['img_align_celeba', 'Img/img_align_celeba'])
def test_aligned_pictures_and_masks_are_cut_to_rows_20_to_197(raw, images):
  pictures = layout(raw, [(218, 178)], images=images)
  classes = np.random.default_rng(1).integers(0, 8, (218, 178), np.uint8)
  add_mask(raw, '000001', classes)
  (item,) = Celeba.list_items(raw)['train']
  picture, data, semantic_map = Celeba.read_item(item)
  assert data is None
  assert picture.size == (178, 178)
  np.testing.assert_array_equal(np.asarray(picture), pictures['000001'][20:198])
  np.testing.assert_array_equal(semantic_map, classes[20:198])


def test_lists_are_found_in_the_folders_of_the_download(raw):
  layout(raw, [(8, 8)])
  for part, name in (('Anno', 'identity_CelebA.txt'), ('Eval', 'list_eval_partition.txt')):
    (raw / part).mkdir()
    (raw / name).rename(raw / part / name)
  assert Celeba.list_items(raw)['train'][0].identity == 100


def test_the_crop_frame_follows_the_stated_formula():
  # e = (50, 50), m = (50, 80), d = max(20, 30): centre y 50 + .3 x 30, side 1.6 x 2.87 x 30.
  points = ((40, 50), (60, 50), (50, 65), (42, 80), (58, 80))
  centre, side, axis_x, axis_y = alignment.crop_frame(points)
  np.testing.assert_allclose(centre, (50, 59))
  assert side == pytest.approx(137.76)
  np.testing.assert_allclose(axis_x, (1, 0))
  np.testing.assert_allclose(axis_y, (0, 1))


def test_the_crop_of_a_face_upside_down_is_turned_not_mirrored():
  points = ((40, 50), (60, 50), (50, 35), (42, 20), (58, 20))
  _, _, axis_x, axis_y = alignment.crop_frame(points)
  np.testing.assert_allclose(axis_x, (-1, 0))
  np.testing.assert_allclose(axis_y, (0, -1))


def test_a_level_crop_at_whole_pixels_is_a_plain_cut():
  side = 46  # d = 46 / (1.6 x 2.87), so the crop spans whole pixels around (60, 50)
  d = side / (1.6 * 2.87)
  eye_y = 50 - 0.3 * d
  points = ((57, eye_y), (63, eye_y), (60, 50), (58, eye_y + d), (62, eye_y + d))
  photograph = noise(100, 120)
  classes = np.random.default_rng(1).integers(0, 8, (100, 120), np.uint8)
  cut, semantic_map = alignment.cut_crop(Image.fromarray(photograph), classes, points)
  # Pillow's bicubic filter rounds down: one level is its own.
  np.testing.assert_allclose(np.asarray(cut).astype(int), photograph[27:73, 37:83], atol=1)
  np.testing.assert_array_equal(semantic_map, classes[27:73, 37:83])


@pytest.mark.parametrize('degrees', [-40, 25])
def test_a_tilted_face_comes_out_level_and_in_place(raw, tmp_path, degrees):
  turn = math.radians(degrees)

  def place(x, y):  # around (110, 90)
    return (
      110 + x * math.cos(turn) - y * math.sin(turn),
      90 + x * math.sin(turn) + y * math.cos(turn),
    )

  # Eyes 24 apart, the mouth 30 below: d = 30, side 138, centre 9 below the eyes.
  points = [place(*xy) for xy in ((-12, 0), (12, 0), (0, 15), (-9, 30), (9, 30))]
  layout(raw, [(200, 240)], images='img_celeba')
  photograph = np.zeros((200, 240, 3), np.uint8)
  classes = np.ones((200, 240), np.uint8)
  y, x = np.mgrid[:200, :240] + 0.5
  for (px, py), channel in zip(points[:2], (0, 1), strict=True):
    spot = (x - px) ** 2 + (y - py) ** 2 < 9
    photograph[spot, channel] = 255
    classes[spot] = 3
  Image.fromarray(photograph).save(raw / 'img_celeba' / '000001.png')
  add_mask(raw, '000001', classes)
  add_landmarks(raw, [('000001', points)])
  example = examples(prepare('celeba', str(raw), str(tmp_path / 'out')), 'train')['000001.png']
  assert example['image'].shape == (138, 138, 3)
  for channel, expected_x in ((0, 69 - 12), (1, 69 + 12)):
    rows, columns = np.nonzero(example['image'][..., channel] > 128)
    assert rows.mean() + 0.5 == pytest.approx(69 - 9, abs=0.6)
    assert columns.mean() + 0.5 == pytest.approx(expected_x, abs=0.6)
  bright = example['image'].max(-1) > 128
  assert (example['map'][bright] == 3).mean() > 0.9
  assert set(np.unique(example['map'])) <= {0, 1, 3}


def test_beyond_the_photograph_the_border_is_repeated_as_background():
  photograph = np.full((60, 60, 3), 80, np.uint8)
  points = ((20, 25), (40, 25), (30, 35), (22, 45), (38, 45))  # side 91.84 around (30, 31)
  cut, semantic_map = alignment.cut_crop(
    Image.fromarray(photograph), np.ones((60, 60), np.uint8), points
  )
  assert cut.size == (92, 92)
  np.testing.assert_array_equal(np.asarray(cut), 80)
  assert semantic_map[0, 0] == semantic_map[-1, -1] == 0
  assert (semantic_map == 1).sum() == pytest.approx(60 * 60, rel=0.04)


def test_a_photograph_without_landmarks_is_refused_by_name_and_size(raw):
  layout(raw, [(50, 60)], images='img_celeba')
  (item,) = Celeba.list_items(raw)['train']
  with pytest.raises(
    DatasetError, match=r'000001\.png is 60 x 50, neither .*list_landmarks_celeba\.txt'
  ):
    Celeba.read_item(item)


@pytest.mark.parametrize(
  ('points', 'message'),
  [([(0, 0)] * 5, 'coincide'), ([(900, 900), (920, 900)] + [(910, 930)] * 3, 'do not lie on')],
)
def test_landmarks_that_cannot_be_are_refused_by_name(raw, points, message):
  layout(raw, [(50, 60)], images='img_celeba')
  add_landmarks(raw, [('000001', points)])
  (item,) = Celeba.list_items(raw)['train']
  with pytest.raises(
    DatasetError, match=rf'000001\.png: the .*{message}.*; correct list_landmarks'
  ):
    Celeba.read_item(item)


@pytest.mark.parametrize('name', ['images', 'identity_CelebA.txt', 'list_eval_partition.txt'])
def test_a_missing_part_is_named_with_layout_source_and_terms(raw, tmp_path, name):
  layout(raw, [(8, 8)])
  (raw / name).rename(raw / 'elsewhere')
  with pytest.raises(
    DatasetError, match=rf'raw/{name} is missing\. CelebA is expected as'
  ) as caught:
    prepare('celeba', str(raw), str(tmp_path / 'out'))
  assert 'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (non-commercial' in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('list_eval_partition.txt', '000001.jpg 3\n', 'puts 000001 into part 3; expected 0, 1 or 2'),
    ('list_eval_partition.txt', '000001.jpg\n', r'line 1 is .000001\.jpg.; expected a file name'),
    ('identity_CelebA.txt', '000001.jpg x\n', 'expected a file name and 1 number'),
    ('identity_CelebA.txt', '', 'gives no identity for 000001'),
    ('list_eval_partition.txt', '', r'does not list 1 of the pictures in .*first: 000001'),
    (
      'list_eval_partition.txt',
      '000001.jpg 0\n000002.jpg 0\n',
      r'images lacks 1 of the 2 pictures that .*first: 000002',
    ),
  ],
)
def test_a_list_that_does_not_fit_the_pictures_is_refused(raw, name, text, message):
  layout(raw, [(8, 8)])
  (raw / name).write_text(text)
  with pytest.raises(DatasetError, match=message):
    Celeba.list_items(raw)


def test_a_mask_of_the_cut_size_is_refused_with_both_sizes(raw):
  layout(raw, [(218, 178)])
  add_mask(raw, '000001', np.zeros((178, 178), np.uint8))
  (item,) = Celeba.list_items(raw)['train']
  with pytest.raises(
    DatasetError, match=r'masks/000001\.png is 178 x 178 but its picture .* is 178 x 218'
  ):
    Celeba.read_item(item)


def test_a_foreign_class_is_refused(raw, tmp_path):
  layout(raw, [(8, 8)])
  add_mask(raw, '000001', np.full((8, 8), 18, np.uint8))
  with pytest.raises(DatasetError, match=r'masks/000001\.png: pixel values 18 are no class'):
    prepare('celeba', str(raw), str(tmp_path / 'out'))


def test_a_truncated_jpeg_is_named(raw, tmp_path):
  layout(raw, [(64, 64)], extension='.jpg')
  path = raw / 'images' / '000001.jpg'
  path.write_bytes(path.read_bytes()[:-900])
  with pytest.raises(DatasetError, match=r'000001\.jpg cannot be decoded'):
    prepare('celeba', str(raw), str(tmp_path / 'out'))
