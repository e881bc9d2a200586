"""The evaluation of clips: numbers worked by hand, and drawn clips through covering methods."""

import json
import pathlib
from fractions import Fraction

import numpy as np
import pytest

from anon_jax.data.alignment import Template
from anon_jax.data.errors import DatasetError
from anon_jax.inference import detection
from anon_jax.inference.faces import Face
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter
from anon_jax.protocols import report as reports
from anon_jax.protocols.attacks.linking import Side
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.systems import FILL, ORIGINAL, System
from anon_jax.protocols.video import clips as clips_of
from anon_jax.protocols.video import evaluate as video
from anon_jax.protocols.video import report
from anon_jax.protocols.video.clips import REENCODED
from anon_jax.protocols.video.sides import Sides

LANDMARKS = ((-0.17, -0.1), (0.17, -0.1), (0.0, 0.06), (-0.12, 0.24), (0.12, 0.24))
COLOURS = {'ann': (220, 60, 60), 'bo': (60, 220, 60)}
FRAMES = 8


def _face(x, y, side=40.0, score=0.9):
  points = tuple((x + a * side, y + b * side) for a, b in LANDMARKS)
  return Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), score, points)


class _Squares:
  """Finds squares that are not grey."""

  callers = 1

  def at(self, look):
    return self

  def __call__(self, picture):
    coloured = np.ptp(picture.astype(int), axis=-1) > 50
    rows, columns = np.nonzero(coloured)
    return [_face(columns.mean() + 0.5, rows.mean() + 0.5)] if len(rows) > 500 else []


def _embedder():
  points = tuple((16 + a * 24, 16 + b * 24) for a, b in LANDMARKS)

  def run(crops):
    means = crops.reshape(len(crops), -1, 3).mean(1) - 90
    return (means / (np.linalg.norm(means, axis=1, keepdims=True) + 1e-9)).astype(np.float32)

  return Embedder('colours', Template(32, 32, points), run, 4, 3, 'f' * 64)


def _clip(path, colour, frames=FRAMES):
  """A coloured square that moves two pixels a frame."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with VideoWriter(path, 128, 96, Fraction(1, 25)) as writer:
    for number in range(frames):
      pixels = np.full((96, 128, 3), 90, np.uint8)
      pixels[28:68, 30 + 2 * number : 70 + 2 * number] = colour
      writer.write(pixels, number, 1)


@pytest.fixture
def folder(tmp_path):
  for name, colour in COLOURS.items():
    _clip(tmp_path / 'clips' / f'{name}.mp4', colour)
  return tmp_path / 'clips'


@pytest.fixture
def squares(monkeypatch):
  monkeypatch.setattr(detection, 'load_detector', lambda **_: _Squares())
  rows = tuple(system for system in clips_of.ROWS if system.method != 'synthesize')
  monkeypatch.setattr(video, 'ROWS', rows)


def _clips(folder, tmp_path, frames=0, seed=0):
  return video.Clips(folder, tmp_path / 'w', _embedder(), None, None, frames=frames, seed=seed)


def _sides(consecutive=(), points=None, vectors=None, faces=None):
  """Measures of a clip whose face is 10 pixels high, at (0, 0) unless told."""
  count = len(consecutive) + 1
  points = np.zeros((count, 5, 2)) if points is None else np.asarray(points, float)
  vectors = np.tile([1.0, 0], (count, 1)) if vectors is None else np.asarray(vectors, float)
  return Sides(
    np.asarray(consecutive, float),
    np.ones(count, int) if faces is None else np.asarray(faces),
    np.tile([0.0, 0, 10, 10], (count, 1)),
    points,
    vectors,
    vectors,
    np.full(count, np.nan),
    np.zeros((0, 1, 1, 3), np.uint8),
  )


def test_tlp_leaves_out_two_frames_at_both_ends_and_is_averaged_in_two_ways():
  source = _sides([9, 9, 0.1, 0.2, 0.3, 9, 9])
  made = _sides([0, 0, 0.2, 0.2, 0.1, 0, 0])
  found = video._clip(source, made, True)
  assert found['pairs'] == 3
  assert found['tlp'] == pytest.approx(0.1)  # .1, 0 and .2
  assert found['tlp100'] == pytest.approx(10)
  assert found['consecutive'] == pytest.approx(0.5 / 3)
  assert found['consecutive_input'] == pytest.approx(0.2)
  short = video._clip(_sides([9, 9, 0.5, 9, 9]), _sides([0, 0, 0.1, 0, 0]), True)
  overall = video._overall({'a': found, 'b': short})
  assert overall['tlp']['mean'] == pytest.approx(0.25)  # of .1 and .4
  assert overall['tlp_frames'] == pytest.approx((3 * 0.1 + 0.4) / 4)


def test_a_face_that_trembles_and_changes_is_told_from_one_that_does_not():
  rest = np.zeros((7, 5, 2))
  shaken = rest.copy()
  shaken[3, :, 0] = 1  # second differences of 1, 2 and 1 in three of five frames, of ten pixels
  vectors = np.array([[1.0, 0], [0, 1]] * 3 + [[1.0, 0]])
  found = video._clip(_sides([0] * 6), _sides([0] * 6, shaken, vectors), True)
  assert found['jitter_input'] == 0
  assert found['jitter_added'] == pytest.approx((1 + 2 + 1) / 5 / 10)
  # the mean of four and three unit vectors has the length 5 / 7
  assert found['variance'] == pytest.approx(1 - 5 / 7)
  assert found['variance_input'] == pytest.approx(0)
  assert found['alike'] == pytest.approx(4 / 7)
  crowd = video._clip(_sides([0] * 6), _sides([0] * 6, shaken, vectors), False)
  assert np.isnan(crowd['alike']) and crowd['jitter_added'] == found['jitter_added']


def test_pooling_frames_can_tell_what_none_of_them_does():
  alone = {'a': True, 'b': True, 'crowd': False}
  own = {'a': [1, 0, 0], 'b': [0, 1, 0], 'crowd': [0, 0, 1]}
  sources = {n: _sides([0] * 7, vectors=np.tile(v, (8, 1)).astype(float)) for n, v in own.items()}
  blind = np.full((4, 3), np.nan)
  # half of a's later frames look like b, and all of b's like a stranger
  mixed = {
    'a': [[1, 0, 0], [0.8, 0.6, 0], [0.8, 0.6, 0], [0.6, 0.8, 0]],
    'b': [[0, 0.6, 0.8]] * 4,
    'crowd': [[0, 0, 1]] * 4,
  }
  made = {n: _sides([0] * 7, vectors=np.concatenate([blind, v])) for n, v in mixed.items()}
  strangers = Side(np.array([[0, 0, 1.0]]), np.array([7]), np.array([7]))
  found = video._linked(sources, made, alone, strangers, 0)
  assert found['single']['probes'] == 8
  assert found['single']['recall']['mean'] == 3 / 8
  assert found['pooled']['probes'] == 2
  assert found['pooled']['recall']['mean'] == 1 / 2
  assert video._linked(sources, made, alone | {'b': False}, strangers, 0) is None


def test_one_person_is_alone_where_nobody_else_is_found_in_four_of_five_frames():
  assert video._alone(_sides([0] * 4, faces=[1, 1, 1, 1, 2]))
  assert not video._alone(_sides([0] * 4, faces=[1, 1, 1, 0, 2]))


def test_clips_go_through_every_system_and_a_second_time_nothing_is_made(
  folder, squares, tmp_path, capfd
):
  clips = _clips(folder, tmp_path)
  result, shown = video.evaluate(clips, (), None, 0)
  rows = result['rows']
  assert list(rows) == ['original', 'reencoded', 'blur_17', 'fill']
  assert rows['original']['again']['mean'] == rows['reencoded']['again']['mean'] == 1
  assert rows['reencoded']['alike']['mean'] > 0.999
  assert rows['fill']['again']['mean'] == 0
  assert rows['original']['linked']['pooled']['recall']['mean'] == 1
  assert result['clips'] == {name: {'frames': FRAMES, 'alone': True} for name in COLOURS}
  assert shown['original'] == []  # they are shorter than the frames that are shown
  full = {**result, 'distance': '', 'distance_missing': 'no file', 'judge': '', 'strangers': 0}
  full['judge_missing'] = 'none was asked for.'
  text = '\n'.join(report.lines(full, {'seed': '0'}))
  assert 'tLP: left out, no file' in text
  assert '| CIAGAN (paper only) | .047 | - |' in text
  reports.write(tmp_path, full, [text])
  assert json.loads((tmp_path / 'results.json').read_text())['rows']['fill']['tlp']['mean'] is None
  made = {path: path.stat().st_mtime_ns for path in (tmp_path / 'w').rglob('*.*')}
  again, _ = video.evaluate(_clips(folder, tmp_path), (), None, 0)
  assert reports._plain(again) == reports._plain(result)
  assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / 'w').rglob('*.*')}
  # another key: outputs are made anew, sources are not
  video.evaluate(_clips(folder, tmp_path, seed=1), (), None, 0)
  assert 'fill was made in another way' in capfd.readouterr().err


def test_only_the_first_frames_of_long_clips_count(folder, squares, tmp_path):
  clips = _clips(folder, tmp_path, frames=3)
  assert [len(side.faces) for side in clips.sources.values()] == [3, 3]
  made = clips.measures(FILL)
  assert [len(side.faces) for side in made.values()] == [3, 3]
  with VideoReader(tmp_path / 'w' / 'fill' / 'bo.mp4') as reader:
    assert len(list(reader)) == 3


def test_other_systems_clips_are_rows_and_must_have_the_sources_frames(folder, squares, tmp_path):
  theirs = tmp_path / 'theirs'
  other = System('theirs', 'theirs', folder=theirs)
  _clip(theirs / 'ann.mp4', (200, 200, 20))
  clips = _clips(folder, tmp_path)
  with pytest.raises(DatasetError, match=r"theirs has no clip 'bo'; complete it"):
    clips.measures(other)
  _clip(theirs / 'bo.mov', (200, 200, 20))
  found = clips.measures(other)
  assert found['bo'].found.all()
  # yellow, which lies between red and green
  assert float(np.mean(found['bo'].in_place @ [1, 1, 0])) > 1
  _clip(theirs / 'bo.mov', (200, 200, 20), frames=7)
  with pytest.raises(DatasetError, match='has 7 frames, its source 8'):
    clips.measures(other)
  _clip(theirs / 'bo.mov', (200, 200, 20), frames=9)
  with pytest.raises(DatasetError, match='has more frames than its source, which has 8'):
    clips.measures(other)


def test_folders_that_hold_no_clips_are_named(tmp_path):
  (tmp_path / 'a.txt').write_text('no clip')
  with pytest.raises(DatasetError, match='holds no video; give a folder of clips'):
    clips_of.find(tmp_path)
  for name in ('a.mp4', 'a.mov'):
    (tmp_path / name).touch()
  with pytest.raises(DatasetError, match=r'a\.mov and .*a\.mp4 have one name'):
    clips_of.find(tmp_path)


def test_a_clip_without_a_face_is_named(squares, tmp_path):
  _clip(tmp_path / 'clips' / 'grey.mp4', (90, 90, 90))
  clips = _clips(tmp_path / 'clips', tmp_path)
  assert not clips.sources['grey'].found.any()
  assert not clips.measures(REENCODED)['grey'].found.any()
  with pytest.raises(DatasetError, match=r'no face is found in .*grey\.mp4'):
    clips.measures(FILL)
  assert not pathlib.Path(tmp_path / 'w' / 'fill' / 'grey.mp4').exists()
  assert clips.measures(ORIGINAL) is clips.sources
