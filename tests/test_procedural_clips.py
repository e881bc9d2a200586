"""Procedural faces as a data source, and clips with known motion."""

import concurrent.futures
import pickle

import numpy as np
import pytest

from anon_jax.data.procedural import ProceduralFaces, render, render_clip, sample_parameters


def same(left: dict, right: dict) -> bool:
  return (
    np.array_equal(left['image'], right['image'])
    and np.array_equal(left['map'], right['map'])
    and left['identity'] == right['identity']
    and left['name'] == right['name']
  )


def test_an_element_is_the_picture_of_its_index():
  faces = ProceduralFaces(20, 48, seed=3, identities=5)
  assert len(faces) == 20
  item = faces[17]
  picture = render(sample_parameters(3, 17, 5), 48)
  np.testing.assert_array_equal(item['image'], picture.image)
  np.testing.assert_array_equal(item['map'], picture.map)
  assert item['identity'] == picture.identity
  assert isinstance(item['identity'], np.int32)
  assert item['name'] == 'procedural_3_0000017'
  assert set(item) == {'image', 'map', 'identity', 'name'}


def test_a_second_look_costs_nothing_and_cannot_be_spoiled():
  faces = ProceduralFaces(4, 32)
  first = faces[2]
  assert faces[2]['image'] is first['image']
  with pytest.raises(ValueError, match='read-only'):
    first['image'][0, 0] = 0
  with pytest.raises(ValueError, match='read-only'):
    first['map'][0, 0] = 0
  first['name'] = 'mine'
  assert faces[2]['name'] == 'procedural_0_0000002'


def test_only_as_many_pictures_are_kept_as_fit():
  one = 32 * 32 * 4
  faces = ProceduralFaces(5, 32, cache_bytes=2 * one + 1)
  items = [faces[k] for k in range(5)]
  again = [faces[k] for k in range(5)]
  assert [a['image'] is b['image'] for a, b in zip(items, again, strict=True)] == [
    True,
    True,
    False,
    False,
    False,
  ]
  assert all(same(a, b) for a, b in zip(items, again, strict=True))


def test_no_picture_is_kept_when_there_is_no_room():
  faces = ProceduralFaces(2, 32, cache_bytes=0)
  assert faces[0]['image'] is not faces[0]['image']


def test_threads_see_the_same_pictures_as_one_reader():
  alone = ProceduralFaces(12, 32, seed=8)
  shared = ProceduralFaces(12, 32, seed=8)
  order = [k for _ in range(4) for k in range(12)]
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    items = list(pool.map(shared.__getitem__, order))
  assert all(same(item, alone[k]) for item, k in zip(items, order, strict=True))
  assert shared._kept_bytes == 12 * 32 * 32 * 4


def test_pickling_keeps_the_description_and_drops_the_pictures():
  faces = ProceduralFaces(6, 64, seed=2, identities=9)
  items = [faces[k] for k in range(6)]
  packed = pickle.dumps(faces)
  assert len(packed) < 500
  copy = pickle.loads(packed)
  assert repr(copy) == repr(faces)
  assert repr(copy) == 'ProceduralFaces(length=6, size=64, seed=2, identities=9)'
  assert all(same(copy[k], items[k]) for k in range(6))


def test_grain_reads_the_source():
  grain = pytest.importorskip('grain', reason='grain is in the train extra')
  faces = ProceduralFaces(8, 32, seed=1)
  dataset = grain.MapDataset.source(faces).seed(0).shuffle()
  read = {dataset[k]['name'] for k in range(8)}
  assert read == {faces[k]['name'] for k in range(8)}


@pytest.mark.parametrize('index', [-1, 3, 1000])
def test_an_index_outside_the_collection_is_refused(index):
  with pytest.raises(IndexError, match=rf'index={index} is not in 0\.\.2 of ProceduralFaces'):
    ProceduralFaces(3, 32)[index]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'length': 0, 'size': 32}, 'length=0 is an empty collection'),
    ({'length': 3, 'size': 8}, 'size=8 cannot be drawn'),
    ({'length': 3, 'size': 32, 'seed': -1}, 'seed=-1 is negative'),
    ({'length': 3, 'size': 32, 'identities': 0}, 'identities=0 leaves nobody'),
    ({'length': 3, 'size': 32, 'cache_bytes': -1}, 'cache_bytes=-1 is negative'),
  ],
)
def test_an_impossible_collection_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    ProceduralFaces(**arguments)


@pytest.fixture(scope='module')
def clip():
  return render_clip(0, 3, 24, 64)


def test_a_clip_has_the_promised_shapes_and_types(clip):
  assert clip.frames.shape == (24, 64, 64, 3)
  assert clip.frames.dtype == np.uint8
  assert clip.maps.shape == (24, 64, 64)
  assert clip.maps.dtype == np.uint8
  assert clip.landmarks.shape == (24, 5, 2)
  assert clip.landmarks.dtype == np.float32
  assert len(clip.parameters) == 24


def test_a_clip_shows_one_person_before_one_background(clip):
  assert {p.identity for p in clip.parameters} == {sample_parameters(0, 3).identity}
  assert len({p.background for p in clip.parameters}) == 1
  assert len({p.occluder for p in clip.parameters}) == 1
  hues = np.stack([f[m == 1].mean(0) for f, m in zip(clip.frames, clip.maps, strict=True)])
  hues /= hues.sum(1, keepdims=True)
  assert np.abs(hues - hues[0]).max() < 0.02


def test_a_clip_starts_with_the_picture_of_its_index(clip):
  picture = render(sample_parameters(0, 3), 64)
  np.testing.assert_array_equal(clip.frames[0], picture.image)
  np.testing.assert_array_equal(clip.landmarks[0], picture.landmarks)


def test_each_frame_is_the_picture_of_its_parameters(clip):
  picture = render(clip.parameters[13], 64)
  np.testing.assert_array_equal(clip.frames[13], picture.image)
  np.testing.assert_array_equal(clip.maps[13], picture.map)


@pytest.mark.parametrize('index', range(4))
def test_motion_is_there_and_smooth(index):
  clip = render_clip(1, index, 30, 64)
  turns = np.array([(p.yaw, p.pitch, p.roll) for p in clip.parameters])
  assert np.ptp(turns[:, 0]) > 3
  assert np.abs(np.diff(turns, axis=0)).max() < 3
  # A head that turns by 3 degrees moves its nose by 64 px * .3 * sin(3 degrees) = 1 px.
  steps = np.linalg.norm(np.diff(clip.landmarks, axis=0), axis=-1)
  assert 0.02 < steps.mean() < 1.0
  assert steps.max() < 2.0
  # Sensor grain belongs to the clip, so a still part of the picture does not flicker.
  change = np.abs(np.diff(clip.frames.astype(np.float32), axis=0)).mean((1, 2, 3))
  assert change.min() > 0
  assert change.max() < 10
  relabelled = (clip.maps[1:] != clip.maps[:-1]).mean((1, 2))
  assert relabelled.max() < 0.06


def test_clips_are_reproducible_and_differ():
  first, second = render_clip(2, 0, 3, 32), render_clip(2, 0, 3, 32)
  np.testing.assert_array_equal(first.frames, second.frames)
  assert first.parameters == second.parameters
  assert render_clip(2, 1, 3, 32).parameters != first.parameters


def test_a_longer_clip_begins_with_the_shorter_one():
  short, long = render_clip(2, 5, 2, 32), render_clip(2, 5, 4, 32)
  np.testing.assert_array_equal(short.frames, long.frames[:2])


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((0, 0, 0, 32), 'frames=0 is an empty clip'),
    ((0, -1, 2, 32), 'index=-1 is negative'),
    ((0, 0, 2, 8), 'size=8 cannot be drawn'),
    ((0, 0, 2, 32, 0), 'identities=0 leaves nobody'),
  ],
)
def test_an_impossible_clip_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    render_clip(*arguments)
