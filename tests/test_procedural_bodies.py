"""Drawn persons: what they show, that seed and number decide, and pairs of mirror images."""

import numpy as np
import pytest

from anon_jax.data import body_classes, joints
from anon_jax.data.mirrored import WithMirrorImages
from anon_jax.data.procedural import ProceduralBodies

NOSE, KNEE = joints.NAMES.index('nose'), joints.NAMES.index('left_knee')


def test_a_drawn_person_has_every_part_inside_a_picture_that_is_twice_as_high_as_wide():
  for example in (ProceduralBodies(3, 128)[i] for i in range(3)):
    assert example['image'].shape == (128, 64, 3)
    parts = set(np.unique(example['map']).tolist())
    assert parts == {
      0,
      *(body_classes.CLASSES.index(n) for n in ('skin', 'hair', 'upper', 'lower')),
    }
    assert (example['map'] > 0).mean() > 0.1


def test_joints_lie_on_the_parts_that_they_belong_to():
  for example in (ProceduralBodies(5, 128)[i] for i in range(5)):
    places = example['joints'][:, :2].astype(int)
    part = [body_classes.CLASSES[example['map'][y, x]] for x, y in places]
    assert part[KNEE] == 'lower'
    assert part[NOSE] in ('skin', 'hair')
    assert (example['joints'][:, 2] == 1).all()


def test_a_person_keeps_her_colours_from_picture_to_picture():
  source = ProceduralBodies(6, 64, identities=3)
  np.testing.assert_array_equal(source.identity_labels(), [0, 1, 2, 0, 1, 2])

  def tone(example):
    colour = example['image'][example['map'] == body_classes.CLASSES.index('upper')].mean(axis=0)
    return colour / colour.sum()  # the light differs

  first, second, same = (tone(source[i]) for i in (0, 1, 3))
  assert np.abs(first - same).max() < 0.02
  assert np.abs(first - second).max() > 0.02


def test_the_same_seed_and_number_give_the_same_picture_and_another_seed_another_one():
  first, second, other = (ProceduralBodies(2, 32, seed)[1]['image'] for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, second)
  assert (first != other).any()


@pytest.mark.parametrize('bad', [{'length': 0}, {'size': 8}, {'seed': -1}, {'identities': 0}])
def test_a_collection_that_cannot_be_is_refused(bad):
  with pytest.raises(ValueError, match='expected 1 or more, 16 to 1024'):
    ProceduralBodies(**({'length': 2, 'size': 32} | bad))


def test_every_example_is_followed_by_its_mirror_image_with_left_and_right_exchanged():
  source = ProceduralBodies(2, 32)
  pairs = WithMirrorImages(source)
  assert len(pairs) == 4
  np.testing.assert_array_equal(pairs.identity_labels(), [0, 0, 1, 1])
  plain, mirror = pairs[2], pairs[3]
  np.testing.assert_array_equal(plain['image'], source[1]['image'])
  np.testing.assert_array_equal(mirror['image'], source[1]['image'][:, ::-1])
  np.testing.assert_array_equal(mirror['map'], source[1]['map'][:, ::-1])
  x, y, _ = plain['joints'][KNEE]
  right = joints.NAMES.index('right_knee')
  np.testing.assert_allclose(mirror['joints'][right], [16 - x, y, 1], atol=1e-5)
