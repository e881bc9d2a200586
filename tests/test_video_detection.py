"""Frames are searched beside each other, and come back in their order."""

import threading
import time

import numpy as np
import pytest

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.video_detection import Search
from anon_jax.inference.video_reading import Frame


def _frame(number):
  return Frame(np.full((36, 64, 3), number, np.uint8), number, 0)


def _face(number):
  return Face((float(number), 0.0, float(number) + 9, 9.0), 0.5)


def _slow_at_first(pixels, quick):
  time.sleep(0 if quick else 0.02)
  return [_face(pixels[0, 0, 0])]


@pytest.mark.parametrize('threads', [1, 2, 4])
def test_every_frame_comes_back_in_order_with_its_own_faces(threads):
  found = []
  with Search(_slow_at_first, threads) as search:
    for number in range(20):
      found += search.push(_frame(number), quick=number % 5 != 0)
      assert len(found) >= number - threads
    found += search.flush()
    assert search.flush() == []
  assert [each.frame.time for each in found] == list(range(20))
  assert [each.faces for each in found] == [[_face(number)] for number in range(20)]


def test_a_detector_for_one_caller_is_called_by_its_caller():
  callers = []
  with Search(lambda pixels, quick: callers.append(threading.get_ident()) or [], 1) as search:
    assert len(search.push(_frame(0), quick=True)) == 1
  assert callers == [threading.get_ident()]


def test_threads_search_at_the_same_time():
  both = threading.Barrier(2)  # each waits here for the other

  def meet(pixels, quick):
    both.wait(10)
    return []

  with Search(meet, 2) as search:
    search.push(_frame(0), quick=True)
    search.push(_frame(1), quick=True)
    assert len(search.flush()) == 2


def test_a_detector_that_fails_on_a_thread_fails_the_caller_and_ends_the_threads():
  def fail(pixels, quick):
    if pixels[0, 0, 0] == 2:
      raise InferenceError('the detector failed.')
    return []

  before = threading.active_count()
  with pytest.raises(InferenceError, match='the detector failed'), Search(fail, 2) as search:
    for number in range(9):
      search.push(_frame(number), quick=True)
  assert threading.active_count() == before
