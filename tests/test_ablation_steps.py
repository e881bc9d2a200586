"""The ablations' stages: who learns from what, what reaches the output, equal paths, resumption."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_anonymize_step
from test_train import Pictures

from anon_jax import parallel, proxy
from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.data import pipeline
from anon_jax.nets import harmonization
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import WIDTHS, IdentityNet
from anon_jax.proxy import to_signed
from anon_jax.steps.blended import BlendedOptions
from anon_jax.steps.guided_parts import Nets
from anon_jax.steps.joint import BlendingNets, make_joint_stage
from anon_jax.steps.single_stage import make_single_stage

SIDE, CLASSES = test_anonymize_step.SIDE, test_anonymize_step.CLASSES
# One program for all tests: before step 3 all rows are own and D pushes nobody, after it the
# losses are the paper's. Each loss can be heard alone by giving the judges of others zeros.
OPTIONS = {'generator_lr': 1e-5, 'discriminator_lr': 1e-5, 'identity_lr': 1e-5}
OPTIONS |= {'adversarial_from_step': 3, 'reconstruction_weight': 1.0, 'sample_controls': 2}
BOTH = pytest.mark.parametrize('name', ['single_stage', 'joint'])
_batch = test_anonymize_step._batch


@functools.cache
def _stage(name):
  nets = Nets(
    AnonymizationNet(CLASSES, widths_for('tiny', SIDE), HIDDEN['tiny']),
    MultiScaleDiscriminator(1, 8, 2),
    IdentityNet(WIDTHS['tiny'], dimensions=8),
  )
  chosen = BlendedOptions(SIDE, test_anonymize_step.PEOPLE, **OPTIONS)
  if name == 'single_stage':
    return make_single_stage(nets, chosen)
  blending = BlendingNets(
    HarmonizationNet(harmonization.WIDTHS['tiny']), MultiScaleDiscriminator(1, 8, 2)
  )
  return make_joint_stage(nets, blending, chosen)


@functools.cache
def _state(name):
  state = jax.jit(_stage(name).init)(jax.random.key(0))
  return jax.device_put(state, jax.devices()[0])  # as restored ones are: one program for all


@functools.cache
def _step(name):
  return jax.jit(_stage(name).step)


@functools.cache
def _paint(name):
  paint = jax.jit(_stage(name).paint)
  return lambda batch, mixtures: paint(_state(name).ema, batch, mixtures)


def _norms(name, *silent, step=3):
  """Gradient norms by letter of a step in which some networks have no parameters but zeros."""
  state = _state(name)
  quiet = {n: jax.tree.map(lambda p: 0 * p, state.nets[n].params) for n in silent}
  nets = state.nets | {n: state.nets[n].replace(params=params) for n, params in quiet.items()}
  _, metrics = _step(name)(state.replace(nets=nets, step=state.step + step), _batch())
  assert all(np.isfinite(float(value)) for value in metrics.values())
  return {
    k.removesuffix('_grad_norm'): float(v) for k, v in metrics.items() if k.endswith('_grad_norm')
  }


def _learning(norms):
  return {letter for letter, norm in norms.items() if norm > 0}


def test_one_network_learns_from_the_discriminator_and_from_l_id_each_alone():
  everyone = _norms('single_stage')
  assert _learning(everyone) == set(everyone) == {'g', 'd', 'i'}
  assert 'g' in _learning(_norms('single_stage', 'identity'))
  assert {'g', 'i'} <= _learning(_norms('single_stage', 'discriminator'))
  neither = _norms('single_stage', 'identity', 'discriminator')
  assert neither['g'] == neither['i'] == 0


def test_jointly_all_five_networks_learn():
  everyone = _norms('joint')
  assert _learning(everyone) == set(everyone) == {'g', 'h', 'd', 'dh', 'i'}


def test_jointly_the_gradient_of_d_h_goes_through_h_into_a():
  """Of all that A and H learn from, D_H alone is left; then nothing is."""
  norms = _norms('joint', 'identity', 'discriminator')
  assert norms['g'] > 0 and norms['h'] > 0
  norms = _norms('joint', 'identity', 'discriminator', 'harmonizer_discriminator')
  assert norms['g'] == norms['h'] == norms['i'] == 0


def test_jointly_neither_d_a_nor_l_id_reaches_h():
  """D_A alone is left, then L_id alone: both are taken of A's face, before H."""
  norms = _norms('joint', 'identity', 'harmonizer_discriminator')
  assert norms['g'] > 0 and norms['h'] == norms['i'] == 0
  norms = _norms('joint', 'discriminator', 'harmonizer_discriminator')
  assert norms['g'] > 0 and norms['i'] > 0 and norms['h'] == 0


def test_jointly_own_identity_reconstruction_is_of_the_final_picture():
  """L1 alone is left: H learns from it, and A through H."""
  norms = _norms('joint', 'identity', step=0)
  assert norms['g'] > 0 and norms['h'] > 0


@BOTH
def test_the_loss_is_the_sum_of_its_terms(name):
  state = _state(name)
  _, metrics = _step(name)(state.replace(step=state.step + 3), _batch())
  m = {key: float(value) for key, value in metrics.items()}
  adversarial = [value for key, value in m.items() if key.endswith('_adversarial')]
  assert len(adversarial) == (2 if name == 'joint' else 1)
  assert m['g_loss'] == pytest.approx(sum(adversarial) + m['g_identity'], rel=1e-5)


def _controls(*classes):
  return jax.nn.one_hot(jnp.array(classes), CLASSES)


MIXTURES = _controls(0, 1, 2, 3, 4, 5, 0, 1)


@BOTH
def test_the_background_is_the_inputs_own_bit_for_bit_and_the_foreground_is_not(name):
  batch = _batch()
  painted = np.round((np.asarray(_paint(name)(batch, MIXTURES)) + 1) * 127.5)
  inside = np.asarray(proxy.foreground_mask(batch['map']))[..., 0] > 0
  np.testing.assert_array_equal(painted[~inside], batch['image'][~inside])
  assert (painted[inside] != batch['image'][inside]).mean() > 0.9


@BOTH
def test_nothing_of_the_foreground_but_the_appearance_condition_reaches_the_output(
  name, monkeypatch
):
  """Pictures that differ inside the foreground only, given one condition, become the same one."""
  batch = _batch()
  inside = np.asarray(proxy.foreground_mask(batch['map'])) > 0
  other = batch | {'image': np.where(inside, 255 - batch['image'], batch['image'])}
  assert (other['image'] != batch['image']).any()
  # As they are, their conditions differ, and the outputs with them.
  assert (_paint(name)(batch, MIXTURES) != _paint(name)(other, MIXTURES)).any()
  given = proxy.appearance_condition(to_signed(batch['image']), 0.07)
  monkeypatch.setattr(proxy, 'appearance_condition', lambda images, sigma: given)
  paint = jax.jit(lambda *given: _stage(name).paint(*given))  # traced anew
  outputs = [paint(_state(name).ema, shown, MIXTURES) for shown in (batch, other)]
  np.testing.assert_array_equal(*outputs)


@BOTH
def test_the_surroundings_are_read_where_the_face_is_painted(name):
  """A pixel of the background, beside the face, changes the face: it is blended into it."""
  batch = _batch()
  other = batch | {'image': batch['image'].copy()}
  other['image'][:, 4:8] = 255 - other['image'][:, 4:8]
  before, after = (_paint(name)(shown, MIXTURES) for shown in (batch, other))
  inner = np.s_[:, 12:20, 12:20]  # beyond the feather
  assert (before[inner] != after[inner]).mean() > 0.9


@BOTH
def test_many_identities_of_one_picture_equal_the_plain_call(name):
  batch = {key: value[:1].repeat(8, axis=0) for key, value in _batch().items()}
  one = {key: value[:1] for key, value in batch.items()}
  plain = _paint(name)(batch, MIXTURES)
  np.testing.assert_allclose(_paint(name)(one, MIXTURES), plain, atol=1e-5)
  assert float(jnp.abs(plain[0] - plain[1]).mean()) > 1e-3


@BOTH
def test_the_sample_sheet_shows_sources_foregrounds_and_what_is_painted(name):
  stage = _stage(name)
  shown = jax.jit(stage.predict)(_state(name), _batch())
  assert stage.columns == ('source', 'foreground', 'control 0', 'control 5')
  for control in (0, 5):
    painted = _paint(name)(_batch(), _controls(*[control] * 8))
    np.testing.assert_allclose(shown[f'control {control}'], painted, atol=1e-5)
    outside = np.broadcast_to(np.asarray(shown['mask']) == 0, painted.shape)
    np.testing.assert_array_equal(shown[f'control {control}'][outside], shown['source'][outside])


@BOTH
def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5(name):
  """At a tenth of the configs' rates: at those, one rounding of the first parameters on one device
  moves some by 7e-5 in 20 steps, since Adam divides a gradient by its own size.
  """
  mesh = parallel.make_mesh()
  one = _state(name)
  other = one.replace(key=jax.random.fold_in(one.key, 1))
  eight = jax.device_put(jax.tree.map(jnp.copy, one), parallel.replicated(mesh))
  batches = [parallel.put_batch(_batch(i), mesh) for i in range(20)]
  compiled = parallel.compile_step(_stage(name).step, eight, batches[0], mesh, time.monotonic)
  for number, batch in enumerate(batches):
    one, _ = _step(name)(one, _batch(number))
    other, _ = _step(name)(other, _batch(number))
    eight, _ = compiled.run(eight, batch)
  assert _furthest(one, eight) <= 1e-5 < _furthest(one, other)  # other control identities
  for network in one.nets:
    assert _furthest(one, _state(name), network) > 1e-5, network


def _furthest(first, second, *networks):
  """Largest difference of two states' parameters."""
  trees = (
    jax.device_get({n: s.nets[n].params for n in networks or s.nets}) for s in (first, second)
  )
  return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *trees)))


def _arrays(state):
  return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


@BOTH
def test_a_run_that_was_cut_goes_on_bit_for_bit_and_other_stages_refuse_its_checkpoint(
  name, tmp_path
):
  data = iter(pipeline.train_dataset(Pictures(), pipeline.View(16), batch_size=8, seed=0))
  cut, _ = _step(name)(_state(name), _batch(0))
  unbroken, _ = _step(name)(cut, _batch(1))
  saved = Checkpoints(tmp_path, 1)
  saved.save(1, cut, data)
  saved.wait()
  resumed, _ = _step(name)(saved.restore(1, _state(name), data), _batch(1))
  jax.tree.map(np.testing.assert_array_equal, _arrays(resumed), _arrays(unbroken))
  others = [_stage(other) for other in ('single_stage', 'joint') if other != name]
  for other in (*others, test_anonymize_step._stage()):
    state = jax.eval_shape(lambda other=other: other.init(jax.random.key(0)))
    with pytest.raises(CheckpointError, match='another stage or preset'):
      saved.restore(1, state)
  saved.close()
