"""Attacks: outcomes worked by hand, attackers that learn what can be learnt and nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.protocols.attacks import attacker, imitation, inversion
from anon_jax.protocols.attacks.inputs import _cells
from anon_jax.protocols.attacks.linking import Side, link, mean_of
from anon_jax.protocols.attacks.pictures import DEVELOPMENT, TEST, TRAIN
from anon_jax.protocols.systems import METHOD, ORIGINAL


def _unit(rows):
  rows = np.asarray(rows, float)
  return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _side(vectors, labels, first_source=0):
  labels = np.array(labels)
  return Side(_unit(vectors), labels, np.arange(len(labels)) + first_source)


def test_a_probe_is_never_compared_with_its_own_source():
  vectors = [[1, 0.0], [0.9, 0.5], [0.1, 1]]
  probes = _side(vectors, [1, 2, 1])
  # Each is nearest to itself; without itself 0 finds 1, 1 finds 0 and 2 finds 1: all are wrong.
  assert link(probes, probes)['recall']['mean'] == 0
  elsewhere = _side(vectors, [1, 2, 1], first_source=10)
  assert link(probes, elsewhere)['recall']['mean'] == 1


def test_chance_is_one_in_as_many_as_there_are_people():
  rng = np.random.default_rng(0)
  labels = np.repeat(np.arange(20), 3)
  own = rng.normal(size=(20, 8))[labels] + 0.1 * rng.normal(size=(60, 8))
  found = link(_side(own, labels), _side(own, labels))
  assert found['recall']['mean'] == 1
  assert found['chance'] == pytest.approx(1 / 20, abs=0.01)
  assert found['lift'] == pytest.approx(20, rel=0.2)
  assert found['p'] == pytest.approx(1 / 1001)
  assert found['auc'] > 0.99
  nothing = link(_side(rng.normal(size=(60, 8)), labels), _side(own, labels, 100))
  assert nothing['p'] > 0.02
  assert nothing['recall']['mean'] < 0.2


def test_accepted_pairs_are_those_above_the_limit():
  probes, gallery = _side([[1, 0.0], [0, 1]], [1, 2]), _side([[1, 0.1], [1, 1]], [1, 2], 10)
  # cosines: 1-1 .995, 1-2 .707, 2-1 .0995, 2-2 .707
  found = link(probes, gallery, 0.8)
  assert (found['accepted'], found['accepted_of_two']) == (0.5, 0)
  found = link(probes, gallery, 0.7)
  assert (found['accepted'], found['accepted_of_two']) == (1, 0.5)
  assert 'accepted' not in link(probes, gallery)


def test_faces_that_are_not_there_are_left_out():
  side = Side(np.array([[1, 0.0], [np.nan, np.nan]]), np.array([1, 2]), np.array([5, 6]))
  assert side.known().sources.tolist() == [5]
  with pytest.raises(ValueError, match='NaN'):
    link(side, side)


def _two_kinds(rng, people, each):
  """Half of the features tell who it is, weakly; the other half is loud, and says nothing."""
  labels = np.repeat(np.arange(people), each)
  own = rng.normal(size=(people, 6))[labels] + 0.3 * rng.normal(size=(len(labels), 6))
  loud = 10 * rng.normal(size=(len(labels), 30))
  return np.concatenate([own, loud], axis=1).astype(np.float32), labels


def test_an_attacker_learns_from_some_people_how_to_tell_others_apart():
  rng = np.random.default_rng(0)
  features, labels = _two_kinds(rng, 40, 6)
  project = attacker.train(features, labels, 0)
  others, who = _two_kinds(rng, 20, 4)
  before = link(_side(others, who), _side(others, who))
  after = link(_side(project(others), who), _side(project(others), who))
  assert after['recall']['mean'] > before['recall']['mean'] + 0.3
  np.testing.assert_allclose(np.linalg.norm(project(others), axis=1), 1, rtol=1e-5)
  np.testing.assert_array_equal(project(others), attacker.train(features, labels, 0)(others))


def test_an_attacker_learns_nothing_where_nothing_is():
  rng = np.random.default_rng(1)
  labels = np.repeat(np.arange(30), 4)
  project = attacker.train(rng.normal(size=(120, 20)).astype(np.float32), labels, 0)
  others = project(rng.normal(size=(120, 20)).astype(np.float32))
  assert link(_side(others, labels), _side(others, labels))['p'] > 0.01


def test_an_attacker_leaves_out_faces_that_are_not_there():
  features, labels = _two_kinds(np.random.default_rng(0), 4, 3)
  project = attacker.train(features, labels, 0)
  features[2] = np.nan
  assert np.isnan(project(features)).all(axis=1).tolist() == [place == 2 for place in range(12)]
  with pytest.raises(ValueError, match='3 pictures of 1 people'):
    attacker.train(features[:3], np.zeros(3, int), 0)


def test_an_inversion_brings_back_what_can_be_brought_back():
  rng = np.random.default_rng(0)
  originals = np.kron(rng.integers(0, 256, (24, 4, 4, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
  made = originals // 2  # dark, and nothing is lost

  def embed(faces):
    means = jnp.mean(faces.reshape(faces.shape[0], -1, 3), axis=1)
    return means / (jnp.linalg.norm(means, axis=-1, keepdims=True) + 1e-6)

  found = inversion.train(made[:16], originals[:16], embed, 80, 0, (8, 12))(made[16:])
  assert (found.dtype, found.shape) == (np.uint8, (8, 16, 16, 3))
  dark, restored = (np.abs(x.astype(float) - originals[16:]).mean() for x in (made[16:], found))
  assert restored < 0.7 * dark


def test_cells_hold_the_share_of_each_class():
  maps = np.zeros((1, 32, 32), np.uint8)
  maps[0, :2, :1] = 3  # half of the first cell
  cells = _cells(maps).reshape(16, 16, 8)
  assert cells[0, 0].tolist() == [0.5, 0, 0, 0.5, 0, 0, 0, 0]
  assert cells[0, 1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


class _Recognised:
  """Stands for pictures whose embeddings are known."""

  def __init__(self, sides):
    self._sides = sides

  def recognised(self, part, system):
    return self._sides[part, system.name]


def test_nearness_to_training_pictures_stands_beside_that_of_strangers():
  training = _side([[1, 0, 0.0], [0.8, 0.6, 0], [0, 0, 1]], [1, 1, 2])
  rows = imitation.nearest(
    _Recognised(
      {
        (TRAIN, ORIGINAL.name): training,
        # of two people: one pair in a thousand may exceed .6, so none does
        (DEVELOPMENT, ORIGINAL.name): _side([[1, 0, 0.0], [0.6, 0.8, 0]], [8, 9]),
        (TEST, METHOD.name): _side([[1, 0, 0.0], [0, 0.6, 0.8]], [5, 6], 10),
        (TEST, ORIGINAL.name): _side([[0, 1, 0.0], [0, 1, 0]], [5, 6], 10),
      }
    )
  )
  outputs, strangers, own = ((row['cosine']['mean'], row['accepted']['mean']) for row in rows)
  assert outputs == (pytest.approx(0.9), 1)  # 1, a copy, and .8
  assert strangers == (pytest.approx(0.6), 0)  # .6 is not above the limit
  # each among the others, never with itself: .8, .8 and 0
  assert own == (pytest.approx(1.6 / 3), pytest.approx(2 / 3))


def test_the_mean_of_vectors_leaves_out_what_is_not_there_and_has_unit_length():
  rows = np.array([[2.0, 0], [0, 2], [np.nan, np.nan]])
  np.testing.assert_allclose(mean_of(rows), [0.5**0.5] * 2)
  assert np.isnan(mean_of(rows[2:])).all()
