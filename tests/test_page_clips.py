"""Clips on the page, over HTTP: progress, results, and that nothing comes out where it may not."""

import time

import numpy as np
import pytest
from running_page import BUSY, held, running
from test_videos import FRAMES, _write, detect

from anon_jax.inference.video_reading import VideoReader
from anon_jax.serving.engine import Engine
from anon_jax.serving.limits import Limits


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  return _write(tmp_path_factory.mktemp('clip') / 'walk.mp4').read_bytes()


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('clips'), Engine(detect)) as client:
    yield client


def test_the_faces_of_a_clip_are_covered_in_each_frame(page, clip, tmp_path):
  own = page.upload(clip, 'walk.mp4')
  told = page.anonymize(own)
  assert (told['state'], told['kind'], told['suffix']) == ('done', 'clip', '.mp4')
  assert told['done'] == FRAMES
  (track,) = told['faces']
  assert (track['action'], track['states']['detected']) == ('filled', FRAMES)
  status, _, content = page.ask('GET', f'/result?id={own}')
  assert status == 200
  path = tmp_path / 'result.mp4'
  path.write_bytes(content)
  with VideoReader(path) as reader:
    frames = [frame.pixels for frame in reader]
  assert len(frames) == FRAMES
  assert not any(((f[..., 0] > 160) & (f[..., 1] < 90)).any() for f in frames)
  record = page.manifest(own)
  assert (record['source'], record['target']) == ('walk.mp4', 'walk_anonymized.mp4')
  assert (record['status'], record['frames']) == ('anonymized', FRAMES)


def test_a_clip_tells_how_far_it_is(tmp_path, clip):
  gate = []

  def slow(picture):
    gate.append(1)
    time.sleep(0.01)
    return detect(picture)

  with running(tmp_path, Engine(slow)) as page:
    own = page.upload(clip, 'walk.mp4')
    page.told('POST', '/anonymize', {'id': own, 'method': 'fill'})
    told = page.wait(own, lambda told: told['expected'])
    assert (told['state'], told['expected'], told['size']) == ('working', FRAMES, [96, 64])
    assert page.ask('GET', f'/before?id={own}')[0] == 200
    assert page.ask('GET', f'/result?id={own}')[0] == 409
    assert page.wait(own)['state'] == 'done'


def test_a_clip_without_faces_needs_a_confirmation(page, tmp_path):
  path = _write(tmp_path / 'empty.mp4', lambda frame: False, 6)
  own = page.upload(path.read_bytes(), 'empty.mp4')
  told = page.anonymize(own)
  assert told['state'] == 'no face'
  assert page.ask('GET', f'/result?id={own}')[0] == 409
  assert page.anonymize(own, no_face=True)['state'] == 'done'
  record = page.manifest(own)
  assert (record['status'], 'confirmed' in record['message']) == ('no face', True)


def test_a_damaged_clip_gives_nothing_out(page, clip):
  own = page.upload(clip[: len(clip) // 2], 'half.mp4')
  told = page.anonymize(own)
  assert told['state'] == 'failed'
  assert 'half.mp4' in told['message']
  assert str(page.folder) not in told['message']
  assert page.ask('GET', f'/result?id={own}')[0] == 409


def test_a_clip_that_nobody_wants_any_more_is_broken_off_and_wiped(tmp_path, clip):
  def slow(picture):
    time.sleep(0.05)
    return detect(picture)

  with running(tmp_path, Engine(slow)) as page:
    own = page.upload(clip, 'walk.mp4')
    page.told('POST', '/anonymize', {'id': own, 'method': 'fill'})
    page.wait(own, lambda told: told['state'] == 'working')
    assert page.ask('POST', '/forget', {'id': own})[0] == 200
    assert page.ask('GET', f'/state?id={own}')[0] == 404
    end = time.monotonic() + 30
    while held(page.folder) and time.monotonic() < end:
      time.sleep(0.05)
    assert not held(page.folder)


@pytest.mark.parametrize(
  ('limits', 'match'),
  [
    (Limits(clip_frames=FRAMES - 1), f'has {FRAMES} frames; at most {FRAMES - 1} are taken'),
    (Limits(clip_pixels=96 * 64 - 1), '96 x 64 pixels; at most 6,143 are taken'),
    (Limits(clip_seconds=0), 'took longer than 0 minutes'),
  ],
)
def test_a_clip_beyond_the_limits_is_refused(tmp_path, clip, limits, match):
  with running(tmp_path, Engine(detect), limits) as page:
    own = page.upload(clip, 'walk.mp4')
    told = page.anonymize(own)
    assert told['state'] == 'failed'
    assert match in told['message']
    assert [path.name for path in held(page.folder)] == ['given']


def test_frames_are_counted_whatever_the_file_says(tmp_path, clip, monkeypatch):
  import dataclasses

  from anon_jax.inference import video_reading

  outline = video_reading._outline
  monkeypatch.setattr(
    video_reading, '_outline', lambda said: dataclasses.replace(outline(said), frames=0)
  )
  with running(tmp_path, Engine(detect), Limits(clip_frames=10)) as page:
    told = page.anonymize(page.upload(clip, 'walk.mp4'))
    assert 'more than 10 frames' in told['message']
    assert [path.name for path in held(page.folder)] == ['given']


def test_stopping_the_page_in_the_middle_of_a_clip_leaves_nothing(tmp_path, clip):
  def slow(picture):
    time.sleep(0.05)
    return detect(picture)

  with running(tmp_path, Engine(slow)) as page:
    own = page.upload(clip, 'walk.mp4')
    page.told('POST', '/anonymize', {'id': own, 'method': 'fill'})
    assert page.wait(own, lambda told: told['state'] == 'working')['state'] in BUSY
  assert not list(tmp_path.iterdir())


def test_playlists_that_name_other_files_are_refused(page, tmp_path):
  secret = _write(tmp_path / 'secret.mp4', frames=3)
  for text in (f'ffconcat version 1.0\nfile {secret}\n', f'#EXTM3U\n#EXTINF:1,\n{secret}\n'):
    told = page.anonymize(page.upload(text.encode(), 'list.mp4'))
    assert told['state'] == 'failed'
    assert np.all([path.name == 'given' for path in held(page.folder) if 'secret' in path.name])
