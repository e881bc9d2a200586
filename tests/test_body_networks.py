"""A, I, H and D on pictures that are twice as high as wide, and joints beside the map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.data import body_classes, joints
from anon_jax.data.joint_heatmaps import heatmaps
from anon_jax.losses import diffaugment
from anon_jax.losses.diffaugment import DiffAugment
from anon_jax.nets.anonymization import WIDTHS, AnonymizationNet, resize_nearest, widths_for
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.steps.harmonize import fit

NUM = joints.NUM_JOINTS


def _shapes(net, *inputs, **options):
  """Shapes of a network's parameters and of what it returns; nothing is computed."""
  variables = jax.eval_shape(net.init, jax.random.key(0), *inputs)
  return variables['params'], jax.eval_shape(net.apply, variables, *inputs, **options)


def _floats(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _bytes(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.uint8)


@pytest.mark.parametrize(('preset', 'height'), [('small', 128), ('base', 256), ('tiny', 32)])
def test_a_of_bodies_starts_from_4_x_2_and_paints_twice_as_high_as_wide(preset, height):
  net = BodyAnonymizationNet(7, widths_for(preset, height), hidden=8)
  params, painted = _shapes(net, _floats(2, 7), _bytes(2, height, height // 2))
  assert painted.shape == (2, height, height // 2, 3)
  assert params['expand']['kernel'].shape[:2] == (4, 2)
  # six classes are read, and no joints
  assert params['blocks_0']['modulation1']['shared']['kernel'].shape == (3, 3, 6, 8)


def test_a_of_bodies_has_the_parameters_of_a_but_for_the_first_map_and_what_it_reads():
  face, _ = _shapes(AnonymizationNet(7, WIDTHS['tiny']), _floats(1, 7), _bytes(1, 128, 128))
  body, _ = _shapes(BodyAnonymizationNet(7, WIDTHS['tiny']), _floats(1, 7), _bytes(1, 128, 64))
  differing = [
    jax.tree_util.keystr(path)
    for (path, mine), theirs in zip(
      jax.tree_util.tree_leaves_with_path(body), jax.tree.leaves(face), strict=True
    )
    if mine.shape != theirs.shape
  ]
  assert all('expand' in name or 'shared' in name for name in differing)
  assert len(differing) == 1 + sum('shared' in name for name in differing)


def test_joints_are_read_beside_the_map_by_every_block():
  net = BodyAnonymizationNet(3, WIDTHS['tiny'][:4], hidden=8, joints=NUM)
  params, painted = _shapes(net, _floats(1, 3), _bytes(1, 32, 16), _floats(1, 32, 16, NUM))
  assert painted.shape == (1, 32, 16, 3)
  for block in range(4):
    assert params[f'blocks_{block}']['modulation1']['shared']['kernel'].shape[2] == 6 + NUM


def test_where_a_joint_is_changes_what_is_painted():
  net = BodyAnonymizationNet(3, WIDTHS['tiny'][:4], hidden=8, joints=NUM)
  maps = jnp.ones((1, 32, 16), jnp.uint8)
  body = np.zeros((2, 1, NUM, 3), np.float32)
  body[0, 0, 4] = 4, 8, 1
  body[1, 0, 4] = 12, 24, 1
  first, second = (heatmaps(jnp.asarray(one), 32, 16, sigma=2.0) for one in body)
  who = jax.nn.one_hot(jnp.array([1]), 3)
  variables = net.init(jax.random.key(0), who, maps, first)
  painted = [net.apply(variables, who, maps, shown) for shown in (first, second)]
  assert float(jnp.abs(painted[0] - painted[1]).max()) > 1e-3


@pytest.mark.parametrize(('own', 'given'), [(NUM, 0), (0, NUM), (NUM, 3)])
def test_heatmaps_that_a_network_does_not_read_or_lacks_are_refused(own, given):
  net = BodyAnonymizationNet(3, WIDTHS['tiny'][:4], hidden=8, joints=own)
  conditions = [_floats(1, 32, 16, given)] if given else []
  with pytest.raises(ValueError, match=f'reads heatmaps of {own} joints .* and {given} are given'):
    jax.eval_shape(net.init, jax.random.key(0), _floats(1, 3), _bytes(1, 32, 16), *conditions)


def test_i_h_and_d_take_pictures_of_128_x_64():
  _, embedding = _shapes(IdentityNet((8, 16, 16, 16)), _floats(2, 128, 64, 3))
  assert embedding.shape == (2, 128)
  _, rgb = _shapes(HarmonizationNet((8, 8, 8, 8, 8)), _floats(2, 128, 64, 7))
  assert rgb.shape == (2, 128, 64, 3)
  _, rgb = _shapes(HarmonizationNet((8, 8), upscale=2), _floats(1, 64, 32, 7))
  assert rgb.shape == (1, 128, 64, 3)
  judge = MultiScaleDiscriminator(width=8)
  beside = [_floats(2, 128, 64, len(body_classes.CLASSES)), _floats(2, 128, 64, NUM)]
  _, logits = _shapes(judge, _floats(2, 128, 64, 3), beside)
  assert [x.shape for x in logits] == [(2, 16, 8, 1), (2, 8, 4, 1)]


def test_maps_are_resized_to_rectangles_by_the_value_under_each_new_pixel():
  maps = jnp.arange(8 * 4).reshape(1, 8, 4)
  # rows 2 and 6, columns 2: the pixels under the centres of a map of 2 x 1
  np.testing.assert_array_equal(resize_nearest(maps, 2, 1)[0], [[2 * 4 + 2], [6 * 4 + 2]])
  np.testing.assert_array_equal(resize_nearest(maps, 4)[0].shape, (4, 4))


def test_an_input_is_enlarged_to_the_height_of_its_target_and_keeps_its_shape():
  assert fit(jnp.zeros((1, 8, 4, 3)), 16).shape == (1, 16, 8, 3)
  assert fit(jnp.zeros((1, 8, 4, 3)), 8).shape == (1, 8, 4, 3)


def test_augmentation_of_a_high_picture_moves_and_blanks_shares_of_each_side():
  options = DiffAugment(translation=0.125, cutout=0.5)
  keys = jax.random.split(jax.random.key(0), 200)
  changes = diffaugment.draw(keys, 32, options, aspect=2)
  # an eighth of 32 and of 16
  np.testing.assert_array_equal(jnp.abs(changes.shift).max(axis=0), [4, 2])
  pictures = jnp.ones((200, 32, 16, 1))
  seen, (twin,) = diffaugment.apply(changes._replace(shift=None), pictures, [pictures])
  np.testing.assert_array_equal(seen, twin)
  # half of each side where all of the hole lies inside
  assert int((seen == 0).sum(axis=(1, 2, 3)).max()) == 16 * 8


def test_augmentation_of_squares_draws_what_it_drew_before():
  changes = diffaugment.draw(jax.random.split(jax.random.key(3), 2), 16, diffaugment.ZHAO_2020)

  def before(key):
    colour, place, cut = jax.random.split(key, 3)
    start = jax.random.randint(cut, (2, 1), 0, 17) - 4
    inside = jnp.arange(16)[None, :] - start
    return (
      jax.random.uniform(colour, minval=-0.5, maxval=0.5),
      jax.random.randint(place, (2,), -2, 3),
      (inside >= 0) & (inside < 8),
    )

  wanted = jax.vmap(before)(jax.random.split(jax.random.key(3), 2))
  jax.tree.map(np.testing.assert_array_equal, tuple(changes), wanted)
