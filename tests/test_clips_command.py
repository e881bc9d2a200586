"""`anon-jax clips`: what becomes a clip, whole videos or nothing, going on, and every refusal."""

import json
from fractions import Fraction

import numpy as np
import pytest

from anon_jax import cli
from anon_jax.data.clips import ClipFolder
from anon_jax.inference import clip_writing, detection, segmenting
from anon_jax.inference.clip_command import find_videos
from anon_jax.inference.clip_cutting import Cutting, cut_video
from anon_jax.inference.clip_writing import ClipWriter, splits
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.segmenting import Segmenter
from anon_jax.inference.video_writing import VideoWriter

WIDTH, HEIGHT, SIDE, FRAMES = 160, 96, 24, 24
RED = (230, 20, 30)
CUTTING = Cutting(size=32, length=4)


def _pixels(left, red=RED):
  y, x = np.mgrid[:HEIGHT, :WIDTH]
  picture = np.stack([60 + x // 4, 90 + y, 120 + 0 * x], -1).astype(np.uint8)
  if left is not None:
    picture[30 : 30 + SIDE, left : left + SIDE] = red
  return picture


def _film(path, places):
  """A video in which a red square, which stands for a face, is at these columns."""
  with VideoWriter(path, WIDTH, HEIGHT, Fraction(1, 25), rate=Fraction(25), crf=5) as writer:
    for frame, left in enumerate(places):
      writer.write(_pixels(left), frame)
  return path


def _detect(picture, score=0.9):
  red = (picture[..., 0] > 160) & (picture[..., 1] < 90)
  rows, columns = np.nonzero(red)
  if len(rows) < SIDE * SIDE / 2:
    return []
  box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
  return [Face(tuple(float(value) for value in box), score)]


def _logits(images):
  scores = np.zeros((*images.shape[:3], 8), np.float32)
  scores[..., 1] = images[..., 0] - images[..., 1].astype(np.float32) - 40  # skin where it is red
  return scores


SEGMENTER = Segmenter(_logits, 48, 7, 'abc')


def _cut(source, folder, cutting=CUTTING, detect=_detect, segmenter=SEGMENTER):
  for kind in ('images', 'masks'):
    (folder / kind).mkdir(parents=True)
  return cut_video(source, folder, 'v', detect, segmenter, cutting)


def test_a_track_becomes_a_clip_with_the_face_box_at_its_share_and_maps_in_their_places(tmp_path):
  source = _film(tmp_path / 'v.mp4', [20 + 2 * n for n in range(FRAMES)])
  for share in (0.6, 0.8):
    folder = tmp_path / str(share)
    assert _cut(source, folder, Cutting(32, share, 4)) == {'v-face000-1': FRAMES}
    clips = ClipFolder(folder, 'validation', FRAMES)  # the only clip is held out
    found = clips[0]
    red = found['image'][..., 0].astype(int) - found['image'][..., 1] > 60
    # crops are 1.6 boxes wide at 0.6, so the box has 32 / 1.6 = 20 pixels; and 0.8 / 0.6 of that
    wide = red.any(1).sum(1)
    np.testing.assert_allclose(wide, 20 * share / 0.6, atol=1.6)
    agree = ((found['map'] == 1) == red).mean()
    assert agree > 0.95


def test_a_clip_ends_where_the_face_was_not_seen_jumps_or_is_doubtful(tmp_path):
  gone = [20] * 8 + [None] * 24 + [20] * 8  # longer than a track is bridged
  source = _film(tmp_path / 'gone.mp4', gone)
  assert list(_cut(source, tmp_path / 'a').values()) == [8, 8]
  assert list(_cut(source, tmp_path / 'b', Cutting(32, 0.6, 9)).values()) == []
  assert not any((tmp_path / 'b' / 'images').iterdir())
  still = _film(tmp_path / 'still.mp4', [20] * 12)
  calls = iter(range(100))
  doubtful = lambda picture: _detect(picture, 0.2 if next(calls) == 6 else 0.9)  # noqa: E731
  assert list(_cut(still, tmp_path / 'c', detect=doubtful).values()) == [6, 5]


def test_faces_too_small_or_without_a_foreground_are_left_out(tmp_path):
  source = _film(tmp_path / 'v.mp4', [20] * 8)
  # the crop has 1.6 * 24 = 38 pixels: enough for one of 76, and not for one of 80
  assert _cut(source, tmp_path / 'a', Cutting(76, 0.6, 4)) == {'v-face000-1': 8}
  assert _cut(source, tmp_path / 'b', Cutting(80, 0.6, 4)) == {}
  nothing = Segmenter(lambda images: np.zeros((*images.shape[:3], 8), np.float32), 48, 7, '')
  assert _cut(source, tmp_path / 'c', segmenter=nothing) == {}


@pytest.fixture
def fakes(monkeypatch):
  """The command with a red-square detector and segmenter."""

  class Detector:
    sha256 = 'd' * 64

    def at(self, look):
      assert look.glance
      return self

    __call__ = staticmethod(_detect)

  monkeypatch.setattr(detection, 'load_detector', lambda rotations: Detector())
  monkeypatch.setattr(segmenting, 'load_exported_segmenter', lambda folder: SEGMENTER)


def _command(*arguments):
  return cli.main(['clips', *map(str, arguments), '--size', '32', '--length', '4'])


def test_the_command_writes_what_a_clip_folder_reads_with_no_video_in_two_splits(
  fakes, tmp_path, capsys
):
  films = tmp_path / 'films'
  films.mkdir()
  for name in 'abc d':
    _film(films / f'{name}.mp4' if name != ' ' else films / 'with space.mp4', [20] * 8)
  clips = tmp_path / 'clips'
  assert _command(films, '-o', clips, '--test', 'b', '--validation', 'with space') == 0
  assert '5 clips with 40 frames of 5 videos; 0 videos could not' in capsys.readouterr().out
  assert (clips / 'split.txt').read_text().split() == [
    *('a-face000-1', 'train', 'b-face000-1', 'test', 'c-face000-1', 'train'),
    *('d-face000-1', 'train', 'with_space-face000-1', 'validation'),
  ]
  assert [len(ClipFolder(clips, s, 8)) for s in ('train', 'validation', 'test')] == [3, 1, 1]


def test_a_broken_video_is_named_and_gives_nothing_and_the_rest_goes_on(fakes, tmp_path, capsys):
  films, clips = tmp_path / 'films', tmp_path / 'clips'
  films.mkdir()
  for name in 'abc':
    _film(films / f'{name}.mp4', [20] * 8)
  whole = (films / 'b.mp4').read_bytes()
  (films / 'b.mp4').write_bytes(whole[: len(whole) * 3 // 4])
  assert _command(films, '-o', clips) == 1
  said = capsys.readouterr()
  assert '2 clips with 16 frames of 3 videos; 1 videos could not be read' in said.out
  (line,) = said.err.strip().splitlines()
  assert 'b.mp4' in line
  assert sorted(p.name for p in (clips / 'images').iterdir()) == ['a-face000-1', 'c-face000-1']
  before = (clips / 'images' / 'a-face000-1' / '000003.png').stat().st_mtime_ns
  (films / 'b.mp4').write_bytes(whole)
  assert _command(films, '-o', clips) == 0  # only what is missing is done
  assert (clips / 'images' / 'a-face000-1' / '000003.png').stat().st_mtime_ns == before
  assert len(list((clips / 'images').iterdir())) == 3


def test_a_video_that_is_broken_off_leaves_no_clip_and_is_done_again(fakes, tmp_path, monkeypatch):
  source, clips = _film(tmp_path / 'a.mp4', [20] * 8), tmp_path / 'clips'
  real = clip_writing.write_whole

  def killed(path, content):
    if path.name == clip_writing.RECORD:
      raise KeyboardInterrupt
    real(path, content)

  monkeypatch.setattr(clip_writing, 'write_whole', killed)  # moved, and not noted
  assert _command(source, '-o', clips) == 130
  monkeypatch.setattr(clip_writing, 'write_whole', real)
  assert _command(source, '-o', clips) == 0
  assert len(ClipFolder(clips, 'train', 8)) == 1
  assert not (clips / '.parts').exists()


def test_a_later_run_moves_clips_between_splits_and_cuts_a_changed_video_again(fakes, tmp_path):
  films, clips = tmp_path / 'films', tmp_path / 'clips'
  films.mkdir()
  for name in 'ab':
    _film(films / f'{name}.mp4', [20] * 8)
  assert _command(films, '-o', clips, '--test', 'a') == 0
  _film(films / 'b.mp4', [20] * 8 + [None] * 24 + [20] * 9)
  assert _command(films, '-o', clips, '--test', 'b') == 0
  lines = ['a-face000-1 train', 'b-face000-1 test', 'b-face001-1 test']
  assert (clips / 'split.txt').read_text().splitlines() == lines
  assert _command(_film(films / 'b.mp4', [None] * 9), films / 'a.mp4', '-o', clips) == 0
  assert (clips / 'split.txt').read_text() == 'a-face000-1 train\n'
  assert [path.name for path in (clips / 'images').iterdir()] == ['a-face000-1']


def test_clips_of_other_options_and_other_folders_are_not_mixed(fakes, tmp_path, capsys):
  source, clips = _film(tmp_path / 'a.mp4', [20] * 8), tmp_path / 'clips'
  assert _command(source, '-o', clips) == 0
  assert cli.main(['clips', str(source), '-o', str(clips), '--size', '48', '--length', '4']) == 1
  assert 'holds clips with size 32, and now it would be 48' in capsys.readouterr().err
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'letter.txt').touch()
  assert _command(source, '-o', tmp_path / 'other') == 1
  assert 'holds something else than clips' in capsys.readouterr().err
  made = json.loads((clips / 'clips.json').read_text())['made']
  with ClipWriter(clips, made), pytest.raises(InferenceError, match='another process writes'):
    ClipWriter(clips, made)
  (clips / 'clips.json').write_text('{')
  with pytest.raises(InferenceError, match=r'clips\.json cannot be read'):
    ClipWriter(clips, made)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (['--size', '8'], '--size 8; give 32 to 1024'),
    (['--face-share', '0.9'], '--face-share 0.9; give 0.4 to 0.8'),
    (['--length', '0'], '--length 0; give 1'),
    (['--test', 'z'], '--test z names none of the videos; they are a'),
  ],
)
def test_options_that_cannot_be_are_refused_in_one_line(tmp_path, capsys, options, message):
  (tmp_path / 'a.mp4').touch()
  assert cli.main(['clips', str(tmp_path / 'a.mp4'), '-o', str(tmp_path / 'o'), *options]) == 1
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert message in line


def test_inputs_that_are_no_videos_or_share_a_name_are_refused(tmp_path):
  (tmp_path / 'empty').mkdir()
  for name in ('a b.mp4', 'a_b.mov'):
    (tmp_path / name).touch()
  for given, message in (
    ([tmp_path / 'nowhere'], 'nowhere is not there'),
    ([tmp_path / 'empty'], 'empty holds no video'),
    ([tmp_path], 'would have one name'),
  ):
    with pytest.raises(InferenceError, match=message):
      find_videos(map(str, given), {})


def test_a_film_without_lasting_faces_is_an_error(fakes, tmp_path, capsys):
  assert _command(_film(tmp_path / 'a.mp4', [None] * 8), '-o', tmp_path / 'clips') == 1
  assert 'none of 1 videos has a face that stays' in capsys.readouterr().err


def test_a_tenth_of_the_videos_is_held_out_where_nothing_is_said():
  assert sorted(splits({name: '' for name in 'ab'}).values()) == ['train', 'validation']
  assert splits({'a': ''}) == {'a': 'train'}
  assert splits({'a': '', 'b': 'test', 'c': ''}) == {'a': 'train', 'b': 'test', 'c': 'train'}
  many = splits({str(n): '' for n in range(40)})
  assert sum(split == 'validation' for split in many.values()) == 4


def test_the_shipped_segmenter_finds_what_its_network_finds():
  import jax

  from anon_jax.inference.anonymizer import SHIPPED
  from anon_jax.inference.weights import load_weights

  segmenter = segmenting.load_exported_segmenter(SHIPPED)
  network = load_weights(SHIPPED).segmentation
  crops = np.random.default_rng(0).integers(
    0, 256, (2, segmenter.size, segmenter.size, 3), np.uint8
  )
  wanted = jax.jit(network.module.apply)({'params': network.params}, crops / np.float32(127.5) - 1)
  maps = segmenting.segment_crops(segmenter, crops, segmenter.size, batch_size=2)
  np.testing.assert_array_equal(np.stack(maps), np.asarray(wanted).argmax(-1))
  assert maps[0].dtype == np.uint8
