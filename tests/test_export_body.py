"""Networks of bodies become a folder of their own kind, which nothing of faces takes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax import experiment, parallel, workdir
from anon_jax.checkpoints import Checkpoints
from anon_jax.data import body_classes, joints
from anon_jax.inference import export, model_json, weights
from anon_jax.inference.body_weights import load_body_weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import BodyHarmonizationInput, BodyIdentityInput, BodyPaintingInput
from anon_jax.inference.records import DataSet
from anon_jax.nets.frozen import WeightsError

FIELDS = {
  'anonymize': {'joint_sigma': 0.03, 'parts_share': 0.5},
  'harmonize': {'upscale': 2, 'image_size': 64, 'condition_sigma': 0.09, 'feather': 3},
}


def _run(stage, folder, dataset='procedural_bodies', **changes):
  """A workdir with random averages; returns them."""
  config = configs.defaults(stage)
  config.dataset = dataset
  config = configs.tiny(config)
  config.update({'image_size': 32, 'mesh_data': 1, 'weights_dir': '/nowhere', **changes})
  checked = configs.check(experiment.resolve(config), devices=1)
  folder.mkdir(parents=True)
  built = experiment.build(checked, folder, parallel.make_mesh(1))
  workdir.write_facts(folder, checked.to_dict(), built.data)
  shapes = jax.eval_shape(lambda: built.stage.init(jax.random.key(0)))
  rng = np.random.default_rng(0)
  filled = jax.tree.map(
    lambda leaf: (rng.standard_normal(leaf.shape) / 4).astype(leaf.dtype), shapes.replace(key=None)
  )
  saved = Checkpoints(folder / 'checkpoints', 3)
  saved.save(1, filled.replace(key=jax.random.key(5)), iter(built.dataset))
  saved.close()
  return filled.ema


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """The folder of A, H and I, and the averages that A's run ended with."""
  place = tmp_path_factory.mktemp('bodies')
  found = {stage: _run(stage, place / stage, **fields) for stage, fields in FIELDS.items()}
  export.export([place / stage for stage in FIELDS], place / 'weights')
  return place / 'weights', found


def test_the_folder_says_how_bodies_are_shown_to_each_network(exported):
  folder, _ = exported
  nets = load_body_weights(folder)
  share = 0.68  # crop 1 shows all of what is stored: .85 of .8 of it
  wanted = BodyPaintingInput(32, 16, share, parts_share=0.5, joint_sigma=0.03)
  assert nets.anonymization.input == wanted
  assert nets.anonymization.module.joints == joints.NUM_JOINTS
  # two pixels out for one in
  wanted = BodyHarmonizationInput(32, 16, share, condition_sigma=0.09, feather=3)
  assert nets.harmonization.input == wanted
  assert nets.identity.input == BodyIdentityInput(32, 16, share, foreground_only=True)
  assert nets.anonymization.entry.training.data == (DataSet('procedural_bodies', 1.0),)
  assert 'the persons are drawn' in nets.anonymization.entry.data_licence


def test_model_json_has_the_classes_and_joints_of_bodies_and_a_format_of_its_own(exported):
  content = json.loads((exported[0] / 'model.json').read_text())
  assert (content['format'], content['view']) == (6, 'body')
  assert content['classes'] == list(body_classes.CLASSES)
  assert content['joints'] == list(joints.NAMES)
  assert content['networks']['anonymization']['architecture']['module'] == 'BodyAnonymizationNet'


def test_a_loaded_a_paints_what_the_averages_of_its_run_paint(exported):
  folder, found = exported
  net = load_body_weights(folder).anonymization
  who = jax.nn.one_hot(jnp.array([2]), net.module.identities)
  maps = jnp.ones((1, 32, 16), jnp.uint8)
  shown = jax.random.uniform(jax.random.key(0), (1, 32, 16, joints.NUM_JOINTS))
  painted = net.module.apply({'params': net.params}, who, maps, shown)
  assert painted.shape == (1, 32, 16, 3)
  wanted = net.module.apply({'params': found['anonymize']['generator']}, who, maps, shown)
  np.testing.assert_allclose(painted, wanted, atol=0.02)  # float16


def test_verify_names_height_and_width(exported):
  lines = weights.verify(exported[0])
  assert [line.split(',')[1].strip() for line in lines] == ['32 x 16 px'] * 3


def test_faces_and_bodies_are_not_taken_for_each_other(exported, tmp_path):
  with pytest.raises(WeightsError, match='holds networks of bodies, and faces are asked for'):
    weights.load_weights(exported[0])
  _run('harmonize', tmp_path / 'face', dataset='procedural_faces')
  export.export([tmp_path / 'face'], tmp_path / 'faces')
  with pytest.raises(WeightsError, match='holds networks of faces, and bodies are asked for'):
    load_body_weights(tmp_path / 'faces')
  assert json.loads((tmp_path / 'faces' / 'model.json').read_text())['format'] == 7
  before = (tmp_path / 'faces' / 'model.json').read_bytes()
  _run('anonymize', tmp_path / 'body')
  with pytest.raises(InferenceError, match=r'would be of bodies and the other networks .* faces'):
    export.export([tmp_path / 'body'], tmp_path / 'faces')
  assert (tmp_path / 'faces' / 'model.json').read_bytes() == before


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('view', 'face', "view is 'face', and the networks here have body"),
    ('joints', ['nose'], "joints is \\['nose'\\], and the networks here have"),
    ('networks.anonymization.input.width', 32, 'input.width is 32, which is out of range'),
    ('networks.anonymization.architecture.joints', 0, 'architecture.joints is 0, which is out of'),
    (
      'networks.anonymization.architecture.classes',
      8,
      'architecture.classes is 8, which is out of',
    ),
    ('networks.anonymization.architecture.coarse', True, 'architecture.coarse is True, which is'),
    ('networks.anonymization.input.parts_share', 2.0, 'input.parts_share is 2.0, which is out of'),
    ('networks.harmonization.input.face_share', 0.6, "has an unknown field 'face_share'"),
    ('format', 7, "lacks classes|has an unknown field 'view'"),
  ],
)
def test_a_field_of_bodies_that_says_what_it_should_not_is_named(exported, path, value, message):
  content = json.loads((exported[0] / 'model.json').read_text())
  del content['sha256']
  *above, last = path.split('.')
  place = content
  for name in above:
    place = place[name]
  place[last] = value
  with pytest.raises(WeightsError, match=message):
    model_json.read(model_json.seal(content), 'model.json')


def test_the_licences_of_real_bodies_are_known(tmp_path):
  _run('harmonize', tmp_path / 'run')
  config = json.loads((tmp_path / 'run' / 'config.json').read_text())
  for dataset, words in (('ccp', 'Apache-2.0'), ('davis', 'cite'), ('mots', 'non-commercial')):
    (tmp_path / 'run' / 'config.json').write_text(json.dumps(config | {'dataset': dataset}))
    export.export([tmp_path / 'run'], tmp_path / dataset)
    assert words in load_body_weights(tmp_path / dataset).harmonization.entry.data_licence


def test_a_run_starts_from_exported_networks_of_bodies(exported, tmp_path):
  config = configs.defaults('anonymize')
  config.dataset = 'procedural_bodies'
  config = configs.tiny(config)
  config.update({'image_size': 32, 'weights_dir': '/nowhere', 'start_from': str(exported[0])})
  config.update(FIELDS['anonymize'])
  checked = configs.check(experiment.resolve(config), devices=8)
  built = experiment.build(checked, tmp_path, parallel.make_mesh())
  assert set(built.stage.initial) == {'generator', 'identity'}
