"""Whom A's faces are taken for: measured with a recogniser whose answers are known by hand."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.data.pipeline import View, eval_dataset
from anon_jax.evaluation import anonymization, anonymization_report
from anon_jax.evaluation.anonymization import People, Sizes

SIDE, CLASSES = 16, 4
# One pure colour a training identity; held-out people are greys of other channels' mixtures.
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
STRANGERS = np.array([[255, 0, 255], [0, 255, 255], [40, 80, 160]], np.uint8)


class _Faces:
  """Faces of one colour on a background of the same colour, so that both tell who it is."""

  def __init__(self, colours, first, pictures=3):
    self._colours = np.repeat(colours, pictures, axis=0)
    self._labels = first + np.repeat(np.arange(len(colours)), pictures)

  def __len__(self):
    return len(self._labels)

  def __getitem__(self, index):
    maps = np.zeros((SIDE, SIDE), np.uint8)
    maps[4:12, 4:12] = 1
    image = np.broadcast_to(self._colours[index], (SIDE, SIDE, 3)).copy()
    image[0, 0] = index  # no two pictures are equal
    return {'image': image, 'map': maps, 'identity': self._labels[index]}

  def identity_labels(self):
    return self._labels


def _paint(params, batch, mixtures):
  """Stands for a stage: gives each face the colour of its control identity."""
  del params
  known = jnp.asarray(COLOURS[: mixtures.shape[1]], jnp.float32) / 127.5 - 1
  inside = (batch['map'] == 1)[..., None]
  images = batch['image'].astype(jnp.float32) / 127.5 - 1
  return jnp.where(inside, (mixtures @ known)[:, None, None, :], images)


def _paint_red(params, batch, mixtures):
  """Always paints the first identity."""
  red = jax.nn.one_hot(jnp.zeros(len(mixtures), int), mixtures.shape[1])
  return _paint(params, batch, red)


class _Eye:
  """Stands for a recogniser: the mean colour of the middle, or of the whole crop, is the person."""

  params = None

  def __init__(self, middle=True):
    self._middle = middle

  def embed(self, params, crops):
    seen = crops[:, 5:11, 5:11] if self._middle else crops
    colour = seen.mean(axis=(1, 2))
    return colour / jnp.linalg.norm(colour + 1e-6, axis=-1, keepdims=True)


PEOPLE = People(_Faces(COLOURS, 10), _Faces(STRANGERS, 50), np.arange(10, 14), View(SIDE))
SIZES = Sizes(outputs=60, maps=3, controls=4, gallery=2, batch=8)


def _recognise(paint, eye, sizes=SIZES):
  measured = anonymization.Measurement(paint, {}, eye, PEOPLE, sizes)
  return anonymization.recognise(measured, PEOPLE, sizes)


@pytest.fixture(scope='module')
def perfect():
  return _recognise(_paint, _Eye())


def test_an_a_that_paints_the_control_identity_scores_1_and_all_nearest_identities_differ(perfect):
  assert perfect['control'] == 1.0
  assert perfect['distinct']['mean'] == 4.0
  assert (perfect['distinct']['maps'], perfect['distinct']['controls']) == (3, 4)


def test_an_a_that_always_paints_one_person_scores_at_chance_with_one_nearest_identity():
  stuck = _recognise(_paint_red, _Eye())
  assert abs(stuck['control'] - 0.5) < 0.2
  assert stuck['distinct']['mean'] == 1.0


def test_the_source_is_lost_where_its_face_is_and_the_real_picture_is_found(perfect):
  assert perfect['source_real'] == 1.0
  assert abs(perfect['source'] - 0.5) < 0.2


def test_a_recogniser_that_sees_the_background_finds_the_source_in_it():
  """Three quarters of the crop are background: outputs and blanked pictures alike give it away."""
  found = _recognise(_paint, _Eye(middle=False))
  assert found['source_blanked'] > 0.9
  assert found['source'] > 0.7


def test_counts_say_what_was_compared(perfect):
  assert (perfect['outputs'], perfect['sources'], perfect['source_identities']) == (60, 9, 3)
  assert perfect['classes'] == 4


def test_without_maps_diversity_is_left_out():
  assert _recognise(_paint, _Eye(), Sizes(outputs=6, maps=0, batch=8))['distinct'] == {}


def test_the_plain_and_the_shared_path_embed_the_same():
  measured = anonymization.Measurement(_paint, {}, _Eye(), PEOPLE, SIZES)
  controls = np.array([0, 1, 2, 3, 1])
  one_by_one = measured.painted(np.full(5, 4), controls).embeddings
  np.testing.assert_allclose(measured.many(4, controls), one_by_one, atol=1e-6)


def test_the_source_picture_is_never_among_those_it_is_compared_with():
  """Two pictures of a person at right angles: each one's centre is the other."""
  real = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
  own, strangers = anonymization._source_centres(
    real, np.array([3, 3, 8, 8]), np.array([0, 1]), np.random.default_rng(0)
  )
  np.testing.assert_allclose(own, [[0.0, 1.0], [1.0, 0.0]])
  np.testing.assert_allclose(strangers, np.full((2, 2), -np.sqrt(0.5)))


def test_another_is_never_the_given_one_and_reaches_all_others():
  rng = np.random.default_rng(0)
  given = np.tile(np.arange(3), 50)
  other = anonymization._another(rng, given, 3)
  assert (other != given).all()
  assert set(zip(given, other, strict=True)) == {
    (a, b) for a in range(3) for b in range(3) if a != b
  }


def test_the_l1_of_the_own_identity_is_zero_for_a_painter_of_the_right_colour():
  batches = eval_dataset(PEOPLE.train, PEOPLE.view, batch_size=8)
  found = anonymization.own_identity_l1(_paint, {}, batches, PEOPLE.numbers)
  assert (found['count'], found['mean']) == (12, pytest.approx(0.0, abs=1e-6))
  # Without the first class three pictures have none; the other painter is always red.
  fewer = anonymization.own_identity_l1(_paint_red, {}, batches, PEOPLE.numbers[1:])
  assert fewer['count'] == 9
  # Green and blue differ from red in two channels of three, yellow in one.
  assert fewer['mean'] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3, abs=1e-5)


def test_the_report_has_all_rows_or_the_reason_why_not(tmp_path, perfect):
  own = {'count': 2, 'mean': 0.25, 'low': 0.125, 'high': 0.5}
  judge = {'count': 5, 'auc': 0.75, 'threshold': 0.5, 'recall@1': own}
  result = {'own_l1': own, 'recognition': perfect, 'identification': judge}
  text = anonymization_report.write_report(tmp_path, 7, result, {'seed': 0}).read_text()
  assert '0.2500 [0.1250, 0.5000]' in text
  assert '| control identity nearer than another training identity | 1.0000 | near 1 |' in text
  assert 'on 60 outputs of 9 held-out pictures of 3 people' in text
  assert json.loads((tmp_path / 'results.json').read_text())['anonymization']['own_l1'] == own
  assert anonymization_report.scalars(result)['eval/auc_control'] == 1.0
  assert 'people have a cosine above 0.5000 once in a thousand' in text
  without = result | {'recognition': {'missing': 'no weights in /x'}}
  text = anonymization_report.write_report(tmp_path, 7, without, {'seed': 0}).read_text()
  assert 'were left out: no weights in /x' in text
  assert '| AUC |' not in text
  assert anonymization_report.scalars(without) == {'eval/own_l1': 0.25, 'eval/auc_i': 0.75}
