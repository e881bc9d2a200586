"""Control identities: mixtures that only the holder of a key can repeat, and those users name."""

import re

import numpy as np
import pytest

from anon_jax.inference import controls
from anon_jax.inference.errors import InferenceError

KEY = b'a secret'


def _is_mixture(weights, identities):
  assert weights.shape == (identities,)
  assert weights.dtype == np.float32
  assert (weights >= 0).all()
  np.testing.assert_allclose(weights.sum(), 1, atol=1e-6)


@pytest.mark.parametrize('key', [None, KEY])
def test_a_draw_mixes_three_control_identities(key):
  for attempt in range(200):
    weights = controls.draw(20, key, 'a 0', attempt)
    _is_mixture(weights, 20)
    assert np.count_nonzero(weights) == 3


@pytest.mark.parametrize('identities', [1, 2, 3])
def test_of_few_control_identities_all_are_mixed(identities):
  weights = controls.draw(identities)
  _is_mixture(weights, identities)
  assert weights.all()


def test_draws_reach_every_control_identity_alike():
  total = sum(controls.draw(20, KEY, f'a {n}') for n in range(3000))
  # 3000 / 20 = 150 each; the weight in one draw has variance .05 * .5 - .05 ** 2 < .025 (a
  # uniform mixture of three has mean square 1/6), so the total's deviation is below 9
  assert abs(total - 150).max() < 5 * 9


@pytest.mark.parametrize('key', [None, KEY])
def test_a_draw_keeps_to_those_that_suit(key):
  suited = np.array([4, 7, 8, 19])
  drawn = [controls.draw(20, key, f'a {n}', among=suited) for n in range(100)]
  for weights in drawn:
    _is_mixture(weights, 20)
    assert np.count_nonzero(weights) == 3
  assert np.flatnonzero(sum(drawn)).tolist() == suited.tolist()


def test_the_holder_of_a_key_can_repeat_a_draw():
  one = controls.draw(20, KEY, 'beach.jpg 0 2', 1)
  np.testing.assert_array_equal(one, controls.draw(20, KEY, 'beach.jpg 0 2', 1))


@pytest.mark.parametrize(
  'other',
  [
    (b'a secret ', 'beach.jpg 0 2', 1),
    (KEY, 'beach.jpg 0 3', 1),
    (KEY, 'beach.jpg 0 2', 2),
    (KEY, '1:beach.jpg 0 2', 1),
    (KEY, '\udcff', 1),  # a file's name need not be text
  ],
)
def test_another_key_face_or_attempt_draws_another_mixture(other):
  one = controls.draw(1000, KEY, 'beach.jpg 0 2', 1)
  assert not np.array_equal(one, controls.draw(1000, *other))


def test_attempt_and_face_cannot_be_taken_for_each_other():
  assert not np.array_equal(controls.draw(1000, KEY, '2a', 1), controls.draw(1000, KEY, 'a', 12))


def test_keyed_draws_stay_the_same_from_version_to_version():
  # A key is of no use if another version of NumPy makes something else of it.
  weights = controls.draw(20, KEY, 'beach.jpg 0', 0)
  found = {int(n): round(float(weights[n]), 4) for n in np.flatnonzero(weights)}
  assert found == {2: 0.0398, 8: 0.4313, 13: 0.529}


def test_without_a_key_no_draw_can_be_repeated():
  np.random.seed(0)  # noqa: NPY002
  one = controls.draw(1000, None, 'a 0')
  np.random.seed(0)  # noqa: NPY002
  assert not np.array_equal(one, controls.draw(1000, None, 'a 0'))


@pytest.mark.parametrize(
  ('text', 'wanted'),
  [
    ('3', {3: 1}),
    ('0', {0: 1}),
    ('3:0.5,1:0.5', {3: 0.5, 1: 0.5}),
    ('3:3,1:1', {3: 0.75, 1: 0.25}),
    ('3:.5,3:.5,4:1.', {3: 0.5, 4: 0.5}),
    ('3,4', {3: 0.5, 4: 0.5}),
    ('3:0,4:0.000001', {4: 1}),
    ('3:999999999,4:999999999', {3: 0.5, 4: 0.5}),
  ],
)
def test_a_named_mixture_has_weights_that_add_up_to_one(text, wanted):
  weights = controls.parse(text, 5)
  _is_mixture(weights, 5)
  found = {int(n): float(weights[n]) for n in np.flatnonzero(weights)}
  assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
  'text',
  [
    *('', ' ', 'seven', '-1', '3:', '3:-1', '3:.', '3,', ',3', '3;4', '3:1e9', '3:nan', '3:inf'),
    *('3 ', '3\n', '3:1:1', '0x3', '\u0663', '3.5', '1' * 10, '3:' + '9' * 400),
  ],
)
def test_what_is_no_mixture_is_refused(text):
  with pytest.raises(InferenceError, match='give a number below 5, a mixture') as caught:
    controls.parse(text, 5)
  assert '\n' not in str(caught.value)
  assert len(str(caught.value)) < 200


@pytest.mark.parametrize('text', ['5', '0:1,5:0', '999999999'])
def test_control_identities_that_do_not_exist_are_refused(text):
  number = text.split(',')[-1].split(':')[0]
  with pytest.raises(InferenceError, match=f'names {number}, .* identities 0 to 4'):
    controls.parse(text, 5)


def test_a_mixture_of_nothing_is_refused():
  with pytest.raises(InferenceError, match=re.escape("identity '3:0,4:0.0' has no weight above 0")):
    controls.parse('3:0,4:0.0', 5)
