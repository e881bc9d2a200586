"""FaceForensics++ in its official layout: originals, the lists' splits, and what can be missing."""

import json
import re
import shutil

import av
import numpy as np
import pytest
from test_clips_command import _command, fakes  # noqa: F401 - a fixture

from anon_jax.data import face_forensics
from anon_jax.data.clips import ClipFolder
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_forensics import list_originals

LISTS = {'train': [['000', '001']], 'val': [['002', '003']], 'test': [['004', '005']]}


def _encode(path, seed):
  """Encodes a drawn clip: a red square, which stands for a face, that moves over a gradient."""
  path.parent.mkdir(parents=True, exist_ok=True)
  y, x = np.mgrid[:96, :160]
  with av.open(path, 'w') as output:
    stream = output.add_stream('libx264', 25, width=160, height=96, options={'crf': '5'})
    stream.pix_fmt = 'yuv420p'
    for number in range(8):
      picture = np.stack([60 + x // 4, 90 + y, 120 + 0 * x], -1).astype(np.uint8)
      left = 20 + 10 * seed + 2 * number
      picture[30:54, left : left + 24] = (230, 20, 30)
      output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, 'rgb24')))
    output.mux(stream.encode(None))


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """Six originals and their lists; beside them what is to be left alone."""
  root = tmp_path_factory.mktemp('published')
  for number in range(6):
    _encode(root / f'original_sequences/youtube/c23/videos/{number:03d}.mp4', number)
  for other in (
    'original_sequences/youtube/c40/videos/000.mp4',
    'manipulated_sequences/Deepfakes/c23/videos/000_001.mp4',
  ):
    (root / other).parent.mkdir(parents=True)
    shutil.copy(root / 'original_sequences/youtube/c23/videos/000.mp4', root / other)
  for name, pairs in LISTS.items():
    (root / f'{name}.json').write_text(json.dumps(pairs))
  return root


@pytest.fixture
def root(published, tmp_path):
  return shutil.copytree(published, tmp_path / 'FaceForensics')


def test_both_ids_of_a_pair_are_in_the_split_of_its_list(root):
  found = list_originals(root, 'c23')
  assert [(video.name, video.split) for video in found] == [
    ('youtube_000', 'train'),
    ('youtube_001', 'train'),
    ('youtube_002', 'validation'),
    ('youtube_003', 'validation'),
    ('youtube_004', 'test'),
    ('youtube_005', 'test'),
  ]
  assert {video.path.parent.parent.name for video in found} == {'c23'}


def test_actors_are_for_training_and_lists_may_lie_in_splits(root):
  _encode(root / 'original_sequences/actors/c23/videos/01__exit_phone_room.mp4', 0)
  (root / 'splits').mkdir()
  for name in LISTS:
    (root / f'{name}.json').rename(root / 'splits' / f'{name}.json')
  found = list_originals(root, 'c23')
  assert len(found) == 7
  assert found[-1][1:] == ('actors_01__exit_phone_room', 'train')


def _refused(root, match, compression='c23'):
  with pytest.raises(DatasetError, match=match) as caught:
    list_originals(root, compression)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_what_is_missing_is_said_with_where_to_get_it_and_where_to_put_it(root):
  said = _refused(root, r'youtube/raw/videos is missing', 'raw')
  assert 'https://github.com/ondyari/FaceForensics' in said
  assert 'original_sequences/youtube/COMPRESSION/videos/000.mp4' in said
  (root / 'val.json').unlink()
  said = _refused(root, re.escape(f'{root / "val.json"} is missing'))
  assert 'dataset/splits of that repository' in said


def test_lists_and_videos_that_do_not_go_together_are_refused(root):
  _refused(root, '5 ids of the lists have no video, such as .*c40/videos/001.mp4', 'c40')
  (root / 'test.json').write_text(json.dumps([['004', '001']]))
  _refused(root, 'test.json names 001, which is for train by another list')
  (root / 'test.json').write_text(json.dumps([['004', '004']]))
  _refused(root, '005.mp4 is in no list, as 1 in all')
  for text in ('', '{}', '[]', '[["004"]]', '[[4, 5]]', '["004", "005"]'):
    (root / 'test.json').write_text(text)
    _refused(root, 'test.json (cannot be read as JSON|should hold pairs of ids)')
  _refused(root, "'c10' is no compression; give one of raw, c23, c40", 'c10')


def _cut(root, clips, *more):
  return _command(root, '-o', clips, '--layout', 'face_forensics', *more)


def test_the_command_makes_clips_in_the_published_splits(root, tmp_path, fakes, capsys):  # noqa: F811
  clips = tmp_path / 'clips'
  assert _cut(root, clips) == 0
  assert '6 clips with 48 frames of 6 videos' in capsys.readouterr().out
  for split, names in (('train', '01'), ('validation', '23'), ('test', '45')):
    found = ClipFolder(clips, split, 8)
    assert len(found) == 2
    for name in names:
      assert f'youtube_00{name}-face000-1 {split}\n' in (clips / 'split.txt').read_text()


def test_an_unreadable_video_is_named_and_the_others_are_cut(root, tmp_path, fakes, capsys):  # noqa: F811
  (root / 'original_sequences/youtube/c23/videos/003.mp4').write_bytes(b'no video at all')
  assert _cut(root, tmp_path / 'clips') == 1
  said = capsys.readouterr()
  (line,) = said.err.strip().splitlines()
  assert '003.mp4' in line
  assert '5 clips with 40 frames of 6 videos; 1 videos could not be read' in said.out
  assert len(ClipFolder(tmp_path / 'clips', 'validation', 8)) == 1


def test_flags_that_do_not_go_with_a_layout_are_refused(root, tmp_path, capsys):
  assert _cut(root, tmp_path / 'clips', '--test', '000') == 1
  assert 'leave --validation and --test out' in capsys.readouterr().err
  assert _command(root, '-o', tmp_path / 'clips', '--compression', 'c23') == 1
  assert '--compression is for --layout face_forensics' in capsys.readouterr().err
  assert _cut(root / 'nowhere', tmp_path / 'clips') == 1
  assert face_forensics.LAYOUT.split('.')[0] in capsys.readouterr().err
