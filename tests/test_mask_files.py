"""Files of masks: what their values mean, and what is refused rather than guessed."""

import numpy as np
import pytest
from PIL import Image

from anon_jax.inference import mask_files
from anon_jax.inference.mask_files import PLAIN, MaskError

SIZE = (4, 3)  # width and height


def _png(folder, values, mode=None):
  path = folder / 'mask.png'
  image = Image.fromarray(np.array(values))
  if mode == 'P':
    image = Image.fromarray(np.array(values, np.uint8), 'L').convert('P')
    image.putdata(np.array(values).ravel().tolist())
  elif mode:
    image = image.convert(mode)
  image.save(path)
  return path


def _read(folder, values, mode=None):
  """Returns {number: (pixels, reason)} of a picture."""
  found = mask_files.read_picture(_png(folder, values, mode), SIZE)
  return {number: (int(mask.sum()), reason) for number, (mask, reason) in found.items()}


def _picture(*pixels, dtype=np.uint8):
  values = np.zeros((3, 4), dtype)
  values.ravel()[: len(pixels)] = pixels
  return values


def test_black_and_white_is_one_plain_mask_and_its_greys_belong_to_it(tmp_path):
  assert _read(tmp_path, _picture(255, 255)) == {PLAIN: (2, '')}
  assert _read(tmp_path, _picture(255, 1, 128)) == {PLAIN: (3, '')}
  assert _read(tmp_path, _picture(1, 1, 1).astype(bool)) == {PLAIN: (3, '')}
  assert _read(tmp_path, _picture(255, 255), 'P') == {PLAIN: (2, '')}
  assert _read(tmp_path, np.stack([_picture(9, 0), _picture(0, 9), _picture()], -1)) == {
    PLAIN: (2, '')
  }


def test_numbers_are_instances(tmp_path):
  expected = {1: (2, ''), 7: (1, '')}
  assert _read(tmp_path, _picture(1, 1, 7)) == expected
  assert _read(tmp_path, _picture(1, 1, 7), 'P') == expected
  assert _read(tmp_path, _picture(1, 1, 7, dtype=np.uint16)) == expected
  assert _read(tmp_path, _picture(1, 255), 'P') == {1: (1, ''), 255: (1, '')}
  assert _read(tmp_path, _picture(65535, 3, dtype=np.uint16)) == {PLAIN: (2, '')}


def test_of_instances_that_are_numbered_as_in_mots_only_pedestrians_are_people(tmp_path):
  found = _read(tmp_path, _picture(2001, 2001, 10000, 1003, dtype=np.uint16))
  assert found[2001] == (2, '')
  assert found[10000] == (1, 'class 10 is no pedestrian (2)')
  assert found[1003] == (1, 'class 1 is no pedestrian (2)')


def test_a_black_mask_has_nobody(tmp_path):
  assert _read(tmp_path, _picture()) == {}


def test_a_mask_of_another_size_is_refused_by_name(tmp_path):
  path = _png(tmp_path, np.zeros((4, 3), np.uint8))
  with pytest.raises(MaskError, match=r'mask\.png is 3 x 4, and what it masks is 4 x 3 upright'):
    mask_files.read_picture(path, SIZE)


@pytest.mark.parametrize('mode', ['RGBA', 'LA'])
def test_transparency_is_refused_for_it_may_mean_either(tmp_path, mode):
  with pytest.raises(MaskError, match=f'pixels of kind {mode}; expected'):
    _read(tmp_path, _picture(255), mode)


def test_a_jpeg_and_a_damaged_mask_are_refused(tmp_path):
  path = tmp_path / 'mask.png'
  Image.fromarray(_picture(255)).save(path, 'JPEG')
  with pytest.raises(MaskError, match=r'mask\.png is no PNG; give masks as PNG'):
    mask_files.read_picture(path, SIZE)
  noise = np.random.default_rng(0).integers(0, 256, (60, 70), np.uint8)
  Image.fromarray(noise).save(path)
  path.write_bytes(path.read_bytes()[:500])
  with pytest.raises(MaskError, match=r'mask\.png is damaged'):
    mask_files.read_picture(path, (70, 60))


def test_a_folder_is_no_mask(tmp_path):
  with pytest.raises(MaskError, match='is no regular file; give a PNG file'):
    mask_files.read_picture(tmp_path, SIZE)


def test_a_picture_of_many_values_is_no_map_of_instances(tmp_path):
  values = np.arange(700, dtype=np.uint16).reshape(20, 35)
  path = _png(tmp_path, values)
  with pytest.raises(MaskError, match='more than 500 different values, and none is white'):
    mask_files.read_picture(path, (35, 20))


def _text(folder, *lines):
  path = folder / 'masks.txt'
  path.write_text('\n'.join(lines))
  return path


def test_run_lengths_are_decoded_down_the_columns(tmp_path):
  # 1 off, 2 on, 1 off: rows 0 and 1 of column 0, then of column 1; and nobody.
  lines = mask_files.read_text(
    _text(tmp_path, '5 2001 2 2 2 121', '5 2002 2 2 2 4', '6 1 7 2 2 121')
  )
  assert sorted(lines) == [5, 6]
  found = mask_files.decoded(lines[5], (2, 2))
  assert list(found) == [2001]
  np.testing.assert_array_equal(found[2001][0], [[False, True], [True, False]])
  assert found[2001][1] == ''
  assert mask_files.decoded(lines[6], (2, 2))[1][1] == 'class 7 is no pedestrian (2)'


@pytest.mark.parametrize(
  ('line', 'phrase'),
  [
    ('0 2001 2 2 2 12', r'line 1: the run lengths cover 3 pixels; expected 2 x 2 = 4'),
    ('0 2001 2 2 2 122', r'cover 5 pixels'),
    ('0 2001 2 2 2 1é1', 'is no character'),
    ('0 2001 2 3 2 121', r'line 1 has a mask of 2 x 3, and what it masks is 2 x 2 upright'),
  ],
)
def test_run_lengths_that_do_not_fit_are_refused(tmp_path, line, phrase):
  lines = mask_files.read_text(_text(tmp_path, line))
  with pytest.raises(MaskError, match=phrase):
    mask_files.decoded(lines[0], (2, 2))


@pytest.mark.parametrize(
  ('lines', 'phrase'),
  [
    ([''], 'has no line; give one for each person'),
    (['0 2001 2 2 2'], 'expected `time_frame id class_id'),
    (['0 2001 2 2 2 121'] * 2, 'names instance 2001 a second time in picture 0'),
  ],
)
def test_texts_of_another_layout_are_refused(tmp_path, lines, phrase):
  with pytest.raises(MaskError, match=phrase):
    mask_files.read_text(_text(tmp_path, *lines))
