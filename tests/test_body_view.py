"""Crops of 256 x 128 with joints, out of stored persons, alone and in the pipeline."""

import numpy as np
import pytest

from anon_jax.data import identity_batches, joints, pipeline
from anon_jax.data.body_view import BodyView

LEFT, RIGHT = (joints.NAMES.index(f'{side}_knee') for side in ('left', 'right'))


def stored(number=0, height=160):
  """A white square whose upper left corner is a left knee, in a picture of 2 : 1."""
  image = np.zeros((height, height // 2, 3), np.uint8)
  body_map = np.zeros((height, height // 2), np.uint8)
  image[80:, 40:] = 255
  body_map[80:, 40:] = 4
  body = joints.none()
  body[LEFT] = 40, 80, 0.9
  return {'image': image, 'map': body_map, 'joints': body, 'identity': number}


class Stored:
  """Persons by position."""

  def __len__(self):
    return 6

  def __getitem__(self, index):
    return stored(index % 3)

  def identity_labels(self):
    return np.arange(6) % 3


def seen(example):
  return example['image'], example['map'], example['joints']


def test_a_crop_is_256_x_128_and_its_joint_stays_where_it_was_in_the_picture():
  crop = BodyView(256).fixed(*seen(stored()))
  assert crop['image'].shape == (256, 128, 3)
  assert crop['map'].shape == (256, 128)
  # The middle of the stored picture is the middle of the crop.
  np.testing.assert_allclose(crop['joints'][LEFT], [64, 128, 0.9])
  assert crop['map'][127, 63] == 0
  assert crop['map'][129, 65] == 4


@pytest.mark.parametrize('seed', range(6))
def test_picture_map_and_joint_move_together_in_random_crops(seed):
  view = BodyView(256, jitter=0.2, flip=True)
  crop = view.random(*seen(stored()), np.random.default_rng(seed))
  (knee,) = np.flatnonzero(crop['joints'][:, 2])
  x, y, _ = crop['joints'][knee].round().astype(int)
  # A left knee has the square on its right; of a mirror image it is a right knee, at its left.
  inwards = {LEFT: 3, RIGHT: -3}[int(knee)]
  assert crop['map'][y + 3, x + inwards] == 4
  assert crop['map'][y + 3, x - inwards] == 0
  assert crop['image'][y + 3, x + inwards].min() > 200
  assert crop['image'][y + 3, x - inwards].max() < 55


def test_half_of_the_random_crops_are_mirrored_and_none_without_flip():
  for flip, expected in ((True, 20), (False, 0)):
    view = BodyView(64, flip=flip)
    crops = [view.random(*seen(stored()), np.random.default_rng(seed)) for seed in range(40)]
    mirrored = sum(bool(crop['joints'][RIGHT, 2]) for crop in crops)
    assert abs(mirrored - expected) <= 8 * flip


def test_without_parts_all_of_a_person_has_class_1():
  crop = BodyView(64, parts=False).fixed(*seen(stored()))
  assert np.unique(crop['map']).tolist() == [0, 1]


def test_the_same_generator_gives_the_same_crop():
  view = BodyView(64, jitter=0.2, flip=True)
  first, second = (view.random(*seen(stored()), np.random.default_rng(3)) for _ in range(2))
  for name in first:
    np.testing.assert_array_equal(first[name], second[name])


KINDS = {
  'image': ((3, 64, 32, 3), 'uint8'),
  'map': ((3, 64, 32), 'uint8'),
  'joints': ((3, 18, 3), 'float32'),
  'identity': ((3,), 'int32'),
  'index': ((3,), 'int32'),
}


def kinds(batch):
  return {name: (value.shape, value.dtype.name) for name, value in batch.items()}


def test_batches_for_training_and_evaluation_hold_joints():
  view = BodyView(64, jitter=0.1, flip=True)
  train = pipeline.train_dataset(Stored(), view, batch_size=3, seed=0, threads=1)
  assert kinds(next(iter(train))) == KINDS
  batches = pipeline.eval_dataset(Stored(), view, batch_size=3)
  assert len(batches) == 2
  assert kinds(batches[0]) == KINDS | {'_mask': ((3,), 'float32')}
  np.testing.assert_allclose(batches[0]['joints'][:, LEFT], [[16, 32, 0.9]] * 3)


def test_batches_by_identity_hold_joints_too():
  dataset = identity_batches.identity_dataset(
    Stored(), BodyView(64), identities_per_batch=3, images_per_identity=1, seed=0, threads=1
  )
  assert kinds(next(iter(dataset))) == KINDS | {'identity_class': ((3,), 'int32')}
