"""Faces of which only a box is known: nobody says where eyes, nose and mouth have to be covered."""

import numpy as np
import pytest
from test_anonymizer import BOX, Fake, _noise

from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Request
from anon_jax.inference.faces import Face


class Beside(Fake):
  """Finds the face's foreground a third of the crop's side away from its middle."""

  def maps(self, shown):
    return np.roll(super().maps(shown), 11, axis=2)


def _replaced(fake, masks=(), cast=None):
  request = Request(_noise(), [Face(BOX)], masks, cast=cast)
  ((decision,),) = [done.faces for done in Anonymizer(None, fake).anonymize_many([request])]
  return decision.action, decision.reason


def test_a_foreground_that_misses_part_of_the_box_is_not_believed():
  assert _replaced(Fake()) == ('synthesized', '')
  assert _replaced(Beside()) == ('filled', 'the foreground misses part of the box')


@pytest.mark.parametrize(('reach', 'action'), [(0.25, 'synthesized'), (0.15, 'filled')])
def test_the_foreground_has_to_cover_seven_tenths_of_the_box(reach, action):
  # without landmarks a crop's side is the box's by 0.6: the ellipse has 0.7 * 0.6 / 2 = 0.21 of it
  # as its radius; S's disc, of `reach`, is grown by 0.025
  assert _replaced(Fake(reach=reach))[0] == action


def test_what_tells_more_than_a_box_is_believed():
  mask = np.zeros((110, 120), bool)
  mask[40:80, 70:85] = True  # somebody's own, which leaves the middle
  assert _replaced(Fake(), masks=[mask])[0] == 'synthesized'
  assert _replaced(Beside(), cast={})[0] == 'synthesized'  # of a clip: other frames tell
