"""Batches from examples: order, augmentation, sharding, resumption, padding."""

import grain
import numpy as np
import pytest

from anon_jax.data import pipeline
from anon_jax.data.pipeline import Shard, View


class Numbered:
  """Pictures whose pixels say which example they are."""

  def __init__(self, count: int, side: int = 12, has_map=None):
    self._count, self._side, self._has_map = count, side, has_map

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    rows = np.arange(self._side, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(rows[:, None] * 9, rows[None, :] * 9, index), axis=-1)
    return {
      'image': image.astype(np.uint8),
      'map': (image[..., 1] // 20 % 8).astype(np.uint8),
      'identity': index % 3,
    }

  def has_map(self):
    return np.asarray(self._has_map)


VIEW = View(size=8, fraction=0.9, jitter=0.1, flip=True)


def _draw(dataset, count, state=None):
  iterator = iter(dataset)
  if state is not None:
    iterator.set_state(state)
  return [next(iterator) for _ in range(count)], iterator.get_state()


def _equal(first, second):
  for a, b in zip(first, second, strict=True):
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def _dataset(**options):
  return pipeline.train_dataset(
    Numbered(10), VIEW, **({'batch_size': 4, 'seed': 5, 'threads': 1} | options)
  )


def test_a_batch_holds_pictures_maps_identities_and_positions():
  (batch,), _ = _draw(_dataset(), 1)
  kinds = {name: (value.shape, value.dtype.name) for name, value in batch.items()}
  assert kinds == {
    'image': ((4, 8, 8, 3), 'uint8'),
    'map': ((4, 8, 8), 'uint8'),
    'identity': ((4,), 'int32'),
    'index': ((4,), 'int32'),
  }
  np.testing.assert_array_equal(batch['identity'], batch['index'] % 3)


def test_every_epoch_shows_each_example_once_in_another_order():
  batches, _ = _draw(_dataset(batch_size=5), 4)
  order = np.concatenate([batch['index'] for batch in batches])
  assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
  assert list(order[:10]) != list(order[10:])


def test_the_stream_is_fixed_by_the_seed():
  first, _ = _draw(_dataset(), 4)
  again, _ = _draw(_dataset(threads=3), 4)
  other, _ = _draw(_dataset(seed=6), 4)
  _equal(first, again)
  assert any(not np.array_equal(a['index'], b['index']) for a, b in zip(first, other, strict=True))


def test_two_hosts_see_together_what_one_host_sees():
  one, _ = _draw(_dataset(), 6)
  shares = [_draw(_dataset(shard=Shard(host, 2)), 6)[0] for host in range(2)]
  for step, batch in enumerate(one):
    for name, whole in batch.items():
      parts = np.concatenate([shares[0][step][name], shares[1][step][name]])
      np.testing.assert_array_equal(parts, whole, err_msg=name)  # in the order of one host, too


def test_a_restored_iterator_goes_on_across_an_epoch_border():
  unbroken, _ = _draw(_dataset(), 7)
  for stop in range(7):
    _, state = _draw(_dataset(), stop)
    rest, _ = _draw(_dataset(), 7 - stop, state)
    _equal(rest, unbroken[stop:])


def test_reading_processes_give_the_same_stream_and_resume_it():
  expected, _ = _draw(_dataset(), 5)
  dataset = _dataset(workers=2)
  first, state = _draw(dataset, 2)
  rest, _ = _draw(dataset, 3, state)
  _equal(first + rest, expected)


def test_a_batch_that_does_not_divide_over_the_hosts_is_refused():
  with pytest.raises(ValueError, match='batch_size=4 does not divide over 3 processes'):
    _dataset(shard=Shard(0, 3))


def test_an_empty_split_is_refused():
  with pytest.raises(ValueError, match='training split is empty'):
    pipeline.train_dataset(Numbered(0), VIEW, batch_size=1, seed=0)
  with pytest.raises(ValueError, match='evaluation split is empty'):
    pipeline.eval_dataset(Numbered(0), VIEW, batch_size=1)


def test_the_whole_picture_at_its_own_size_is_left_as_it_is():
  example = Numbered(3)[2]
  cut = View(size=12).fixed(example['image'], example['map'])
  np.testing.assert_array_equal(cut['image'], example['image'])
  np.testing.assert_array_equal(cut['map'], example['map'])


def test_the_fixed_view_is_the_central_square():
  image = np.zeros((10, 20, 3), np.uint8)
  image[1:9, 6:14] = 200  # the central square of side 10 * .8
  cut = View(size=8, fraction=0.8).fixed(image, image[..., 0] // 50)
  assert cut['image'].min() == 200
  assert set(np.unique(cut['map'])) == {4}


def test_a_mirrored_example_mirrors_picture_and_map_together():
  view = View(size=12, flip=True)
  example = Numbered(1)[0]
  seen = set()
  for seed in range(20):
    cut = view.random(example['image'], example['map'], np.random.default_rng(seed))
    mirrored = not np.array_equal(cut['image'], example['image'])
    seen.add(mirrored)
    expected = example['map'][:, ::-1] if mirrored else example['map']
    np.testing.assert_array_equal(cut['map'], expected)
  assert seen == {True, False}


def test_jitter_stays_inside_the_picture_and_moves_picture_and_map_alike():
  side = 40
  columns = np.broadcast_to(np.arange(side, dtype=np.uint8), (side, side))
  image = np.repeat(columns[..., None], 3, axis=2)
  view = View(size=40, fraction=0.7, jitter=0.3)
  lefts = []
  for seed in range(30):
    cut = view.random(image, columns, np.random.default_rng(seed))
    lefts.append(int(cut['map'][0, 0]))
    difference = cut['image'][..., 0].astype(int) - cut['map'].astype(int)
    assert abs(difference).max() <= 1
  assert min(lefts) >= 0
  assert len(set(lefts)) > 5


def test_evaluation_batches_are_padded_and_masked_and_drop_nothing():
  batches = pipeline.eval_dataset(Numbered(10), View(size=8), batch_size=4)
  assert len(batches) == 3
  index = np.concatenate([batches[i]['index'] for i in range(3)])
  mask = np.concatenate([batches[i]['_mask'] for i in range(3)])
  np.testing.assert_array_equal(mask, [1] * 10 + [0] * 2)
  np.testing.assert_array_equal(index, [*range(10), 9, 9])


def test_evaluation_can_be_limited_and_shared_by_hosts():
  shares = [
    pipeline.eval_dataset(Numbered(10), View(8), batch_size=4, count=6, shard=Shard(host, 2))
    for host in range(2)
  ]
  index = [np.concatenate([s[i]['index'] for i in range(len(s))]) for s in shares]
  mask = [np.concatenate([s[i]['_mask'] for i in range(len(s))]) for s in shares]
  seen = np.concatenate(index)[np.concatenate(mask) > 0]
  assert sorted(seen) == list(range(6))


def test_examples_without_a_map_are_left_out():
  source = pipeline.with_maps(Numbered(4, has_map=[True, False, True, True]))
  assert [source[i]['identity'] for i in range(len(source))] == [0, 2, 0]
  complete = Numbered(2, has_map=[True, True])
  assert pipeline.with_maps(complete) is complete


def test_the_training_dataset_is_a_grain_dataset_with_a_checkpointable_iterator():
  assert isinstance(iter(_dataset()), grain.DatasetIterator)
