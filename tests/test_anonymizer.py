"""The Python interface and its ladder: every face is replaced or filled, and nothing fails open."""

import math
import pathlib

import numpy as np
import pytest

from anon_jax.data import semantic
from anon_jax.inference import covering, crops
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Cast, Request, Trust
from anon_jax.inference.faces import Face
from anon_jax.inference.synthesis import Synthesized

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILL, NEW = covering.FILL, (1, 200, 2)
# A box of 50 x 50 pixels, upright: 1.6 * 2.87 * 17 = 78.1 is the crop's side, about (60, 60).
BOX = (35.0, 35.0, 85.0, 85.0)
POINTS = ((51.5, 54.9), (68.5, 54.9), (60.0, 63.0), (52.0, 71.9), (68.0, 71.9))


class Fake:
  """Stands in for S, A, H and I: a map with a disc of skin, faces of one colour, or of some."""

  size, identities, threshold, recurrent = 32, 20, 0.5, False

  def __init__(self, similarities=(0.0,), reach=0.4, colours=(NEW,)):
    self.similarities, self.reach, self.colours = list(similarities), reach, list(colours)
    self.controls, self.batches, self.crops, self.replaced, self.asked = [], [], [], [], []

  def suited(self, semantic_map):
    self.asked.append(semantic_map)
    return np.array([3, 5, 7, 11])

  def conditions(self, shown):
    return shown / np.float32(127.5) - 1

  def maps(self, shown):
    y, x = np.mgrid[:32, :32] - 15.5
    return np.stack([np.hypot(x, y) < 32 * self.reach] * len(shown)).astype(np.uint8)

  def paint(self, shown, maps, controls, conditions=None, replaced=None, previous=()):
    self.controls.extend(controls)
    self.batches.append(len(shown))
    self.crops.extend(shown)
    self.replaced.extend(replaced)
    similarity = [self.similarities.pop(0) for _ in shown]
    colours = (self.colours * len(shown))[: len(shown)]
    painted = np.broadcast_to(np.array(colours, np.uint8)[:, None, None], shown.shape)
    foreground = np.isin(maps, semantic.FOREGROUND).mean((1, 2))
    assert (replaced >= np.isin(maps, semantic.FOREGROUND)).all()
    return Synthesized(painted, replaced, foreground, np.array(similarity, np.float32), painted)


def _noise(width=120, height=110, seed=0):
  return np.random.default_rng(seed).integers(128, 256, (height, width, 3), np.uint8)


def _run(fake, *faces, picture=None, masks=(), **more):
  picture = _noise() if picture is None else picture
  anonymizer = Anonymizer(None, fake, **more)
  return anonymizer.anonymize_many([Request(picture, faces, masks)])[0]


def _shows(image, colour):
  return (image == colour).all(-1)


def _box_of(image, box=BOX):
  left, top, right, bottom = (int(v) for v in box)
  return image[top:bottom, left:right]


def test_control_identities_are_drawn_among_those_that_suit_the_map():
  fake = Fake([0.9, 0.9, 0.0])
  _run(fake, Face(BOX, 0.9, POINTS), trust=Trust(similarity=0.5))
  assert len(fake.controls) == 3
  assert all(set(np.flatnonzero(control)) <= {3, 5, 7, 11} for control in fake.controls)
  for seen in fake.asked:
    np.testing.assert_array_equal(seen, fake.maps(fake.crops[:1])[0])


def test_any_control_identity_is_drawn_where_that_is_asked_for():
  fake = Fake([0.0] * 20)
  for number in range(20):
    _run(fake, Face(BOX, 0.9, POINTS), key=bytes([number]), identity='any')
  assert not fake.asked
  assert not set(np.flatnonzero(sum(fake.controls))) <= {3, 5, 7, 11}


def test_a_trusted_face_is_replaced():
  fake, picture = Fake(), _noise()
  found = _run(fake, Face(BOX, 0.9, POINTS), picture=picture)
  (decision,) = found.faces
  assert (decision.action, decision.reason, decision.draws) == ('synthesized', '', 1)
  assert decision.similarity == 0
  new = _shows(found.image, NEW)
  # the disc has .4 * 78.1 = 31 pixels radius; it is grown by one of the crop's pixels, and what
  # shows some of it reaches up to 4 further; its pixels are 78.1 / 32 = 2.4 of the picture's
  y, x = np.mgrid[:110, :120] + 0.5
  distance = np.hypot(x - 60, y - 60)
  assert new[distance < 31].all()
  assert not new[distance > 31 + 6 * 2.4].any()
  np.testing.assert_array_equal(found.image[~new], picture[~new])


@pytest.mark.parametrize(
  ('face', 'reason'),
  [
    (Face(BOX, 0.39, POINTS), 'score below 0.4'),
    (Face(BOX, math.nan, POINTS), 'score below 0.4'),
    (Face((50.0, 50.0, 90.0, 69.9)), 'less than 20 pixels high'),
    (Face((5.0, 5.0, 50.0, 50.0), 0.9, POINTS), 'landmarks contradict the box'),
    (Face(BOX, 0.9, ((math.nan, 5.0), *POINTS[1:])), 'landmarks contradict the box'),
  ],
)
def test_a_doubtful_face_is_filled_and_never_painted(face, reason):
  fake = Fake([])
  found = _run(fake, face)
  (decision,) = found.faces
  assert (decision.action, decision.reason, decision.draws) == ('filled', reason, 0)
  assert decision.similarity is None
  assert not fake.batches
  assert (_box_of(found.image, face.box) == FILL).all()


@pytest.mark.parametrize(
  ('reach', 'points', 'reason'),
  [
    (0.0, POINTS, 'foreground of 0% of the crop'),
    (0.1, None, 'foreground of 3% of the crop'),
    # The crop's disc has .18 * 78.1 = 14 pixels radius, and with what shows some of it under 30;
    # the nose lies 32 below the centre. In the next two cases it is beyond the crop.
    (0.18, (*POINTS[:2], (60.0, 92.0), *POINTS[3:]), 'a landmark lies outside of the foreground'),
    (0.45, (*POINTS[:2], (60.0, 160.0), *POINTS[3:]), 'a landmark lies outside of the foreground'),
    (0.45, (*POINTS[:2], (-60.0, 63.0), *POINTS[3:]), 'a landmark lies outside of the foreground'),
    (0.45, (*POINTS[:2], (math.nan, 63.0), *POINTS[3:]), 'landmarks contradict the box'),
  ],
)
def test_a_face_whose_map_cannot_be_right_is_filled(reach, points, reason):
  found = _run(Fake([0.0], reach), Face(BOX, 0.9, points))
  (decision,) = found.faces
  assert (decision.action, decision.reason) == ('filled', reason)
  assert (_box_of(found.image) == FILL).all()
  assert not _shows(found.image, NEW).any()


@pytest.mark.parametrize('similarity', [0.51, 1.0, math.nan])
def test_a_face_that_stays_too_alike_is_filled_after_four_draws(similarity):
  fake = Fake([similarity] * 9)
  found = _run(fake, Face(BOX))
  (decision,) = found.faces
  assert decision.action == 'filled'
  assert decision.reason == '4 draws looked too much like the original'
  assert decision.draws == len(fake.controls) == 4
  assert len({tuple(control) for control in fake.controls}) == 4
  assert (_box_of(found.image) == FILL).all()
  assert not _shows(found.image, NEW).any()


def test_a_face_that_came_out_too_alike_is_drawn_again():
  fake = Fake([0.1, 0.9, 0.5])  # of two faces the second, which then is just different enough
  found = _run(fake, Face((0.0, 0.0, 40.0, 40.0)), Face((70.0, 60.0, 110.0, 100.0)))
  assert [decision.action for decision in found.faces] == ['synthesized'] * 2
  assert [decision.draws for decision in found.faces] == [1, 2]
  assert [decision.similarity for decision in found.faces] == pytest.approx([0.1, 0.5])
  assert fake.batches == [2, 1]
  assert not np.array_equal(fake.controls[1], fake.controls[2])


def test_a_named_identity_is_tried_once_and_is_everybodys():
  fake = Fake([0.9, 0.1])
  found = _run(fake, Face(BOX), Face((0.0, 0.0, 40.0, 40.0)), identity='3:1,5:3')
  assert [decision.action for decision in found.faces] == ['filled', 'synthesized']
  assert [decision.draws for decision in found.faces] == [1, 1]
  assert fake.batches == [2]
  for control in fake.controls:
    assert {int(n): float(control[n]) for n in np.flatnonzero(control)} == {3: 0.25, 5: 0.75}


def test_a_key_repeats_the_draws_of_a_picture_and_of_no_other():
  def drawn(key, name):
    fake = Fake([0.9, 0.9, 0.1, 0.1])  # both faces twice
    request = Request(_noise(), [Face(BOX), Face((0.0, 0.0, 40.0, 40.0))], (), name)
    Anonymizer(None, fake, key=key).anonymize_many([request])
    return np.stack(fake.controls)

  one = drawn(b'k', 'a')
  assert len({tuple(control) for control in one}) == 4
  np.testing.assert_array_equal(one, drawn(b'k', 'a'))
  for key, name in [(b'k', 'b'), (b'l', 'a'), (None, 'a')]:
    assert not (drawn(key, name) == one).all(-1).any()


@pytest.mark.parametrize('turned', [False, True])
def test_a_new_face_lies_over_a_doubtful_one_that_is_filled(turned):
  sure, doubtful = Face(BOX), Face((60.0, 60.0, 100.0, 100.0), 0.2)
  picture = _noise()
  found = _run(Fake(), *((doubtful, sure) if turned else (sure, doubtful)), picture=picture)
  assert sorted(decision.action for decision in found.faces) == ['filled', 'synthesized']
  alone = _run(Fake(), sure, picture=picture)
  new = _shows(alone.image, NEW)
  np.testing.assert_array_equal(_shows(found.image, NEW), new)
  assert (_box_of(found.image, doubtful.box)[~_box_of(new, doubtful.box)] == FILL).all()


def test_what_is_painted_beside_a_filled_face_does_not_see_it():
  fake = Fake()
  _run(fake, Face(BOX), Face((60.0, 60.0, 100.0, 100.0), 0.2))
  (crop,), (replaced,) = fake.crops, fake.replaced
  size = len(crop)
  frame = crops.frame_of(Face(BOX))
  filled = np.zeros((110, 120), bool)
  filled[60:100, 60:100] = True
  inside = ~crops.shows(~filled, frame, size)  # wholly within the filled face
  assert (inside & ~replaced).any()
  assert (crop[inside & ~replaced] == FILL).all()
  assert not (crop[replaced] == FILL).all(-1).any()  # the judge compares with the original


def test_a_face_that_is_filled_after_all_stays_filled_where_another_overlaps():
  fake = Fake([0.9, 0.1, 0.9, 0.9, 0.9])  # the first face's four draws are too alike
  other = Face((60.0, 60.0, 100.0, 100.0))
  found = _run(fake, Face(BOX), other)
  assert [decision.action for decision in found.faces] == ['filled', 'synthesized']
  assert (_box_of(found.image) == FILL).all()
  assert _shows(_box_of(found.image, other.box), NEW).any()


@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize(
  ('above', 'below'),
  [
    (Face(BOX, 0.9), Face((50.0, 50.0, 110.0, 109.0), 0.5)),  # the surer one
    (Face((50.0, 50.0, 110.0, 109.0), 0.7), Face(BOX, 0.9)),  # of two sure ones the larger
  ],
)
def test_of_two_new_faces_the_surer_and_then_the_larger_lies_above(above, below, turned):
  faces = [below, above] if turned else [above, below]
  found = _run(Fake([0.0, 0.0], colours=[(2, 1, 0), NEW] if turned else [NEW, (2, 1, 0)]), *faces)
  new = _shows(_run(Fake(), above).image, NEW)
  assert _shows(found.image, NEW)[new].all()
  assert _shows(found.image, (2, 1, 0)).any()


def test_every_face_of_a_crowd_changes():
  picture = _noise(200, 160)
  boxes = [
    (x + 0.3, y + 0.6, x + 28.0, y + 33.0) for x in range(-10, 200, 21) for y in range(-9, 150, 27)
  ]
  faces = [Face(box, 0.2 + 0.07 * (n % 10)) for n, box in enumerate(boxes)]
  found = _run(Fake([0.9, 0.1] * 500), *faces, picture=picture)
  assert {decision.action for decision in found.faces} == {'synthesized', 'filled'}
  assert [decision.face for decision in found.faces] == faces
  for left, top, right, bottom in boxes:
    box = slice(max(0, math.ceil(top)), int(bottom)), slice(max(0, math.ceil(left)), int(right))
    assert (found.image[box] != picture[box]).any(-1).mean() > 0.95


@pytest.mark.parametrize('beyond', [False, True])
def test_no_original_pixel_under_a_users_mask_survives(beyond):
  mask = np.zeros((110, 120), bool)
  mask[40:80, 45:75] = True
  if beyond:  # of the crop, which ends at 35 - 15 and 85 + 15
    mask[:10, :7] = mask[109, 119] = True
  picture, anonymizer = _noise(), Anonymizer(None, Fake())
  found = anonymizer.anonymize(picture, [BOX], [POINTS], [mask])
  assert found.faces[0].action == 'synthesized'
  new, filled = _shows(found.image, NEW), _shows(found.image, (FILL,) * 3)
  assert (new | filled)[mask].all()
  assert new[40:80, 45:75].all()
  # the mask, not the map, says what else is replaced
  outside = ~crops.grown(mask, 10)
  np.testing.assert_array_equal(found.image[outside], picture[outside])


def test_a_users_mask_is_filled_with_the_box_where_synthesis_cannot_be_trusted():
  mask = np.zeros((110, 120), bool)
  mask[2, 3:110] = True
  for fake in (Fake([0.9] * 4), Fake([0.0])):  # too alike; a mask with hardly any foreground
    picture = _noise()
    found = Anonymizer(None, fake).anonymize(picture, [BOX], masks=[mask])
    assert found.faces[0].action == 'filled'
    assert (found.image[mask] == FILL).all()
    assert (_box_of(found.image) == FILL).all()


@pytest.mark.parametrize('method', ['synthesize', *covering.METHODS])
def test_pictures_are_not_changed_in_place_and_without_faces_not_at_all(method):
  picture = _noise()
  picture.flags.writeable = False
  mask = np.zeros((110, 120), bool)
  mask[40:80, 45:75] = True
  anonymizer = Anonymizer(lambda image: [], Fake(), method=method)
  found = anonymizer.anonymize(picture)
  assert found.faces == ()
  np.testing.assert_array_equal(found.image, picture)
  found = anonymizer.anonymize(picture, [BOX], [POINTS], [mask.copy()])
  np.testing.assert_array_equal(picture, _noise())
  assert (found.image[mask] != picture[mask]).any(-1).mean() > 0.95
  assert found.image.flags.writeable


@pytest.mark.parametrize(
  ('method', 'action'), [('fill', 'filled'), ('pixelate', 'pixelated'), ('blur', 'blurred')]
)
def test_covering_methods_need_no_networks(method, action):
  faces = [Face(BOX, 0.01), Face((0.0, 0.0, 5.0, 5.0))]
  found = Anonymizer(lambda image: faces, method=method).anonymize(_noise())
  assert [(d.face, d.action, d.reason, d.draws) for d in found.faces] == [
    (face, action, '', 0) for face in faces
  ]
  for face in faces:
    changed = _box_of(found.image != _noise(), face.box)
    assert changed.mean() > 0.95


def test_an_error_of_the_detector_is_the_callers_and_nothing_is_returned():
  def broken(image):
    raise RuntimeError('no memory')

  with pytest.raises(RuntimeError, match='no memory'):
    Anonymizer(broken, Fake()).anonymize(_noise())


def test_pictures_laid_out_otherwise_in_memory_are_read_alike():
  wide = _noise(240, 110)
  for view in (wide[:, ::-2], wide[::-1, :120], wide[:, :120, ::-1]):
    found = _run(Fake(), Face(BOX), picture=view).image
    np.testing.assert_array_equal(found, _run(Fake(), Face(BOX), picture=view.copy()).image)
    assert _shows(found, NEW).any()


def test_a_face_of_a_cast_plays_one_control_identity_until_it_comes_out_too_alike():
  # the mean decides: with 0.4 before, 0.9 makes it 0.5, and another 0.9 makes it 0.58
  fake, cast = Fake([0.0, 0.4, 0.0, 0.9, 0.0, 0.9, 0.1, 0.0]), Cast()
  anonymizer, faces = Anonymizer(None, fake, key=b'key'), [Face(BOX), Face((0.0, 0.0, 40.0, 40.0))]
  request = Request(_noise(), faces, names=('anna', 'ben'), cast=cast)
  anonymizer.anonymize_many([request])
  first = fake.controls[:2]
  assert (first[0] != first[1]).any()
  anonymizer.anonymize_many([request])  # ben is alike once
  anonymizer.anonymize_many([request])  # and again
  np.testing.assert_array_equal(fake.controls[2:6], first * 2)
  assert (fake.controls[6] != first[1]).any()
  anonymizer.anonymize_many([Request(_noise(), faces[:1], names=('ben',), cast=cast)])
  np.testing.assert_array_equal(fake.controls[7], fake.controls[6])
  assert (cast['anna'].draws, cast['ben'].draws) == (1, 2)
