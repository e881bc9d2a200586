"""Videos from end to end: every frame of every face is replaced or covered, the rest is kept."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from test_anonymizer import Fake

from anon_jax.inference import files, listing, looks, replacing, videos
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.reading import Reader
from anon_jax.inference.track import Settings, Tracked
from anon_jax.inference.tracking import TrackedFrame
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter

WIDTH, HEIGHT, FRAMES, SIDE = 96, 64, 24, 16
RED = (230, 20, 30)


def _place(frame):
  """Left and top of the red square that stands for a face."""
  return 10 + 2 * frame, 20 + frame // 3


def _pixels(frame, face=True):
  y, x = np.mgrid[:HEIGHT, :WIDTH]
  picture = np.stack([60 + x // 2, 90 + y, 120 + 0 * x], -1).astype(np.uint8)
  if face:
    left, top = _place(frame)
    picture[top : top + SIDE, left : left + SIDE] = RED
  return picture


def _is_red(picture):
  return (picture[..., 0] > 160) & (picture[..., 1] < 90)


def detect(picture):
  """Finds red squares of more than half their size."""
  rows, columns = np.nonzero(_is_red(picture))
  if len(rows) < SIDE * SIDE / 2:
    return []
  box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
  return [Face(tuple(float(value) for value in box), 0.9)]


def _write(path, has_face=lambda frame: True, frames=FRAMES):
  with VideoWriter(path, WIDTH, HEIGHT, Fraction(1, 1000), rate=Fraction(25), crf=5) as writer:
    for frame in range(frames):
      writer.write(_pixels(frame, has_face(frame)), frame * 40 + 7 * (frame % 2))
  return path


@pytest.fixture
def clip(tmp_path):
  """A clip of variable frame rate in which a face moves to the right."""
  return _write(tmp_path / 'clip.mp4')


def _frames(path):
  with VideoReader(path) as reader:
    return [(frame.time, frame.pixels.copy()) for frame in reader]


def test_every_frame_is_covered_and_its_time_is_kept(clip, tmp_path):
  done, expected = [], []
  result = videos.anonymize_video(
    clip,
    tmp_path / 'out.mp4',
    Anonymizer(detect, method='fill'),
    tell=done.append,
    expect=expected.append,
  )
  assert expected == [FRAMES]
  before, after = _frames(clip), _frames(tmp_path / 'out.mp4')
  assert [time for time, _ in after] == [time for time, _ in before]
  assert result.frames == sum(done) == FRAMES
  for (_, old), (_, new) in zip(before, after, strict=True):
    assert _is_red(old).sum() > 200
    assert not _is_red(new).any()
    still = (np.abs(old.astype(int) - new) < 12).all(-1)
    assert still[:, :4].all()  # far from the face
  (track,) = result.records()
  assert (track['frames'], track['states'], track['action']) == (FRAMES, {'detected': 24}, 'filled')


@pytest.mark.parametrize('missed', [{5}, {11, 12}, {3, 4, 5, 17}, {0, 23}])
def test_no_face_shows_where_the_detector_misses_it(clip, tmp_path, missed):
  calls = iter(range(FRAMES))
  anonymizer = Anonymizer(lambda p: [] if next(calls) in missed else detect(p), method='fill')
  result = videos.anonymize_video(clip, tmp_path / 'out.mp4', anonymizer)
  assert not any(_is_red(new).any() for _, new in _frames(tmp_path / 'out.mp4'))
  (track,) = result.records()
  assert track['states']['detected'] == FRAMES - len(missed)
  assert track['states'].get('bridged', 0) + track['states'].get('held', 0) == len(missed)


def test_a_face_is_painted_as_one_person_all_along(clip, tmp_path):
  fake = Fake([0.0] * 100)
  anonymizer = Anonymizer(detect, fake, method='synthesize')
  result = videos.anonymize_video(clip, tmp_path / 'out.mp4', anonymizer)
  (track,) = result.records()
  assert track['actions'] == {'filled': FRAMES}  # a square of 16 px is too small to paint
  assert 'pixels high' in track['reason']
  assert not any(_is_red(new).any() for _, new in _frames(tmp_path / 'out.mp4'))


def test_a_video_without_any_face_is_not_written_unless_that_is_asked_for(tmp_path):
  clip = _write(tmp_path / 'clip.mp4', lambda frame: False, 5)
  anonymizer = Anonymizer(detect, method='fill')
  with pytest.raises(videos.NoFaceError, match='in any of its 5 frames'):
    videos.anonymize_video(clip, tmp_path / 'out.mp4', anonymizer)
  assert [path.name for path in tmp_path.iterdir()] == ['clip.mp4']
  result = videos.anonymize_video(clip, tmp_path / 'o.mp4', anonymizer, allow_no_faces=True)
  assert (result.frames, result.without_faces, result.records()) == (5, 5, [])


def test_a_video_in_which_closer_looks_see_no_face_has_none(clip, tmp_path):
  def doubt(picture):
    return [dataclasses.replace(each, score=0.3, confirmed=0.0) for each in detect(picture)]

  target, anonymizer = tmp_path / 'out.mp4', Anonymizer(doubt, method='fill')
  with pytest.raises(InferenceError, match='no face was found in any of its 24 frames'):
    videos.anonymize_video(clip, target, anonymizer)
  assert not target.exists()
  result = videos.anonymize_video(clip, target, anonymizer, allow_no_faces=True)
  assert (result.frames, result.without_faces, result.found) == (FRAMES, FRAMES, False)
  (record,) = result.records()
  assert record['actions'] == {'left out': FRAMES}
  assert record['reason'] == 'a closer look sees no face'


def test_a_detector_that_fails_leaves_nothing(clip, tmp_path):
  calls = iter(range(FRAMES))

  def fail(picture):
    if next(calls) == 20:
      raise InferenceError('the detector failed.')
    return detect(picture)

  with pytest.raises(InferenceError, match='the detector failed'):
    videos.anonymize_video(clip, tmp_path / 'out.mp4', Anonymizer(fail, method='fill'))
  assert [path.name for path in tmp_path.iterdir()] == ['clip.mp4']


def test_a_folder_may_hold_both_and_the_manifest_tells_of_tracks(clip, tmp_path):
  (tmp_path / 'in').mkdir()
  clip.rename(tmp_path / 'in' / 'clip.mp4')
  (tmp_path / 'in' / 'broken.mp4').write_bytes(b'no video')
  Image.fromarray(_pixels(3)).save(tmp_path / 'in' / 'photo.png')
  plan = listing.plan([tmp_path / 'in'], tmp_path / 'out')
  options = files.Options(manifest=tmp_path / 'out' / 'manifest.json')
  anonymizer = Anonymizer(detect, method='fill')
  with Reader() as reader:
    report = files.anonymize_files(plan, anonymizer, reader, options)
    again = files.anonymize_files(plan, anonymizer, reader, options)
  records = {
    entry['source'].rpartition('/')[2]: entry
    for entry in json.loads((tmp_path / 'out' / 'manifest.json').read_text())['inputs']
  }
  assert {name: entry['status'] for name, entry in records.items()} == {
    'broken.mp4': 'refused',
    'clip.mp4': 'anonymized',
    'photo.png': 'anonymized',
  }
  assert records['clip.mp4']['frames'] == FRAMES
  assert records['clip.mp4']['faces'][0]['states'] == {'detected': FRAMES}
  assert (report.resumed, again.resumed) == (0, 2)
  assert not report.complete


@pytest.mark.parametrize(('said', 'expected'), [(7, [7]), (9000, [9000]), (0, [])])
def test_the_number_of_frames_in_the_header_is_told_and_not_relied_on(
  clip, tmp_path, monkeypatch, said, expected
):
  class Lying(VideoReader):
    def __init__(self, path):
      super().__init__(path)
      self.outline = dataclasses.replace(self.outline, frames=said)

  monkeypatch.setattr(videos, 'VideoReader', Lying)
  told = []
  anonymizer = Anonymizer(detect, method='fill')
  result = videos.anonymize_video(clip, tmp_path / 'o.mp4', anonymizer, expect=told.append)
  assert (told, result.frames, len(_frames(tmp_path / 'o.mp4'))) == (expected, FRAMES, FRAMES)


class _Searching:
  """Finds faces only in frames that are searched for some kind of them."""

  def __init__(self, kind):
    self.kind, self.searched = kind, 0

  def at(self, look):
    finds = not look.glance and (self.kind == 'any' or getattr(look, self.kind))
    self.searched += not look.glance
    return detect if finds else lambda picture: []


@pytest.mark.parametrize('kind', ['any', 'turned', 'tiny'])
def test_what_only_a_search_finds_is_covered_in_the_frames_between(kind, clip, tmp_path):
  detector = _Searching(kind)
  videos.anonymize_video(clip, tmp_path / 'out.mp4', Anonymizer(detector, method='fill'))
  assert detector.searched == 5  # frames 0, 5, 10, 15 and 20 of 24
  assert not any(_is_red(new).any() for _, new in _frames(tmp_path / 'out.mp4'))


def test_a_face_that_appears_between_searches_is_covered_from_its_first_frame(tmp_path, clip):
  class Late(_Searching):
    """Finds tiny faces from frame 4 on."""

    def at(self, look):
      self.frames = getattr(self, 'frames', -1) + 1
      return super().at(look) if self.frames > 3 else lambda picture: []

  tiny = Late('turned')
  # found in frame 10 first, and turned: it may have been there since frame 1
  anonymizer = Anonymizer(tiny, method='fill')
  videos.anonymize_video(clip, tmp_path / 'out.mp4', anonymizer)
  red = [_is_red(new).any() for _, new in _frames(tmp_path / 'out.mp4')]
  assert red == [True] + [False] * 23


def test_tracks_reach_from_one_searched_frame_to_the_next():
  settings = Settings()
  assert min(settings.bridge, settings.hold) >= looks.SEARCHED - 1
  assert settings.bridge >= looks.PERIOD - 1


def _tracked(state, left, number=0):
  face = Face((float(left), 20.0, left + 20.0, 40.0), 0.9)
  return Tracked(number, face, (face,), state)


def test_a_face_that_goes_on_in_another_track_is_not_held_over_it():
  found, double, beside = _tracked('detected', 10), _tracked('held', 14, 1), _tracked('held', 26, 2)
  bridged = _tracked('bridged', 11, 3)
  frame = TrackedFrame(0, False, (found, double, beside, bridged))
  assert replacing.without_doubles(frame).faces == (found, beside, bridged)
  alone = TrackedFrame(0, False, (double, _tracked('held', 14, 4)))
  assert replacing.without_doubles(alone).faces == alone.faces
