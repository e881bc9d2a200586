"""The weights in the package: whole, small enough, and good for a real photograph."""

import numpy as np
import pytest
from skimage import data

from anon_jax.inference import detection, weights
from anon_jax.inference.anonymizer import SHIPPED, Anonymizer

FOLDER = SHIPPED
MOST_BYTES, MOST_BYTES_A_FILE = 60_000_000, 25_000_000


@pytest.fixture(scope='module')
def anonymizer():
  return Anonymizer.from_pretrained(key=b'repeatable')


@pytest.fixture(scope='module')
def done(anonymizer):
  return anonymizer.anonymize(data.astronaut())


def test_all_four_networks_are_there_and_every_byte_is_what_the_description_says():
  assert len(weights.verify(FOLDER)) == 4


def test_they_are_small_enough_to_be_shipped():
  sizes = [path.stat().st_size for path in FOLDER.iterdir()]
  assert max(sizes) <= MOST_BYTES_A_FILE
  assert sum(sizes) <= MOST_BYTES


def test_they_say_on_whose_terms_they_may_be_used():
  for name, entry in weights.read_description(FOLDER).items():
    assert 'non-commercial' in entry.data_licence, name
    assert entry.training.data, name


def test_the_astronaut_becomes_somebody_else(done, anonymizer):
  (face,) = done.faces
  assert (face.action, face.reason) == ('synthesized', '')
  assert face.similarity <= anonymizer._ladder._most_alike
  points = np.array(face.face.landmarks).round().astype(int)
  (left, top), (right, bottom) = points.min(0), points.max(0)
  inner = np.s_[top:bottom, left:right]  # between eyes and mouth
  difference = abs(data.astronaut()[inner].astype(int) - done.image[inner])
  assert difference.mean() > 8
  assert (difference.max(-1) > 0).mean() > 0.99


def test_what_is_not_a_face_stays_what_it_was(done):
  changed = (done.image != data.astronaut()).any(-1)
  assert changed.mean() < 0.1
  assert not changed[250:].any()


def test_a_detector_still_finds_a_face_there(done):
  faces = detection.load_detector()(done.image)
  box = done.faces[0].face.box
  assert any(face.score > 0.5 and abs(face.box[0] - box[0]) < 25 for face in faces)
