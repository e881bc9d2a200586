"""Identity-balanced batches: who is in them, and that seed and step alone decide."""

import json

import grain
import numpy as np
import pytest
from PIL import Image

from anon_jax.data import identity_batches, pipeline, prepare
from anon_jax.data.identity_batches import identity_dataset, identity_numbers
from anon_jax.data.pipeline import Shard, View
from anon_jax.data.procedural import ProceduralFaces

# Seven people, identified by numbers with gaps, in mixed order; person 40 has two pictures.
LABELS = np.array([90, 10, 20, 90, 30, 10, 50, 60, 20, 30, 40, 50, 60, 90, 10, 40, 20, 30, 50, 60])


class Album:
  """Pictures whose pixels say which example they are."""

  def __init__(self, labels=LABELS, side=12):
    self._labels, self._side = np.asarray(labels), side

  def __len__(self):
    return len(self._labels)

  def __getitem__(self, index):
    ramp = np.arange(self._side, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None] * 9, ramp[None, :] * 9, index), axis=-1)
    return {
      'image': image.astype(np.uint8),
      'map': (image[..., 1] // 20 % 8).astype(np.uint8),
      'identity': self._labels[index],
    }

  def identity_labels(self):
    return self._labels

  def has_map(self):
    return np.arange(len(self)) != 3


VIEW = View(size=8, fraction=0.9, jitter=0.1, flip=True)


def _dataset(source=None, **options):
  numbers = {'identities_per_batch': 3, 'images_per_identity': 2, 'seed': 5, 'threads': 1}
  source = Album() if source is None else source
  return identity_dataset(source, VIEW, **(numbers | options))


def _draw(dataset, count, state=None):
  iterator = iter(dataset)
  if state is not None:
    iterator.set_state(state)
  return [next(iterator) for _ in range(count)], iterator.get_state()


def _equal(first, second):
  for a, b in zip(first, second, strict=True):
    assert a.keys() == b.keys()
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_batch_holds_p_identities_with_k_different_pictures_of_each():
  batches, _ = _draw(_dataset(), 8)
  for batch in batches:
    people = batch['identity'].reshape(3, 2)
    np.testing.assert_array_equal(people[:, 0], people[:, 1])
    assert len(set(people[:, 0])) == 3
    assert len(set(batch['index'])) == 6
    np.testing.assert_array_equal(LABELS[batch['index']], batch['identity'])
    assert batch['image'].shape == (6, 8, 8, 3)
    assert batch['map'].shape == (6, 8, 8)


def test_classes_are_places_among_the_identities():
  numbers = identity_numbers(Album())
  assert numbers.tolist() == [10, 20, 30, 40, 50, 60, 90]
  batches, _ = _draw(_dataset(), 4)
  for batch in batches:
    assert batch['identity_class'].dtype == np.int32
    np.testing.assert_array_equal(numbers[batch['identity_class']], batch['identity'])


def test_within_an_epoch_no_identity_comes_twice_and_in_the_long_run_all_come_alike():
  # 7 people, 3 a batch: 2 batches an epoch, one person left out
  batches, _ = _draw(_dataset(), 200)
  people = np.stack([batch['identity'][::2] for batch in batches])
  epochs = people.reshape(100, 6)
  assert all(len(set(epoch)) == 6 for epoch in epochs)
  _, counts = np.unique(epochs, return_counts=True)
  # each comes in an epoch with probability 6 / 7: 85.7 of 100, deviation 3.5
  assert len(counts) == 7
  assert counts.min() > 70
  assert len({tuple(epoch) for epoch in epochs[:20]}) > 15


def test_all_pictures_of_an_identity_come():
  batches, _ = _draw(_dataset(), 60)
  assert set(np.concatenate([batch['index'] for batch in batches])) == set(range(len(LABELS)))


def test_the_stream_is_fixed_by_the_seed():
  first, _ = _draw(_dataset(), 5)
  again, _ = _draw(_dataset(threads=3), 5)
  other, _ = _draw(_dataset(seed=6), 5)
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
  unbroken, _ = _draw(_dataset(), 6)
  for stop in range(6):
    _, state = _draw(_dataset(), stop)
    state = json.loads(json.dumps(state))  # as a checkpoint stores it
    rest, _ = _draw(_dataset(), 6 - stop, state)
    _equal(rest, unbroken[stop:])


def test_reading_processes_give_the_same_stream_and_resume_it():
  expected, _ = _draw(_dataset(), 5)
  dataset = _dataset(workers=2)
  first, state = _draw(dataset, 2)
  rest, _ = _draw(dataset, 3, state)
  _equal(first + rest, expected)


def test_the_iterator_is_one_that_grain_checkpoints():
  assert isinstance(iter(_dataset()), grain.DatasetIterator)


def test_batch_n_needs_no_batch_before_it():
  """The order is a function of the epoch, so a far epoch costs no more than the first."""
  draw = identity_batches._Draw([np.array([4, 9]), np.array([1, 7])], 2, 2, seed=3)
  far = 4 * 10**12
  drawn = [draw(far + i) for i in range(4)]
  assert sorted(drawn) == [1, 4, 7, 9]
  again = identity_batches._Draw([np.array([4, 9]), np.array([1, 7])], 2, 2, seed=3)
  assert [again(far + i) for i in (3, 1, 0, 2)] == [drawn[i] for i in (3, 1, 0, 2)]


def test_an_identity_with_too_few_pictures_is_named_with_its_count():
  message = r'Identity 40 has 2 picture\(s\), but images_per_identity=3; set min_images=3'
  with pytest.raises(ValueError, match=message):
    _dataset(images_per_identity=3)
  with pytest.raises(ValueError, match=r'Identity 10 has 3 picture\(s\) \(and 6 more identities\)'):
    _dataset(images_per_identity=4)


def test_min_images_leaves_such_identities_out_and_closes_the_gap_in_the_classes():
  batches, _ = _draw(_dataset(images_per_identity=3, min_images=3), 40)
  assert 40 not in np.concatenate([batch['identity'] for batch in batches])
  classes = np.concatenate([batch['identity_class'] for batch in batches])
  assert set(classes) == set(range(6))
  assert identity_numbers(Album(), min_images=3).tolist() == [10, 20, 30, 50, 60, 90]


def test_sources_that_cannot_give_such_batches_are_refused():
  with pytest.raises(ValueError, match=r'There are 7 identities .*_per_batch=8; lower'):
    _dataset(identities_per_batch=8)
  with pytest.raises(ValueError, match='None of 7 identities has min_images=4'):
    _dataset(min_images=4)
  with pytest.raises(ValueError, match='None of 0 identities'):
    _dataset(Album(labels=np.empty(0, np.int64)))
  unknown = np.where(np.arange(len(LABELS)) % 9 == 4, -1, LABELS)
  with pytest.raises(
    ValueError, match=r'2 of 20 examples have no identity \(the first is number 4'
  ):
    _dataset(Album(unknown))
  for options in ({'identities_per_batch': 0}, {'images_per_identity': 0}):
    with pytest.raises(ValueError, match='expected 1 or more of both'):
      _dataset(**options)
  with pytest.raises(ValueError, match='batch_size=6 does not divide over 4 processes'):
    _dataset(shard=Shard(0, 4))


def test_examples_without_a_map_can_be_left_out_first():
  source = pipeline.with_maps(Album())
  np.testing.assert_array_equal(source.identity_labels(), np.delete(LABELS, 3))
  batches, _ = _draw(_dataset(source), 20)
  for batch in batches:
    np.testing.assert_array_equal(source.identity_labels()[batch['index']], batch['identity'])


def test_a_prepared_split_tells_its_identities(tmp_path):
  raw = tmp_path / 'raw'
  (raw / 'images').mkdir(parents=True)
  (raw / 'masks').mkdir()
  people = {'a': 7, 'b': 3, 'c': 7}
  for number, name in enumerate(people):
    Image.new('RGB', (16, 16), (number, 0, 0)).save(raw / 'images' / f'{name}.png')
    Image.new('L', (16, 16), number).save(raw / 'masks' / f'{name}.png')
  (raw / 'identities.txt').write_text(''.join(f'{n} {p}\n' for n, p in people.items()))
  (raw / 'split.txt').write_text(''.join(f'{name} train\n' for name in people))
  folder = prepare.prepare('face_folder', str(raw), str(tmp_path / 'out'))
  source = prepare.open_split(folder, 'train')
  labels = source.identity_labels()
  assert labels.dtype == np.int64
  assert sorted(labels) == [3, 7, 7]
  np.testing.assert_array_equal(labels, [source[i]['identity'] for i in range(3)])


def test_procedural_faces_tell_their_identities_without_rendering():
  faces = ProceduralFaces(12, 16, seed=3, identities=4)
  labels = faces.identity_labels()
  assert labels.dtype == np.int64
  np.testing.assert_array_equal(labels, [faces[i]['identity'] for i in range(12)])
  (batch,), _ = _draw(_dataset(faces, identities_per_batch=2, min_images=2), 1)
  np.testing.assert_array_equal(labels[batch['index']], batch['identity'])
