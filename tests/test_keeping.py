"""Faces that stay as they are by choice: they alone, and what covers others still covers them."""

import numpy as np
import pytest
from test_anonymizer import BOX, FILL, NEW, POINTS, Fake, _box_of, _noise, _shows

from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.body_anonymizer import BodyAnonymizer
from anon_jax.inference.decisions import Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face

OTHER = (5.0, 5.0, 30.0, 30.0)
FACES = (Face(BOX, 0.9, POINTS), Face(OTHER, 0.9))


def _done(kept, method='fill', fake=None, faces=FACES):
  picture = _noise()
  anonymizer = Anonymizer(None, fake, method=method)
  return picture, anonymizer.anonymize_many([Request(picture, faces, kept=kept)])[0]


@pytest.mark.parametrize('method', ['fill', 'pixelate', 'blur', 'synthesize'])
def test_a_face_that_is_kept_shows_and_the_others_do_not(method):
  fake = Fake([0.0]) if method == 'synthesize' else None
  picture, done = _done({0}, method, fake)
  assert [face.action == 'kept' for face in done.faces] == [True, False]
  assert done.faces[0].reason == 'by choice'
  assert done.faces[0].similarity is None
  np.testing.assert_array_equal(_box_of(done.image, (45, 45, 75, 75)), picture[45:75, 45:75])
  assert (done.image[10:25, 10:25] != picture[10:25, 10:25]).any(-1).mean() > 0.9


def test_a_face_that_is_kept_is_shown_to_no_network():
  fake = Fake([])
  _, done = _done({0, 1}, 'synthesize', fake)
  assert not fake.batches
  assert [face.action for face in done.faces] == ['kept', 'kept']


def test_what_covers_another_face_covers_one_that_is_kept_too():
  near = Face((60.0, 35.0, 110.0, 85.0), 0.9)
  _, done = _done({0}, faces=(Face(BOX, 0.9, POINTS), near))
  assert (_box_of(done.image, near.box) == FILL).all()  # from 60 on it hides half of the kept one
  _, done = _done({1}, 'synthesize', Fake([0.0]), (Face(BOX, 0.9, POINTS), near))
  assert _shows(done.image, NEW)[60, 65]


@pytest.mark.parametrize('kept', [{2}, {-1}, {0, 7}])
def test_a_face_that_is_not_there_cannot_be_kept(kept):
  with pytest.raises(InferenceError, match=r'cannot be kept; the faces are numbered 0 to 1\.'):
    _done(kept)


def test_a_face_beside_bodies_cannot_be_kept():
  anonymizer = BodyAnonymizer(Anonymizer(method='fill'), method='fill')
  with pytest.raises(InferenceError, match='faces beside bodies cannot be kept'):
    anonymizer.anonymize_many([Request(_noise(), FACES, kept={0})])
