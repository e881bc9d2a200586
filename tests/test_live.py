"""Live pictures: what is shown is covered and in time, and the rest is dropped."""

import itertools
import time

import numpy as np
import pytest
from test_anonymizer import Fake
from test_videos import HEIGHT, RED, SIDE, WIDTH, _is_red, _pixels, detect

from anon_jax.inference import live, looks
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.camera import CameraError, Shot
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face

PATIENT = 60.0  # seconds of delay: nothing is ever late
LAST = 2  # frames that are dropped in the end, as none after them were searched


class Scripted:
  """A camera that gives some frames, each when it is asked for it."""

  size, matrix = (WIDTH, HEIGHT), 6

  def __init__(self, frames, broken='', age=0.0):
    self._frames, self._broken, self._age = iter(enumerate(frames, 1)), broken, age
    self.ended = False

  def next(self, wait):
    number, pixels = next(self._frames, (0, None))
    if number:
      return Shot(pixels, 40 * number, 0, number, time.monotonic() - self._age)
    if self._broken:
      raise CameraError(self._broken)
    self.ended = True
    return None


class Kept:
  """A writer that keeps what it is given."""

  def __init__(self):
    self.images, self.times = [], []

  def write(self, image, moment):
    self.images.append(image)
    self.times.append(moment)

  @property
  def shows_red(self):
    return [bool(_is_red(image).any()) for image in self.images]


def _clip(count, face=lambda frame: True, step=1):
  """Frames in which a red square moves to the right and back."""
  return [_pixels(abs(24 - step * frame % 48), face(frame)) for frame in range(count)]


def _run(frames, detector=detect, method='fill', delay=PATIENT, synthesizer=None, **more):
  kept = Kept()
  camera = frames if isinstance(frames, Scripted) else Scripted(frames)
  anonymizer = Anonymizer(detector, synthesizer, method=method)
  return live.anonymize_live(camera, kept, anonymizer, delay=delay, **more), kept


def _missing(missed):
  """Returns a detector that sees nothing in some frames, by their order."""
  calls = itertools.count()
  return lambda pixels: [] if next(calls) in missed else detect(pixels)


def test_every_frame_that_is_shown_is_covered_and_times_go_forward():
  result, kept = _run(_clip(60))
  assert kept.shows_red == [False] * (60 - LAST)
  assert kept.times == [40 * frame for frame in range(60 - LAST)]
  assert (result.received, result.searched, result.shown) == (60, 60, 58)
  assert dict(result.dropped) == {'the last ones': LAST}
  assert dict(result.states) == {'detected': 58}
  assert (result.tracks, result.without_faces, result.broken) == (1, 0, '')


@pytest.mark.parametrize('missed', [{5}, {11, 12}, set(range(20, 26)), {3, 4, 9, 17}])
def test_a_face_that_is_missed_in_the_middle_stays_covered(missed):
  result, kept = _run(_clip(40), _missing(missed))
  assert not any(kept.shows_red)
  assert result.states['bridged'] == len(missed)


def test_a_face_that_is_missed_stays_covered_when_nobody_can_wait_for_the_next_find(monkeypatch):
  monkeypatch.setattr(live, '_MOST_AFTER', LAST)
  result, kept = _run(_clip(60, step=0), _missing(set(range(10, 30))))
  assert not any(kept.shows_red)
  assert result.states == {'detected': 38, 'bridged': 2, 'held': 18}


def test_a_new_face_is_covered_although_it_is_missed_at_first(monkeypatch):
  monkeypatch.setattr(live, '_MOST_AFTER', LAST)
  frames = _clip(40, lambda frame: frame >= 20)
  result, kept = _run(frames, _missing({20, 21}), allow_no_faces=True)
  assert not any(kept.shows_red)
  assert result.states['held'] == 2


@pytest.mark.parametrize('threads', [1, 2])
def test_frames_on_which_the_detector_fails_are_dropped_and_the_others_shown(threads):
  calls = itertools.count()

  class Failing:
    callers = threads

    def __call__(self, pixels):
      if next(calls) in (7, 8, 20):
        raise InferenceError('the detector failed.')
      return detect(pixels)

  result, kept = _run(_clip(40), Failing())
  assert not any(kept.shows_red)
  assert dict(result.dropped) == {'the detector failed': 3, 'the last ones': LAST}
  assert result.shown == len(kept.images) == 40 - 3 - LAST


def test_a_detector_that_fails_again_and_again_ends_it_and_what_came_before_is_shown():
  calls = itertools.count()

  def fail(pixels):
    if next(calls) > 35:
      raise InferenceError('the network is gone.')
    return detect(pixels)

  result, kept = _run(_clip(100), fail)
  assert result.broken == '25 frames in a row: the detector failed (the network is gone).'
  assert len(kept.images) == 36 - LAST
  assert not any(kept.shows_red)


def test_frames_that_cannot_be_painted_are_dropped(monkeypatch):
  calls, once = itertools.count(), Anonymizer.anonymize_many

  def fail(self, requests):
    if next(calls) == 3:
      raise RuntimeError('no memory is left')
    return once(self, requests)

  monkeypatch.setattr(Anonymizer, 'anonymize_many', fail)
  result, kept = _run(_clip(60))
  assert not any(kept.shows_red)
  assert 0 < result.dropped['not painted'] <= 4
  assert result.shown == len(kept.images) == 60 - LAST - result.dropped['not painted']


def test_a_frame_that_is_older_than_the_delay_is_dropped_and_not_shown_clear():
  result, kept = _run(Scripted(_clip(30), age=2.0), delay=1.0)
  assert kept.images == []
  assert dict(result.dropped) == {'too late': 30}


def test_a_slow_detector_has_frames_dropped_and_the_delay_kept():
  def slow(pixels):
    time.sleep(0.05)
    return detect(pixels)

  result, kept = _run(_clip(24), slow, delay=0.5)
  assert result.shown >= 10
  assert result.delay(1.0) <= 0.5
  assert not any(kept.shows_red)


def test_nothing_is_shown_before_the_first_face_unless_that_is_allowed():
  frames = _clip(60, lambda frame: frame >= 40)
  result, kept = _run(frames)
  # covered for 5 frames before the first find
  assert result.dropped['before the first face'] == 35
  assert result.shown == 60 - 35 - LAST
  assert kept.times[0] == 0
  result, kept = _run(frames, allow_no_faces=True)
  assert (result.shown, result.without_faces) == (58, 35)
  result, kept = _run(_clip(30, lambda frame: False))
  assert (result.shown, kept.images) == (0, [])


def test_what_came_before_a_camera_broke_off_is_shown():
  result, kept = _run(Scripted(_clip(20), broken='camera:0 broke off (No such device).'))
  assert result.broken == 'camera:0 broke off (No such device).'
  assert result.shown == len(kept.images) == 20 - LAST


def test_it_ends_when_somebody_stops_it_and_after_its_duration():
  calls = itertools.count()
  result, kept = _run(_clip(60), stopped=lambda: next(calls) >= 10)
  assert result.shown == len(kept.images) == 10 - LAST
  result, kept = _run(_clip(60), duration=1.0)
  # frame n comes after 40 n ms: 24 come before a second is over
  assert (result.received, result.shown) == (24, 24 - LAST)


def test_a_face_that_is_lost_is_filled_and_not_painted_where_it_may_be():
  side = 40
  box = (30.0, 12.0, 30.0 + side, 12.0 + side)
  calls = itertools.count()

  def find(pixels):
    return [Face(box, 0.9)] if next(calls) < 10 else []

  fake = Fake([0.0] * 100)
  frames = [np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * 40
  result, kept = _run(frames, find, 'synthesize', synthesizer=fake)
  assert result.actions == {'synthesized': 10 + 2, 'filled': 18}
  assert dict(result.reasons) == {'lost: its place can only be guessed': 18}
  assert result.without_faces == 40 - LAST - 30
  grey = kept.images[20][20:40, 40:60]
  assert (grey == 127).all()


def test_memory_does_not_grow_with_the_number_of_faces():
  calls = itertools.count()

  def find(pixels):  # another face every 30 frames, far from the last
    number = next(calls) // 30
    left = 5.0 + 50 * (number % 2)
    return [Face((left, 10.0, left + 30, 50.0), 0.9)]

  seen, once = [], live.Replacing.keep

  def keep(self, tracks):
    once(self, tracks)
    seen.append((len(self._cast), len(tracks)))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(live.Replacing, 'keep', keep)
    frames = [np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * 400
    result, _ = _run(frames, find, 'synthesize', synthesizer=Fake([0.0] * 2000))
  assert result.tracks > 10
  assert max(cast for cast, _ in seen) <= 4
  assert max(tracks for _, tracks in seen) <= 4


def test_warming_up_paints_as_many_faces_at_a_time_as_there_are_programs():
  seen = []

  class Detector:
    def at(self, look):
      seen.append(look)
      return lambda pixels: [] if pixels.shape == (HEIGHT, WIDTH, 3) else None

  fake = Fake([0.0] * 21)
  live.warm(Anonymizer(Detector(), fake), (WIDTH, HEIGHT))
  assert seen == [looks.SEARCH, looks.GLANCE]
  assert fake.batches == [1, 4, 16]


def test_what_the_tests_look_for_is_there():
  assert _is_red(_pixels(3)).sum() == SIDE**2
  assert tuple(_pixels(3)[25, 20]) == RED
