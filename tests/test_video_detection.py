"""Frames are searched beside each other, and come back in their order."""

import threading
import time

import numpy as np
import pytest

from anon_jax.inference import looks
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.video_detection import Search
from anon_jax.inference.video_reading import Frame


def _frame(number):
  return Frame(np.full((36, 64, 3), number, np.uint8), number, 0)


def _face(number):
  return Face((float(number), 0.0, float(number) + 9, 9.0), 0.5)


def _slow_where_searched(pixels, look):
  time.sleep(0 if look.glance else 0.02)
  return [_face(pixels[0, 0, 0])]


@pytest.mark.parametrize('threads', [1, 2, 4])
def test_every_frame_comes_back_in_order_with_its_own_faces(threads):
  found = []
  with Search(_slow_where_searched, threads) as search:
    for number in range(40):
      found += search.push(_frame(number))
      assert len(found) >= number + 1 - looks.LATE
    found += search.flush()
    assert search.flush() == []
  assert [each.frame.time for each in found] == list(range(40))
  assert [each.faces for each in found] == [[_face(number)] for number in range(40)]
  assert [not each.look.glance for each in found] == [number % 5 == 0 for number in range(40)]


def test_looks_do_not_depend_on_how_many_threads_search():
  def found(threads):
    with Search(lambda pixels, look: [_face(pixels[0, 0, 0])], threads) as search:
      each = [done for number in range(60) for done in search.push(_frame(number))]
      return [done.look for done in each + search.flush()]

  assert found(1) == found(2) == found(4)


def test_large_frames_wait_in_smaller_numbers():
  large = Frame(np.zeros((2160, 3840, 3), np.uint8), 0, 0)
  with Search(lambda pixels, look: [], 2) as search:
    done = [len(search.push(large)) for _ in range(6)]
    assert done == [0, 0, 0, 1, 1, 1]
    search.flush()
    assert [len(search.push(_frame(0))) for _ in range(20)] == [0] * 15 + [1] * 5


def test_a_detector_for_one_caller_is_called_by_its_caller():
  callers = []
  with Search(lambda pixels, look: callers.append(threading.get_ident()) or [], 1) as search:
    assert len(search.push(_frame(0))) == 1
  assert callers == [threading.get_ident()]


def test_threads_search_at_the_same_time():
  both = threading.Barrier(2)  # each waits here for the other

  def meet(pixels, look):
    both.wait(10)
    return []

  with Search(meet, 2) as search:
    search.push(_frame(0))
    search.push(_frame(1))
    assert len(search.flush()) == 2


def test_a_detector_that_fails_on_a_thread_fails_the_caller_and_ends_the_threads():
  def fail(pixels, look):
    if pixels[0, 0, 0] == 2:
      raise InferenceError('the detector failed.')
    return []

  before = threading.active_count()
  with pytest.raises(InferenceError, match='the detector failed'), Search(fail, 2) as search:
    for number in range(20):
      search.push(_frame(number))
  assert threading.active_count() == before


def test_what_is_offered_comes_back_when_it_is_done_and_nobody_waits_for_longer():
  go_on = threading.Event()

  def slow(pixels, look):
    if pixels[0, 0, 0] == 1:
      go_on.wait(10)
    return []

  with Search(slow, 2) as search:
    for number in range(3):
      search.offer(_frame(number))
    assert [each.frame.time for each in search.ready(10)] == [0]
    assert search.ready(0.01) == []  # the third is done, and comes after the second
    assert search.waiting == 2
    go_on.set()
    found = search.ready(10)
    while search.waiting:
      found += search.ready(10)
  assert [each.frame.time for each in found] == [1, 2]


@pytest.mark.parametrize('threads', [1, 2])
def test_a_tolerant_search_says_which_frames_failed_and_goes_on(threads):
  def fail(pixels, look):
    if pixels[0, 0, 0] == 2:
      raise MemoryError
    return [_face(pixels[0, 0, 0])]

  with Search(fail, threads, tolerant=True) as search:
    for number in range(4):
      search.offer(_frame(number))
    found = search.flush()
  assert [each.failed for each in found] == ['', '', 'MemoryError', '']
  assert [len(each.faces) for each in found] == [1, 1, 0, 1]


def test_fewer_frames_are_searched_where_that_is_asked_for():
  with Search(lambda pixels, look: [], 1, searched=10) as search:
    found = [done for number in range(41) for done in search.push(_frame(number))]
  searched = {each.frame.time: each.look for each in found if not each.look.glance}
  assert list(searched) == [0, 10, 20, 30, 40]
  assert [look.turned for look in searched.values()] == [True, False, True, False, True]
  assert [look.tiny for look in searched.values()] == [True, True, False, True, False]
