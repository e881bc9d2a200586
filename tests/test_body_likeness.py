"""Whether bodies can be linked: numbers worked by hand."""

import numpy as np
import pytest

from anon_jax.evaluation import body_likeness

RED, BLUE, BOTH = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8)
PEOPLE, TIMES = np.array([0, 0, 1, 1]), np.array([0, 10, 0, 10])
SOURCE = np.array([RED, RED, BLUE, BLUE])
NOBODY = np.zeros((0, 0))


def _found(output, strangers=NOBODY, gap=10):
  return body_likeness.likenesses(SOURCE, output, PEOPLE, TIMES, strangers, gap)


def test_colours_of_two_halves_share_half_of_each():
  pixels = np.zeros((4, 4, 3), np.uint8)
  pixels[:, :2], pixels[:, 2:] = (255, 0, 0), (0, 0, 255)
  everywhere, left = np.ones((4, 4), bool), np.arange(4) < 2
  both = body_likeness.colours(pixels, everywhere)
  red = body_likeness.colours(pixels, np.broadcast_to(left, (4, 4)))
  assert sorted(both[both > 0]) == pytest.approx([0.5**0.5] * 2)
  assert both @ both == pytest.approx(1) and both @ red == pytest.approx(0.5**0.5)
  with pytest.raises(ValueError, match='no pixel is of the body'):
    body_likeness.colours(pixels, ~everywhere)


def test_sources_find_themselves_and_swapped_people_each_other():
  clear = _found(SOURCE)
  for values, wanted in zip(clear, (1, 1, 0, 1, 1), strict=True):
    np.testing.assert_array_equal(values, [wanted] * 4)
  swapped = _found(SOURCE[::-1])
  for values, wanted in zip(swapped, (0, 0, 1, 0, 0), strict=True):
    np.testing.assert_array_equal(values, [wanted] * 4)


def test_each_other_person_weighs_the_same_and_ties_are_half_a_link_and_no_hit():
  found = _found(np.array([BOTH] * 4), np.array([RED]))
  # for a red person: another of .8 twice, who is nearer, and a stranger of .6, who is as near
  assert found.own[0] == pytest.approx(0.6) and found.others[0] == pytest.approx(0.7)
  assert found.auc[0] == pytest.approx(0.25) and found.hit[0] == 0
  # for a blue one: both others are farther
  assert (found.auc[2], found.hit[2]) == (1, 1) and found.others[2] == pytest.approx(0.6)


def test_the_gallery_has_the_frame_that_is_the_farthest_in_time():
  source = np.array([BOTH, RED, RED, BLUE])
  people, times = np.array([0, 0, 0, 1]), np.array([0, 5, 20, 0])
  output = np.array([BOTH, BOTH, BLUE, BLUE])
  found = body_likeness.likenesses(source, output, people, times, np.array([BOTH]), 5)
  # its farthest frame is red (.6), the other person blue (.8)
  assert found.hit[0] == 0 and found.same[0] == pytest.approx(0.6)
  # a blue output of the last frame is nearer to the first frame (.8) than to the second (0)
  assert found.same[2] == pytest.approx(0.4) and found.hit[2] == 0
  assert np.isnan(found.auc[3]) and found.own[3] == 1  # one frame: nothing of hers is elsewhere


def test_without_others_nobody_can_be_mistaken():
  found = body_likeness.likenesses(SOURCE[:2], SOURCE[:2], PEOPLE[:2], TIMES[:2], NOBODY, 10)
  assert np.isnan(found.others).all() and np.isnan(found.hit).all()
  np.testing.assert_array_equal(found.same, [1, 1])
  assert np.isnan(_found(SOURCE, gap=11).same).all()


def test_a_summary_has_means_intervals_and_chance():
  found = _found(np.array([RED, BLUE, BLUE, BLUE]))
  result = body_likeness.summary(found, 2, np.array([0, 1, 2, 3]))
  assert result['recall']['mean'] == result['own']['mean'] == 0.75
  assert result['chance'] == 0.5 and result['auc']['low'] <= 0.75 <= result['auc']['high']
  every = body_likeness.summary(_found(SOURCE), 2, np.zeros(4))
  assert every['recall']['low'] == pytest.approx(1 / (1 + 1.959964**2))  # one block says little


def test_shapes_that_do_not_go_together_are_named():
  with pytest.raises(ValueError, match=r'expected \[n, d\] twice and \[n\]'):
    _found(SOURCE[:3])
  with pytest.raises(ValueError, match=r'strangers have shape \(1, 3\); expected \[m, 2\]'):
    _found(SOURCE, np.zeros((1, 3)))
