"""New bodies with networks of random parameters: what gets into them, and what lies over what."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from test_bodies import mask

from anon_jax.inference import body_covering, controls, crops, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.bodies import Body
from anon_jax.inference.body_anonymizer import BodyAnonymizer
from anon_jax.inference.body_covering import Wide
from anon_jax.inference.body_painting import BodyPainter
from anon_jax.inference.body_replacing import Replacer
from anon_jax.inference.covering import FILL
from anon_jax.inference.decisions import Cast, Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet

SIZE, IDENTITIES = 32, 5
PICTURE = (60, 80)


class _Painter(nn.Module):
  """Stands in for A: a colour for each control identity, on the person alone."""

  identities: int = IDENTITIES
  joints: int = 0

  @nn.compact
  def __call__(self, identities, maps, conditions):
    assert maps.dtype == jnp.uint8
    assert (conditions is None) == (self.joints == 0)
    colour = nn.Dense(3)(identities)[:, None, None]
    return jnp.tanh(colour) * (maps == 1)[..., None]


@functools.cache
def networks(upscale=1, joints=0, size=SIZE):
  """Returns A and H of random parameters; A sees crops of another size than H."""
  rng = np.random.default_rng(0)
  painter, blender = _Painter(joints=joints), HarmonizationNet(WIDTHS['tiny'], upscale)
  shown = types.SimpleNamespace(
    image_size=16, width=8, person_share=0.85, parts_share=0.5, joint_sigma=0.02
  )
  heat = jnp.zeros((1, 16, 8, joints)) if joints else None
  maps = jnp.zeros((1, 16, 8), jnp.uint8)
  params = painter.init(jax.random.key(0), jnp.zeros((1, IDENTITIES)), maps, heat)['params']
  flat = {
    name: rng.normal(0, 0.3, shape).astype(np.float32)
    for name, shape in weights.shapes_of(blender, SIZE).items()
  }
  sees = types.SimpleNamespace(
    image_size=size, width=size // 2, person_share=0.85, condition_sigma=0.1, feather=1
  )
  return types.SimpleNamespace(
    anonymization=types.SimpleNamespace(module=painter, params=params, input=shown),
    harmonization=types.SimpleNamespace(
      module=blender, params=weights.nested(flat), input=sees
    ),
    identity=None,
  )  # fmt: skip


@pytest.fixture(scope='module')
def painter():
  return BodyPainter(networks())


def _noise(seed=0, size=PICTURE):
  return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _run(painter, bodies, picture, faces=(), **more):
  anonymizer = BodyAnonymizer(Anonymizer(None, method='fill'), 'synthesize', Replacer(painter))
  return anonymizer.anonymize_many([Request(picture, faces, bodies=bodies, **more)])[0]


class _Fake:
  """Stands in for A and H: each new person has one colour, by the order of painting."""

  height, share, upscale, identities = SIZE, 0.85, 1, IDENTITIES

  def __init__(self):
    self.crops, self.hidden, self.controls, self.batches = [], [], [], []

  def conditions(self, shown):
    return shown / np.float32(127.5) - 1

  def paint(self, shown, replaced, core, hidden, drawn, conditions):
    assert (core <= replaced).all()
    self.batches.append(len(shown))
    self.crops.extend(np.where(replaced[..., None], 0, shown))
    self.hidden.extend(hidden)
    self.controls.extend(drawn)
    return np.full(shown.shape, 10 * sum(self.batches), np.uint8)


@pytest.mark.parametrize('upscale', [1, 2])
def test_every_pixel_of_a_body_is_new_and_beside_it_nothing_is(upscale):
  picture = _noise()
  boxes = [(5, 5, 30, 55), (50, 20, 80, 60), (40, 0, 44, 30)]
  bodies = [Body(mask(box), n, f'x {n}') for n, box in enumerate(boxes)]
  found = _run(BodyPainter(networks(upscale)), bodies, picture)
  union = mask(*boxes)
  same = (found.image == picture).all(-1)
  assert same[union].mean() < 0.01  # of 16 million colours none is met by chance
  assert [decision.action for decision in found.bodies] == ['synthesized'] * 3
  beside = ~crops.grown(union, 1)  # which is by how much masks are grown
  np.testing.assert_array_equal(found.image[beside], picture[beside])


def test_of_a_body_only_its_outline_and_its_blur_matter(painter):
  """With the blur held as it is, other pixels inside of the masks give the same output."""
  bodies = [Body(mask((10, 5, 34, 55)), 1, 'a'), Body(mask((25, 15, 50, 58)), 2, 'b')]
  union = mask((10, 5, 34, 55), (25, 15, 50, 58))
  results = []
  for seed in (1, 2):
    picture = _noise()
    picture[union] = _noise(seed)[union]
    replacer = Replacer(painter, key=b'k')
    blurred = np.zeros((1, SIZE, SIZE // 2, 3), np.float32)
    frozen = types.SimpleNamespace(
      height=painter.height,
      share=painter.share,
      upscale=1,
      identities=IDENTITIES,
      paint=painter.paint,
      conditions=lambda shown, blurred=blurred: np.repeat(blurred, len(shown), 0),
    )
    replacer._painter = frozen
    anonymizer = BodyAnonymizer(Anonymizer(None, method='fill'), 'synthesize', replacer)
    results.append(anonymizer.anonymize_many([Request(picture, [], bodies=bodies)])[0].image)
  np.testing.assert_array_equal(*results)


def test_who_stands_in_front_lies_above_and_is_not_seen_by_who_is_behind():
  fake = _Fake()
  near, far = Body(mask((20, 10, 40, 58)), 1, 'near'), Body(mask((10, 5, 32, 50)), 2, 'far')
  found = _run(fake, [near, far], np.full((*PICTURE, 3), 200, np.uint8))
  assert fake.batches == [1, 1]
  assert (found.image[mask((20, 10, 40, 58))] == 20).all()  # painted as the second
  assert (found.image[mask((10, 5, 19, 50))] == 10).all()
  # whoever is in front is hidden from the first, and nobody is from the second
  assert fake.hidden[0].any()
  assert not fake.hidden[1].any()
  # who was painted before is part of the second one's surroundings
  assert (fake.crops[1] == 10).any()


def test_somebody_cut_off_by_the_border_is_replaced_up_to_it():
  fake = _Fake()
  boxes = [(0, 0, 20, 60), (70, 10, 80, 60)]
  found = _run(fake, [Body(mask(box), n, str(n)) for n, box in enumerate(boxes)], _noise())
  assert (np.isin(found.image, (10, 20))[mask(*boxes)]).all()


def test_people_who_cannot_be_painted_are_filled():
  fake = _Fake()
  bodies = [
    Body(mask((5, 5, 20, 50)), 10000, reason='class 10 is no pedestrian (2)'),
    Body(mask((30, 5, 36, 28)), 1, 'tiny'),
  ]
  found = _run(fake, bodies, _noise())
  assert not fake.batches
  assert [d.reason for d in found.bodies] == ['class 10 is no pedestrian (2)',
                                              'less than 24 pixels high']  # fmt: skip
  assert (found.image[mask((5, 5, 20, 50), (30, 5, 36, 28))] == FILL).all()


def test_a_face_in_a_new_body_is_left_to_it_and_one_beside_is_covered():
  fake = _Fake()
  faces = [Face((12.0, 8.0, 18.0, 16.0)), Face((50.0, 8.0, 60.0, 20.0))]
  found = _run(fake, [Body(mask((5, 5, 30, 55)), 1, 'a')], _noise(), faces)
  assert [decision.action for decision in found.faces] == ['with its body', 'filled']
  assert (found.image[8:16, 12:18] == 10).all()
  assert (found.image[8:20, 50:60] == FILL).all()


def test_in_a_film_everybody_keeps_a_control_identity_and_else_nobody_does():
  body = Body(mask((5, 5, 30, 55)), 1, 'film body 1')
  for cast, same in ((Cast(), True), (None, False)):
    fake = _Fake()
    for _ in range(2):
      _run(fake, [body], _noise(), body_cast=cast)
    assert np.array_equal(*fake.controls) is same


def test_who_has_the_key_draws_the_same_people():
  fake, body = _Fake(), Body(mask((5, 5, 30, 55)), 1, 'a.jpg 0 body 1')
  anonymizer = BodyAnonymizer(
    Anonymizer(None, method='fill'), 'synthesize', Replacer(fake, key=b'secret')
  )
  anonymizer.anonymize_many([Request(_noise(), [], bodies=[body])])
  expected = controls.draw(IDENTITIES, b'secret', 'a.jpg 0 body 1')
  np.testing.assert_array_equal(fake.controls[0], expected)


def test_one_control_identity_can_be_asked_for(painter):
  fake = _Fake()
  anonymizer = BodyAnonymizer(
    Anonymizer(None, method='fill'), 'synthesize', Replacer(fake, identity='3')
  )
  anonymizer.anonymize_many([Request(_noise(), [], bodies=[Body(mask((5, 5, 30, 55)), 1)])])
  np.testing.assert_array_equal(fake.controls[0], np.eye(IDENTITIES)[3])
  with pytest.raises(InferenceError, match="identity '9'"):
    Replacer(painter, identity='9')


def test_bodies_of_several_frames_are_painted_together_and_come_out_as_alone(painter):
  requests = [
    Request(_noise(n), [], bodies=[Body(mask((5 + n, 5, 30, 55)), 1, 'a')]) for n in range(3)
  ]
  anonymizer = BodyAnonymizer(
    Anonymizer(None, method='fill'), 'synthesize', Replacer(painter, key=b'k')
  )
  together = anonymizer.anonymize_many(requests)
  for request, found in zip(requests, together, strict=True):
    (alone,) = anonymizer.anonymize_many([request])
    assert np.abs(found.image.astype(int) - alone.image).max() <= 1


def test_a_crop_has_the_share_of_the_person_that_networks_were_trained_with():
  frame = body_covering.frame_of(Wide(Body(mask((10, 5, 20, 56)), 1), mask((10, 5, 20, 56))).mask)
  assert frame.side == pytest.approx(51 / 0.85)
  np.testing.assert_allclose(frame.centre, (15, 30.5))
  wide = body_covering.frame_of(mask((10, 20, 61, 40)))  # as high as twice its width
  assert wide.side == pytest.approx(2 * 51 / 0.85)


def test_networks_with_joints_are_told_that_none_is_known():
  found = _run(BodyPainter(networks(joints=18)), [Body(mask((5, 5, 30, 55)), 1)], _noise())
  assert found.bodies[0].action == 'synthesized'


@pytest.mark.parametrize(
  ('change', 'phrase'),
  [
    ({'anonymization': None}, 'have no anonymization of bodies; it needs A and H'),
    ({'harmonization': None}, 'have no harmonization of bodies'),
    ({'input.person_share': 0.6}, 'fills 0.6, and harmonization on such of 0.85'),
    ({'input.parts_share': 1}, 'trained on maps with parts alone'),
  ],
)
def test_networks_that_do_not_fit_are_refused(change, phrase):
  given = types.SimpleNamespace(**vars(networks()))
  for name, value in change.items():
    if name.startswith('input.'):
      net = types.SimpleNamespace(**vars(given.anonymization))
      net.input = types.SimpleNamespace(**vars(net.input) | {name[6:]: value})
      given.anonymization = net
    else:
      setattr(given, name, value)
  with pytest.raises(InferenceError, match=phrase):
    BodyPainter(given)
