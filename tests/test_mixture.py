"""Mixtures: how they are written down, what is drawn, framing, turning, resumption."""

import math

import numpy as np
import pytest

from anon_jax.config.field import ConfigError
from anon_jax.config.mixture import Part, parse_mixture, with_absolute_folders, write_mixture
from anon_jax.data import mixture
from anon_jax.data.mixture import Framed, Mixture, Spread, mixture_dataset
from anon_jax.data.pipeline import Shard, View
from anon_jax.data.turning import TurnedView


class Flat:
  """Pictures of one colour, which says which example they are."""

  def __init__(self, count, first=0, side=12):
    self._count, self._first, self._side = count, first, side

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    image = np.full((self._side, self._side, 3), self._first + index, np.uint8)
    return {'image': image, 'map': image[..., 0] % 8, 'identity': self._first + index}


def _mixture(*counts):
  return Mixture([Framed(Flat(n, 100 * i), 1.0, i) for i, n in enumerate(counts)])


def _draw(dataset, count, state=None):
  iterator = iter(dataset)
  if state is not None:
    iterator.set_state(state)
  return [next(iterator) for _ in range(count)], iterator.get_state()


VIEW = TurnedView(8, mixture.CROP, jitter=0.1, flip=True, rotation=20.0, any_rotation=0.1)


def _dataset(counts=(7, 3), weights=(3, 1), seed=0, **options):
  return mixture_dataset(
    _mixture(*counts), weights, VIEW, **({'batch_size': 4, 'seed': seed} | options)
  )


def test_a_mixture_is_read_as_it_is_written(tmp_path):
  folder = tmp_path / 'a:b, c d'
  folder.mkdir()
  text = f'celeba:{folder}:0.5:0.8, procedural_faces::2:1,fasseg::1:1.25'
  parts = parse_mixture(text)
  assert parts == (
    Part('celeba', str(folder), 0.5, 0.8),
    Part('procedural_faces', '', 2.0, 1.0),
    Part('fasseg', '', 1.0, 1.25),
  )
  assert parse_mixture(write_mixture(parts)) == parts


def test_folders_are_made_absolute_so_that_a_run_can_go_on_from_elsewhere(tmp_path, monkeypatch):
  (tmp_path / 'raw').mkdir()
  monkeypatch.chdir(tmp_path)
  text = with_absolute_folders('celeba:raw:1:0.8,fasseg::2:1')
  assert text == f'celeba:{tmp_path}/raw:1:0.8,fasseg::2:1'


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('celeba', "entry 'celeba'; expected DATASET:MANUAL_DIR:WEIGHT:CROP"),
    ('celeba::1', 'expected DATASET:MANUAL_DIR:WEIGHT:CROP'),
    ('celebb::1:1', "data set 'celebb'; choose of procedural_faces, .*celeba"),
    ('celeba::1:1,celebb::1:1', "data set 'celebb'"),
    ('celeba::much:1', "weight 'much' in 'celeba::much:1'; expected a number"),
    ('celeba::nan:1', "weight 'nan'"),
    ('celeba::0:1', 'celeba the weight 0; give a number > 0'),
    ('celeba::1:3', r'celeba the crop 3; give a number in \[0.1, 2.0\]'),
    ('celeba:/no/such:1:1', "celeba the folder '/no/such', which is not there"),
  ],
)
def test_a_mixture_that_cannot_be_used_is_refused_in_one_line(text, message):
  with pytest.raises(ConfigError, match=message) as caught:
    parse_mixture(text)
  assert '\n' not in str(caught.value)


def test_parts_are_drawn_by_their_weights_and_each_example_once_an_epoch():
  batches, _ = _draw(_dataset(), 14)  # 56 examples: 42 of 7, 14 of 3
  origin = np.concatenate([batch['origin'] for batch in batches])
  identity = np.concatenate([batch['identity'] for batch in batches])
  assert origin.dtype == np.int32
  assert np.bincount(origin).tolist() == [42, 14]
  np.testing.assert_array_equal(origin, identity // 100)
  assert np.bincount(identity[origin == 0]).tolist() == [6] * 7
  assert sorted(identity[origin == 1][:3]) == [100, 101, 102]
  for start in range(0, 48, 8):  # evenly spread, not in runs
    assert np.bincount(origin[start : start + 8]).tolist() == [6, 2]


def test_parts_of_one_size_are_not_shuffled_alike():
  batches, _ = _draw(_dataset((20, 20), (1, 1), batch_size=40), 1)
  identity = batches[0]['identity']
  assert not np.array_equal(identity[identity < 100], identity[identity >= 100] - 100)


def test_two_hosts_read_together_what_one_reads():
  whole, _ = _draw(_dataset(), 5)
  halves = [_draw(_dataset(shard=Shard(host, 2)), 5)[0] for host in (0, 1)]
  for n, batch in enumerate(whole):
    for name in ('image', 'map', 'origin', 'index'):
      together = np.concatenate([half[n][name] for half in halves])
      np.testing.assert_array_equal(together, batch[name], err_msg=name)


def test_a_restored_iterator_goes_on_with_the_very_next_batch():
  whole, _ = _draw(_dataset(), 6)
  _, state = _draw(_dataset(), 3)
  rest, _ = _draw(_dataset(), 3, state)
  for a, b in zip(whole[3:], rest, strict=True):
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_another_seed_gives_another_order():
  a, b = (_draw(_dataset(seed=seed), 5)[0] for seed in (0, 1))
  assert [x['index'].tolist() for x in a] != [x['index'].tolist() for x in b]


@pytest.mark.parametrize('weights', [(1,), (1, 0), (1, 1, 1)])
def test_each_part_needs_a_weight_above_nought(weights):
  with pytest.raises(ValueError, match='for 2 parts; give one above 0 for each'):
    _dataset(weights=weights)


def test_a_mixture_needs_parts_with_examples():
  for parts in ([], [Flat(2), Flat(0)]):
    with pytest.raises(ValueError, match='examples in each of its parts'):
      Mixture(parts)


def test_a_framed_picture_is_cut_or_widened_so_that_its_crop_is_the_central_two_thirds():
  example = Framed(Flat(1, 7, side=30), 0.8, 4)[0]
  assert example['origin'] == 4
  assert example['map'].shape == (36, 36)  # 30 x 0.8 x 1.5
  known = example['map'] != 255
  assert known.sum() == 900  # the whole picture, and a rim of 3 that nobody labelled
  assert known[3:33, 3:33].all()
  view = View(24, mixture.CROP).fixed(example['image'], example['map'])
  assert (view['map'] == 7).all()


def test_a_sample_takes_turns_and_spreads_over_each_part():
  chosen = Spread([Flat(10), Flat(4, 100)], 5)
  assert [chosen[i]['identity'] for i in range(len(chosen))] == [0, 100, 3, 102, 6]


def _cross():
  """90 x 90: a spot above the centre and one to its right, as classes and as colours."""
  classes = np.zeros((90, 90), np.uint8)
  classes[20:30, 40:50] = 2  # centre (x 45, y 25): 20 above the middle
  classes[40:50, 60:70] = 3
  return np.stack([(classes == 2) * np.uint8(255), (classes == 3) * np.uint8(255)] * 2, -1)[
    ..., :3
  ], classes


class Drawn:
  """A generator whose draws are given."""

  def __init__(self, angle=0.0, flip=False, jitter=(0.0, 0.0, 0.0)):
    self._uniform, self._random = [np.array(jitter), angle], [0.5, 0.0 if flip else 1.0]

  def uniform(self, *_):
    return self._uniform.pop(0)

  def random(self):
    return self._random.pop(0)


def _place(example, label):
  y, x = np.nonzero(example['map'] == label)
  return x.mean() + 0.5, y.mean() + 0.5


@pytest.mark.parametrize('degrees', [0, 30, -90])
def test_a_turned_view_turns_picture_and_map_alike(degrees):
  view = TurnedView(60, 60 / 90, jitter=0.3, rotation=90.0)
  example = view.random(*_cross(), Drawn(degrees / 90))
  turn = math.radians(degrees)
  x, y = _place(example, 2)
  # the view turns by the angle, so the face turns by its opposite: (0, -20) about the middle
  assert (x - 30, y - 30) == pytest.approx((-20 * math.sin(turn), -20 * math.cos(turn)), abs=0.8)
  bright = example['image'][..., 0] > 128
  assert (example['map'][bright] == 2).mean() > 0.9
  assert bright.sum() == pytest.approx((example['map'] == 2).sum(), rel=0.15)


def test_a_mirrored_view_mirrors():
  view = TurnedView(60, 60 / 90, flip=True)
  assert _place(view.random(*_cross(), Drawn(flip=True)), 3) == pytest.approx((10, 30), abs=0.6)
  assert _place(view.random(*_cross(), Drawn()), 3) == pytest.approx((50, 30), abs=0.6)


def test_a_view_from_farther_away_shows_the_face_smaller_and_labels_nothing_beyond():
  view = TurnedView(60, 60 / 90, jitter=1.0)
  example = view.random(*_cross(), Drawn(jitter=(1.0, 0.0, 0.0)))  # a square of 120 around 90
  assert (example['map'] == 2).sum() == 25
  np.testing.assert_array_equal(example['map'][:7], 255)
  assert (example['map'][8:52, 8:52] != 255).all()
