"""Where hair is around faces: measured, written, and matched with a picture's."""

import json

import numpy as np
import pytest

from anon_jax.data import hair, semantic

HAIR = semantic.CLASSES.index('hair')


def _map(*boxes, side=96):
  found = np.zeros((side, side), np.uint8)
  for top, bottom, left, right in boxes:
    found[top:bottom, left:right] = HAIR
  return found


def test_shares_are_those_of_the_cells_of_a_half():
  # the cells of a crop of 96 px are 16 px high and wide
  found = hair.shares(_map((0, 16, 0, 96), (16, 24, 16, 32), (16, 24, 64, 80), (80, 96, 0, 4)))
  expected = np.zeros((6, 3), np.float32)
  expected[0] = 1
  expected[1, 1] = 0.5  # on both sides the upper half of the second cell
  expected[5, 0] = 4 / 16 / 2  # on one side only
  np.testing.assert_allclose(found.reshape(6, 3), expected)


@pytest.mark.parametrize('side', [96, 128, 50])
def test_a_picture_and_its_mirror_image_have_the_same_hair(side):
  found = np.random.default_rng(0).integers(0, semantic.NUM_CLASSES, (side, side), np.uint8)
  np.testing.assert_allclose(hair.shares(found), hair.shares(found[:, ::-1]), atol=1e-6)


def test_a_quarter_of_many_suit_and_they_are_the_most_alike():
  bald, long = _map(), _map((0, 96, 0, 20), (0, 96, 76, 96))
  known = np.stack([hair.shares(long if n % 4 == 1 else bald) for n in range(80)])
  assert hair.suited(known, long).tolist() == [n for n in range(80) if n % 4 == 1]
  assert not set(hair.suited(known, bald)) & set(hair.suited(known, long))


@pytest.mark.parametrize(('identities', 'count'), [(1, 1), (12, 12), (40, 12), (48, 12), (212, 53)])
def test_of_few_control_identities_more_than_a_quarter_suit(identities, count):
  known = np.random.default_rng(1).random((identities, hair.CELLS), np.float32)
  found = hair.suited(known, _map())
  assert len(set(found)) == count
  assert (np.diff(found) > 0).all()


def test_what_was_written_is_read_back_to_a_255th(tmp_path):
  known = np.random.default_rng(2).random((7, hair.CELLS), np.float32)
  hair.path_in(tmp_path).write_bytes(hair.contents(known))
  code = hair.read(tmp_path)
  assert hair.is_code(code)
  assert hair.count(code) == 7
  np.testing.assert_allclose(hair.decode(code), known, atol=0.5 / 255 + 1e-6)


def test_a_run_that_measured_nothing_has_none(tmp_path):
  assert hair.read(tmp_path) == ''


@pytest.mark.parametrize(
  'text', ['', '{}', '[]', '{"hair": 3}', '{"hair": "xy"}', '{"hair": "00"}']
)
def test_a_broken_file_is_named(tmp_path, text):
  path = hair.path_in(tmp_path)
  path.write_text(text)
  with pytest.raises(ValueError, match=r'hair\.json'):
    hair.read(tmp_path)


def test_the_file_is_json_of_one_line(tmp_path):
  raw = hair.contents(np.zeros((2, hair.CELLS), np.float32))
  assert json.loads(raw) == {'hair': '00' * 2 * hair.CELLS}
  assert raw.count(b'\n') == 1
