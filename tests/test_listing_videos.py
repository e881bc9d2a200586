"""Videos among the inputs: what they become, and what they cannot."""

import pathlib

import pytest

from anon_jax.inference.listing import VIDEO, plan


@pytest.fixture
def here(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ('in/a.mp4', 'in/b.MOV', 'in/sub/c.avi', 'in/d.webm', 'in/e.jpg', 'g.avi', 'h.mp4'):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'x')


def _jobs(found):
  here = f'{pathlib.Path.cwd()}/'
  return {str(job.source): str(job.target).removeprefix(here) for job in found.jobs}


def test_videos_become_mp4_unless_they_can_stay_what_they_are(here):
  found = plan(['in'], 'out')
  assert _jobs(found) == {
    'in/a.mp4': 'out/a.mp4',
    'in/b.MOV': 'out/b.MOV',
    'in/d.webm': 'out/d.mp4',
    'in/e.jpg': 'out/e.jpg',
    'in/sub/c.avi': 'out/sub/c.mp4',
  }
  assert {job.kind for job in found.jobs} == {VIDEO, 'JPEG'}
  assert _jobs(plan(['g.avi'], 'x.mov')) == {'g.avi': 'x.mov'}
  assert _jobs(plan(['g.avi'], 'folder/')) == {'g.avi': 'folder/g.mp4'}


@pytest.mark.parametrize(
  ('source', 'output', 'phrase'),
  [
    ('g.avi', 'x.png', 'is a video, and its output x.png is none; end that by one of .mp4, .mov'),
    ('in/e.jpg', 'x.mp4', 'is a picture, and its output x.mp4 is none; end that by one of .jpg'),
  ],
)
def test_a_picture_and_a_video_do_not_become_each_other(here, source, output, phrase):
  ((_, reason),) = plan([source], output).refused
  assert phrase in reason


def test_two_videos_of_one_name_do_not_share_an_output(here):
  pathlib.Path('in/a.avi').write_bytes(b'x')
  reasons = [reason for _, reason in plan(['in'], 'out').refused]
  assert len(reasons) == 2
  assert all('out/a.mp4 as in/a.' in reason for reason in reasons)


def test_in_place_needs_a_kind_that_can_be_written(here):
  found = plan(['in'], None, in_place=True)
  assert {str(path) for path, _ in found.refused} == {'in/d.webm', 'in/sub/c.avi'}
  assert _jobs(found) == {name: name for name in ('in/a.mp4', 'in/b.MOV', 'in/e.jpg')}
