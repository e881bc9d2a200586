"""Synthesis with real networks of random parameters: what gets into a new face, what does not."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from anon_jax import proxy
from anon_jax.data import semantic
from anon_jax.inference import crops, ladder, painting, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Request, Trust
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.inputs import HarmonizationInput, IdentityInput, Input, PaintingInput
from anon_jax.inference.synthesis import BUCKETS, Synthesizer, portions
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet

SIZE, IDENTITIES, SIGMA = 32, 6, 0.1
SKIN, HAIR = (semantic.CLASSES.index(name) for name in ('skin', 'hair'))


@functools.cache
def _weights(upscale=1, share=0.8, code=''):
  """Returns networks of random parameters; S, A and I have other sizes than H.

  A and I look at three quarters of what S and H do.
  """
  nets = {
    'segmentation': (SegmentationNet((8, 12)), Input(16)),
    'anonymization': (
      AnonymizationNet(IDENTITIES, widths_for('tiny', 32), HIDDEN['tiny']),
      PaintingInput(32, share, hair=code),
    ),
    'harmonization': (
      HarmonizationNet(WIDTHS['tiny'], upscale),
      HarmonizationInput(SIZE, condition_sigma=SIGMA),
    ),
    'identity': (IdentityNet((8, 16)), IdentityInput(16, share)),
  }
  rng, found = np.random.default_rng(0), {}
  for name, (module, shown) in nets.items():
    shapes = weights.shapes_of(module, shown.image_size)
    flat = {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}
    found[name] = weights.Network(module, weights.nested(flat), shown, None)
  return weights.Weights(**found)


@pytest.fixture(scope='module')
def synthesizer():
  return Synthesizer(_weights())


def _noise(*shape, seed=0):
  return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _disc(size=SIZE, reach=0.33):
  y, x = np.mgrid[:size, :size] + 0.5
  return np.hypot(x - size / 2, y - size / 2) < reach * size


def _map():
  """A map with all classes of a face in its middle, hair above and nothing else."""
  found = np.where(_disc(), SKIN, 0)
  found[14:18, 12:20] = 3
  found[18:22, 14:18], found[22:24, 12:20] = 4, 5
  found[:4] = HAIR
  return found.astype(np.uint8)


def _controls(count, seed=0):
  return np.random.default_rng(seed).dirichlet(np.ones(IDENTITIES), count).astype(np.float32)


def _conditions(count):
  return np.random.default_rng(7).uniform(-0.5, 0.5, (count, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize('missing', ['segmentation', 'anonymization', 'harmonization', 'identity'])
def test_a_missing_network_is_named(missing):
  rest = {name: value for name, value in vars(_weights()).items() if name != missing}
  with pytest.raises(InferenceError, match=f'have no {missing};') as caught:
    Synthesizer(weights.Weights(**rest))
  assert '\n' not in str(caught.value)


def test_every_row_has_its_place_in_a_bucket_and_none_is_filled_by_half_or_less():
  assert portions(5) == [(0, 4), (4, 1)]
  assert portions(37) == [(0, 16), (16, 16), (32, 4), (36, 1)]
  for count in range(1, 70):
    rows = [min(start + size, count) - start for start, size in portions(count)]
    assert sum(rows) == count
    for row, (_, size) in zip(rows, portions(count), strict=True):
      assert size in BUCKETS
      assert row > size / 2


def test_maps_are_those_of_s_at_its_own_size(synthesizer):
  images = _noise(1, 8, 8, 3, seed=1).repeat(4, 1).repeat(4, 2)
  (found,) = synthesizer.maps(images)
  net = _weights().segmentation
  small = jax.image.resize(images / np.float32(127.5) - 1, (1, 16, 16, 3), 'bilinear')
  logits = net.module.apply({'params': net.params}, small)
  wanted = jax.image.resize(logits, (1, SIZE, SIZE, 8), 'bilinear').argmax(-1)[0]
  assert found.dtype == np.uint8
  assert len(np.unique(found)) > 1
  assert (found == wanted).mean() > 0.99


def test_conditions_are_blurred_crops(synthesizer):
  images = _noise(3, SIZE, SIZE, 3)
  wanted = proxy.blur(images / np.float32(127.5) - 1, SIGMA * SIZE)
  np.testing.assert_allclose(synthesizer.conditions(images), wanted, atol=1e-5)


def test_rows_of_a_batch_are_what_they_are_alone(synthesizer):
  images, count = _noise(5, SIZE, SIZE, 3), 5  # in two portions
  maps = synthesizer.maps(images)
  replaced = np.isin(maps, semantic.FOREGROUND)
  together = synthesizer.paint(images, maps, _controls(count), replaced=replaced)
  for n in range(count):
    row = slice(n, n + 1)
    np.testing.assert_array_equal(synthesizer.maps(images[row])[0], maps[n])
    alone = synthesizer.paint(images[row], maps[row], _controls(count)[row], replaced=replaced[row])
    assert abs(alone.painted[0].astype(int) - together.painted[n]).max() <= 1
    np.testing.assert_array_equal(alone.mask[0], together.mask[n])
    np.testing.assert_allclose(alone.similarity[0], together.similarity[n], atol=1e-3)


def _paint(synthesizer, image, semantic_map=None, replaced=None, seed=0):
  """Paints one face; two pixels about the foreground are replaced unless others are named."""
  semantic_map = _map() if semantic_map is None else semantic_map
  if replaced is None:
    replaced = crops.grown(np.isin(semantic_map, semantic.FOREGROUND), 2)
  return synthesizer.paint(
    image[None],
    semantic_map[None],
    _controls(1, seed),
    replaced=replaced[None],
    conditions=_conditions(1),
  )


def test_no_pixel_of_the_foreground_gets_into_the_painted_crop(synthesizer):
  image, foreground = _noise(SIZE, SIZE, 3), np.isin(_map(), semantic.FOREGROUND)
  replaced = crops.grown(foreground, 1)
  other = np.where(replaced[..., None], _noise(SIZE, SIZE, 3, seed=1), image)
  one = _paint(synthesizer, image, replaced=replaced)
  np.testing.assert_array_equal(one.painted, _paint(synthesizer, other, replaced=replaced).painted)
  # while one pixel beside it, and the control, do
  beside = image.copy()
  beside[np.nonzero(crops.grown(replaced, 1) & ~replaced)[0][:1], :] ^= 255
  changed = _paint(synthesizer, beside, replaced=replaced)
  assert (changed.painted != one.painted).any()
  assert (_paint(synthesizer, image, replaced=replaced, seed=1).painted != one.painted).any()


def test_what_is_named_is_replaced_and_never_less_than_the_foreground(synthesizer):
  image, foreground = _noise(SIZE, SIZE, 3), np.isin(_map(), semantic.FOREGROUND)
  found = _paint(synthesizer, image)
  np.testing.assert_array_equal(found.mask[0], crops.grown(foreground, 2))
  np.testing.assert_allclose(found.foreground, [foreground.mean()], rtol=1e-6)
  more = crops.grown(foreground, 3)
  found = _paint(synthesizer, image, replaced=more)
  np.testing.assert_array_equal(found.mask[0], more)
  np.testing.assert_allclose(found.foreground, [foreground.mean()], rtol=1e-6)
  # never less than the foreground
  found = _paint(synthesizer, image, replaced=np.zeros_like(more))
  np.testing.assert_array_equal(found.mask[0], foreground)


def test_the_face_fades_into_the_background_that_is_prolonged_beyond_the_mask(synthesizer):
  image, green = _noise(SIZE, SIZE, 3), np.array([20, 180, 40])
  replaced = crops.grown(np.isin(_map(), semantic.FOREGROUND), 2)
  image[~replaced] = green
  found = _paint(synthesizer, image, replaced=replaced)
  off = abs(found.painted[0] - green).max(-1)
  assert off[~replaced].max() <= 1  # and no noise of the foreground, nor the condition
  # H has a weight of 2 * 3 / 5 - 1 in the first pixel of a straight edge, 1 in the third
  first, within = (replaced & crops.grown(~replaced, n) for n in (1, 2))
  assert np.median(off[first]) <= 0.2 * 235 + 1
  assert np.median(off[replaced & ~within]) > 10


def test_where_nothing_of_the_background_is_near_the_condition_stands_for_it(synthesizer):
  whole = np.full((SIZE, SIZE), SKIN, np.uint8)
  one, two = (
    _paint(synthesizer, _noise(SIZE, SIZE, 3, seed=seed), whole, whole > 0).painted
    for seed in (0, 1)
  )
  np.testing.assert_array_equal(one, two)


def test_what_is_replaced_beside_the_foreground_is_painted_as_skin(synthesizer):
  foreground = np.isin(_map(), semantic.FOREGROUND)
  replaced = crops.grown(foreground, 3)
  ring = replaced & ~foreground
  named = [np.where(ring, label, _map()).astype(np.uint8) for label in (0, HAIR, SKIN)]
  one, two, three = (
    _paint(synthesizer, _noise(SIZE, SIZE, 3), semantic_map, replaced).painted
    for semantic_map in named
  )
  np.testing.assert_array_equal(one, two)
  np.testing.assert_array_equal(one, three)
  eyes = _paint(synthesizer, _noise(SIZE, SIZE, 3), np.where(ring, 3, _map()), replaced).painted
  assert (eyes != one).any()


def test_a_paints_where_it_looked_and_beyond_h_is_shown_the_condition(synthesizer, monkeypatch):
  image, shown = _noise(SIZE, SIZE, 3), []
  whole = np.full((SIZE, SIZE), SKIN, np.uint8)
  inputs = painting.harmonization.harmonizer_inputs
  monkeypatch.setattr(
    painting.harmonization,
    'harmonizer_inputs',
    lambda mask, picture, condition: shown.append(picture) or inputs(mask, picture, condition),
  )
  painter = _weights().anonymization
  with jax.disable_jit():
    Synthesizer(_weights()).paint(
      image[None],
      whole[None],
      _controls(1),
      replaced=whole[None] > 0,
      conditions=_conditions(1),
    )
  face = painter.module.apply(
    {'params': painter.params}, _controls(1), np.full((1, 32, 32), SKIN, np.uint8)
  )
  wanted = _conditions(1)
  wanted[:, 4:28, 4:28] = np.clip(jax.image.resize(face, (1, 24, 24, 3), 'cubic'), -1, 1)
  np.testing.assert_allclose(shown[0], wanted, atol=1e-5)


@pytest.mark.parametrize(
  ('name', 'share'),
  [('segmentation', 0.8), ('harmonization', 0.5), ('anonymization', 0.5), ('identity', 0.4)],
)
def test_networks_that_were_shown_other_crops_are_refused(name, share):
  net = getattr(_weights(), name)
  other = dataclasses.replace(net, input=dataclasses.replace(net.input, face_share=share))
  with pytest.raises(InferenceError, match=f'{name} was trained on crops') as caught:
    Synthesizer(dataclasses.replace(_weights(), **{name: other}))
  assert '\n' not in str(caught.value)


def test_similarity_compares_the_foregrounds_of_the_original_and_the_result():
  synthesizer = Synthesizer(_weights(share=0.6))
  image = _noise(SIZE, SIZE, 3)
  found = _paint(synthesizer, image)
  mask = found.mask[0][1::2, 1::2][..., None]  # nearest, at half the size
  judge, embeddings = _weights().identity, []
  for picture in (image, np.where(found.mask[0][..., None], found.painted[0], image)):
    small = jax.image.resize(picture / np.float32(127.5) - 1, (16, 16, 3), 'bilinear')
    shown = np.where(mask, small, 0)[None]
    embeddings.append(judge.module.apply({'params': judge.params}, shown)[0])
  np.testing.assert_allclose(found.similarity, [embeddings[0] @ embeddings[1]], atol=1e-3)
  assert abs(found.similarity) < 0.999


def test_an_h_that_enlarges_paints_more_pixels():
  synthesizer = Synthesizer(_weights(2))
  found = _paint(synthesizer, _noise(SIZE, SIZE, 3))
  assert (synthesizer.size, synthesizer.output_size) == (SIZE, 2 * SIZE)
  assert found.painted.shape == (1, 2 * SIZE, 2 * SIZE, 3)
  wanted = crops.grown(np.isin(_map(), semantic.FOREGROUND), 2)
  np.testing.assert_array_equal(found.mask[0], wanted.repeat(2, 0).repeat(2, 1))


def _face(x, y, side, degrees):
  """A face whose crop lies where it is told to; see test_crops."""
  a, d = math.radians(degrees), side / (1.6 * 2.87)
  across, down = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
  places = [(-0.5, -0.3), (0.5, -0.3), (0, 0.2), (-0.4, 0.7), (0.4, 0.7)]
  points = tuple(tuple((x, y) + d * (u * across + v * down)) for u, v in places)
  half = max(10, 0.31 * side)
  return Face((x - half, y - half, x + half, y + half), 1.0, points)


PLACES = {
  'as large as the crop': (60, 50, 32, 0),
  'turned': (60.3, 50.7, 32, 45),
  'enlarged': (60, 50, 17, 0),
  'enlarged and turned': (60.4, 50, 18.3, 155),
  'reduced': (60, 50, 75, 0),
  'reduced and turned': (60, 50.2, 140.7, -70),
  'at the left border': (3, 50, 40, 10),
  'at the right border': (118, 50, 60, 0),
  'at the top': (60, 2, 90, -30),
  'in the last corner': (119, 99, 25, 200),
}


@pytest.fixture
def anonymizer(synthesizer, monkeypatch):
  """With S and the appearance condition held, and every face trusted."""
  monkeypatch.setattr(synthesizer, 'maps', lambda shown: np.stack([_map()] * len(shown)))
  monkeypatch.setattr(synthesizer, 'conditions', lambda shown: _conditions(len(shown)))
  return Anonymizer(None, synthesizer, trust=Trust(similarity=2), key=b'key')


def _both(anonymizer, face, hidden, masks=()):
  """Anonymizes two pictures that differ in the hidden pixels only."""
  original = _noise(100, 120, 3)
  other = np.where(hidden[..., None], _noise(100, 120, 3, seed=1), original)
  found = [
    anonymizer.anonymize_many([Request(picture, [face], masks)])[0] for picture in (original, other)
  ]
  assert [f.faces[0].action for f in found] == ['synthesized'] * 2, found[0].faces
  return original, found[0].image, found[1].image


@pytest.mark.parametrize('place', PLACES)
def test_no_pixel_under_the_foreground_gets_into_the_picture(anonymizer, place):
  face = _face(*PLACES[place])
  foreground = np.isin(_map(), semantic.FOREGROUND)
  hidden = crops.touched(foreground, crops.frame_of(face), 120, 100)
  original, one, other = _both(anonymizer, face, hidden)
  np.testing.assert_array_equal(one, other)
  assert (one != original).any(-1)[hidden].mean() > 0.95
  assert (one == original).all(-1).mean() > 0.02


@pytest.mark.parametrize('place', ['enlarged', 'at the left border'])
def test_a_margin_of_two_pixels_would_not_be_enough(anonymizer, place, monkeypatch):
  face = _face(*PLACES[place])
  foreground = np.isin(_map(), semantic.FOREGROUND)
  hidden = crops.touched(foreground, crops.frame_of(face), 120, 100)
  monkeypatch.setattr(ladder.crops, 'shows', lambda *_: crops.grown(foreground, 2))
  _, one, other = _both(anonymizer, face, hidden)
  assert (one != other).any()


@pytest.mark.parametrize('place', PLACES)
def test_no_pixel_under_a_users_mask_gets_into_the_picture(anonymizer, place):
  face = _face(*PLACES[place])
  frame = crops.frame_of(face)
  mask = crops.touched(_disc(reach=0.4), frame, 120, 100)
  mask[-1, 5:50], mask[8, 110] = True, True  # partly beyond the crop
  original, one, other = _both(anonymizer, face, mask, [mask])
  np.testing.assert_array_equal(one, other)
  assert (one != original).any(-1)[mask].mean() > 0.95
  beyond = mask & ~crops.touched(np.ones((SIZE, SIZE), bool), frame, 120, 100)
  assert (one[beyond] == 127).all()
