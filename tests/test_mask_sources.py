"""Which mask is whose, and what is refused where one is missing, too many or empty."""

import pathlib

import numpy as np
import pytest
from PIL import Image
from test_bodies import mask

from anon_jax.data import run_lengths
from anon_jax.inference.mask_files import MaskError
from anon_jax.inference.mask_places import Places
from anon_jax.inference.mask_sources import FoundMasks, GivenMasks

WIDTH, HEIGHT = 80, 60
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
BODY = (10, 10, 30, 50)


def save(path, values, scale=255):
  """Writes a mask, plain by default."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(values, np.uint8) * np.uint8(scale)).save(path)
  return path


def counts(values):
  """Encodes a mask as COCO's compressed run lengths."""
  flat = values.T.ravel()
  ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
  runs = np.diff([0, *([0] if flat[0] else []), *ends]).tolist()
  text = ''
  for place, run in enumerate(runs):
    number = run - runs[place - 2] if place > 2 else run
    while True:
      bits, number = number & 31, number >> 5
      done = number == (-1 if bits & 16 else 0)
      text += chr(48 + bits + (0 if done else 32))
      if done:
        break
  assert run_lengths.lengths(text) == runs
  return text


def line(frame, number, values, kind=2):
  """Returns a line of a text of masks."""
  return f'{frame} {number} {kind} {values.shape[0]} {values.shape[1]} {counts(values)}'


def _given(place, *inputs, **more):
  return GivenMasks(Places(pathlib.Path(place), inputs), **more)


def _take(source, path, frames=1):
  film = source.film(pathlib.Path(path), frames)
  found = [film.take(PICTURE) for _ in range(frames or 3)]
  film.finish()
  return found


def _names(bodies):
  return [body.name for body in bodies]


def test_a_picture_has_the_mask_of_its_name_below_the_folder(tmp_path):
  photos = tmp_path / 'photos'
  for name in ('a.png', 'deep/b.png'):
    save(photos / name, mask())
    save(tmp_path / 'masks' / name, mask(BODY))
  source = _given(tmp_path / 'masks', photos)
  for name in ('a.jpg', 'deep/b.png'):
    ((body,),) = _take(source, photos / name)
    np.testing.assert_array_equal(body.mask, mask(BODY))
    assert (body.number, body.state, body.reason) == (0, 'given', '')


def test_of_several_inputs_each_folder_has_one_of_its_name(tmp_path):
  for name in ('one', 'two'):
    save(tmp_path / name / 'a.png', mask())
  save(tmp_path / 'masks' / 'two' / 'a.png', mask(BODY))
  save(tmp_path / 'masks' / 'c.png', mask(BODY))
  source = _given(tmp_path / 'masks', tmp_path / 'one', tmp_path / 'two', tmp_path / 'c.jpg')
  assert _take(source, tmp_path / 'two' / 'a.png')
  assert _take(source, tmp_path / 'c.jpg')
  with pytest.raises(MaskError, match=r'one/a.png has no mask: .*masks/one/a\.png is missing; add'):
    _take(source, tmp_path / 'one' / 'a.png')


def test_masks_that_are_not_there_are_named_at_once(tmp_path):
  with pytest.raises(MaskError, match='nowhere are not there; name a folder or a file'):
    Places(tmp_path / 'nowhere', ['a.jpg'])


def test_one_mask_is_for_one_picture_only(tmp_path):
  path = save(tmp_path / 'm.png', mask(BODY))
  assert _take(_given(path, 'a.jpg'), 'a.jpg')
  source = _given(path, 'a.jpg', 'b.jpg')
  assert _take(source, 'a.jpg')
  with pytest.raises(MaskError, match=r'm\.png would be the mask of a\.jpg and of b\.jpg'):
    _take(source, 'b.jpg')
  save(tmp_path / 'masks' / 'x.png', mask(BODY))
  source = _given(tmp_path / 'masks', 'x.jpg', 'x.webp')
  assert _take(source, 'x.jpg')
  with pytest.raises(MaskError, match=r'the mask of x\.jpg and of x\.webp'):
    _take(source, 'x.webp')


def test_an_empty_mask_is_refused_unless_that_is_asked_for(tmp_path):
  path = save(tmp_path / 'm.png', mask())
  with pytest.raises(MaskError, match=r'a\.jpg has no body by its masks, so it was not written; l'):
    _take(_given(path, 'a.jpg'), 'a.jpg')
  assert _take(_given(path, 'a.jpg', allow_none=True), 'a.jpg') == [[]]


def _film(folder, first=0, frames=3, empty=()):
  for frame in range(frames):
    shown = mask() if frame in empty else mask((10 + frame, 10, 30 + frame, 50))
    save(folder / f'{first + frame:05d}.png', shown)
  return folder


@pytest.mark.parametrize('first', [0, 1])
def test_a_video_has_a_folder_with_a_mask_for_each_frame(tmp_path, first):
  folder = _film(tmp_path / 'masks' / 'clip', first, empty={1})
  for place in (folder, folder.parent):
    found = _take(_given(place, 'clip.mp4'), 'clip.mp4', 0)
    assert [_names(bodies) for bodies in found] == [['clip.mp4 body 0'], [], ['clip.mp4 body 0']]


def test_a_mask_is_missing_even_where_nobody_may_be(tmp_path):
  folder = _film(tmp_path / 'clip')
  (folder / '00001.png').unlink()
  for allow in (True, False):
    with pytest.raises(
      MaskError, match=r'clip\.mp4 has no mask numbered 1; add it, black where no'
    ):
      _take(_given(folder, 'clip.mp4', allow_none=allow), 'clip.mp4', 0)


@pytest.mark.parametrize(
  ('first', 'frames', 'phrase'),
  [
    (0, 2, 'has no mask numbered 2'),
    (0, 4, 'has 3 frames, and its masks are numbered 0 to 3; number them from 0, or from 1'),
    (1, 4, 'has 3 frames, and its masks are numbered 1 to 4'),
    (2, 3, 'has no mask numbered 1'),
  ],
)
def test_a_video_has_as_many_masks_as_frames(tmp_path, first, frames, phrase):
  folder = _film(tmp_path / 'clip', first, frames)
  with pytest.raises(MaskError, match=phrase):
    _take(_given(folder, 'clip.mp4'), 'clip.mp4', 0)


def test_a_video_in_which_nobody_is_masked_is_refused(tmp_path):
  folder = _film(tmp_path / 'clip', empty={0, 1, 2})
  with pytest.raises(MaskError, match='no body in any of its 3 frames by its masks'):
    _take(_given(folder, 'clip.mp4'), 'clip.mp4', 0)


@pytest.mark.parametrize('name', ['x.png', '00000.jpg', '1_2.png', '0.png'])
def test_masks_of_a_video_are_named_by_their_frames(tmp_path, name):
  folder = _film(tmp_path / 'clip')
  save(folder / name, mask())
  with pytest.raises(MaskError, match=r'is not named by its frame|both are frame 0'):
    _take(_given(folder, 'clip.mp4'), 'clip.mp4', 0)
  (tmp_path / 'empty').mkdir()
  with pytest.raises(MaskError, match='holds no mask'):
    _take(_given(tmp_path / 'empty', 'clip.mp4'), 'clip.mp4', 0)


def test_a_picture_has_no_folder_of_masks_and_a_video_no_single_one(tmp_path):
  folder = _film(tmp_path / 'masks' / 'a')
  with pytest.raises(MaskError, match=r'a\.jpg is one picture, and its mask is .*a; give a PNG'):
    _take(_given(folder.parent, 'a.jpg'), 'a.jpg')
  with pytest.raises(MaskError, match=r'a\.mp4 has several frames.*; give a folder with a PNG'):
    _take(_given(folder / '00000.png', 'a.mp4'), 'a.mp4', 0)


def _text(path, *lines):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join(lines))
  return path


@pytest.mark.parametrize('first', [0, 1])
def test_lines_of_a_text_are_a_videos_masks_and_keep_their_tracks(tmp_path, first):
  lines = [line(first + n, 2001, mask(BODY)) for n in range(3)]
  lines.append(line(first + 1, 2005, mask((50, 10, 60, 50))))
  found = _take(_given(_text(tmp_path / 'clip.txt', *lines), 'clip.mp4'), 'clip.mp4', 0)
  assert [[body.number for body in bodies] for bodies in found] == [[2001], [2001, 2005], [2001]]
  assert found[0][0].name == found[2][0].name == 'clip.mp4 body 2001'


def test_a_frame_without_a_line_is_refused_unless_nobody_may_be_there(tmp_path):
  lines = [line(frame, 2001, mask(BODY)) for frame in (0, 2)]
  path = _text(tmp_path / 'clip.txt', *lines)
  with pytest.raises(
    MaskError, match=r'clip\.mp4 has no mask numbered 1; look at it, and give --a'
  ):
    _take(_given(path, 'clip.mp4'), 'clip.mp4', 0)
  found = _take(_given(path, 'clip.mp4', allow_none=True), 'clip.mp4', 0)
  assert list(map(len, found)) == [1, 0, 1]


def test_masks_that_may_count_from_0_or_from_1_are_refused(tmp_path):
  path = _text(tmp_path / 'clip.txt', line(1, 2001, mask(BODY)))
  with pytest.raises(MaskError, match='masks are numbered 1 to 1; number them from 0, or from 1'):
    _take(_given(path, 'clip.mp4', allow_none=True), 'clip.mp4', 0)


def test_pictures_of_a_folder_have_their_lines_by_their_numbers(tmp_path):
  frames, lines = tmp_path / '0002', [line(n, 2001, mask(BODY)) for n in (3, 4)]
  save(frames / '000003.png', mask())
  for place in (_text(tmp_path / 'any.txt', *lines), _text(tmp_path / 't' / '0002.txt', *lines)):
    parent = place.parent if place.name == '0002.txt' else place
    source = _given(parent, frames if parent == place else tmp_path)
    one, two = (_take(source, frames / f'{n:06d}.png')[0][0] for n in (3, 4))
    assert one.name == two.name == '0002 body 2001'
    with pytest.raises(MaskError, match='has no mask numbered 5'):
      _take(source, frames / '000005.png')
    with pytest.raises(MaskError, match=r'x\.png is not named by a number'):
      _take(source, frames / 'x.png')


def test_one_text_is_not_for_the_pictures_of_two_folders(tmp_path):
  path = _text(tmp_path / 'any.txt', line(0, 2001, mask(BODY)), line(1, 2001, mask(BODY)))
  source = _given(path, tmp_path)
  for name in ('one/0.png', 'one/1.png'):
    assert _take(source, tmp_path / name)
  with pytest.raises(MaskError, match=r'would be the mask of .*one and of .*two; give a folder'):
    _take(source, tmp_path / 'two' / '0.png')


def test_in_a_sequence_of_pictures_people_keep_their_names_and_else_not(tmp_path):
  frames = tmp_path / 'walk'
  for n, left in enumerate((10, 14)):
    save(frames / f'{n}.png', mask())
    save(tmp_path / 'masks' / f'{n}.png', mask((left, 10, left + 20, 50)))
  for sequence, cast in ((True, True), (False, False)):
    source = _given(tmp_path / 'masks', frames, sequence=sequence)
    films = [source.film(frames / f'{n}.png', 1) for n in range(2)]
    names = [_names(film.take(PICTURE)) for film in films]
    assert (names[0] == names[1]) is sequence
    assert (films[0].cast is not None) is cast
    assert films[0].cast is films[1].cast


def test_a_segmenter_finds_people_and_what_it_found_a_frame_before(tmp_path):
  masks = [mask(BODY), mask(), mask((50, 10, 60, 50))]
  found = _take(FoundMasks(lambda picture: masks.pop(0)), 'clip.mp4', 0)
  assert [[body.box for body in bodies] for bodies in found] == [
    *([BODY], [BODY], [(50, 10, 60, 50)])
  ]
  assert [body.state for bodies in found for body in bodies] == ['found'] * 3
  with pytest.raises(MaskError, match='has no body by its masks'):
    _take(FoundMasks(lambda picture: mask()), 'a.jpg')


def test_what_changes_with_the_masks_changes_their_hash(tmp_path):
  folder = _film(tmp_path / 'masks' / 'clip')
  source = _given(folder.parent, 'clip.mp4', 'a.jpg')
  before = source.sha256_of(pathlib.Path('clip.mp4'))
  assert before == source.sha256_of(pathlib.Path('clip.mp4'))
  save(folder / '00001.png', mask((0, 0, 2, 2)))
  assert source.sha256_of(pathlib.Path('clip.mp4')) not in (before, '')
  assert source.sha256_of(pathlib.Path('a.jpg')) == ''  # which has none
