"""FASSEG: its splits, the rule of its crops, and every file that can be missing or wrong."""

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import pictures
from anon_jax.data.errors import DatasetError
from anon_jax.data.fasseg import Fasseg, crop_square
from anon_jax.data.fasseg_names import person_of, yaw_of
from anon_jax.data.prepare import open_split, prepare, split_names


def head():
  """100 x 80: skin in columns 20 to 59, eyes at row 40, the mouth at row 60, a wide neck."""
  labels = np.zeros((100, 80), np.uint8)
  labels[20:90, 20:60] = 1
  labels[80:, 60:80] = 1  # below the mouth: does not count
  labels[39:42, 28:32] = labels[39:42, 48:52] = 3
  labels[59:62, 34:46] = 5
  return labels


def layout(folder, names=('v3_p01_s1_yaw+00 train',), labels=None):
  (folder / 'images').mkdir(parents=True)
  (folder / 'labels').mkdir()
  for number, line in enumerate(names):
    pixels = np.random.default_rng(number).integers(0, 256, (100, 80, 3), np.uint8)
    stem = line.split()[0]
    Image.fromarray(pixels).save(folder / 'images' / f'{stem}.png')
    Image.fromarray(head() if labels is None else labels).save(folder / 'labels' / f'{stem}.png')
  (folder / 'split.txt').write_text('\n'.join(names) + '\n')
  return folder


@pytest.mark.parametrize(
  ('name', 'person', 'yaw'),
  [
    ('v3_p08_s2_yaw-60.jpg', 8, -60),
    ('v3_p12_s1_yaw+00', 12, 0),
    ('v2_test_07.jpg', -1, None),
  ],
)
def test_a_name_tells_person_and_yaw_of_the_multi_pose_part_only(name, person, yaw):
  assert (person_of(name), yaw_of(name)) == (person, yaw)


def test_the_crop_is_4_6_distances_of_eyes_and_mouth_wide_and_lies_around_the_face():
  # Eyes at 40.5, mouth at 60.5: d = 20, side 4.592 x 20 = 92, centre y 40.5 + 6 = 46.5;
  # the foreground between their rows spans columns 20 to 60: centre x 40.
  assert crop_square(head()) == (-6, 0, 92)


def test_a_profile_is_cut_around_the_middle_of_nose_and_ear():
  labels = head()
  labels[:, :20] = labels[:, 60:] = 0
  labels[45:55, 10:20] = 4  # a nose that sticks out by 10 columns
  assert crop_square(labels)[0] == -6 - 5


def test_beyond_the_photograph_the_border_is_repeated_and_nobody_labelled_it():
  picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
  labels = np.array([[1, 2], [3, 4]], np.uint8)
  cut, semantic_map = pictures.cut_square(picture, labels, left=-1, top=1, side=3)
  np.testing.assert_array_equal(semantic_map, [[255, 3, 4], [255] * 3, [255] * 3])
  np.testing.assert_array_equal(cut[..., 0], [[6, 6, 9]] * 3)


def test_persons_go_to_their_splits_and_the_last_training_person_is_held_out(tmp_path):
  names = [
    'v2_test_01 test',
    'v2_train_01 train',
    'v3_p01_s1_yaw+90 train',
    'v3_p07_s1_yaw-15 train',
    'v3_p08_s1_yaw+00 test',
  ]
  folder = prepare('fasseg', str(layout(tmp_path / 'raw', names)), str(tmp_path / 'out'))
  found = {}
  for split in ('train', 'validation', 'test'):
    source = open_split(folder, split)
    found[split] = {
      name: int(identity)
      for name, identity in zip(source.names(), source.identity_labels(), strict=True)
    }
    example = source[0]
    assert example['image'].shape == (92, 92, 3)
    np.testing.assert_array_equal(example['map'][:, :6], 255)
    np.testing.assert_array_equal(example['map'][:, 6:86], head()[:92])
  assert found == {
    'train': {'v2_train_01.png': -1, 'v3_p01_s1_yaw+90.png': 1},
    'validation': {'v3_p07_s1_yaw-15.png': 7},
    'test': {'v2_test_01.png': -1, 'v3_p08_s1_yaw+00.png': 8},
  }
  assert split_names(folder) == ['test', 'train', 'validation']


@pytest.mark.parametrize('part', ['images', 'labels', 'split.txt'])
def test_a_missing_part_is_named_with_layout_and_source(tmp_path, part):
  folder = layout(tmp_path / 'raw')
  (folder / part).rename(folder / 'elsewhere')
  with pytest.raises(DatasetError, match=rf'{part} is missing\. FASSEG is expected as .*https://'):
    Fasseg.list_items(folder)


@pytest.mark.parametrize(
  ('lines', 'message'),
  [
    ('v2_train_01 train\n', r'split\.txt lists v2_train_01, which images/ does not hold'),
    ('', r'split\.txt does not list v3_p01_s1_yaw\+00; add'),
    ('v3_p01_s1_yaw+00 dev\n', r"has the line 'v3_p01_s1_yaw\+00 dev'; expected `NAME train"),
    ('v3_p01_s1_yaw+00\n', 'expected `NAME train'),
  ],
)
def test_a_split_list_that_does_not_fit_the_pictures_is_refused(tmp_path, lines, message):
  folder = layout(tmp_path / 'raw')
  (folder / 'split.txt').write_text(lines)
  with pytest.raises(DatasetError, match=message):
    Fasseg.list_items(folder)


def test_a_picture_without_labels_is_refused_by_name(tmp_path):
  folder = layout(tmp_path / 'raw')
  (folder / 'labels' / 'v3_p01_s1_yaw+00.png').unlink()
  with pytest.raises(DatasetError, match=r'labels/v3_p01_s1_yaw\+00\.png is missing'):
    Fasseg.list_items(folder)


@pytest.mark.parametrize(
  ('value', 'replaced', 'message'),
  [(3, 0, 'no pixel is labelled eyes'), (5, 0, 'no pixel is labelled mouth')],
)
def test_labels_that_do_not_say_where_to_cut_are_refused_by_name(
  tmp_path, value, replaced, message
):
  labels = head()
  labels[labels == value] = replaced
  folder = layout(tmp_path / 'raw', labels=labels)
  with pytest.raises(DatasetError, match=rf'yaw\+00\.png: {message}'):
    Fasseg.read_item(Fasseg.list_items(folder)['train'][0])


def test_a_head_upside_down_is_refused():
  with pytest.raises(DatasetError, match='turn picture and labels upright'):
    crop_square(head()[::-1])


def test_labels_of_another_size_are_named_with_both_sizes(tmp_path):
  folder = layout(tmp_path / 'raw', labels=head()[:90])
  with pytest.raises(DatasetError, match=r'is 80 x 90 but its picture .* is 80 x 100'):
    Fasseg.read_item(Fasseg.list_items(folder)['train'][0])


def test_the_real_pictures_are_split_by_person_and_have_faces_of_like_size(real_data):
  splits = Fasseg.list_items(real_data / 'fasseg')
  assert {split: len(items) for split, items in splits.items()} == {
    'train': 176,
    'validation': 26,
    'test': 142,
  }
  persons = {split: {item.identity for item in items} - {-1} for split, items in splits.items()}
  assert persons == {'train': set(range(1, 7)), 'validation': {7}, 'test': set(range(8, 16))}
  for item in splits['validation'][::9]:
    _, _, semantic_map = Fasseg.read_item(item)
    eyes, mouth = (np.nonzero(semantic_map == part)[0].mean() for part in (3, 5))
    assert (mouth - eyes) / len(semantic_map) == pytest.approx(1 / 4.592, rel=0.02)
