"""Bodies and the faces beside them: no pixel of a mask is left, and no face is forgotten."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from test_bodies import mask

from anon_jax.inference import covering
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.bodies import Body, parted
from anon_jax.inference.body_anonymizer import BodyAnonymizer
from anon_jax.inference.decisions import Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face

FILL = covering.FILL
HEIGHT, WIDTH = 60, 80


def picture(seed=0):
  """A picture in which no pixel has the colour that covers."""
  return np.random.default_rng(seed).integers(128, 256, (HEIGHT, WIDTH, 3), np.uint8)


def run(bodies, faces=(), method='fill', image=None, **more):
  """Anonymizes one picture by a covering method."""
  image = picture() if image is None else image
  anonymizer = BodyAnonymizer(Anonymizer(None, method=method, **more), method, **more)
  return anonymizer.anonymize_many([Request(image, faces, bodies=bodies)])[0]


def shape_of_face(found):
  """What has to be replaced of the face in rows 20 to 40, columns 30 to 45: bool [20, 15]."""
  if found.faces[0].action == 'filled':
    return np.ones((20, 15), bool)
  rows, columns = np.mgrid[0:20, 0:15]
  return ((rows + 0.5) / 10 - 1) ** 2 + ((columns + 0.5) / 7.5 - 1) ** 2 <= 1  # with its body


def is_filled(found):
  return (found.image == FILL).all(-1)


@hypothesis.settings(deadline=None, max_examples=80)
@hypothesis.given(
  arrays.arrays(bool, (HEIGHT, WIDTH), elements=st.booleans()),
  st.lists(st.tuples(*[st.integers(0, 59)] * 4), max_size=3),
)
@hypothesis.example(np.zeros((HEIGHT, WIDTH), bool), [(42, 0, 0, 38)])  # all but a rim of the face
def test_no_original_pixel_of_any_mask_is_left(noise, corners):
  given = [mask((min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1)) for a, b, c, d in corners]
  bodies = [
    Body(each, n) for n, each in enumerate([*given, *parted(noise & (noise.cumsum(1) < 9))])
  ]
  image = picture()
  found = run(bodies, [Face((30.0, 20.0, 45.0, 40.0))], image=image)
  union = np.zeros((HEIGHT, WIDTH), bool)
  for body in bodies:
    union |= body.mask
  assert is_filled(found)[union].all()
  assert found.taken is not None
  assert (found.taken >= union).all()
  # nor one that is the original's anywhere, but where nothing was asked for
  kept = (found.image == image).all(-1)
  assert not kept[found.taken].any()
  assert is_filled(found)[20:40, 30:45].all(where=shape_of_face(found))
  assert [decision.action for decision in found.bodies] == ['filled'] * len(bodies)


def test_what_is_far_from_bodies_stays_as_it_is():
  image = picture()
  found = run([Body(mask((10, 10, 20, 40)), 1)], image=image)
  np.testing.assert_array_equal(is_filled(found), mask((9, 9, 21, 41)))
  np.testing.assert_array_equal(found.image[~is_filled(found)], image[~is_filled(found)])
  (decision,) = found.bodies
  assert (decision.number, decision.box, decision.pixels) == (1, (10, 10, 20, 40), 300)


def test_bodies_at_all_borders_are_covered_to_the_last_row_and_column():
  boxes = [(0, 0, 3, 30), (78, 0, 80, 60), (0, 58, 80, 60), (40, 0, 41, 1)]
  found = run([Body(mask(box), n) for n, box in enumerate(boxes)])
  assert is_filled(found)[mask(*boxes)].all()


def test_a_face_in_a_body_is_replaced_with_it_and_every_other_as_always():
  body = Body(mask((10, 10, 40, 55)), 1)
  inside, half, beside = (
    Face((15.0, 15.0, 25.0, 27.0)),
    Face((35.0, 20.0, 47.0, 32.0)),
    Face((60.0, 20.0, 70.0, 32.0)),
  )
  found = run([body], [inside, half, beside])
  assert [decision.action for decision in found.faces] == ['with its body', 'filled', 'filled']
  assert [decision.face for decision in found.faces] == [inside, half, beside]
  assert is_filled(found)[20:32, 35:47].all()
  assert is_filled(found)[20:32, 60:70].all()


def test_a_face_whose_oval_sticks_out_by_more_than_a_twentieth_is_covered_by_itself():
  body = Body(mask((11, 10, 40, 55)), 1)  # grown by one pixel: from 10 on
  assert run([body], [Face((10.0, 20.0, 22.0, 32.0))]).faces[0].action == 'with its body'
  # of 112 pixels 4 are in the first column, and 8 in the second
  assert run([body], [Face((9.0, 20.0, 21.0, 32.0))]).faces[0].action == 'with its body'
  assert run([body], [Face((8.0, 20.0, 20.0, 32.0))]).faces[0].action == 'filled'


def test_a_face_at_the_border_lies_in_a_body_as_far_as_the_picture_goes():
  body = Body(mask((0, 0, 30, 50)), 1)
  assert run([body], [Face((-6.0, -5.0, 10.0, 12.0))]).faces[0].action == 'with its body'
  assert run([body], [Face((-40.0, -40.0, -20.0, -20.0))]).faces[0].action == 'filled'


def test_what_replaces_faces_never_sees_a_body():
  image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
  image[mask((10, 10, 40, 55))] = 255
  # a face half in a body: its blocks would be lighter by the body's pixels
  anonymizer = BodyAnonymizer(Anonymizer(None, method='pixelate'), 'fill')
  bodies, faces = [Body(mask((10, 10, 40, 55)), 1)], [Face((35.0, 20.0, 60.0, 45.0))]
  (found,) = anonymizer.anonymize_many([Request(image, faces, bodies=bodies)])
  assert 0 < found.image[~found.taken].max() < FILL


@pytest.mark.parametrize('method', ['pixelate', 'blur'])
def test_other_methods_change_every_pixel_of_a_body_beyond_recognition(method):
  image = picture()
  image[::2] //= 4  # rows dark and light
  found = run([Body(mask((10, 5, 40, 55)), 1)], method=method, image=image)
  inside = mask((10, 5, 40, 55))
  assert (found.image[inside] != image[inside]).any(-1).mean() > 0.99
  before, after = (np.abs(np.diff(p[10:50, 20].astype(int), axis=0)) for p in (image, found.image))
  assert after.mean() < 0.3 * before.mean()
  np.testing.assert_array_equal(found.image[~found.taken], image[~found.taken])
  (decision,) = found.bodies
  assert decision.action == {'pixelate': 'pixelated', 'blur': 'blurred'}[method]


def test_what_is_no_person_and_what_is_tiny_is_filled_whatever_the_method():
  bodies = [Body(mask((10, 5, 40, 45)), 10000, reason='class 10'), Body(mask((60, 5, 66, 20)), 2)]
  found = run(bodies, method='blur')
  assert [decision.reason for decision in found.bodies] == [
    'class 10',
    'less than 24 pixels high',
  ]
  assert is_filled(found)[mask((10, 5, 40, 45), (60, 5, 66, 20))].all()


def test_several_pictures_at_once_are_as_one_by_one():
  requests = [
    Request(picture(n), [Face((50.0, 10.0, 60.0, 20.0))], bodies=[Body(mask((n, 9, 30, 50)), n)])
    for n in range(3)
  ]
  anonymizer = BodyAnonymizer(Anonymizer(None, method='fill'), 'fill')
  together = anonymizer.anonymize_many(requests)
  for request, found in zip(requests, together, strict=True):
    np.testing.assert_array_equal(found.image, anonymizer.anonymize_many([request])[0].image)


def test_bodies_that_would_be_passed_over_are_an_error():
  request = Request(picture(), [], bodies=[Body(mask((10, 10, 20, 40)), 1)])
  with pytest.raises(InferenceError, match='give bodies to a BodyAnonymizer'):
    Anonymizer(None, method='fill').anonymize_many([request])


@pytest.mark.parametrize('wrong', [np.zeros((60, 80), bool), np.ones((59, 80), bool)])
def test_a_mask_that_does_not_fit_is_an_error(wrong):
  with pytest.raises(InferenceError, match='the mask of body 7'):
    run([Body(wrong, 7)])
