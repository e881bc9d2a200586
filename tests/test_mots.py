"""MOTS in its official layouts: crops of pedestrians, tracks, ignored regions, joints, errors."""

import json

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import body_crops, joints
from anon_jax.data.errors import DatasetError
from anon_jax.data.mots import Mots
from anon_jax.data.prepare import open_split, prepare

coco = pytest.importorskip('pycocotools.mask')
HEIGHT, WIDTH = 90, 120


def scene():
  """Two pedestrians of 70 rows, the second partly behind the first, a car, an ignored region."""
  instances = np.zeros((HEIGHT, WIDTH), np.uint16)
  instances[60:80, 80:110] = 1001
  instances[12:82, 40:60] = 2002
  instances[10:80, 30:45] = 2001
  instances[20:40, 60:70] = 10000
  return instances


def text(frame, instances):
  """The lines of a text annotation of one picture."""
  lines = []
  for number in np.unique(instances[instances > 0]).tolist():
    mask = np.asfortranarray((instances == number).astype(np.uint8))
    counts = coco.encode(mask)['counts'].decode()
    lines.append(f'{frame} {number} {number // 1000} {HEIGHT} {WIDTH} {counts}\n')
  return ''.join(lines)


def picture(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
  Image.fromarray(pixels).save(path)


def instance_map(path, instances):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(instances).save(path)


def kitti(root, form='txt', sequences=('0001', '0002')):
  """KITTI MOTS: three pictures a sequence, from 0; nobody in the last."""
  nobody = np.zeros_like(scene())
  for sequence in sequences:
    for number in range(3):
      picture(root / 'training' / 'image_02' / sequence / f'{number:06d}.png')
      if form == 'png':
        path = root / 'instances' / sequence / f'{number:06d}.png'
        instance_map(path, scene() if number < 2 else nobody)
    if form == 'txt':
      (root / 'instances_txt').mkdir(parents=True, exist_ok=True)
      lines = text(0, scene()) + text(1, scene())
      (root / 'instances_txt' / f'{sequence}.txt').write_text(lines)
  return root


def challenge(root, sequences=('MOTS20-02', 'MOTS20-09')):
  """MOTSChallenge as it comes from motchallenge.net: pictures from 1."""
  for sequence in sequences:
    for number in (1, 2):
      picture(root / 'train' / sequence / 'img1' / f'{number:06d}.jpg')
    (root / 'train' / sequence / 'gt').mkdir()
    (root / 'train' / sequence / 'gt' / 'gt.txt').write_text(text(2, scene()))
  return root


def add_poses(folder, stem, *people):
  """OpenPose's file of a picture; each person has all joints at the given points, in turn."""
  folder.mkdir(parents=True, exist_ok=True)
  numbers = [
    [value for place in range(18) for value in (*points[place % len(points)], 0.9)]
    for points in people
  ]
  poses = [{'person_id': [-1], 'pose_keypoints_2d': one} for one in numbers]
  content = json.dumps({'version': 1.3, 'people': poses})
  (folder / f'{stem}_keypoints.json').write_text(content)


def read(folder):
  """Decodes every person of a folder, as the preparation does."""
  return {
    person.name: person
    for items in Mots.list_items(folder).values()
    for item in items
    for person in Mots.read_item(item)[1]
  }


@pytest.fixture
def raw(tmp_path):
  return kitti(tmp_path / 'raw', sequences=('0001',))


@pytest.mark.parametrize('form', ['txt', 'png'])
def test_pedestrians_of_kitti_are_crops_by_track_in_the_published_splits(tmp_path, form, capsys):
  folder = prepare('mots', str(kitti(tmp_path / 'raw', form)), str(tmp_path / 'out'))
  train, validation = open_split(folder, 'train'), open_split(folder, 'validation')
  assert sorted(train.names()) == [
    f'0001/00000{frame}_{track}' for frame in (0, 1) for track in (2001, 2002)
  ]
  assert sorted(set(train.identity_labels().tolist())) == [12001, 12002]
  assert sorted(set(validation.identity_labels().tolist())) == [22001, 22002]
  example = train[train.names().index('0001/000000_2001')]
  left, top, width, height = body_crops.stored_region((30, 10, 45, 80))
  assert example['image'].shape == (height, width, 3) == (2 * width, width, 3)
  assert not example['has_joints']
  shown = np.zeros((height, width), np.uint8) + 255
  inside = scene()[max(top, 0) : top + height, max(left, 0) : left + width]
  shown[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = np.select(
    [inside == 2001, inside == 10000], [1, 255], 0
  )
  np.testing.assert_array_equal(example['map'], shown)
  assert (shown[max(-top, 0) + 25] == 255).any()  # the ignored region reaches into the crop
  assert 'train: 4 crops of persons, 0 of them with joints.' in capsys.readouterr().out


def test_text_and_maps_say_the_same(tmp_path):
  first, second = (read(kitti(tmp_path / form, form)) for form in ('txt', 'png'))
  assert first.keys() == second.keys()
  for name, person in first.items():
    np.testing.assert_array_equal(person.body_map, second[name].body_map)
    assert person.identity == second[name].identity


def test_the_challenge_in_either_of_its_layouts_is_read(tmp_path):
  people = read(challenge(tmp_path / 'motchallenge'))
  assert sorted(people) == [
    f'MOTS20-0{sequence}/000002_{track}' for sequence in (2, 9) for track in (2001, 2002)
  ]
  assert people['MOTS20-09/000002_2001'].identity == 92001
  splits = Mots.list_items(tmp_path / 'motchallenge')
  assert {split: {f.sequence for f in frames} for split, frames in splits.items()} == {
    'train': {2},
    'validation': {9},
  }
  aachen = tmp_path / 'aachen' / 'train'
  picture(aachen / 'images' / '0002' / '000001.jpg')
  instance_map(aachen / 'instances' / '0002' / '000001.png', scene())
  assert sorted(read(tmp_path / 'aachen')) == ['0002/000001_2001', '0002/000001_2002']


def test_a_list_of_splits_goes_before_the_published_ones(tmp_path):
  folder = kitti(tmp_path / 'raw')
  (folder / 'split.txt').write_text('0001 test\n0002 train\n')
  splits = Mots.list_items(folder)
  assert {split: frames[0].sequence for split, frames in splits.items()} == {'test': 1, 'train': 2}
  (folder / 'split.txt').write_text('0001 test\n')
  with pytest.raises(DatasetError, match='does not name the sequence 0002; add `0002 train`'):
    Mots.list_items(folder)
  (folder / 'split.txt').write_text('0009 test\n')
  with pytest.raises(DatasetError, match=r"has the line '0009 test'; expected `SEQ train\|val"):
    Mots.list_items(folder)


def test_small_pedestrians_are_left_out_and_counted(tmp_path, capsys):
  instances = scene()
  instances[15:] = np.where(instances[15:] == 2001, 0, instances[15:])  # 5 rows of it are left
  root = tmp_path / 'raw'
  picture(root / 'training' / 'image_02' / '0000' / '000000.png')
  instance_map(root / 'instances' / '0000' / '000000.png', instances)
  folder = prepare('mots', str(root), str(tmp_path / 'out'))
  assert open_split(folder, 'train').names() == ['0000/000000_2002']
  assert '; 1 lower than 64 pixels are left out.' in capsys.readouterr().out


def test_joints_go_to_whom_they_overlap_and_not_to_ignored_regions(raw):
  poses = raw / 'training' / 'openpose' / '0001'
  front, behind = [(35, 20), (40, 70)], [(50, 20), (55, 70), (42, 30)]
  ignored = [(62, 22), (68, 38)]
  add_poses(poses, '000000', ignored, behind, front)
  add_poses(poses, '000001')
  people = read(raw)
  np.testing.assert_allclose(people['0001/000000_2001'].joints[0], [35, 20, 0.9])
  np.testing.assert_allclose(people['0001/000000_2002'].joints[0], [50, 20, 0.9])
  np.testing.assert_array_equal(people['0001/000001_2001'].joints, joints.none())


def test_joints_of_the_challenge_lie_beside_img1(tmp_path):
  root = challenge(tmp_path / 'raw', ('MOTS20-02',))
  add_poses(root / 'train' / 'MOTS20-02' / 'openpose', '000002', [(35, 20), (40, 70)])
  people = read(root)
  assert people['MOTS20-02/000002_2001'].joints.any()
  assert not people['MOTS20-02/000002_2002'].joints.any()


def test_a_missing_json_of_a_picture_with_people_is_named(raw):
  add_poses(raw / 'training' / 'openpose' / '0001', '000000', [(35, 20)])
  with pytest.raises(DatasetError, match=r'0001/000001_keypoints\.json is missing.*run OpenPose'):
    read(raw)


def test_a_sequence_without_joints_beside_one_with_joints_is_named(tmp_path):
  folder = kitti(tmp_path / 'raw')
  add_poses(folder / 'training' / 'openpose' / '0001', '000000')
  with pytest.raises(DatasetError, match=r'openpose/0002 is missing\. MOTS is expected'):
    Mots.list_items(folder)


def test_run_lengths_that_do_not_cover_the_picture_are_refused_by_line(raw):
  path = raw / 'instances_txt' / '0001.txt'
  lines = path.read_text().splitlines()
  lines[1] = lines[1].rsplit(maxsplit=1)[0] + ' 532N'
  path.write_text('\n'.join(lines))
  with pytest.raises(
    DatasetError, match=r'0001\.txt, line 2: the run lengths cover 11 pixels; expected 90 x 120'
  ) as caught:
    read(raw)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('0 2001 2 90 120', r'0001\.txt, line 1 is .0 2001 2 90 120.; expected `time_frame id class'),
    ('0 x 2 90 120 abc', 'expected `time_frame id class_id'),
    ('0 3001 3 90 120 abc', r'line 1 has class 3; expected 1 \(car\), 2 \(pedestrian\) or 10'),
    ('0 1001 2 90 120 abc', r'instance 1001 of class 2; expected class x 1000'),
    ('7 2001 2 90 120 abc', r'line 1 is about picture 7, .* \(3 pictures, 0 to 2\)'),
    ('0 2001 2 91 120 abc', r'line 1 is for a picture of 120 x 91, but .*png is 120 x 90'),
    ('0 2001 2 90 120 é', r"line 1: 'é' is no character"),
    ('0 2001 2 90 120 a\n0 2001 2 90 120 a', 'line 2 names instance 2001 a second time in pic'),
  ],
)
def test_a_line_that_cannot_be_meant_is_refused(raw, line, message):
  (raw / 'instances_txt' / '0001.txt').write_text(line + '\n')
  with pytest.raises(DatasetError, match=message):
    read(raw)


def test_masks_that_overlap_are_refused(raw):
  path = raw / 'instances_txt' / '0001.txt'
  first = text(0, scene()).splitlines()[1]
  path.write_text(first + '\n' + first.replace('2001', '2005') + '\n')
  with pytest.raises(DatasetError, match='line 2: the masks of 2005 and 2001 overlap'):
    read(raw)


def test_pictures_without_any_instance_are_refused(raw, tmp_path):
  (raw / 'instances_txt' / '0001.txt').write_text('')
  with pytest.raises(DatasetError, match='no picture has an instance in its annotation'):
    Mots.list_items(raw)
  empty = kitti(tmp_path / 'maps', 'png', ('0001',))
  for path in (empty / 'instances' / '0001').iterdir():
    instance_map(path, np.zeros_like(scene()))
  with pytest.raises(DatasetError, match="none of the 3 pictures of the split 'train' shows a per"):
    prepare('mots', str(empty), str(tmp_path / 'out'))


@pytest.mark.parametrize('lost', ['training/image_02/0002', 'instances_txt/0002.txt'])
def test_a_sequence_of_which_a_part_is_missing_is_named(tmp_path, lost):
  folder = kitti(tmp_path / 'raw')
  (folder / lost).rename(folder / 'elsewhere')
  with pytest.raises(DatasetError, match=rf'{lost} is missing, and .*; add it, or remove'):
    Mots.list_items(folder)


@pytest.mark.parametrize('lost', ['training/image_02', 'instances_txt'])
def test_a_missing_part_is_named_with_layout_and_source(raw, lost):
  (raw / lost).rename(raw / 'elsewhere')
  with pytest.raises(DatasetError, match=rf'{lost} is missing\. MOTS is expected .*https://'):
    Mots.list_items(raw)


def test_a_challenge_without_annotation_is_named(tmp_path):
  folder = challenge(tmp_path / 'raw')
  (folder / 'train' / 'MOTS20-02' / 'gt' / 'gt.txt').unlink()
  with pytest.raises(DatasetError, match=r'MOTS20-02/gt/gt\.txt is missing'):
    Mots.list_items(folder)


def test_a_picture_without_map_and_a_map_without_picture_are_named(tmp_path):
  folder = kitti(tmp_path / 'raw', 'png', ('0001',))
  (folder / 'instances' / '0001' / '000001.png').unlink()
  with pytest.raises(DatasetError, match=r'000001\.png is there, and its map of instances is miss'):
    Mots.list_items(folder)
  (folder / 'training' / 'image_02' / '0001' / '000001.png').unlink()
  (folder / 'training' / 'image_02' / '0001' / '000002.png').unlink()
  with pytest.raises(DatasetError, match=r'000002\.png is there, and its picture is missing'):
    Mots.list_items(folder)


def write_map(path, kind):
  """A broken map of instances in place of the good one."""
  instances = scene()
  if kind == 'cut':
    path.write_bytes(path.read_bytes()[:80])
  elif kind == '8 bits':
    instance_map(path, instances.astype(np.uint8))
  elif kind == 'size':
    instance_map(path, instances[:50])
  else:
    instances[0, 0] = 555
    instance_map(path, instances)


@pytest.mark.parametrize(
  ('kind', 'message'),
  [
    ('cut', r'000000\.png cannot be decoded'),
    ('8 bits', r'000000\.png is a PNG with pixels of kind L; expected a grey PNG of 16 bits'),
    ('size', r'is 120 x 50 but its picture .* is 120 x 90'),
    ('number', r'pixel values 555 are no instances; expected class x 1000 \+ number'),
  ],
)
def test_a_map_that_cannot_be_read_is_named(tmp_path, kind, message):
  folder = kitti(tmp_path / 'raw', 'png', ('0001',))
  write_map(folder / 'instances' / '0001' / '000000.png', kind)
  with pytest.raises(DatasetError, match=message):
    read(folder)


def test_a_picture_that_is_not_named_by_its_number_or_shares_it_is_refused(raw):
  path = raw / 'training' / 'image_02' / '0001' / '000002.png'
  picture(path.with_name('2.png'))
  with pytest.raises(DatasetError, match=r'000002\.png and .*/2\.png have one number'):
    Mots.list_items(raw)
  path.with_name('2.png').unlink()
  path.rename(path.with_name('last.png'))
  with pytest.raises(DatasetError, match=r'last\.png is not named by its number'):
    Mots.list_items(raw)


def test_changed_annotations_or_joints_are_prepared_anew(raw):
  prints = {Mots.fingerprint(raw)}
  add_poses(raw / 'training' / 'openpose' / '0001', '000000')
  prints.add(Mots.fingerprint(raw))
  (raw / 'instances_txt' / '0001.txt').write_text(text(0, scene()))
  prints.add(Mots.fingerprint(raw))
  assert len(prints) == 3


def test_sequences_without_numbers_get_their_place(tmp_path):
  folder = kitti(tmp_path / 'raw', sequences=('park', 'street'))
  identities = {name.partition('/')[0]: person.identity for name, person in read(folder).items()}
  assert {name: identity // 10_000 for name, identity in identities.items()} == {
    'park': 0,
    'street': 1,
  }
