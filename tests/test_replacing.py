"""What becomes of the faces of frames: new ones lie over what is filled, and nothing shows."""

import numpy as np
import pytest
from test_anonymizer import NEW, Fake

from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.covering import FILL
from anon_jax.inference.faces import Face
from anon_jax.inference.replacing import Ready, Replacing
from anon_jax.inference.track import Tracked
from anon_jax.inference.tracking import TrackedFrame
from anon_jax.inference.video_reading import Frame

PICTURE = np.full((120, 200, 3), 200, np.uint8)
SURE = Face((60.0, 30.0, 100.0, 80.0), 0.9)
WEAK = Face((80.0, 40.0, 120.0, 90.0), 0.2)
BEFORE, AFTER = Face((120.0, 40.0, 150.0, 90.0), 0.5), Face((150.0, 40.0, 180.0, 90.0), 0.5)


def _replaced(faces, fake=None, method='synthesize'):
  """Returns the picture, and what was counted: (track, action, reason)."""
  counted = []
  if method == 'synthesize':
    fake = fake or Fake([0.0] * 9)
  anonymizer = Anonymizer(None, fake, method=method)
  replacing = Replacing(
    anonymizer,
    'clip',
    lambda index, each, made: counted.append((each.track, made.action, made.reason)),
  )
  followed = TrackedFrame(0, False, tuple(faces))
  (image,) = replacing([Ready(Frame(PICTURE, 0, 0), followed)])
  return image, counted


def _is(image, colour, face):
  left, top, right, bottom = (int(v) for v in face.box)
  return (image[top:bottom, left:right] == colour).all(-1)


def _middle(face):
  left, top, right, bottom = face.box
  x, y = (left + right) / 2, (top + bottom) / 2
  return Face((x - 8, y - 8, x + 8, y + 8))


@pytest.mark.parametrize('state', ['detected', 'bridged', 'held'])
def test_a_new_face_lies_over_all_places_of_a_doubtful_one(state):
  doubtful = Tracked(1, WEAK, (WEAK, BEFORE, AFTER), state)
  image, counted = _replaced([Tracked(0, SURE, (SURE,), 'detected'), doubtful])
  assert counted == [(0, 'synthesized', ''), (1, 'filled', 'score below 0.4')]
  assert _is(image, NEW, _middle(SURE)).all()
  for face in (BEFORE, AFTER):
    assert _is(image, FILL, face).all()
  left = _is(image, FILL, WEAK) | _is(image, NEW, WEAK)
  assert left.all()


def test_a_lost_face_is_filled_in_all_places_whatever_its_score():
  lost = Tracked(1, BEFORE, (BEFORE, AFTER), 'held', lost=True)
  image, counted = _replaced([lost])
  assert counted == [(1, 'filled', 'lost: its place can only be guessed')]
  assert _is(image, FILL, BEFORE).all()
  assert _is(image, FILL, AFTER).all()


def test_a_face_that_cannot_be_trusted_once_it_is_painted_is_filled_in_all_places():
  image, counted = _replaced([Tracked(0, SURE, (SURE, AFTER), 'bridged')], Fake([0.9] * 4))
  assert counted == [(0, 'filled', '4 draws looked too much like the original')]
  assert _is(image, FILL, SURE).all()
  assert _is(image, FILL, AFTER).all()


@pytest.mark.parametrize('lost', [False, True])
def test_a_covering_method_covers_all_places(lost):
  image, counted = _replaced([Tracked(0, WEAK, (BEFORE, AFTER), 'held', lost)], method='fill')
  assert counted == [(0, 'filled', '')]
  for face in (WEAK, BEFORE, AFTER):
    assert _is(image, FILL, face).all()


def test_faces_of_tracks_that_are_over_are_forgotten():
  fake = Fake([0.0] * 9)
  replacing = Replacing(Anonymizer(None, fake), 'clip', lambda *_: None)
  frame = Frame(PICTURE, 0, 0)

  def replace(track):
    list(
      replacing(
        [Ready(frame, TrackedFrame(0, False, (Tracked(track, SURE, (SURE,), 'detected'),)))]
      )
    )
    return fake.controls[-1]

  first = replace(3)
  replacing.keep({3, 4})
  np.testing.assert_array_equal(replace(3), first)
  replacing.keep({4})
  assert not replacing._cast
