"""`anon-jax anonymize --region body`: flags, files and videos from end to end, without loss."""

import json

import numpy as np
import pytest
import test_anonymize_command
from PIL import Image
from test_anonymize_command import run
from test_body_painting import networks
from test_files import FILL, picture, red
from test_mask_sources import line, save
from test_videos import FRAMES, HEIGHT, WIDTH, _frames, _is_red, _place, _write

from anon_jax.inference import anonymizer, body_painting, person_segmenter, weights
from anon_jax.inference.body_painting import BodyPainter

# the fixtures of that file
detector, photos = test_anonymize_command.detector, test_anonymize_command.photos


def _mask(left, top, right, bottom, size=(48, 64)):
  found = np.zeros(size, bool)
  found[top:bottom, left:right] = True
  return found


def _image(path):
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'))


def _is_filled(path):
  return (_image(path) == FILL).all(-1)


def _body(*arguments, method='fill'):
  return run(*arguments, '--region', 'body', method=method)


@pytest.mark.parametrize(
  ('arguments', 'phrase'),
  [
    (['--region', 'body'], 'give --masks PATH or --person-segmenter FILE, one of them'),
    (['--region=body', '--masks=m', '--person-segmenter=s'], 'one of them'),
    (['--masks', 'm'], '--masks is for --region body, and this is face'),
    (['--person-segmenter', 's'], '--person-segmenter is for --region body'),
    (['--sequence'], '--sequence is for --region body'),
    (['--allow-no-bodies'], '--allow-no-bodies is for --region body'),
    (['--region=body', '--masks='], '--masks is empty'),
    (['--region=body', '--masks=m', '--face-weights=w'], '--face-weights is for --method syn'),
    (['--region', 'torso'], "invalid choice: 'torso'"),
  ],
  ids=' '.join,
)
def test_wrong_usage_has_exit_code_2(photos, capsys, arguments, phrase):
  assert run('a.png', '-o', 'out', *arguments) == 2
  assert phrase in capsys.readouterr().err.splitlines()[-1]
  assert not (photos / 'out').exists()


def test_bodies_and_the_faces_beside_them_are_covered(photos, capsys):
  save(photos / 'masks' / 'a.png', _mask(45, 5, 60, 48))
  assert _body('a.png', '-o', 'out.png', '--masks', 'masks', '--manifest', 'm.json') == 0
  filled = _is_filled('out.png')
  assert filled[5:48, 45:60].all()
  assert filled[14:34, 20:40].all()  # the face
  untouched = ~filled
  np.testing.assert_array_equal(_image('out.png')[untouched], picture()[untouched])
  assert 'faces: 1 filled; bodies: 1 filled; m.json tells' in capsys.readouterr().out
  (record,) = json.loads((photos / 'm.json').read_text())['inputs']
  assert record['bodies'] == [
    {
      'frame': 0,
      'number': 0,
      'box': [45, 5, 60, 48],
      'pixels': 15 * 43,
      'mask': 'given',
      'action': 'filled',
      'reason': '',
    }
  ]
  assert len(record['masks_sha256']) == 64
  assert record['faces'][0]['action'] == 'filled'


def test_a_picture_of_somebody_from_behind_is_written_for_its_body(photos):
  save(photos / 'masks' / 'none.png', _mask(10, 5, 30, 48))
  assert _body('none.png', '-o', 'out.png', '--masks', 'masks') == 0
  assert _is_filled('out.png')[5:48, 10:30].all()


def test_what_has_no_mask_or_one_that_does_not_fit_is_not_written_and_the_rest_is(photos, capsys):
  save(photos / 'masks' / 'a.png', _mask(10, 5, 45, 48))
  save(photos / 'masks' / 'none.png', _mask(5, 10, 40, 48, (64, 48)))
  (photos / 'in').mkdir()
  for name in ('a', 'b', 'none'):
    (photos / f'{name}.png').rename(photos / 'in' / f'{name}.png')
  assert _body('in', '-o', 'out', '--masks', 'masks') == 1
  lines = capsys.readouterr().err.splitlines()
  assert 'in/b.png has no mask: masks/b.png is missing' in lines[0]
  assert 'masks/none.png is 48 x 64, and what it masks is 64 x 48 upright' in lines[1]
  assert sorted(path.name for path in (photos / 'out').iterdir()) == ['a.png', 'manifest.json']


def test_an_empty_mask_needs_a_flag_and_faces_are_covered_then(photos, capsys):
  save(photos / 'masks' / 'a.png', _mask(0, 0, 0, 0))
  assert _body('a.png', '-o', 'out.png', '--masks', 'masks') == 1
  assert 'give --allow-no-bodies if that is right' in capsys.readouterr().err
  assert not (photos / 'out.png').exists()
  assert _body('a.png', '-o', 'out.png', '--masks', 'masks', '--allow-no-bodies') == 0
  assert not red(_image('out.png')).any()
  save(photos / 'masks' / 'none.png', _mask(0, 0, 0, 0))
  assert _body('none.png', '-o', 'x.png', '--masks', 'masks', '--allow-no-bodies') == 1
  assert 'no face was found' in capsys.readouterr().err


def test_masks_that_are_not_there_end_the_command_before_anything_is_done(photos, capsys):
  assert _body('a.png', '-o', 'out.png', '--masks', 'nowhere') == 1
  assert 'the masks nowhere are not there' in capsys.readouterr().err
  assert not (photos / 'out.png').exists()


def test_bodies_without_networks_are_not_synthesized_and_the_way_out_is_named(photos, capsys):
  save(photos / 'masks' / 'a.png', _mask(10, 5, 45, 48))
  assert _body('a.png', '-o', 'out.png', '--masks', 'masks', method='synthesize') == 1
  (told,) = capsys.readouterr().err.splitlines()
  assert 'give --weights FOLDER' in told
  assert '--method fill, which needs none' in told


def test_a_picture_is_done_again_when_its_mask_changes(photos, capsys):
  (photos / 'in').mkdir()
  (photos / 'a.png').rename(photos / 'in' / 'a.png')
  save(photos / 'masks' / 'a.png', _mask(45, 5, 60, 48))
  call = ('in', '-o', 'out', '--masks', 'masks')
  assert _body(*call) == 0
  assert _body(*call) == 0
  assert '1 were there already' in capsys.readouterr().out
  save(photos / 'masks' / 'a.png', _mask(2, 5, 10, 48))
  assert _body(*call) == 0
  assert 'there already' not in capsys.readouterr().out
  assert _is_filled('out/a.png')[5:48, 2:10].all()
  save(photos / 'masks' / 'a.png', _mask(0, 0, 0, 0))
  assert _body(*call, '--allow-no-bodies') == 0
  assert _body(*call) == 1  # without the flag, what was written with it does not count


def test_overlapping_people_of_a_map_of_instances_are_all_covered(photos):
  numbers = np.zeros((48, 64), np.uint8)
  numbers[5:48, 10:30], numbers[10:40, 25:50] = 1, 2
  save(photos / 'masks' / 'a.png', numbers, 1)
  assert _body('a.png', '-o', 'out.png', '--masks', 'masks', '--manifest', 'm.json') == 0
  assert _is_filled('out.png')[numbers > 0].all()
  (record,) = json.loads((photos / 'm.json').read_text())['inputs']
  assert [body['number'] for body in record['bodies']] == [1, 2]


def test_a_segmenter_of_the_users_finds_bodies(photos, monkeypatch):
  class Segmenter:
    sha256 = 'a' * 64

    def __call__(self, image):
      return image[..., 0] > 200

  monkeypatch.setattr(person_segmenter, 'load', lambda path: Segmenter())
  call = ('-o', 'out.png', '--person-segmenter', 'x.onnx', '--manifest', 'm.json')
  assert _body('a.png', *call) == 0
  assert _is_filled('out.png')[14:34, 20:40].all()
  content = json.loads((photos / 'm.json').read_text())
  assert content['settings']['person_segmenter'] == 'a' * 16
  assert content['inputs'][0]['bodies'][0]['mask'] == 'found'
  assert content['inputs'][0]['faces'][0]['action'] == 'with its body'


def _clip(photos):
  """Writes a clip with a moving face and a mask a frame that follows it, its body below it."""
  _write(photos / 'clip.mp4')
  lines = []
  for frame in range(FRAMES):
    left, top = _place(frame)
    body = _mask(left + 2, top + 14, left + 14, top + 34, (HEIGHT, WIDTH))
    save(photos / 'masks' / 'clip' / f'{frame:05d}.png', body)
    lines.append(line(frame, 2007, body))
  (photos / 'clip.txt').write_text('\n'.join(lines))


def test_every_frame_of_a_video_has_its_body_and_its_face_covered(photos, capsys):
  _clip(photos)
  for masks in ('masks', 'masks/clip', 'clip.txt'):
    call = ('clip.mp4', '-o', 'out.mp4', '--masks', masks, '--manifest', 'm.json')
    assert _body(*call) == 0
    for frame, (_, pixels) in enumerate(_frames('out.mp4')):
      left, top = _place(frame)
      assert not _is_red(pixels).any()
      body = pixels[top + 16 : top + 32, left + 4 : left + 12].astype(int)
      assert np.abs(body - FILL[0]).max() < 12
    (record,) = json.loads((photos / 'm.json').read_text())['inputs']
    (track,) = record['bodies']
    assert (track['track'], track['frames'], track['actions']) == (
      *(2007 if masks == 'clip.txt' else 0, FRAMES),
      {'filled': FRAMES},
    )
    assert track['states'] == {'given': FRAMES}
  assert 'bodies: 1 filled' in capsys.readouterr().out


def test_a_video_with_a_mask_too_few_or_too_many_is_not_written(photos, capsys):
  _clip(photos)
  last = photos / 'masks' / 'clip' / f'{FRAMES - 1:05d}.png'
  save(last.with_name(f'{FRAMES:05d}.png'), _mask(0, 0, 9, 9, (HEIGHT, WIDTH)))
  assert _body('clip.mp4', '-o', 'out.mp4', '--masks', 'masks') == 1
  assert 'has 24 frames, and its masks are numbered 0 to 24' in capsys.readouterr().err
  last.with_name(f'{FRAMES:05d}.png').unlink()
  last.unlink()
  assert _body('clip.mp4', '-o', 'out.mp4', '--masks', 'masks') == 1
  assert 'has no mask numbered 23' in capsys.readouterr().err
  assert not list(photos.glob('out*')) + list(photos.glob('.anon*'))


def _random_masks(count):
  """Returns maps of instances and plain masks: rectangles that overlap, specks, and both."""
  rng = np.random.default_rng(5)
  for number in range(count):
    values = np.zeros((48, 64), np.uint8)
    for person in range(1, rng.integers(2, 5)):
      left, top = rng.integers(0, 50), rng.integers(0, 30)
      values[top : top + rng.integers(1, 45), left : left + rng.integers(1, 30)] = person
    if number % 3 == 1:
      values[rng.random(values.shape) < 0.02] = 5
    yield np.where(values > 0, 255, 0) if number % 2 else values


@pytest.mark.parametrize('method', ['fill', 'synthesize'])
def test_nothing_of_what_lies_in_random_masks_gets_into_a_picture(photos, monkeypatch, method):
  """Two pictures that differ inside of the masks alone give the same file, without loss."""
  nets = BodyPainter(networks())
  # a body's blur is what may be shown of it; here it is held as it is
  monkeypatch.setattr(nets, 'conditions', lambda crops: np.zeros(crops.shape, np.float32))
  monkeypatch.setattr(body_painting, 'load', lambda folder: nets)
  monkeypatch.setattr(weights, 'read_description', lambda folder: {})
  monkeypatch.setattr(anonymizer, 'SHIPPED', photos / 'none')  # of faces there are no networks
  rng, masks = np.random.default_rng(1), list(_random_masks(8))
  for number, values in enumerate(masks):
    save(photos / 'masks' / f'{number}.png', values, 1)
    pixels = rng.integers(0, 90, (48, 64, 3), np.uint8)
    for folder in ('one', 'two'):
      pixels = np.where(values[..., None] > 0, rng.integers(0, 90, pixels.shape), pixels)
      (photos / folder).mkdir(exist_ok=True)
      Image.fromarray(pixels.astype(np.uint8)).save(photos / folder / f'{number}.png')
  more = ('--weights', 'w', '--key', 'k') if method == 'synthesize' else ()
  for folder in ('one', 'two'):
    assert _body(folder, '-o', f'{folder}-out', '--masks', 'masks', *more, method=method) == 0
  for number, values in enumerate(masks):
    first, second = (_image(f'{folder}-out/{number}.png') for folder in ('one', 'two'))
    np.testing.assert_array_equal(first, second)
    assert (first != _image(f'one/{number}.png')).any(-1)[values > 0].all()
    if method == 'fill':
      assert (first[values > 0] == FILL[0]).all()
  told = json.loads((photos / 'one-out' / 'manifest.json').read_text())['inputs']
  actions = {body['action'] for record in told for body in record['bodies']}
  assert actions == ({'filled'} if method == 'fill' else {'filled', 'synthesized'})
