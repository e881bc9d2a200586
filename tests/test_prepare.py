import concurrent.futures
import pickle
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from anon_jax.data.errors import DatasetError
from anon_jax.data.face_folder import FaceFolder
from anon_jax.data.prepare import open_split, prepare


def make_raw(folder, count=4, side=12):
  (folder / 'images').mkdir(parents=True)
  (folder / 'masks').mkdir()
  rng = np.random.default_rng(0)
  for i in range(count):
    picture = rng.integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(picture).save(folder / 'images' / f'{i}.png')
    Image.fromarray(np.full((side, side), i % 8, np.uint8)).save(folder / 'masks' / f'{i}.png')
  (folder / 'split.txt').write_text(''.join(f'{i} train\n' for i in range(count)))
  return folder


@pytest.fixture
def raw(tmp_path):
  return make_raw(tmp_path / 'My faces, 2nd')


@pytest.fixture
def out(tmp_path):
  return tmp_path / 'out'


def test_the_folder_is_dataset_config_version(raw, out):
  folder = prepare('face_folder', str(raw), str(out), max_side=8)
  dataset, config, version = folder.relative_to(out).parts
  assert (dataset, version) == ('face_folder', '1.0.0')
  name, digits, max_side = config.split('-')
  assert (name, max_side) == ('My_faces_2nd', '8')
  assert len(digits) == 10
  assert int(digits, 16) >= 0


def test_preparing_again_reuses_what_is_there(raw, out, monkeypatch):
  folder = prepare('face_folder', str(raw), str(out))
  monkeypatch.delattr(FaceFolder, 'read_item')
  assert prepare('face_folder', str(raw), str(out)) == folder
  assert prepare('face_folder', '', str(out)) == folder


@pytest.mark.parametrize(
  'change',
  [
    lambda raw: (raw / 'images' / '0.png').write_bytes(
      (raw / 'images' / '1.png').read_bytes() + b' '
    ),
    lambda raw: (raw / 'masks' / '9.png').write_bytes(b''),
    lambda raw: (raw / 'identities.txt').write_text('0 1\n'),
    lambda raw: (raw / 'split.txt').write_text((raw / 'split.txt').read_text()[:-6] + ' test\n'),
  ],
  ids=['size', 'name', 'identities', 'split'],
)
def test_a_changed_raw_folder_is_prepared_anew(raw, out, change):
  before = prepare('face_folder', str(raw), str(out))
  change(raw)
  assert prepare('face_folder', str(raw), str(out)) != before


def test_raw_folders_of_one_name_do_not_share_prepared_files(tmp_path, out):
  first = prepare('face_folder', str(make_raw(tmp_path / 'a' / 'faces')), str(out))
  second = prepare('face_folder', str(make_raw(tmp_path / 'b' / 'faces', count=3)), str(out))
  assert first != second
  assert (len(open_split(first, 'train')), len(open_split(second, 'train'))) == (4, 3)


def test_sizes_do_not_share_prepared_files(raw, out):
  whole = prepare('face_folder', str(raw), str(out))
  small = prepare('face_folder', str(raw), str(out), max_side=6)
  assert open_split(whole, 'train')[0]['image'].shape == (12, 12, 3)
  assert open_split(small, 'train')[0]['image'].shape == (6, 6, 3)
  assert prepare('face_folder', '', str(out), max_side=6) == small


def test_nothing_prepared_and_nothing_given_says_what_to_give(out):
  with pytest.raises(DatasetError, match=r'face_folder holds nothing prepared; give .* manual_dir'):
    prepare('face_folder', '', str(out))


def test_another_size_than_the_prepared_one_is_not_passed_off(raw, out):
  prepare('face_folder', str(raw), str(out), max_side=6)
  with pytest.raises(
    DatasetError, match=r'holds only My_.*-6 prepared for pictures of up to 8 px; give'
  ):
    prepare('face_folder', '', str(out), max_side=8)


def test_several_prepared_ones_are_listed(raw, tmp_path, out):
  prepare('face_folder', str(raw), str(out))
  prepare('face_folder', str(make_raw(tmp_path / 'other', 2)), str(out))
  with pytest.raises(
    DatasetError, match=r'several prepared data sets \(My_.*-0, other-.*-0\); name'
  ):
    prepare('face_folder', '', str(out))


def test_an_unknown_data_set_is_refused_with_the_choices(out):
  with pytest.raises(
    DatasetError, match=r"'faces'; choose one of aflw2000, body_folder, ccp, celeba, "
  ):
    prepare('faces', '', str(out))


def test_a_raw_folder_that_is_not_there_is_refused(tmp_path, out):
  with pytest.raises(DatasetError, match=r"nowhere' is not a folder\. A face_folder holds images/"):
    prepare('face_folder', str(tmp_path / 'nowhere'), str(out))


def test_a_negative_size_is_refused(raw, out):
  with pytest.raises(DatasetError, match='max_side=-1 is negative'):
    prepare('face_folder', str(raw), str(out), max_side=-1)


@pytest.mark.parametrize('interruption', [KeyboardInterrupt, DatasetError('broken')])
def test_an_interrupted_preparation_leaves_nothing_behind(raw, out, monkeypatch, interruption):
  read_item = FaceFolder.read_item

  def stop_midway(item):
    if item.name == '2.png':
      raise interruption
    return read_item(item)

  monkeypatch.setattr(FaceFolder, 'read_item', staticmethod(stop_midway))
  with pytest.raises((KeyboardInterrupt, DatasetError)):
    prepare('face_folder', str(raw), str(out))
  assert not [p for p in out.rglob('*') if p.is_file() and not p.name.endswith('.lock')]
  with pytest.raises(DatasetError, match='holds nothing prepared'):
    prepare('face_folder', '', str(out))
  monkeypatch.undo()
  assert len(open_split(prepare('face_folder', str(raw), str(out)), 'train')) == 4


def test_the_leavings_of_a_killed_preparation_are_cleared(raw, out):
  finished = prepare('face_folder', str(raw), str(out))
  # As SIGKILL leaves it: TFDS's temporary folder, and a final one without its last file.
  stale = finished.parent / 'incomplete.ABCDEF_1.0.0'
  stale.mkdir()
  (stale / 'face_folder-train.array_record-00000-of-00001').write_bytes(b'half')
  (finished / 'dataset_info.json').unlink()
  with pytest.raises(DatasetError, match='holds nothing prepared'):
    prepare('face_folder', '', str(out))
  assert prepare('face_folder', str(raw), str(out)) == finished
  assert not stale.exists()
  assert len(open_split(finished, 'train')) == 4


def test_two_preparations_at_once_build_one(raw, out, capsys):
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    folders = list(pool.map(lambda _: prepare('face_folder', str(raw), str(out)), range(2)))
  assert folders[0] == folders[1]
  assert capsys.readouterr().out.count('Preparing face_folder from') == 1


def test_preparing_says_what_and_how_fast_and_nothing_else(raw, out, capsys, caplog):
  prepare('face_folder', str(raw), str(out))
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2
  assert lines[0].startswith(f'Preparing face_folder from {raw} into ')
  assert lines[1].startswith('Prepared 4 pictures in ')
  assert not caplog.records


def test_no_network_is_tried(raw, out, monkeypatch):
  def refuse(*unused, **unused_too):
    raise AssertionError('the network was tried')

  monkeypatch.setattr(socket, 'getaddrinfo', refuse)
  monkeypatch.setattr(socket.socket, 'connect', refuse)
  assert len(open_split(prepare('face_folder', str(raw), str(out)), 'train')) == 4


def test_an_unknown_split_is_refused_with_the_choices(raw, out):
  (raw / 'split.txt').write_text('0 train\n1 test\n2 test\n3 train\n')
  folder = prepare('face_folder', str(raw), str(out))
  with pytest.raises(DatasetError, match=r"no split 'validation', only test, train; a face_"):
    open_split(folder, 'validation')


def test_a_folder_that_is_not_prepared_is_refused(tmp_path):
  with pytest.raises(
    DatasetError, match=r'holds no prepared data set \(dataset_info\.json is miss'
  ):
    open_split(tmp_path, 'train')


@pytest.mark.parametrize('keep', [0, 0.5, None])
def test_damaged_prepared_files_are_refused_not_read_as_empty(raw, out, keep):
  folder = prepare('face_folder', str(raw), str(out))
  (shard,) = folder.glob('*.array_record*')
  data = shard.read_bytes()
  shard.unlink()
  if keep is not None:
    shard.write_bytes(data[: int(len(data) * keep)])
  with pytest.raises(DatasetError, match=rf'{shard.name} is missing or damaged; delete the folder'):
    open_split(folder, 'train')


def test_a_source_ends_after_its_last_example(raw, out):
  source = open_split(prepare('face_folder', str(raw), str(out)), 'train')
  assert len(list(source)) == len(source) == 4
  with pytest.raises(IndexError, match='4 is outside the 4 examples of SplitSource'):
    source[4]
  with pytest.raises(IndexError):
    source[-1]


def test_examples_have_the_documented_types(raw, out):
  example = open_split(prepare('face_folder', str(raw), str(out)), 'train')[0]
  assert list(example) == ['image', 'map', 'has_map', 'identity', 'name']
  assert (example['image'].dtype, example['map'].dtype) == (np.uint8, np.uint8)
  assert example['image'].flags.writeable
  assert [type(example[key]) for key in ('has_map', 'identity', 'name')] == [bool, int, str]


def test_threads_and_pickled_copies_read_the_same(raw, out):
  source = open_split(prepare('face_folder', str(raw), str(out)), 'train')
  expected = [source[i]['image'] for i in range(4)]
  copy = pickle.loads(pickle.dumps(source))
  assert repr(copy) == repr(source)
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for i, example in enumerate(pool.map(lambda i: copy[i % 4], range(200))):
      np.testing.assert_array_equal(example['image'], expected[i % 4])


# Hides TensorFlow as if it were not installed, and runs `code`.
WITHOUT_TENSORFLOW = """
import importlib.machinery, sys
find = importlib.machinery.PathFinder.find_spec
class Finder:
  @staticmethod
  def find_spec(name, path=None, target=None):
    return None if name.partition('.')[0] == 'tensorflow' else find(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
from anon_jax.data.prepare import open_split, prepare
from anon_jax.data.errors import DatasetError
raw, out = sys.argv[1:]
"""


def run_without_tensorflow(code, *arguments):
  return subprocess.run(
    [sys.executable, '-W', 'error', '-c', WITHOUT_TENSORFLOW + textwrap.dedent(code), *arguments],
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )


def test_prepared_data_are_read_without_tensorflow(raw, out):
  prepare('face_folder', str(raw), str(out))
  done = run_without_tensorflow(
    """
    for manual_dir in ('', raw):
      example = open_split(prepare('face_folder', manual_dir, out), 'train')[0]
      print(example['image'].shape, example['map'].shape, 'tensorflow' in sys.modules)
    """,
    str(raw),
    str(out),
  )
  assert done.stdout == '(12, 12, 3) (12, 12) False\n' * 2, done.stderr
  assert done.stderr == ''


def test_preparing_without_tensorflow_says_what_to_install(raw, out):
  done = run_without_tensorflow(
    """
    try:
      prepare('face_folder', raw, out)
    except DatasetError as error:
      print(error)
    """,
    str(raw),
    str(out),
  )
  assert done.stdout == (
    "Preparing face_folder needs TensorFlow, which is missing; run: pip install 'anon-jax[train]'\n"
  ), done.stderr
  assert not out.exists()
