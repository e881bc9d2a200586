"""Stages of bodies: pictures of two by one through every network, and who is told of joints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import proxy
from anon_jax.data import joints
from anon_jax.data.procedural import ProceduralBodies
from anon_jax.losses.diffaugment import ZHAO_2020
from anon_jax.nets.anonymization import HIDDEN, widths_for
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import WIDTHS as BLENDER
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import WIDTHS, IdentityNet
from anon_jax.steps.anonymize import make_anonymize_stage
from anon_jax.steps.guided_parts import GuidedOptions, Nets
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage
from anon_jax.steps.identity import IdentityOptions, make_identity_stage

HEIGHT, WIDTH, PEOPLE = 32, 16, 4


def _anonymize(sigma):
  told = joints.NUM_JOINTS if sigma else 0
  nets = Nets(
    BodyAnonymizationNet(PEOPLE, widths_for('tiny', HEIGHT), HIDDEN['tiny'], joints=told),
    MultiScaleDiscriminator(1, 8, 2),
    IdentityNet(WIDTHS['tiny'], dimensions=8),
  )
  options = GuidedOptions(
    HEIGHT,
    PEOPLE,
    aspect=2,
    joint_sigma=sigma,
    augment=ZHAO_2020,
    r1_weight=1.0,
    reconstruction_share=0.5,
    reconstruction_weight=1.0,
    sample_controls=2,
  )
  return make_anonymize_stage(nets, options)


def _harmonize(upscale):
  generator = HarmonizationNet(BLENDER['tiny'], upscale)
  options = HarmonizeOptions(HEIGHT, upscale, aspect=2, likeness=proxy.Likeness(softness=0.02))
  return make_harmonize_stage(generator, MultiScaleDiscriminator(1, 8, 2), options)


def _identify():
  net = IdentityNet(WIDTHS['tiny'], dimensions=8)
  return make_identity_stage(net, IdentityOptions(HEIGHT, PEOPLE, aspect=2))


def _batch(size=8):
  source = ProceduralBodies(size, HEIGHT, identities=PEOPLE)
  rows = [source[place] for place in range(size)]
  batch = {name: np.stack([row[name] for row in rows]) for name in ('image', 'map', 'joints')}
  places = np.arange(size, dtype=np.int32)
  return batch | {'identity_class': places % PEOPLE, 'index': places}


@pytest.mark.parametrize(
  'stage',
  [_anonymize(0.0), _anonymize(0.02), _harmonize(1), _harmonize(2), _identify()],
  ids=['A', 'A with joints', 'H', 'H that enlarges', 'I'],
)
def test_a_step_and_a_sheet_of_high_pictures_keep_their_form(stage):
  state = jax.eval_shape(stage.init, jax.random.key(0))
  after, metrics = jax.eval_shape(stage.step, state, _batch())
  jax.tree.map(lambda old, new: np.testing.assert_equal(new.shape, old.shape), state, after)
  assert all(value.shape == () for value in metrics.values())
  shown = jax.eval_shape(stage.predict, state, _batch())
  assert {shown[name].shape for name in stage.columns} == {(8, HEIGHT, WIDTH, 3)}


@pytest.mark.parametrize(('sigma', 'beside'), [(0.0, 0), (0.02, joints.NUM_JOINTS)])
def test_d_is_told_the_classes_and_the_joints_that_a_is_told(sigma, beside):
  state = jax.eval_shape(_anonymize(sigma).init, jax.random.key(0))
  kernel = state.nets['discriminator'].params['scale0']['conv0']['kernel']
  assert kernel.shape[2] == 3 + 6 + beside
  read = state.nets['generator'].params['blocks_0']['modulation1']['shared']['kernel']
  assert read.shape[2] == 6 + beside


def test_a_paints_the_person_and_leaves_the_rest_as_it_was():
  stage = _anonymize(0.02)
  params = jax.jit(stage.init)(jax.random.key(0)).ema
  batch = {name: jnp.asarray(value[:2]) for name, value in _batch().items()}
  painted = stage.paint(params, batch, jax.nn.one_hot(jnp.array([1, 2]), PEOPLE))
  person = batch['map'][..., None] > 0
  untouched = batch['image'].astype(jnp.float32) / 127.5 - 1
  np.testing.assert_array_equal(jnp.where(person, 0.0, painted), jnp.where(person, 0.0, untouched))
  elsewhere = batch | {'joints': batch['joints'] + jnp.array([6.0, 6.0, 0.0])[None, None]}
  moved = stage.paint(params, elsewhere, jax.nn.one_hot(jnp.array([1, 2]), PEOPLE))
  assert float(jnp.abs(moved - painted).max()) > 1e-3
