import io
import os
import re
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from anon_jax.data.errors import DatasetError
from anon_jax.data.face_folder import FaceFolder
from anon_jax.data.prepare import open_split, prepare

RNG = np.random.default_rng(0)


def smooth(height, width):
  """A picture that JPEG keeps nearly unchanged."""
  y, x = np.mgrid[:height, :width]
  return np.stack([x * 200 // width, y * 200 // height, (x + y) * 100 // width], -1).astype(
    np.uint8
  )


def add(folder, name, size=(24, 20), mask=True, classes=None, **save):
  """Writes images/`name` and its mask; returns the mask."""
  (folder / 'images').mkdir(exist_ok=True)
  (folder / 'masks').mkdir(exist_ok=True)
  Image.fromarray(smooth(*size)).save(folder / 'images' / name, **save)
  classes = RNG.integers(0, 8, size, np.uint8) if classes is None else classes
  if mask:
    Image.fromarray(classes).save(folder / 'masks' / (name.rsplit('.', 1)[0] + '.png'))
  return classes


@pytest.fixture
def raw(tmp_path):
  folder = tmp_path / 'raw'
  folder.mkdir()
  return folder


def all_examples(folder, split='train'):
  source = open_split(folder, split)
  return {source[i]['name']: source[i] for i in range(len(source))}


def read_all(folder):
  """Decodes every item, as the preparation does."""
  for items in FaceFolder.list_items(folder).values():
    for item in items:
      FaceFolder.read_item(item)


def test_pictures_maps_and_lists_come_back_exactly(raw, tmp_path):
  maps = {name: add(raw, name) for name in ('a.jpg', 'b.PNG', 'c d.JPEG', 'e.JPG')}
  (raw / 'split.txt').write_text('a train\nb.PNG train\nc d.JPEG test\n\ne validation\n')
  (raw / 'identities.txt').write_text('a.jpg 7\nc d 12\n')
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'))
  train, test = all_examples(folder, 'train'), all_examples(folder, 'test')
  assert set(train) == {'a.jpg', 'b.PNG'}
  assert set(test) == {'c d.JPEG'}
  assert set(all_examples(folder, 'validation')) == {'e.JPG'}
  np.testing.assert_array_equal(train['b.PNG']['image'], smooth(24, 20))
  np.testing.assert_array_equal(
    train['a.jpg']['image'], np.asarray(Image.open(raw / 'images' / 'a.jpg'))
  )
  for example in (*train.values(), *test.values()):
    np.testing.assert_array_equal(example['map'], maps[example['name']])
    assert example['map'].dtype == np.uint8
    assert example['has_map'] is True
  assert train['a.jpg']['identity'] == 7
  assert train['b.PNG']['identity'] == -1
  assert test['c d.JPEG']['identity'] == 12


def test_indexed_masks_give_their_indices_not_their_colours(raw, tmp_path):
  classes = add(raw, 'a.jpg', mask=False)
  indexed = Image.fromarray(classes).convert('P')
  indexed.putdata(classes.ravel().tolist())
  indexed.putpalette([200, 10, 10] * 256)
  indexed.save(raw / 'masks' / 'a.png')
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'))
  np.testing.assert_array_equal(all_examples(folder)['a.jpg']['map'], classes)


def test_unchanged_files_are_stored_as_their_bytes(raw, tmp_path):
  add(raw, 'a.jpg', quality=30)
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'))
  builder = tfds.builder_from_directory(folder)
  source = builder.as_data_source('train', decoders={'image': tfds.decode.SkipDecoding()})
  assert source[0]['image'] == (raw / 'images' / 'a.jpg').read_bytes()


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'CMYK'])
def test_every_kind_of_pixel_comes_back_as_rgb(raw, tmp_path, mode):
  add(raw, 'a.png')
  name = 'a.jpg' if mode == 'CMYK' else 'a.png'
  (raw / 'images' / 'a.png').unlink()
  picture = Image.fromarray(np.full((24, 20, 3), 102, np.uint8)).convert(mode)
  picture.save(raw / 'images' / name)
  image = all_examples(prepare('face_folder', str(raw), str(tmp_path / 'out')))[name]['image']
  assert image.shape == (24, 20, 3)
  np.testing.assert_allclose(image, 102, atol=2)


def test_exif_orientation_is_undone_before_the_mask_is_compared(raw, tmp_path):
  add(raw, 'a.png', size=(24, 20))
  exif = Image.Exif()
  exif[0x0112] = 6  # shown after a quarter turn clockwise
  lying = np.rot90(smooth(24, 20))  # 20 x 24, anticlockwise
  (raw / 'images' / 'a.png').unlink()
  Image.fromarray(lying).save(raw / 'images' / 'a.jpg', exif=exif, quality=95)
  image = all_examples(prepare('face_folder', str(raw), str(tmp_path / 'out')))['a.jpg']['image']
  assert image.shape == (24, 20, 3)
  assert np.abs(image.astype(int) - smooth(24, 20)).mean() < 8


def test_max_side_reduces_pictures_by_area_and_maps_by_nearest(raw, tmp_path):
  classes = np.repeat(np.repeat(np.arange(8, dtype=np.uint8).reshape(2, 4), 16, 0), 16, 1)
  add(raw, 'a.png', size=(32, 64), classes=classes)
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'), max_side=16)
  example = all_examples(folder)['a.png']
  assert example['image'].shape == (8, 16, 3)
  means = smooth(32, 64).reshape(8, 4, 16, 4, 3).mean((1, 3))
  assert np.abs(example['image'] - means).mean() < 3
  np.testing.assert_array_equal(
    example['map'], np.repeat(np.repeat(np.arange(8).reshape(2, 4), 4, 0), 4, 1)
  )


def test_the_split_follows_the_sha256_of_the_name(raw):
  names = [f'{i}.png' for i in range(40)]
  for name in names:
    add(raw, name, size=(2, 2))
  splits = FaceFolder.list_items(raw)
  # By sha256sum: these two start with 08c9 and 08b7, below 5 % of the range (0ccc); no other does.
  validation = {item.name for item in splits['validation']}
  assert validation == {'6.png', '33.png'}
  assert {item.name for item in splits['train']} == set(names) - validation


def test_listed_pictures_without_mask_are_left_out_and_counted_once(raw, tmp_path, capsys):
  add(raw, 'a.jpg')
  add(raw, 'b c.jpg', mask=False)
  add(raw, 'd.jpg', mask=False)
  (raw / 'masks_missing.txt').write_text('b c.jpg\nd.jpg face not sure\n')
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'))
  assert set(all_examples(folder)) == {'a.jpg'}
  assert capsys.readouterr().out.count('2 pictures listed in masks_missing.txt are left out') == 1


def test_an_unlisted_picture_without_mask_is_named(raw):
  add(raw, 'a.jpg', mask=False)
  with pytest.raises(DatasetError, match=r'images/a\.jpg has no mask: .*masks/a\.png is missing'):
    read_all(raw)


def test_a_folder_with_every_picture_left_out_is_refused(raw):
  add(raw, 'a.jpg', mask=False)
  (raw / 'masks_missing.txt').write_text('a.jpg\n')
  with pytest.raises(DatasetError, match='every picture is listed'):
    read_all(raw)


@pytest.mark.parametrize('part', ['images', 'masks'])
def test_a_missing_folder_is_named_with_the_layout(raw, tmp_path, part):
  add(raw, 'a.jpg')
  (raw / part).rename(raw / 'elsewhere')
  with pytest.raises(DatasetError, match=rf'raw/{part} is missing\. A face_folder holds images/'):
    prepare('face_folder', str(raw), str(tmp_path / 'out'))


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
def test_a_truncated_picture_is_named_quickly(raw, tmp_path, name):
  add(raw, name, size=(200, 200))
  add(raw, 'whole.jpg')
  path = raw / 'images' / name
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  start = time.monotonic()
  with pytest.raises(
    DatasetError, match=rf'images/{name} cannot be decoded \(.*cut short'
  ) as caught:
    prepare('face_folder', str(raw), str(tmp_path / 'out'))
  assert '\n' not in str(caught.value)
  assert time.monotonic() - start < 20
  assert not list((tmp_path / 'out').rglob('*array_record*'))


def test_a_truncated_mask_is_named(raw):
  add(raw, 'a.jpg', size=(200, 200))
  path = raw / 'masks' / 'a.png'
  path.write_bytes(path.read_bytes()[:-4000])
  with pytest.raises(DatasetError, match=r'masks/a\.png cannot be decoded'):
    read_all(raw)


@pytest.mark.parametrize('content', [b'', b'<html>not found</html>'])
def test_a_file_that_is_no_picture_inside_is_named(raw, content):
  add(raw, 'a.jpg')
  (raw / 'images' / 'a.jpg').write_bytes(content)
  with pytest.raises(DatasetError, match=r'a\.jpg is neither a JPEG nor a PNG \(\d+ bytes\)'):
    read_all(raw)


def test_a_picture_in_another_format_is_named_not_skipped(raw):
  add(raw, 'a.jpg')
  (raw / 'images' / 'b.webp').write_bytes(b'x')
  with pytest.raises(DatasetError, match=r'b\.webp is not a picture; .*\.jpg, \.jpeg, \.png'):
    read_all(raw)


def test_hidden_files_and_litter_are_no_pictures(raw):
  add(raw, 'a.jpg')
  (raw / 'images' / '.DS_Store').write_bytes(b'x')
  (raw / 'images' / 'Thumbs.db').write_bytes(b'x')
  assert len(FaceFolder.list_items(raw)) == 1


def test_an_empty_folder_is_refused(raw):
  (raw / 'images').mkdir()
  (raw / 'masks').mkdir()
  with pytest.raises(DatasetError, match='holds no picture'):
    read_all(raw)


def test_two_pictures_with_one_stem_are_refused(raw):
  add(raw, 'a.jpg')
  add(raw, 'a.png')
  with pytest.raises(DatasetError, match=r'a\.jpg and .*a\.png share one stem'):
    read_all(raw)


def test_a_mask_of_another_size_is_refused_with_both_files_and_sizes(raw):
  add(raw, 'a.jpg', classes=np.zeros((10, 20), np.uint8))
  with pytest.raises(
    DatasetError, match=r'masks/a\.png is 20 x 10 but its picture .*images/a\.jpg is 20 x 24'
  ):
    read_all(raw)


def test_a_mask_with_a_foreign_class_is_refused(raw, tmp_path):
  add(raw, 'a.jpg', classes=np.full((24, 20), 9, np.uint8))
  with pytest.raises(DatasetError, match=r'masks/a\.png: pixel values 9 are no class'):
    prepare('face_folder', str(raw), str(tmp_path / 'out'))


def test_a_coloured_mask_is_refused(raw):
  add(raw, 'a.jpg', classes=np.zeros((24, 20, 3), np.uint8))
  with pytest.raises(DatasetError, match=r'masks/a\.png is a PNG with pixels of kind RGB'):
    read_all(raw)


def test_a_picture_of_16_bits_is_refused(raw):
  add(raw, 'a.png')
  Image.fromarray(np.zeros((24, 20), np.uint16)).save(raw / 'images' / 'a.png')
  with pytest.raises(
    DatasetError, match=r'a\.png has pixels of kind I;16, 16 bits a channel; expected 8'
  ):
    read_all(raw)


@pytest.mark.parametrize(
  ('file', 'text', 'message'),
  [
    ('split.txt', 'b train\n', r"split\.txt has the line 'b train'; expected `NAME VALUE`"),
    (
      'split.txt',
      'a dev\n',
      r"split\.txt puts into 'dev' the picture a\.jpg; expected one of train",
    ),
    ('split.txt', 'z z.jpg train\n', 'expected `NAME VALUE`'),
    ('identities.txt', 'a Bob\n', r"identities\.txt gives a\.jpg the identity 'Bob'"),
    ('masks_missing.txt', 'q.jpg\n', r"masks_missing\.txt lists 'q\.jpg', which names no picture"),
  ],
)
def test_a_wrong_line_of_a_list_is_quoted(raw, file, text, message):
  add(raw, 'a.jpg')
  (raw / file).write_text(text)
  with pytest.raises(DatasetError, match=message):
    read_all(raw)


def test_a_split_list_must_name_every_picture(raw):
  add(raw, 'a.jpg')
  add(raw, 'b.jpg')
  (raw / 'split.txt').write_text('a train\n')
  with pytest.raises(DatasetError, match=r'split\.txt does not name the picture b\.jpg'):
    read_all(raw)


def test_real_pictures_prepare_and_read_back(real_data, tmp_path):
  raw = tmp_path / 'utkface'
  (raw / 'images').mkdir(parents=True)
  (raw / 'masks').mkdir()
  masks = sorted((real_data / 'utkface' / 'masks').iterdir())[:20]
  for mask in masks:
    (raw / 'masks' / mask.name).symlink_to(mask)
    (raw / 'images' / f'{mask.stem}.jpg').symlink_to(
      real_data / 'utkface' / 'images' / f'{mask.stem}.jpg'
    )
  folder = prepare('face_folder', str(raw), str(tmp_path / 'out'))
  examples = all_examples(folder)
  if (folder / 'dataset_info.json').read_text().count('"validation"'):
    examples |= all_examples(folder, 'validation')
  assert len(examples) == 20
  for mask in masks:
    example = examples[f'{mask.stem}.jpg']
    np.testing.assert_array_equal(example['map'], np.asarray(Image.open(mask)))
    data = (raw / 'images' / f'{mask.stem}.jpg').read_bytes()
    np.testing.assert_array_equal(example['image'], np.asarray(Image.open(io.BytesIO(data))))
    assert re.fullmatch(r'\d+_[01]_[0-4]_\d+\.jpg', example['name'])


def test_of_a_few_pictures_one_is_held_out_without_a_split_list(raw):
  for index in range(3):
    add(raw, f'{index}.jpg')
  splits = FaceFolder.list_items(raw)
  assert {name: len(items) for name, items in splits.items()} == {'train': 2, 'validation': 1}
  again = FaceFolder.list_items(raw)
  assert [item.name for item in again['validation']] == [i.name for i in splits['validation']]


def test_names_and_values_of_a_list_may_be_parted_by_a_tab(raw):
  add(raw, 'a b.jpg')
  (raw / 'split.txt').write_text('a b.jpg\ttest\n')
  assert list(FaceFolder.list_items(raw)) == ['test']


def _chunk(kind, content):
  body = kind + content
  return struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))


def test_colours_of_16_bits_are_refused_and_not_cut_to_8(raw):
  add(raw, 'a.png')
  rows = b''.join(b'\0' + bytes(20 * 6) for _ in range(24))
  header = struct.pack('>IIBBBBB', 20, 24, 16, 2, 0, 0, 0)
  png = b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', header)
  png += _chunk(b'IDAT', zlib.compress(rows)) + _chunk(b'IEND', b'')
  (raw / 'images' / 'a.png').write_bytes(png)
  with pytest.raises(DatasetError, match=r'a\.png has pixels of kind RGB, 16 bits a channel'):
    read_all(raw)


@pytest.mark.parametrize('place', ['images', 'masks'])
@pytest.mark.parametrize('thing', ['folder', 'pipe', 'loop', 'dangling link', 'name'])
def test_what_is_no_plain_file_is_named_and_never_waited_for(raw, place, thing):
  add(raw, 'a.jpg')
  path = raw / place / 'b.png'
  if thing == 'folder':
    path.mkdir()
  elif thing == 'pipe':
    os.mkfifo(path)
  elif thing == 'loop':
    path.symlink_to(path)
  elif thing == 'dangling link':
    path.symlink_to(raw / 'nowhere')
  else:
    (raw / place / os.fsdecode(b'b\xff.png')).touch()
  with pytest.raises(DatasetError, match=r'is not a plain file with a UTF-8 name; remove it'):
    FaceFolder.fingerprint(raw)


def test_a_file_in_place_of_a_folder_is_named(raw):
  add(raw, 'a.jpg')
  (raw / 'masks' / 'a.png').unlink()
  (raw / 'masks').rmdir()
  (raw / 'masks').touch()
  with pytest.raises(DatasetError, match='masks is not a folder'):
    FaceFolder.list_items(raw)


@pytest.mark.parametrize(
  ('file', 'content', 'message'),
  [
    ('split.txt', b'\xff\xfe\x00', r'split\.txt cannot be read as UTF-8 text'),
    ('split.txt', b'a train\na.jpg test\n', r'split\.txt names a\.jpg twice'),
    ('split.txt', b'\n', r'split\.txt is empty; remove it'),
    ('identities.txt', b'a 3000000000\n', r"identity '3000000000'; expected a whole number of 32"),
  ],
)
def test_a_list_that_cannot_be_meant_is_refused(raw, file, content, message):
  add(raw, 'a.jpg')
  (raw / file).write_bytes(content)
  with pytest.raises(DatasetError, match=message):
    FaceFolder.list_items(raw)


def test_a_list_may_begin_with_a_byte_order_mark(raw):
  add(raw, 'a.jpg')
  (raw / 'split.txt').write_bytes(b'\xef\xbb\xbfa.jpg test\n')
  assert list(FaceFolder.list_items(raw)) == ['test']


def test_two_masks_of_one_stem_are_refused(raw):
  add(raw, 'a.jpg')
  (raw / 'masks' / 'a.PNG').write_bytes((raw / 'masks' / 'a.png').read_bytes())
  with pytest.raises(DatasetError, match='share one stem; remove one of them'):
    FaceFolder.list_items(raw)
