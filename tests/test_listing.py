"""Which inputs go to which outputs; the files are empty, because no file is opened here."""

import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anon_jax.inference import listing, paths
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import plan


@pytest.fixture
def here(tmp_path, monkeypatch) -> pathlib.Path:
  """An empty folder, the current one: paths in tests are relative to it."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


def _touch(*names: str) -> None:
  for name in names:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode('utf-8', 'surrogateescape'))


def _jobs(found: listing.Plan) -> dict[str, str]:
  """Returns {input: output}, relative to the current folder."""
  return {str(job.source): os.path.relpath(job.target) for job in found.jobs}


def _refused(found: listing.Plan) -> dict[str, str]:
  return {str(path): reason for path, reason in found.refused}


def _ignored(found: listing.Plan) -> list[str]:
  return sorted(str(path) for path, _ in found.ignored)


def test_one_picture_goes_to_a_file_or_into_a_folder(here):
  _touch('a.jpg')
  (here / 'folder').mkdir()
  (here / 'folder.png').mkdir()
  goals = {
    'b.png': 'b.png',
    'new/b.jpg': 'new/b.jpg',
    'folder': 'folder/a.jpg',
    'folder.png': 'folder.png/a.jpg',
    'new': 'new/a.jpg',
    'new.d/': 'new.d/a.jpg',
  }
  assert {output: _jobs(plan(['a.jpg'], output))['a.jpg'] for output in goals} == goals


def test_the_extension_of_the_output_decides_the_kind(here):
  _touch('a.jpg', 'b.TIF')
  kinds = {name: plan(['a.jpg'], name).jobs[0].kind for name in ('x.PNG', 'x.jpeg', 'x.webp')}
  assert kinds == {'x.PNG': 'PNG', 'x.jpeg': 'JPEG', 'x.webp': 'WEBP'}
  assert plan(['b.TIF'], 'out').jobs[0].kind == 'TIFF'


def test_an_output_without_the_extension_of_a_picture_is_refused(here):
  _touch('a.jpg', 'there')
  for output in ('x.txt', 'x.v2', 'there'):
    with pytest.raises(
      InferenceError, match=rf'^{output} has no extension of a picture or video; end it by'
    ):
      plan(['a.jpg'], output)


def test_a_folder_keeps_its_structure_below_the_output(here):
  _touch('in/a.jpg', 'in/sub/b.PNG', 'in/sub/deep/c.jpeg')
  assert _jobs(plan(['in'], 'out')) == {
    'in/a.jpg': 'out/a.jpg',
    'in/sub/b.PNG': 'out/sub/b.PNG',
    'in/sub/deep/c.jpeg': 'out/sub/deep/c.jpeg',
  }


def test_of_several_inputs_each_folder_keeps_its_name(here):
  _touch('x/a.jpg', 'y/a.jpg', 'z.gif')
  assert _jobs(plan(['x', 'y/', 'z.gif'], 'out')) == {
    'x/a.jpg': 'out/x/a.jpg',
    'y/a.jpg': 'out/y/a.jpg',
    'z.gif': 'out/z.gif',
  }


def test_several_pictures_do_not_go_into_one_file(here):
  _touch('in/a.jpg', 'b.jpg', 'file', 'old.jpg')
  with pytest.raises(InferenceError, match=r'^out\.jpg has the name of one file; give a folder'):
    plan(['in', 'b.jpg'], 'out.jpg')
  for output in ('file', 'old.jpg'):
    with pytest.raises(InferenceError, match=rf'^{output} is a file; give a folder'):
      plan(['in'], output)


def test_no_picture_is_passed_over_for_the_case_of_its_extension(here):
  names = ['a.JPG', 'b.Jpeg', 'c.jpe', 'd.JFIF', 'e.PnG', 'f.TIFF', 'g.WebP', 'h.BMP', 'i.GIF']
  _touch(*(f'in/{name}' for name in names))
  assert [job.source.name for job in plan(['in'], 'out').jobs] == names


def test_names_are_no_patterns(here):
  _touch('in/[a].jpg', 'in/*.jpg', 'in/a.jpg', 'in/?.png', 'in/-o.jpg', 'in/a b.jpg')
  assert len(plan(['in'], 'out').jobs) == 6
  assert _jobs(plan(['in/[a].jpg', 'in/*.jpg'], 'out')) == {
    'in/[a].jpg': 'out/[a].jpg',
    'in/*.jpg': 'out/*.jpg',
  }


def test_nothing_in_a_folder_is_skipped_in_silence(here):
  _touch(*(f'in/{n}' for n in ('a.jpg', 'scan.pdf', 'clip.WMV', 'b.heic', 'noext', '.hidden.jpg')))
  _touch('in/notes.TXT', 'in/table.csv', 'in/Thumbs.db', 'in/.DS_Store', 'in/.thumbnails/a.png')
  os.mkfifo('in/pipe.jpg')
  found = plan(['in'], 'out')
  assert list(_jobs(found)) == ['in/a.jpg']
  refused = _refused(found)
  assert set(refused) == {
    f'in/{n}' for n in ('scan.pdf', 'clip.WMV', 'b.heic', 'noext', 'pipe.jpg')
  }
  assert refused['in/clip.WMV'] == 'is a video of a kind that is not taken; convert it to MP4'
  assert refused['in/scan.pdf'].startswith('is neither a picture nor a video by its name; those ')
  assert refused['in/b.heic'].endswith('convert it to JPEG, PNG or TIFF')
  assert refused['in/pipe.jpg'] == 'is no regular file'
  hidden = ['in/.DS_Store', 'in/.hidden.jpg', 'in/.thumbnails']
  assert _ignored(found) == [*hidden, 'in/Thumbs.db', 'in/notes.TXT', 'in/table.csv']
  assert _refused(plan(['in/notes.TXT'], 'out'))['in/notes.TXT'].startswith('is neither a picture')


def test_a_folder_of_nothing_but_text_is_refused(here):
  _touch('in/notes.txt')
  assert _refused(plan(['in'], 'out')) == {'in': 'holds no picture'}


def test_a_hidden_picture_that_is_named_is_taken(here):
  _touch('.a.jpg')
  assert _jobs(plan(['.a.jpg'], 'out')) == {'.a.jpg': 'out/.a.jpg'}


def test_inputs_that_are_missing_or_hold_nothing_are_refused(here):
  (here / 'empty/below').mkdir(parents=True)
  _touch('litter/.DS_Store')
  (here / 'broken.jpg').symlink_to('nowhere')
  found = plan(['missing.jpg', 'empty', 'litter', 'broken.jpg', 'nul\0.jpg'], 'out')
  assert not found.jobs
  assert _refused(found) == {
    'missing.jpg': 'cannot be found (No such file or directory)',
    'broken.jpg': 'cannot be found (No such file or directory)',
    'empty': 'holds no picture',
    'litter': 'holds no picture',
    'nul\0.jpg': 'cannot be found (embedded null byte)',
  }
  with pytest.raises(InferenceError, match=r'^no input was given'):
    plan([], 'out')
  with pytest.raises(InferenceError, match=r'^no output was given'):
    plan(['empty'], None)


def test_a_folder_that_cannot_be_searched_is_refused(here, monkeypatch):
  _touch('in/a.jpg', 'in/locked/b.jpg')
  scan = os.scandir

  def locked(folder):  # the rights themselves do not hold back root
    if pathlib.Path(folder).name == 'locked':
      raise PermissionError(13, 'Permission denied')
    return scan(folder)

  monkeypatch.setattr(os, 'scandir', locked)
  found = plan(['in'], 'out')
  assert list(_jobs(found)) == ['in/a.jpg']
  assert _refused(found) == {'in/locked': 'cannot be searched (Permission denied)'}


def test_links_are_followed_where_they_are_named_or_stay_inside(here):
  _touch('in/sub/a.jpg', 'outside/b.jpg')
  links = {
    'named.jpg': 'outside/b.jpg',
    'in/inside.jpg': 'sub/a.jpg',
    'in/out.jpg': '../outside/b.jpg',
    'in/out': '../outside',
    'in/up': '.',
    'in/loop.jpg': 'loop.jpg',
    'in/broken.jpg': 'nowhere.jpg',
    'in/sub/twin': '../sub',
  }
  for name, end in links.items():
    (here / name).symlink_to(end)
  found = plan(['in', 'named.jpg'], 'o')
  assert list(_jobs(found)) == ['in/inside.jpg', 'in/sub/a.jpg', 'named.jpg']
  refused = _refused(found)
  assert set(refused) == {f'in/{n}' for n in ('out.jpg', 'out', 'up', 'loop.jpg', 'broken.jpg')} | {
    'in/sub/twin'
  }
  for name in ('in/out', 'in/out.jpg'):
    assert refused[name].startswith('is a link that leads out of the folder')
  for name in ('in/up', 'in/sub/twin'):
    assert refused[name].startswith('is a link to a folder')
  for name in ('in/loop.jpg', 'in/broken.jpg'):
    assert refused[name] == 'is a link that leads nowhere'


def test_outputs_inside_the_input_are_not_read_again(here):
  _touch('in/a.jpg', 'in/out/a.jpg', 'in/out/sub/b.jpg')
  (here / 'link').symlink_to('in/out')
  for output in ('in/out', 'in/../in/out/', 'link'):
    found = plan(['in'], output)
    assert _jobs(found) == {'in/a.jpg': 'in/out/a.jpg'}
    assert _ignored(found) == ['in/out']
    assert found.jobs[0].exists


def test_an_output_that_is_an_input_is_refused(here):
  _touch('a.jpg', 'in/a.jpg')
  os.link('a.jpg', 'hard.jpg')
  (here / 'soft.jpg').symlink_to('a.jpg')
  (here / 'out').mkdir()
  os.link('in/a.jpg', 'out/a.jpg')
  for source, output in (
    ('a.jpg', 'a.jpg'),
    ('a.jpg', '.'),
    ('a.jpg', 'hard.jpg'),
    ('soft.jpg', 'a.jpg'),
    ('in', 'out'),
  ):
    found = plan([source], output)
    assert not found.jobs
    assert 'would be replaced by its output' in found.refused[0][1]
  for output in ('in', 'in/../in', './in/'):
    with pytest.raises(InferenceError, match='is input and output; give another folder'):
      plan(['in'], output)


def test_an_output_that_is_another_input_is_refused_even_in_place(here):
  _touch('a.jpg', 'b/x.jpg')
  (here / 'out').mkdir()
  os.link('b/x.jpg', 'out/a.jpg')
  for in_place in (False, True):
    found = plan(['a.jpg', 'b/x.jpg'], 'out', in_place=in_place)
    assert _jobs(found) == {'b/x.jpg': 'out/x.jpg'}
    assert _refused(found)['a.jpg'].endswith('which would replace the input b/x.jpg')


def test_in_place_every_picture_is_its_own_output_but_for_links(here):
  _touch('in/a.jpg', 'in/sub/b.png', 'c.gif')
  (here / 'in/link.jpg').symlink_to('a.jpg')
  (here / 'link.gif').symlink_to('c.gif')
  found = plan(['in', 'c.gif', 'link.gif'], None, in_place=True)
  assert _jobs(found) == {n: n for n in ('in/a.jpg', 'in/sub/b.png', 'c.gif')}
  assert all(job.exists for job in found.jobs)
  assert set(_refused(found)) == {'in/link.jpg', 'link.gif'}
  assert _jobs(plan(['c.gif'], 'c.gif', in_place=True)) == {'c.gif': 'c.gif'}
  assert set(_jobs(plan(['in'], 'in', in_place=True))) == {'in/a.jpg', 'in/sub/b.png'}


def test_inputs_with_one_output_are_all_refused(here):
  _touch('x/a.jpg', 'y/A.JPG', 'z/\u00e9.jpg', 'w/e\u0301.jpg', 'in/b.png', 'in/B.png')
  for inputs in (['x/a.jpg', 'y/A.JPG'], ['z/\u00e9.jpg', 'w/e\u0301.jpg'], ['in']):
    found = plan(inputs, 'out')
    assert not found.jobs
    assert all('has the same output' in reason for _, reason in found.refused)
    assert len(found.refused) == 2


def test_an_input_that_is_named_twice_is_one_job(here):
  _touch('a.jpg', 'b/c')
  found = plan(['a.jpg', './a.jpg', str(here / 'a.jpg'), 'b/../a.jpg'], 'out')
  assert [os.path.relpath(job.target) for job in found.jobs] == ['out/a.jpg']
  assert not found.refused


def test_outputs_are_not_written_through_links(here):
  _touch('in/a.jpg', 'in/sub/b.jpg', 'in/c.jpg', 'in/file/d.jpg', 'elsewhere/x.jpg', 'out/file')
  (here / 'out/sub').symlink_to('../elsewhere')
  (here / 'out/a.jpg').symlink_to('../elsewhere/x.jpg')
  (here / 'out/c.jpg').mkdir()
  found = plan(['in'], 'out')
  assert not found.jobs
  refused = _refused(found)
  assert refused['in/a.jpg'].endswith('out/a.jpg, which is a link; remove it')
  assert refused['in/c.jpg'].endswith('out/c.jpg, which is no regular file; remove it')
  for name in ('in/sub/b.jpg', 'in/file/d.jpg'):
    assert refused[name].endswith('which is a link or a file; remove it')
  (here / 'o.jpg').symlink_to('elsewhere/x.jpg')
  assert 'which is a link' in plan(['in/a.jpg'], 'o.jpg').refused[0][1]


def test_inputs_above_stay_inside_of_the_output(here, monkeypatch):
  _touch('a.jpg', 'deep/work/x.jpg')
  monkeypatch.chdir('deep/work')
  found = plan(['../../a.jpg', '..', '.'], 'out')
  assert _jobs(found) == {
    '../../a.jpg': 'out/a.jpg',
    '../work/x.jpg': 'out/deep/work/x.jpg',
    'x.jpg': 'out/work/x.jpg',
  }


def test_names_that_are_no_text_are_taken_and_shown_readably(here):
  _touch('in/caf\udce9.jpg', 'in/\x1b[31m\n.pdf')
  found = plan(['in'], 'out')
  assert os.fsencode(found.jobs[0].target).endswith(b'out/caf\xe9.jpg')
  assert paths.shown(found.jobs[0].source) == r'in/caf\xe9.jpg'
  assert paths.shown(found.refused[0][0]) == r'in/\x1b[31m\n.pdf'


@given(st.binary(max_size=30).filter(lambda name: b'\0' not in name))
def test_every_name_is_shown_as_one_line_of_text(name):
  text = paths.shown(os.fsdecode(name))
  assert text.isprintable()
  assert len(text.encode()) >= len(name)
