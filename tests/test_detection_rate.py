"""How often a face is found again; and intervals over people."""

import numpy as np
import pytest

from anon_jax.evaluation.boxes import overlap
from anon_jax.evaluation.detection_rate import Detections, detection_rate, found_again
from anon_jax.evaluation.intervals import bootstrap_mean, share_of, wilson

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0))


def _found(*faces):
  return Detections(np.array([face[:4] for face in faces], float), np.array([f[4] for f in faces]))


def test_overlap_is_the_intersection_over_the_union():
  assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
  assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
  assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0


def test_rates_count_pictures_whose_original_has_a_face():
  face, beside = (0, 0, 10, 10, 0.95), (0, 0, 10, 6, 0.6)
  elsewhere, weak = (50, 50, 60, 60, 0.95), (0, 0, 10, 10, 0.3)
  originals = [_found(face)] * 4 + [_found(weak), NOTHING]
  outputs = [_found(elsewhere, face), _found(beside), _found(elsewhere), NOTHING, _found(face)] * 2
  found = {score: detection_rate(originals, outputs[:6], score) for score in (0.05, 0.5, 0.9)}
  assert [found[score]['pictures'] for score in found] == [5, 4, 4]
  # same place: pictures 0, 1 and 4 at .05; 0 and 1 at .5; 0 at .9, where `beside` is too weak
  assert [found[s]['same_place']['mean'] for s in found] == [3 / 5, 2 / 4, 1 / 4]
  assert [found[s]['any']['mean'] for s in found] == [4 / 5, 3 / 4, 2 / 4]


def test_the_face_of_an_original_is_its_surest():
  original = _found((0, 0, 10, 10, 0.6), (50, 50, 60, 60, 0.9))
  assert detection_rate([original], [_found((0, 0, 10, 10, 0.9))], 0.5)['same_place']['mean'] == 0
  assert detection_rate([original], [_found((50, 50, 60, 60, 0.6))], 0.5)['same_place']['mean'] == 1


def test_without_any_face_there_is_no_rate():
  found = detection_rate([NOTHING], [NOTHING], 0.5)
  assert found['pictures'] == 0
  assert np.isnan(found['any']['mean'])
  with pytest.raises(ValueError, match='1 originals and 0 outputs'):
    detection_rate([NOTHING], [], 0.5)


def test_people_are_drawn_as_wholes():
  # Ten pictures of each of two people, all or none right: with people drawn, anything may be.
  values, people = np.repeat([0.0, 1.0], 10), np.repeat([3, 7], 10)
  assert bootstrap_mean(values, groups=people) == {'mean': 0.5, 'low': 0.0, 'high': 1.0}
  alone = bootstrap_mean(values)
  assert 0.2 < alone['low'] < alone['mean'] == 0.5 < alone['high'] < 0.8


def test_people_with_more_pictures_weigh_more():
  values, people = np.array([1.0, 0, 0, 0]), np.array([1, 2, 2, 2])
  found = bootstrap_mean(values, groups=people)
  assert (found['mean'], found['low'], found['high']) == (0.25, 0.0, 1.0)


def test_pictures_are_told_one_by_one_and_count_only_with_a_face_before():
  face, weak = (0, 0, 10, 10, 0.95), (0, 0, 10, 10, 0.3)
  found = found_again(
    [_found(face), _found(weak), _found(face)], [_found(face)] * 2 + [NOTHING], 0.5
  )
  assert found.counted.tolist() == [True, False, True]
  assert found.same_place.tolist() == found.any.tolist() == [True, False, False]


def test_wilsons_interval_is_that_of_its_formula():
  # n / (n + z^2) of eight successes in eight; 5 of 10 is in every table
  assert wilson(1.0, 8) == (pytest.approx(8 / (8 + 1.959964**2), abs=1e-6), 1.0)
  assert wilson(0.0, 8) == (0.0, pytest.approx(1.959964**2 / (8 + 1.959964**2), abs=1e-6))
  assert wilson(0.5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
  for share, count in ((0.5, 0), (1.5, 3)):
    with pytest.raises(ValueError, match='expected a share in'):
      wilson(share, count)


def test_a_share_of_all_or_of_none_is_as_sure_as_there_are_people():
  people = np.repeat(np.arange(4), 5)
  every = share_of(np.ones(20, bool), people)
  assert (every['mean'], every['low'], every['high']) == (1.0, wilson(1.0, 4)[0], 1.0)
  assert share_of(np.zeros(20, bool))['high'] == wilson(0.0, 20)[1]
  some = np.arange(20) < 5
  assert share_of(some, people) == bootstrap_mean(some, groups=people)
  assert np.isnan(share_of(np.zeros(0, bool))['low'])
