"""`anon-jax anonymize --region body --weights FOLDER`: with exported networks of bodies."""

import json

import numpy as np
import pytest
import test_anonymize_command
from test_anonymize_bodies import _body, _clip, _image, _mask
from test_files import FILL, picture, red
from test_mask_sources import save
from test_videos import FRAMES, HEIGHT, SIDE, WIDTH, _frames, _place
from test_weights_folder import _write as write_faces

from anon_jax.inference import anonymizer, export, records, weights
from anon_jax.inference.runs import Source
from anon_jax.nets.anonymization import HIDDEN, widths_for
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet

PIXELS, IDENTITIES = 32, 4

# the fixtures of that file
detector, photos = test_anonymize_command.detector, test_anonymize_command.photos


@pytest.fixture
def folder(photos, monkeypatch):
  """A folder of A and H of bodies, with random parameters; of faces there are no networks."""
  monkeypatch.setattr(anonymizer, 'SHIPPED', photos / 'none')
  painter = BodyAnonymizationNet(IDENTITIES, widths_for('tiny', PIXELS), HIDDEN['tiny'], joints=18)
  shown = records.BodyPaintingInput(PIXELS, PIXELS // 2, 0.85, parts_share=0.5, joint_sigma=0.02)
  seen = records.BodyHarmonizationInput(PIXELS, PIXELS // 2, 0.85, feather=1)
  nets = {
    'anonymization': (painter, shown),
    'harmonization': (HarmonizationNet(WIDTHS['tiny']), seen),
  }
  rng, sources = np.random.default_rng(0), {}
  training = records.Training('anonymize', 7, 'tiny', (records.DataSet('ccp', 0.8),), 3, 8)
  for name, (module, view) in nets.items():
    shapes = weights.shapes_of(module, PIXELS, PIXELS // 2)
    flat = {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}
    sources[name] = Source(photos, module, weights.nested(flat), view, training, 'ccp')
  export.write_folder(photos / 'bodies', sources, 'float32')
  return photos / 'bodies'


def test_bodies_become_others_and_faces_beside_them_are_filled(photos, folder, capsys):
  body = _mask(45, 5, 60, 48)
  save(photos / 'masks' / 'a.png', body)
  call = ('--masks', 'masks', '--weights', folder, '--key', 'k', '--manifest', 'm.json')
  assert _body('a.png', '-o', 'out.png', *call, method='synthesize') == 0
  new = _image('out.png')
  assert (new != picture()).any(-1)[body].mean() > 0.99
  assert not red(new).any()
  np.testing.assert_array_equal(new[:, :15], picture()[:, :15])
  assert 'faces: 1 filled; bodies: 1 synthesized' in capsys.readouterr().out
  content = json.loads((photos / 'm.json').read_text())
  assert content['settings']['body_weights'].startswith('anonymization ')
  assert content['settings']['weights'] == ''
  assert content['inputs'][0]['bodies'][0]['action'] == 'synthesized'
  assert _body('a.png', '-o', 'again.png', *call[:-2], method='synthesize') == 0
  np.testing.assert_array_equal(_image('again.png'), new)


def test_a_body_of_a_video_is_one_person_all_along(photos, folder):
  _clip(photos)
  call = ('clip.mp4', '-o', 'out.mp4', '--masks', 'masks', '--weights', folder)
  for frame in range(FRAMES):
    left, top = _place(frame)
    body = _mask(left, top + 8, left + 14, top + 36, (HEIGHT, WIDTH))
    save(photos / 'masks' / 'clip' / f'{frame:05d}.png', body)
  assert _body(*call, '--manifest', 'm.json', method='synthesize') == 0
  (record,) = json.loads((photos / 'm.json').read_text())['inputs']
  assert record['bodies'][0]['actions'] == {'synthesized': FRAMES}
  frames = [pixels for _, pixels in _frames('out.mp4')]
  # where she is, some way inside, she has one look: nothing of it comes from frame to frame anew
  looks = []
  for frame, pixels in enumerate(frames):
    left, top = _place(frame)
    forehead = pixels[top : top + 3, left : left + SIDE]  # above the mask
    assert np.abs(forehead.astype(int) - FILL[0]).max() < 25
    looks.append(pixels[top + 22 : top + 30, left + 4 : left + 10].mean((0, 1)))
  assert np.std(looks, axis=0).max() < 25


@pytest.mark.parametrize('names', [('segmentation', 'identity'), ('anonymization',)])
def test_networks_of_faces_are_none_of_bodies(photos, folder, capsys, names):
  save(photos / 'masks' / 'a.png', _mask(45, 5, 60, 48))
  write_faces(photos / 'w', names)
  call = ('a.png', '-o', 'out.png', '--masks', 'masks', '--weights', 'w')
  assert _body(*call, method='synthesize') == 1
  (told,) = capsys.readouterr().err.splitlines()
  assert 'holds networks of faces, and bodies are asked for' in told
  assert not (photos / 'out.png').exists()


def test_networks_of_bodies_are_none_of_faces(photos, folder, capsys):
  call = ('a.png', '-o', 'out.png', '--weights', folder)
  assert test_anonymize_command.run(*call, method='synthesize') == 1
  assert len(capsys.readouterr().err.splitlines()) == 1
  assert not (photos / 'out.png').exists()
