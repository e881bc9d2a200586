"""One step of the anonymize stage: who learns from what, and the paths that must agree."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import optim, parallel, train
from anon_jax.data import semantic
from anon_jax.losses.diffaugment import DiffAugment
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.identity import WIDTHS, IdentityNet
from anon_jax.steps import controls
from anon_jax.steps.anonymize import make_anonymize_stage
from anon_jax.steps.guided_parts import GuidedOptions, Nets

SIDE, PEOPLE, CLASSES = 32, 4, 6
# What the losses of one step may change.
STILL = {'generator_lr': 0.0, 'discriminator_lr': 0.0, 'identity_lr': 0.0}


def _stage(identity_params=None, projection=False, coarse=False, **options):
  nets = Nets(
    AnonymizationNet(CLASSES, widths_for('tiny', SIDE), HIDDEN['tiny'], coarse=coarse),
    MultiScaleDiscriminator(1, 8, 2, identities=CLASSES if projection else 0),
    IdentityNet(WIDTHS['tiny'], dimensions=8),
  )
  chosen = {'image_size': SIDE, 'identities_per_batch': PEOPLE, 'sample_controls': 2} | options
  return make_anonymize_stage(nets, GuidedOptions(**chosen), identity_params)


def _batch(seed=0, size=8):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 255, (size, 4, 4, 3), dtype=np.uint8)
  maps = np.full((size, SIDE, SIDE), 6, np.uint8)
  maps[:, 8:24, 8:24] = 1
  maps[:, 12:14, 10:14] = 3
  classes = np.repeat(rng.permutation(CLASSES)[:PEOPLE], size // PEOPLE).astype(np.int32)
  return {
    'image': coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2),
    'map': maps,
    'identity': classes + 100,
    'identity_class': classes,
    'index': np.arange(size, dtype=np.int32),
  }


def _foreground(batch):
  return np.isin(batch['map'], semantic.FOREGROUND)[..., None]


@pytest.fixture(scope='module')
def state():
  return jax.jit(_stage().init)(jax.random.key(0))


@functools.cache
def _compiled(options):
  return jax.jit(_stage(**dict(options)).step)


def _step(state, batch=None, **options):
  return _compiled(tuple(options.items()))(state, _batch() if batch is None else batch)


def _moved(before, after, name):
  moved = jax.tree.map(
    lambda a, b: float(np.abs(a - b).max()), before.nets[name].params, after.nets[name].params
  )
  return max(jax.tree.leaves(moved))


@pytest.fixture(scope='module')
def plain(state):
  return _step(state)


def test_a_step_of_the_papers_losses_updates_every_network_and_both_averages(state, plain):
  new, metrics = plain
  assert int(new.step) == 1
  assert all(_moved(state, new, name) > 0 for name in ('generator', 'discriminator', 'identity'))
  for name in ('generator', 'identity'):
    average = optim.update_average(state.ema[name], new.nets[name].params, state.step, 0.999)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.ema[name], average)
  names = {'d_loss', 'g_loss', 'g_adversarial', 'g_identity', 'i_real_pairs'}
  told = {'d_real_accuracy', 'd_fake_accuracy', 'g_diversity'}
  assert set(metrics) == names | told | {'d_grad_norm', 'g_grad_norm', 'i_grad_norm'}
  assert {(m.shape, m.dtype.name) for m in metrics.values()} == {((), 'float32')}
  assert all(np.isfinite(float(m)) for m in metrics.values())


def test_as_loss_is_eq_1(plain):
  m = {name: float(value) for name, value in plain[1].items()}
  assert m['g_loss'] == pytest.approx(m['g_adversarial'] + m['g_identity'], rel=1e-5)


def test_the_discriminators_update_reaches_neither_a_nor_i(state):
  new, _ = _step(state, **(STILL | {'discriminator_lr': 1e-3}))
  assert _moved(state, new, 'discriminator') > 0
  assert _moved(state, new, 'generator') == _moved(state, new, 'identity') == 0


def test_with_coarse_maps_neither_a_nor_d_is_told_of_brows_and_nose(state):
  batch, skin_only = _batch(), _batch()
  for row, part in ((10, 'brows'), (15, 'nose')):
    batch['map'][:, row : row + 2, 12:16] = semantic.CLASSES.index(part)
    skin_only['map'][:, row : row + 2, 12:16] = semantic.CLASSES.index('skin')
  told, plain = (_step(state, batch, coarse=coarse)[1] for coarse in (True, False))
  without = _step(state, skin_only)[1]
  for name in ('d_loss', 'g_loss'):  # the foreground is the same with and without them
    assert float(told[name]) == pytest.approx(float(without[name]), rel=1e-5)
    assert float(told[name]) != pytest.approx(float(plain[name]), rel=1e-5)


def test_i_reads_foregrounds_halved_to_its_own_height(state):
  stage = _stage(identity_size=SIDE // 2)
  params = jax.jit(stage.init)(jax.random.key(0)).nets['identity'].params
  small = IdentityNet(WIDTHS['tiny'], dimensions=8)
  batch = _batch()
  real = np.where(_foreground(batch), batch['image'] / 127.5 - 1, 0)
  halved = real.reshape(8, SIDE // 2, 2, SIDE // 2, 2, 3).mean((2, 4)).astype(np.float32)
  expected = small.apply({'params': params}, halved)
  np.testing.assert_allclose(stage.embed({'identity': params}, batch), expected, atol=1e-5)
  assert (
    params['embedding']['kernel'].shape[0] * 4
    == (state.nets['identity'].params['embedding']['kernel'].shape[0])
  )


def test_the_adversarial_loss_alone_gives_i_no_gradient(state):
  _, metrics = _step(state, identity_weight=0.0)
  assert float(metrics['i_grad_norm']) == 0
  assert float(metrics['g_grad_norm']) > 0


L_ID_ONLY = {'adversarial_weight': 0.0} | STILL


@pytest.mark.parametrize('name', ['generator', 'identity'])
def test_l_id_is_lowered_by_a_and_by_i_each_moving_alone(state, name):
  """Collaborative: a small step against either one's own gradient lowers the same loss."""
  new, metrics = _step(state, **L_ID_ONLY)
  grads = new.nets[name].opt_state[0].mu
  assert float(optim.norm(grads)) > 0
  downhill = jax.tree.map(
    lambda p, g: p - 1e-2 / optim.norm(grads) * g, state.nets[name].params, grads
  )
  moved = state.replace(nets=state.nets | {name: state.nets[name].replace(params=downhill)})
  assert float(_step(moved, **L_ID_ONLY)[1]['g_identity']) < float(metrics['g_identity'])


def test_i_learns_from_painted_faces_and_from_real_ones(state):
  """The gradient of L_id by I changes with either kind of face."""
  norm = float(_step(state, **L_ID_ONLY)[1]['i_grad_norm'])
  other_faces = _batch() | {'image': 255 - _batch()['image']}
  assert float(_step(state, other_faces, **L_ID_ONLY)[1]['i_grad_norm']) != norm
  another = jax.jit(_stage().init)(jax.random.key(1)).nets['generator']
  repainted = state.replace(nets=state.nets | {'generator': another})
  assert float(_step(repainted, **L_ID_ONLY)[1]['i_grad_norm']) != norm


def test_the_one_forward_pass_gives_the_gradient_of_the_plain_loss(state):
  """Along the gradient that the step pulls back, the loss rises by the gradient's length."""
  new, metrics = _step(state, **STILL)
  grads = jax.tree.map(lambda mu: 2 * mu, new.nets['generator'].opt_state[0].mu)  # Adam's b1 is .5
  length = float(metrics['g_grad_norm'])
  assert float(optim.norm(grads)) == pytest.approx(length, rel=1e-4)

  def loss(distance):
    params = jax.tree.map(
      lambda p, g: p + distance / length * g, state.nets['generator'].params, grads
    )
    moved = state.replace(
      nets=state.nets | {'generator': state.nets['generator'].replace(params=params)}
    )
    return float(_step(moved, **STILL)[1]['g_loss'])

  assert (loss(3e-3) - loss(-3e-3)) / 6e-3 == pytest.approx(length, rel=0.03)


RECONSTRUCTION = {'adversarial_weight': 0.0, 'identity_weight': 0.0, 'reconstruction_weight': 1.0}


def test_reconstruction_touches_rows_of_their_own_identity_only(state):
  """With a quarter of eight rows own, changing one real face changes the loss for two of them."""
  options = {'reconstruction_share': 0.25, **RECONSTRUCTION}
  before = float(_step(state, **options)[1]['g_l1'])
  changed = []
  for row in range(8):
    batch = _batch()
    batch['image'][row] = 255 - batch['image'][row]
    changed.append(float(_step(state, batch, **options)[1]['g_l1']) != before)
  assert sum(changed) == 2


def test_before_the_adversarial_step_all_rows_are_own_and_d_does_not_push_a(state):
  options = {'identity_weight': 0.0, 'adversarial_from_step': 1, 'reconstruction_weight': 1.0}
  _, metrics = _step(state, **options)
  assert float(metrics['g_loss']) == pytest.approx(float(metrics['g_l1']))
  assert float(metrics['d_grad_norm']) > 0
  later = state.replace(step=jnp.ones((), jnp.int32))
  _, metrics = _step(later, **options)
  assert float(metrics['g_l1']) == 0
  assert float(metrics['g_loss']) == pytest.approx(float(metrics['g_adversarial']))


def test_everything_that_is_off_by_default_can_be_on_together(state):
  options = {
    'projection': True,
    'r1_weight': 1.0,
    'real_label': 0.9,
    'real_pairs_weight': 1.0,
    'reconstruction_share': 0.5,
    'reconstruction_weight': 10.0,
    'augment': DiffAugment(0.5, 0.125, 0.5),
  }
  stage = _stage(**options)
  start = jax.jit(stage.init)(jax.random.key(0))
  new, metrics = jax.jit(stage.step)(start, _batch())
  assert all(np.isfinite(float(m)) for m in metrics.values())
  assert {'d_r1', 'g_l1'} <= set(metrics)
  assert _moved(start, new, 'discriminator') > 0


def test_i_starts_from_the_parameters_that_are_given():
  params = jax.tree.map(np.asarray, jax.jit(_stage().init)(jax.random.key(7)).ema['identity'])
  start = train.new_state(_stage(params), 0, parallel.make_mesh(1))
  jax.tree.map(np.testing.assert_array_equal, start.nets['identity'].params, params)
  jax.tree.map(np.testing.assert_array_equal, start.ema['identity'], params)


def test_the_sample_sheet_shows_what_the_plain_call_paints_pasted_into_the_picture(state):
  stage = _stage()
  shown = jax.jit(stage.predict)(state, _batch())
  assert stage.columns == ('source', 'foreground', 'control 0', 'control 5')
  net = AnonymizationNet(CLASSES, widths_for('tiny', SIDE), HIDDEN['tiny'])
  asked = jax.nn.one_hot(jnp.full(8, 5), CLASSES)
  painted = jax.jit(net.apply)({'params': state.ema['generator']}, asked, _batch()['map'])
  inside = np.broadcast_to(np.asarray(shown['mask']) > 0, painted.shape)
  np.testing.assert_allclose(shown['control 5'][inside], painted[inside], atol=1e-5)
  np.testing.assert_array_equal(shown['control 5'][~inside], shown['source'][~inside])
  assert not np.asarray(shown['foreground'])[~inside].any()
  assert (np.asarray(shown['control 0']) != np.asarray(shown['control 5'])).any()


CLASSES_OF_ROWS = jnp.array([7, 2, 2, 9, 7, 9], jnp.int32)  # in no order


@pytest.mark.parametrize('own_rows', [0, 2, 6])
def test_controls_are_other_identities_of_the_batch_or_the_sources_own(own_rows):
  draw = jax.jit(controls.draw_controls, static_argnums=2)
  seen = set()
  for seed in range(30):
    found = draw(jax.random.key(seed), CLASSES_OF_ROWS, 3, jnp.int32(own_rows))
    np.testing.assert_array_equal(found.control == CLASSES_OF_ROWS, found.own)
    assert int(found.own.sum()) == own_rows
    seen |= set(zip(CLASSES_OF_ROWS.tolist(), found.control.tolist(), strict=True))
  others = {(a, b) for a in (2, 7, 9) for b in (2, 7, 9) if a != b}
  assert seen == (others if own_rows < 6 else set()) | (
    {(2, 2), (7, 7), (9, 9)} if own_rows else set()
  )


def test_partners_are_of_the_wanted_class_and_of_another_and_not_oneself():
  wanted = jnp.array([7, 9, 2, 9, 2, 7], jnp.int32)
  for seed in range(10):
    found = controls.draw_partners(jax.random.key(seed), wanted, CLASSES_OF_ROWS)
    np.testing.assert_array_equal(CLASSES_OF_ROWS[found.same], wanted)
    assert (CLASSES_OF_ROWS[found.different] != wanted).all()
    own = np.flatnonzero(wanted == CLASSES_OF_ROWS)
    assert (np.asarray(found.same)[own] != own).all()


def test_a_face_without_another_one_of_its_identity_is_its_own_partner():
  classes = jnp.array([4, 8], jnp.int32)
  found = controls.draw_partners(jax.random.key(0), classes, classes)
  assert found.same.tolist() == [0, 1]
  assert found.different.tolist() == [1, 0]


def test_contrast_is_the_mean_over_both_kinds_of_pairs():
  """Same pairs at squared distance 4, others at distance 0 under margin 1: (4 + 1) / 2."""
  anchors = jnp.array([[1.0, 0.0], [0.0, 1.0]])
  partners = controls.Partners(jnp.array([0, 1]), jnp.array([1, 0]))
  reals = jnp.array([[-1.0, 0.0], [0.0, -1.0]])
  swapped = controls.Partners(partners.same, jnp.array([2, 3]))
  found = controls.contrast(anchors, jnp.concatenate([reals, anchors]), swapped, 1.0)
  assert float(found) == pytest.approx(2.5)


def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5():
  """At a tenth of the configs' rate: at that, one rounding of the first parameters on one device
  moves some by 2.5e-5 in 20 steps, since Adam divides a gradient by its own size.
  """
  rates = {'generator_lr': 1e-5, 'discriminator_lr': 1e-5, 'identity_lr': 1e-5}
  share = {'reconstruction_share': 0.5, 'reconstruction_weight': 1.0, 'adversarial_from_step': 3}
  stage, results = _stage(**rates, **share), {}
  for devices in (8, 1):
    mesh = parallel.make_mesh(devices)
    state = train.new_state(stage, 0, mesh)
    # Other control identities: what the test would see if the devices drew their own.
    key = jax.device_put(jax.random.fold_in(state.key, 1), parallel.replicated(mesh))
    other = jax.tree.map(jnp.copy, state).replace(key=key)
    batches = [parallel.put_batch(_batch(i), mesh) for i in range(20)]
    compiled = parallel.compile_step(stage.step, state, batches[0], mesh, time.monotonic)
    results[devices] = _trained(compiled.run, state, batches)
  others = _trained(compiled.run, other, batches)
  assert _furthest(results[1], results[8]) <= 1e-5 < _furthest(results[1], others)


def _trained(step, state, batches):
  for batch in batches:
    state, _ = step(state, batch)
  return jax.device_get({name: net.params for name, net in state.nets.items()})


def _furthest(first, second):
  return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), first, second)))
