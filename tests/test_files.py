"""Files are anonymized one by one: what is wrong with one is said, and the others go on."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from anon_jax.inference import files, listing, placing
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.centerface import DetectorError
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.files import Options, anonymize_files
from anon_jax.inference.reading import Reader

RED, GREEN = (255, 0, 0), (0, 200, 0)
FILL = (127, 127, 127)


def picture(colour=RED, seed=0) -> np.ndarray:
  """A dark noisy picture with a square of one colour; the red ones count as faces."""
  pixels = np.random.default_rng(seed).integers(0, 90, (48, 64, 3), np.uint8)
  pixels[14:34, 20:40] = colour
  return pixels


def red(image: np.ndarray) -> np.ndarray:
  return (image[..., 0] > 150) & (image[..., 1:].max(-1) < 60)


def detect(image: np.ndarray) -> list[Face]:
  """Finds the red square of a picture; fails where its first pixel is white."""
  if image[0, 0].min() > 250:
    raise DetectorError('the face detector failed.')
  rows, columns = np.nonzero(red(image))
  if not len(rows):
    return []
  return [Face((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), 0.9)]


@pytest.fixture(scope='module')
def reader():
  with Reader() as opened:
    yield opened


@pytest.fixture
def photos(tmp_path):
  """A folder of four pictures with a face each."""
  folder = tmp_path / 'photos'
  folder.mkdir()
  for number, name in enumerate('abcd'):
    Image.fromarray(picture(seed=number)).save(folder / f'{name}.png')
  return folder


@pytest.fixture
def run(tmp_path, photos, reader):
  """Anonymizes the folder into another, with a manifest; returns the report and its records."""

  def anonymize(detector=detect, in_place=False, anonymizer=None, **options):
    output = None if in_place else tmp_path / 'out'
    plan = listing.plan([photos], output, in_place=in_place)
    options = {'manifest': tmp_path / 'manifest.json', 'settings': {'method': 'fill'}} | options
    anonymizer = anonymizer or Anonymizer(detector, method='fill')
    report = anonymize_files(plan, anonymizer, reader, Options(**options))
    content = json.loads((tmp_path / 'manifest.json').read_text())
    names = [record['source'].rpartition('/')[2] for record in content['inputs']]
    return report, dict(zip(names, content['inputs'], strict=True))

  return anonymize


def is_covered(path) -> bool:
  with Image.open(path) as image:
    frames = []
    for number in range(getattr(image, 'n_frames', 1)):
      image.seek(number)
      frames.append(np.asarray(image.convert('RGB')))
  return all(not red(f).any() and tuple(f[24, 30]) == FILL for f in frames)


def animation(path, colours, **options):
  images = [Image.fromarray(picture(colour, seed)) for seed, colour in enumerate(colours)]
  options = {'format': 'GIF', 'duration': 70, 'loop': 0} | options
  images[0].save(path, save_all=True, append_images=images[1:], **options)


def test_one_bad_file_of_each_kind_does_not_stop_the_good_ones(run, photos, tmp_path, capsys):
  (photos / 'b.png').write_bytes((photos / 'b.png').read_bytes()[:2000])
  Image.fromarray(picture(GREEN)).save(photos / 'c.png')
  failing = picture()
  failing[0, 0] = 255
  Image.fromarray(failing).save(photos / 'ca.png')
  (photos / 'e.pdf').write_text('')
  report, records = run()
  statuses = {name: (record['status'], record['written']) for name, record in records.items()}
  assert statuses == {
    'a.png': ('anonymized', True),
    'b.png': ('refused', False),
    'c.png': ('no face', False),
    'ca.png': ('refused', False),
    'd.png': ('anonymized', True),
  }
  assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.png', 'd.png']
  assert all(is_covered(path) for path in (tmp_path / 'out').iterdir())
  assert not report.complete
  lines = capsys.readouterr().err.splitlines()
  assert [line.split(str(photos))[1].split()[0] for line in lines] == [
    *('/e.pdf', '/b.png', '/c.png:', '/ca.png:')
  ]
  assert all(line.startswith(f'anon-jax: {photos}/') for line in lines)
  assert 'no face was found, so it was not written' in lines[2]
  assert lines[2].endswith(records['c.png']['message'])
  assert lines[3].endswith('the face detector failed.')


def test_pictures_without_faces_are_written_on_request_only(run, photos, tmp_path):
  Image.fromarray(picture(GREEN)).save(photos / 'b.png')
  report, records = run()
  assert not report.complete
  assert not (tmp_path / 'out' / 'b.png').exists()
  report, records = run(allow_no_faces=True)
  assert report.complete
  assert report.resumed == 3  # the flag changes nothing about the others
  assert (records['b.png']['status'], records['b.png']['written']) == ('no face', True)
  with Image.open(tmp_path / 'out' / 'b.png') as image:
    np.testing.assert_array_equal(np.asarray(image), picture(GREEN))
  report, records = run()  # not taken over from a run that was allowed to
  assert not report.complete
  assert (records['b.png']['status'], records['b.png']['written']) == ('no face', False)
  assert f'(an older {tmp_path}/out/b.png is still there)' in records['b.png']['message']


def test_every_frame_of_an_animation_is_anonymized(run, photos, tmp_path):
  animation(photos / 'x.gif', [RED, RED, RED])
  _, records = run()
  assert records['x.gif']['frames'] == 3
  assert [face['frame'] for face in records['x.gif']['faces']] == [0, 1, 2]
  with Image.open(tmp_path / 'out' / 'x.gif') as image:
    assert (image.n_frames, image.info['duration']) == (3, 70)
  assert is_covered(tmp_path / 'out' / 'x.gif')


def test_an_animation_with_a_face_in_some_frames_is_refused_unless_allowed(run, photos, tmp_path):
  animation(photos / 'x.gif', [RED, GREEN, RED, GREEN])
  _, records = run()
  assert (records['x.gif']['status'], records['x.gif']['written']) == ('refused', False)
  assert 'in 2 of its 4 frames (first in frame 1)' in records['x.gif']['message']
  assert not (tmp_path / 'out' / 'x.gif').exists()
  report, records = run(allow_no_faces=True)
  assert records['x.gif']['status'] == 'anonymized'
  assert [face['frame'] for face in records['x.gif']['faces']] == [0, 2]
  assert report.complete
  _, records = run()
  assert records['x.gif']['status'] == 'refused'


def test_the_name_decides_what_is_written_and_the_content_what_is_read(run, photos, tmp_path):
  Image.fromarray(picture()).save(photos / 'e.jpg', 'GIF')
  animation(photos / 'f.jpg', [RED, RED])
  report, records = run()
  with Image.open(tmp_path / 'out' / 'e.jpg') as image:
    assert image.format == 'JPEG'
  assert 'f.jpg cannot be written: JPEG holds no animation' in records['f.jpg']['message']
  assert not (tmp_path / 'out' / 'f.jpg').exists()
  assert not report.complete


class _Counting:
  """Notes the batches; fails for pictures of a seed, as a device without memory would."""

  def __init__(self, failing=None, error=None):
    self._inner, self.batches = Anonymizer(detect, method='fill'), []
    self._failing, self._error = failing, error
    self.detect = self._inner.detect

  def anonymize_many(self, requests):
    self.batches.append([len(request.faces) for request in requests])
    if self._failing and any(self._failing in request.name for request in requests):
      raise self._error
    return self._inner.anonymize_many(requests)


@pytest.mark.parametrize(
  'error',
  [InferenceError('odd'), RuntimeError('RESOURCE_EXHAUSTED: odd'), MemoryError(), OSError(5, 'io')],
  ids=lambda error: type(error).__name__,
)
def test_a_picture_that_spoils_its_batch_is_refused_alone(run, tmp_path, error):
  counting = _Counting('b.png', error)
  report, records = run(anonymizer=counting)
  assert [len(batch) for batch in counting.batches] == [4, 1, 1, 1, 1]
  written = {name: record['written'] for name, record in records.items()}
  assert written == {'a.png': True, 'b.png': False, 'c.png': True, 'd.png': True}
  assert (str(error) or 'MemoryError') in records['b.png']['message']
  assert not (tmp_path / 'out' / 'b.png').exists()
  assert not report.complete


@pytest.mark.parametrize(
  ('faces', 'pixels', 'sizes'),
  [(2, 10**9, [2, 2]), (3, 10**9, [3, 1]), (99, 48 * 64 * 2, [2, 2]), (99, 1, [1] * 4)],
)
def test_batches_are_closed_by_faces_and_by_pixels(run, monkeypatch, faces, pixels, sizes):
  monkeypatch.setattr(files, '_BATCH_PIXELS', pixels)
  counting = _Counting()
  report, _ = run(anonymizer=counting, batch_faces=faces)
  assert [len(batch) for batch in counting.batches] == sizes
  assert report.complete


def test_a_full_disk_is_said_of_each_file_and_leaves_no_part(run, tmp_path, monkeypatch):
  finish, calls = placing.PartFile.finish, []

  def fill_up(new, check=None):
    calls.append(new.part)
    if new.part.parent.name == 'out' and len(calls) in (3, 4):
      raise OSError(28, 'No space left on device')
    finish(new, check)

  monkeypatch.setattr(placing.PartFile, 'finish', fill_up)
  report, records = run()
  assert [record['written'] for record in records.values()] == [True, False, False, True]
  assert 'b.png cannot be written (No space left on device)' in records['b.png']['message']
  assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.png', 'd.png']
  assert not report.complete


def test_a_manifest_that_cannot_be_written_is_known_before_the_first_picture(run, tmp_path):
  (tmp_path / 'file').write_text('')
  seen = []
  with pytest.raises(InferenceError, match='cannot be written'):
    run(detector=seen.append, manifest=tmp_path / 'file' / 'manifest.json')
  shutil.copy(tmp_path / 'photos' / 'a.png', tmp_path / 'foreign.json')
  with pytest.raises(InferenceError, match='is no manifest of this command'):
    run(detector=seen.append, manifest=tmp_path / 'foreign.json')
  assert not seen
  assert not (tmp_path / 'out').exists()


def test_what_is_written_holds_its_place_in_the_manifest_while_others_are_done(
  run, tmp_path, monkeypatch
):
  monkeypatch.setattr(files, '_SAVE_SECONDS', 0)
  seen = []

  def look(image):
    content = json.loads((tmp_path / 'manifest.json').read_text())
    seen.append([record['status'] for record in content['inputs']])
    return detect(image)

  run(detector=look, batch_faces=1)
  done, left = 'anonymized', 'not reached'
  assert seen == [[done] * n + [left] * (4 - n) for n in range(4)]
