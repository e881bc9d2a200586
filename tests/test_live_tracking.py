"""Tracks of live pictures: nobody knows what comes, so what was found stays covered for longer."""

import dataclasses

import pytest
from test_tracking import SCENES, SIZE, covers, face, states

from anon_jax.inference import live, scenes
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.track import Settings
from anon_jax.inference.tracking import Tracker

LIVE = live.SETTINGS


def _follow(frames, after, settings=LIVE, scene=lambda index: 0):
  """Gives each frame away when so many later ones are known."""
  tracker, found = Tracker(settings), []
  for index, faces in enumerate(frames):
    assert tracker.push(faces, SCENES[scene(index)], SIZE) == []
    if index >= after:
      found.append(tracker.early())
  return found + [tracker.early() for _ in range(len(frames) - len(found))]


def test_a_face_that_is_found_no_more_stays_covered_for_as_long_as_it_might_be_bridged():
  found = _follow([[face(200, 150)] * (i < 10) for i in range(50)], after=0)
  assert states(found) == ['detected'] * 10 + ['held'] * 20 + [''] * 20
  assert all(covers(each, face(200, 150).box) for each in found[:30])


@pytest.mark.parametrize('after', [0, 2, 6])
def test_no_gap_that_is_bridged_offline_shows_whatever_is_known(after):
  frames = [[] if 12 <= i < 32 else [face(100 + i, 150)] for i in range(50)]
  found = _follow(frames, after)
  assert all(covers(each, face(100 + i, 150).box) for i, each in enumerate(found))
  # held until the next find is known
  assert states(found)[12:32] == ['held'] * (20 - after) + ['bridged'] * after


def test_a_face_that_runs_on_is_covered_on_all_of_its_way():
  frames = [[face(30 + 10 * i, 150, 30)] * (i < 6) for i in range(16)]
  found = _follow(frames, after=0)
  for stop in range(6, 16):  # wherever it may have stopped meanwhile
    for step in range(6, stop + 1):
      assert covers(found[stop], face(30 + 10 * step, 150, 30).box), (stop, step)


def test_a_face_is_lost_when_it_is_too_far_from_any_find_to_be_painted():
  found = _follow([[face(200, 150)] * (i < 10) for i in range(40)], after=0)
  lost = [each.faces[0].lost for each in found[:30]]
  assert lost == [False] * (10 + LIVE.painted) + [True] * (20 - LIVE.painted)


def test_a_new_face_is_covered_before_its_first_find_as_far_as_later_frames_are_known():
  frames = [[face(200, 150)] * (i >= 20) for i in range(30)]
  assert states(_follow(frames, after=3)) == [''] * 17 + ['held'] * 3 + ['detected'] * 10


def test_nothing_ends_at_what_looks_like_a_scene_cut():
  frames = [[face(200, 150)] * (i != 15) for i in range(30)]
  found = _follow(frames, 2, scene=lambda i: i // 15)
  assert states(found) == ['detected'] * 15 + ['bridged'] + ['detected'] * 14
  assert not any(each.begins_scene for each in found)
  offline = Tracker()
  for i, faces in enumerate(frames):
    offline.push(faces, SCENES[i // 15], SIZE)
  assert any(each.begins_scene for each in offline.flush())


def test_a_few_looks_that_doubt_a_face_do_not_leave_it_out():
  doubted = dataclasses.replace(face(200, 150, 80, 0.3), confirmed=0.0)
  found = _follow([[doubted]] * 12, after=0)
  # from the fifth on there are as many as are wanted
  assert [bool(each.faces) for each in found] == [True] * 4 + [False] * 8
  assert [each.left_out for each in found] == [()] * 4 + [(0,)] * 8


def test_a_frame_that_is_not_there_cannot_be_given_away():
  with pytest.raises(InferenceError, match='push another'):
    Tracker(LIVE).early()
  offline = Tracker()
  for _ in range(scenes.DELAY):
    offline.push([], SCENES[0], SIZE)
  with pytest.raises(InferenceError, match='push another'):
    offline.early()  # whether it begins a scene is not known yet
  offline.push([], SCENES[0], SIZE)
  assert offline.early().index == 0


def test_tracks_that_are_over_are_forgotten():
  tracker = Tracker(LIVE)
  for index in range(200):
    tracker.push([face(60 + 250 * (index // 40 % 2), 150)], SCENES[0], SIZE)
    tracker.early()
    assert len(tracker.alive) <= 2
  assert max(tracker.alive) == 4


@pytest.mark.parametrize(
  'changed', [{'cuts': True, 'lookahead': 22}, {'linger': 19, 'lookahead': 19}]
)
def test_settings_without_a_look_ahead_have_to_linger(changed):
  Settings(lookahead=0, linger=20, cuts=False, bridge=20, hold=5, smooth=4)
  with pytest.raises(InferenceError, match='lookahead='):
    dataclasses.replace(LIVE, **{'late': 0, **changed})
