"""Networks that start from parameters that are given, and runs that go on without them."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from test_train import STAGE, _run

from anon_jax import parallel, train
from anon_jax.checkpoints import CheckpointError
from anon_jax.experiment import building, pretrained
from anon_jax.experiment.parts import Experiment
from anon_jax.inference import export, weights
from anon_jax.inference.inputs import IdentityInput, Input
from anon_jax.inference.records import DataSet, Training
from anon_jax.inference.runs import Source
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, upsample_bilinear, widths_for
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet

GIVEN = {'generator': {'w': np.array([1.0, 2.0, 3.0], np.float32)}}
STARTED = dataclasses.replace(STAGE, initial=GIVEN)


def test_the_network_and_its_average_start_from_what_is_given_in_buffers_of_their_own():
  mesh = parallel.make_mesh()
  state = train.new_state(STARTED, 0, mesh)
  for params in (state.nets['generator'].params, state.ema['generator']):
    np.testing.assert_array_equal(params['w'], [1, 2, 3])
    assert len(params['w'].addressable_shards) == mesh.size
  # A buffer that is held twice cannot be donated.
  jax.jit(lambda s: jax.tree.map(jnp.copy, s.nets), donate_argnums=0)(state)
  np.testing.assert_array_equal(
    train.new_state(STARTED, 0, mesh).nets['generator'].params['w'], [1, 2, 3]
  )


def test_they_are_arguments_of_the_compiled_start_not_constants_in_it(monkeypatch):
  seen = []
  whole = parallel.init_sharded
  monkeypatch.setattr(parallel, 'init_sharded', lambda *given: seen.append(given) or whole(*given))
  train.new_state(STARTED, 0, parallel.make_mesh(1))
  born, _, initial = seen[0]
  (kernel,) = jax.make_jaxpr(born)(initial).in_avals
  assert kernel.shape == (3,)


@pytest.mark.parametrize(
  ('initial', 'message'),
  [
    (
      {'generator': {'w': np.zeros(4, np.float32)}},
      r"'generator' do not fit: .*float32\[4\] there",
    ),
    ({'generator': {'v': np.zeros(3, np.float32)}}, r"\['v'\] is float32\[3\] there and absent"),
    ({'judge': {}}, r"given for 'judge'; the networks are \['generator'\]"),
  ],
)
def test_parameters_that_do_not_fit_are_refused_by_name(initial, message):
  stage = dataclasses.replace(STAGE, initial=initial)
  with pytest.raises(CheckpointError, match=message) as caught:
    train.new_state(stage, 0, parallel.make_mesh(1))
  assert '\n' not in str(caught.value)


def test_a_run_that_goes_on_does_not_start_from_them_again(tmp_path):
  cut = _run(tmp_path, STARTED, steps=2)
  assert (
    float(np.abs(cut.state.nets['generator'].params['w'] - GIVEN['generator']['w']).max()) > 0.1
  )
  resumed = _run(tmp_path, STARTED, steps=2).state
  np.testing.assert_array_equal(
    resumed.nets['generator'].params['w'], cut.state.nets['generator'].params['w']
  )


NETWORKS = {
  'segmentation': (SegmentationNet((4, 6)), Input(16)),
  'identity': (IdentityNet((4, 6), 5), IdentityInput(16)),
}


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """A folder of an exported S and I, and their parameters."""
  folder, sources = tmp_path_factory.mktemp('exported') / 'weights', {}
  for name, (module, shown) in NETWORKS.items():
    shapes = weights.shapes_of(module, shown.image_size)
    params = weights.nested(
      {leaf: np.full(shape, 0.5, np.float32) for leaf, shape in shapes.items()}
    )
    training = Training(name, 7, 'tiny', (DataSet('fasseg', 0.8),), 3, 24)
    sources[name] = Source(folder, module, params, shown, training, 'FASSEG: no licence stated')
  export.write_folder(folder, sources, 'float16')
  return folder, {name: source.params for name, source in sources.items()}


def _config(stage, folder, **more):
  given = {'stage': stage, 'start_from': str(folder), 'skip_spikes': 0.0, **more}
  return ml_collections.ConfigDict(given)


def test_exported_networks_go_to_those_of_the_stage_that_they_are(exported):
  folder, params = exported
  for stage, name, own in (
    ('segment', 'segmentation', 'segmenter'),
    ('identity', 'identity', 'identity'),
    ('anonymize', 'identity', 'identity'),
  ):
    found = pretrained.load_exported(_config(stage, folder))
    assert list(found) == [own]
    jax.tree.map(np.testing.assert_array_equal, found[own], params[name])


def test_a_folder_that_has_none_of_a_stages_networks_is_refused(exported):
  with pytest.raises(CheckpointError, match='holds no harmonization, which stage') as caught:
    pretrained.load_exported(_config('harmonize', exported[0]))
  assert '\n' not in str(caught.value)
  with pytest.raises(WeightsError, match='holds no trained networks'):
    pretrained.load_exported(_config('segment', exported[0].parent))


def test_a_run_starts_from_exported_networks_unless_it_goes_on(exported, tmp_path, monkeypatch):
  folder, _ = exported
  built = Experiment(STAGE, None, {}, None, {})
  monkeypatch.setitem(building.BUILDERS, 'segment', lambda *_: built)
  config = _config('segment', folder)
  started = building.build(config, tmp_path, None)
  assert list(started.stage.initial) == ['segmenter']
  assert building.build(_config('segment', ''), tmp_path, None) is built
  (tmp_path / 'checkpoints' / '4').mkdir(parents=True)
  assert building.build(config, tmp_path, None) is built


def test_what_identity_from_names_comes_before_what_was_exported(exported, tmp_path, monkeypatch):
  stage = dataclasses.replace(STAGE, initial={'identity': 'its own'})
  monkeypatch.setitem(
    building.BUILDERS, 'anonymize', lambda *_: Experiment(stage, None, {}, None, {})
  )
  built = building.build(_config('anonymize', exported[0]), tmp_path, None)
  assert built.stage.initial == {'identity': 'its own'}


@pytest.mark.parametrize('of_bodies', [False, True])
def test_an_a_that_grows_starts_by_enlarging_what_it_painted(of_bodies):
  kind, width = (BodyAnonymizationNet, 16) if of_bodies else (AnonymizationNet, 32)
  small = kind(3, widths_for('tiny', 32), HIDDEN['tiny'])
  maps = jnp.asarray(np.random.default_rng(0).integers(0, 6, (2, 64, 2 * width)), jnp.uint8)
  mixtures = jnp.eye(3)[:2]
  params = jax.jit(small.init)(jax.random.key(0), mixtures, maps)['params']
  config = ml_collections.ConfigDict({'image_size': 64, 'preset': 'tiny', 'seed': 1})
  config.dataset = 'ccp' if of_bodies else 'celeba'
  grown = pretrained.grown(small, params, config)
  assert set(grown) - set(params) == {'blocks_4', 'rgbs_4'}
  painted = small.apply({'params': params}, mixtures, maps)
  larger = small.clone(widths=widths_for('tiny', 64)).apply({'params': grown}, mixtures, maps)
  expected = jnp.tanh(upsample_bilinear(jnp.arctanh(painted)))
  np.testing.assert_allclose(larger, expected, atol=1e-4)
  assert float(jnp.abs(grown['blocks_4']['conv1']['kernel']).max()) > 0  # it can learn
  config.image_size = 32
  assert pretrained.grown(small, params, config) is params
