"""The similarity above which a painted face is drawn again, measured on painted faces."""

import numpy as np
import pytest
from PIL import Image
from test_anonymizer import BOX, Fake, _noise
from test_weights_folder import _write

from anon_jax import cli
from anon_jax.inference import calibration, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face


def test_a_twentieth_of_the_painted_faces_exceeds_it_and_only_the_description_changes(
  tmp_path, monkeypatch, capsys
):
  folder = _write(tmp_path / 'weights')
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  monkeypatch.setattr(calibration, 'similarities', lambda *_: np.linspace(0, 1, 101))
  assert cli.main(['weights', 'calibrate', str(folder), '--photos', 'x']) == 0
  assert 'above 0.95, which is the threshold now' in capsys.readouterr().out
  assert weights.load_weights(folder).identity.input.threshold == 0.95
  after = {path.name: path.read_bytes() for path in folder.iterdir()}
  assert {name for name in before if before[name] != after[name]} == {'model.json'}


def test_too_few_faces_are_no_measurement(tmp_path, monkeypatch):
  folder = _write(tmp_path / 'weights')
  before = (folder / 'model.json').read_bytes()
  monkeypatch.setattr(calibration, 'similarities', lambda *_: np.zeros(19))
  with pytest.raises(InferenceError, match='19 faces could be painted; give photographs of 20'):
    calibration.calibrate(folder, [])
  assert (folder / 'model.json').read_bytes() == before


def test_each_face_is_painted_once_however_alike_and_nothing_is_written(tmp_path, monkeypatch):
  for number in range(3):
    Image.fromarray(_noise(seed=number)).save(tmp_path / f'{number}.png')
  (tmp_path / 'broken.png').write_bytes(b'no picture')
  fake = Fake([0.3, 0.99, -0.2])
  made = []

  def from_pretrained(folder, **options):
    made.append(options)
    return Anonymizer(lambda picture: [Face(BOX)], fake, **options)

  monkeypatch.setattr(Anonymizer, 'from_pretrained', from_pretrained)
  names = sorted(path.name for path in tmp_path.iterdir())
  found = calibration.similarities(tmp_path, [tmp_path])
  np.testing.assert_allclose(found, [0.3, 0.99, -0.2], rtol=1e-6)
  assert sorted(path.name for path in tmp_path.iterdir()) == names
