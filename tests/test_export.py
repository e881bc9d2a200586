"""`anon-jax weights export` and `verify`: trained runs of all stages become a folder."""

import gc
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from anon_jax import cli, experiment, parallel, train, workdir
from anon_jax import config as configs
from anon_jax.checkpoints import Checkpoints
from anon_jax.config.every_stage import DATASETS
from anon_jax.config.mixture import parse_mixture
from anon_jax.data import hair
from anon_jax.inference import export, folders, runs, weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import HarmonizationInput, IdentityInput, Input, PaintingInput
from anon_jax.inference.records import DataSet
from anon_jax.nets.frozen import WeightsError

# Stage -> what its test run sets; and which average of which stage each network is.
RUNS = {
  'segment': {'num_train_steps': 2, 'checkpoint_every_steps': 1},
  'identity': {'foreground_only': False, 'weights_dir': '/nowhere'},
  'harmonize': {'upscale': 2, 'condition_sigma': 0.09, 'feather': 3, 'weights_dir': '/nowhere'},
  'anonymize': {'spectral': True, 'coarse_map': True, 'weights_dir': '/nowhere'},
  'joint': {'condition_sigma': 0.08, 'weights_dir': '/nowhere'},
  'single_stage': {'feather': 4, 'coarse_map': True, 'weights_dir': '/nowhere'},
}
AVERAGES = {
  'segmentation': ('segment', 'segmenter'),
  'anonymization': ('anonymize', 'generator'),
  'harmonization': ('harmonize', 'generator'),
  'identity': ('anonymize', 'identity'),
}


def _prepared(stage, folder):
  """Starts a workdir as the training command does; returns the config and what it builds."""
  config = configs.tiny(configs.defaults(stage))
  size = 64 if stage == 'identity' else 32
  config.update({'image_size': size, 'mesh_data': 1, 'num_train_steps': 1, 'seed': 5})
  config.update(RUNS[stage])
  checked = configs.check(experiment.resolve(config), devices=1)
  folder.mkdir()
  built = experiment.build(checked, folder, parallel.make_mesh(1))
  workdir.write_facts(folder, checked.to_dict(), built.data)
  return checked, built


def _train(stage, folder):
  """Trains the test version of a stage by the real loop; only evaluation is left out."""
  config, built = _prepared(stage, folder)
  run = train.Run(folder, experiment.make_plan(config), config.batch_size, config.seed, 3)
  given = (built.stage, built.dataset, built.samples, lambda state, step: {})
  return train.train(run, *given, parallel.make_mesh(1)).state


def _save(stage, folder):
  """Saves random numbers in the state of a stage: what a run saves, without its compilation."""
  _, built = _prepared(stage, folder)
  shapes = jax.eval_shape(lambda: built.stage.init(jax.random.key(0)))
  rng = np.random.default_rng(0)
  saved = Checkpoints(folder / 'checkpoints', 3)
  for step in range(1, RUNS[stage].get('num_train_steps', 1) + 1):
    filled = jax.tree.map(
      lambda leaf: (
        rng.standard_normal(leaf.shape, np.float32)
        if leaf.dtype == np.float32
        else np.zeros(leaf.shape, np.int32)
      ),
      shapes.replace(key=None),
    )
    state = filled.replace(key=jax.random.key(5))
    saved.save(step, state, iter(built.dataset))
  saved.close()
  return state


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Stage -> (its workdir, the averages and networks that it ended with)."""
  folder, found = tmp_path_factory.mktemp('secret_place'), {}
  for stage in RUNS:
    own = folder / f'hidden_{stage}'
    state = (_train if stage == 'identity' else _save)(stage, own)
    found[stage] = own, jax.device_get({'ema': state.ema, 'nets': state.nets})
  return found


@pytest.fixture(scope='module')
def exported(trained, tmp_path_factory):
  """A folder of all networks; I is that of the anonymize run."""
  folder = tmp_path_factory.mktemp('exported') / 'new' / 'weights'
  names = ('segment', 'harmonize', 'anonymize')
  export.export([trained[name][0] for name in names], folder)
  return folder


def _copy(trained, source, folder, /, **changes):
  """A workdir with the checkpoints of a run and another config.json."""
  source = trained[source][0]
  folder.mkdir()
  (folder / 'checkpoints').symlink_to(source / 'checkpoints')
  config = json.loads((source / 'config.json').read_text())
  (folder / 'config.json').write_text(json.dumps(config | changes))
  return folder


def test_the_folder_holds_the_averages_of_the_newest_checkpoints(trained, exported):
  loaded = weights.load_weights(exported)
  for name, (stage, average) in AVERAGES.items():
    network, final = getattr(loaded, name), trained[stage][1]
    wanted = jax.tree.map(lambda leaf: leaf.astype(np.float16), final['ema'][average])
    jax.tree.map(np.testing.assert_array_equal, network.params, wanted)
    raw = jax.tree.map(lambda leaf: leaf.astype(np.float16), final['nets'][average].params)
    with pytest.raises(AssertionError):  # the average is another than what was averaged
      jax.tree.map(np.testing.assert_array_equal, network.params, raw)
    assert network.entry.training.steps == RUNS[stage].get('num_train_steps', 1)


def test_the_folder_says_how_each_network_is_built_and_fed(trained, exported):
  loaded = weights.load_weights(exported)
  assert loaded.segmentation.input == Input(32)
  code = loaded.anonymization.input.hair
  assert loaded.anonymization.input == PaintingInput(32, hair=code)
  assert hair.count(code) == 4
  # two pixels out for one in: the sides of config.json are those of the output
  wanted = HarmonizationInput(16, condition_sigma=0.09, feather=3)
  assert loaded.harmonization.input == wanted
  assert loaded.harmonization.module.upscale == 2
  assert loaded.identity.input == IdentityInput(32, foreground_only=True)
  net = loaded.anonymization.module
  assert (net.identities, net.spectral, net.coarse, net.hidden) == (4, True, True, 8)
  made = loaded.anonymization.entry.training
  assert (made.stage, made.preset, made.seed, made.batch_size) == ('anonymize', 'tiny', 5, 8)
  assert made.data == (DataSet('procedural_faces', 1.0, 1.0),)
  assert 'none, the faces are drawn' in loaded.anonymization.entry.data_licence


@pytest.mark.parametrize(
  ('stage', 'averages'),
  [
    ('joint', {'anonymization': 'generator', 'harmonization': 'harmonizer'}),
    ('single_stage', {'single_stage': 'generator'}),
  ],
)
def test_the_ablations_networks_are_exported_and_i_is_that_of_an_identity_run(
  trained, tmp_path, stage, averages
):
  export.export([trained[stage][0], trained['identity'][0]], tmp_path / 'weights')
  loaded = weights.load_weights(tmp_path / 'weights')
  present = {name for name, network in vars(loaded).items() if network is not None}
  assert present == {*averages, 'identity'}
  assert loaded.identity.entry.training.stage == 'identity'
  for name, average in averages.items():
    wanted = jax.tree.map(lambda leaf: leaf.astype(np.float16), trained[stage][1]['ema'][average])
    network = getattr(loaded, name)
    jax.tree.map(np.testing.assert_array_equal, network.params, wanted)
    assert network.entry.training.stage == stage


def test_what_the_ablations_blenders_are_shown_is_said(trained, tmp_path):
  for stage in ('joint', 'single_stage'):
    export.export([trained[stage][0]], tmp_path / stage)
  joint, single = (weights.load_weights(tmp_path / stage) for stage in ('joint', 'single_stage'))
  assert joint.harmonization.input == HarmonizationInput(32, condition_sigma=0.08)
  assert (joint.harmonization.module.upscale, joint.harmonization.module.recurrent) == (1, False)
  assert joint.anonymization.input == PaintingInput(32, hair=hair.read(trained['joint'][0]))
  assert single.single_stage.input == HarmonizationInput(32, feather=4)
  assert single.single_stage.module.coarse


def _texts(value):
  """Lists the texts in parsed JSON; not the names of fields, which reading holds to a list."""
  if isinstance(value, dict | list):
    items = value.values() if isinstance(value, dict) else value
    return [text for item in items for text in _texts(item)]
  return [value] if isinstance(value, str) else []


def test_nothing_of_the_training_machine_gets_into_the_folder(trained, tmp_path):
  secret = _copy(
    trained,
    'segment',
    tmp_path / 'hidden_run',
    mixture='celeba:/home/secret,x/celeba:0.5:0.8,face_folder:/home/secret:a/mine:0.5:1.6',
    manual_dir='/home/secret',
  )
  anonymize = _copy(trained, 'anonymize', tmp_path / 'hidden_a', identity_from='/home/secret/run')
  export.export([secret, anonymize], tmp_path / 'weights')
  assert {path.name for path in (tmp_path / 'weights').iterdir()} == {
    'anonymization.safetensors',
    'identity.safetensors',
    'model.json',
    'segmentation.safetensors',
  }
  description = json.loads((tmp_path / 'weights' / 'model.json').read_text())
  for text in _texts(description):
    assert not any(part in text for part in ('/', 'secret', 'hidden_'))
  for path in (tmp_path / 'weights').iterdir():
    for word in (b'secret', b'hidden_', str(tmp_path).encode(), b'/home'):
      assert word not in path.read_bytes()


def test_exporting_again_gives_the_same_bytes(trained, exported, tmp_path):
  before = {path.name: path.read_bytes() for path in exported.iterdir()}
  for name in ('anonymize', 'segment', 'harmonize'):
    export.export([trained[name][0]], tmp_path / 'again')
  assert {path.name: path.read_bytes() for path in (tmp_path / 'again').iterdir()} == before


def test_the_best_checkpoint_is_taken_on_request(trained, tmp_path):
  ours = _copy(trained, 'segment', tmp_path / 'run', best_scalar='eval_miou', best_is='highest')
  shared = (ours / 'checkpoints').resolve()
  (ours / 'checkpoints').unlink()
  shutil.copytree(shared, ours / 'checkpoints')
  folder = tmp_path / 'networks'
  with pytest.raises(InferenceError, match=r"no checkpoint in .* was evaluated by 'eval_miou'"):
    export.export([ours], folder, best=True)
  for step, score in ((1, 0.9), (2, 0.8)):
    scores = json.dumps({'eval_miou': score})
    (ours / 'checkpoints' / str(step) / 'evaluation.json').write_text(scores)
  for best, step in ((True, 1), (False, 2)):
    export.export([ours], folder, best=best)
    found = json.loads((folder / 'model.json').read_text())
    assert found['networks']['segmentation']['training']['steps'] == step


def test_a_folder_is_updated_and_keeps_the_networks_that_are_not_given(trained, exported, tmp_path):
  folder = tmp_path / 'weights'
  shutil.copytree(exported, folder)
  before = weights.load_weights(folder)
  export.export([trained['identity'][0]], folder, dtype='float32')
  after = weights.load_weights(folder)
  for name in ('segmentation', 'anonymization', 'harmonization'):
    assert getattr(after, name).entry.sha256 == getattr(before, name).entry.sha256
  assert after.identity.input == IdentityInput(64, foreground_only=False)
  assert after.identity.entry.training.stage == 'identity'
  wanted = trained['identity'][1]['ema']['identity']
  jax.tree.map(np.testing.assert_array_equal, after.identity.params, wanted)
  assert [path.name for path in tmp_path.iterdir()] == ['weights']


def test_two_sources_of_one_network_are_refused_by_name(trained, tmp_path):
  _copy(trained, 'identity', tmp_path / 'other')
  given = [trained['identity'][0], tmp_path / 'other']
  with pytest.raises(InferenceError, match=r'identity is in .*_identity and in .*other; give one'):
    export.export(given, tmp_path / 'weights')
  assert not (tmp_path / 'weights').exists()


@pytest.mark.parametrize('order', [('identity', 'anonymize'), ('anonymize', 'identity')])
def test_i_is_taken_from_where_a_had_no_part_in_it(trained, tmp_path, order):
  export.export([trained[name][0] for name in order], tmp_path / 'weights')
  found = weights.load_weights(tmp_path / 'weights')
  assert found.identity.entry.training.stage == 'identity'
  assert found.anonymization.entry.training.stage == 'anonymize'


def test_the_threshold_of_i_is_that_of_the_runs_evaluation_at_that_step(trained, tmp_path):
  _copy(trained, 'identity', tmp_path / 'run')
  step = None
  for found, wanted in (({'step': -1}, 0.5), (None, 0.5), ('measured', 0.25)):
    if found == 'measured':
      found = {'step': step, 'identification': {'method': {'threshold': 0.25}}}
    (tmp_path / 'run' / 'results.json').write_text(json.dumps(found))
    ((_, source),) = runs.read_run(tmp_path / 'run', None)
    step = source.training.steps
    assert source.input.threshold == wanted


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(trained, exported, tmp_path):
  run = [trained['segment'][0]]
  mine = tmp_path / 'mine'
  mine.mkdir()
  export.export(run, mine)  # an empty one may be used
  (mine / 'notes.txt').write_text('x')
  with pytest.raises(InferenceError, match=r"mine holds 'notes\.txt', which no export wrote; give"):
    export.export(run, mine)
  (mine / 'notes.txt').unlink()
  (mine / 'model.json').unlink()
  with pytest.raises(InferenceError, match=r"holds 'segmentation\.safetensors', which no export"):
    export.export(run, mine)
  assert [path.name for path in mine.iterdir()] == ['segmentation.safetensors']
  (tmp_path / 'file').write_text('x')
  with pytest.raises(InferenceError, match='file is a file; give a folder'):
    export.export(run, tmp_path / 'file')
  damaged = tmp_path / 'damaged'
  shutil.copytree(exported, damaged)
  (damaged / 'identity.safetensors').write_bytes(b'')
  with pytest.raises(WeightsError, match=r'damaged/identity\.safetensors has 0 bytes but'):
    export.export(run, damaged)


@pytest.mark.parametrize('failing', ['model.json', 'rename', 'load'])
def test_an_export_that_fails_leaves_the_folder_as_it_was(
  trained, exported, tmp_path, monkeypatch, failing
):
  folder = tmp_path / 'weights'
  shutil.copytree(exported, folder)
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  really_write, really_rename, really_load = (
    folders.write_whole,
    pathlib.Path.rename,
    weights.load_networks,
  )

  def write(path, content):
    if path.name == failing:
      raise OSError(28, 'No space left on device', str(path))
    really_write(path, content)

  def rename(path, target):
    if failing == 'rename' and path.name.endswith('.part') and path.is_dir():
      raise OSError(16, 'Device or resource busy', str(path))
    return really_rename(path, target)

  def load(path):
    if failing == 'load' and path.name.endswith('.part'):
      raise OSError(5, 'Input/output error', str(path))
    return really_load(path)

  monkeypatch.setattr(folders, 'write_whole', write)
  monkeypatch.setattr(pathlib.Path, 'rename', rename)
  monkeypatch.setattr(weights, 'load_networks', load)
  with pytest.raises(OSError, match=r'space|busy|Input'):
    export.export([trained['identity'][0]], folder)
  monkeypatch.undo()
  assert [path.name for path in tmp_path.iterdir()] == ['weights']
  assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
  ('stage', 'changes', 'message'),
  [
    (
      'segment',
      {'stage': 'paint'},
      "has stage 'paint'; it can be exported where that is one of se",
    ),
    ('segment', {'preset': 'huge'}, "has preset 'huge'; it can be exported where"),
    ('segment', {'preset': 'small'}, r'segmentation: .* in the checkpoint, and .* by config\.json'),
    ('segment', {'stage': 'identity'}, "has no averages of 'identity' in step 2, as stage 'ident"),
    ('segment', {'dataset': '/home/x'}, "has dataset '/home/x'; it can be exported where that is"),
    ('segment', {'mixture': 'celeba:x'}, 'has a mixture that cannot be read'),
    ('segment', {'seed': '7'}, "has seed '7'; expected int"),
    ('segment', {'image_size': 33}, 'cannot be halved 1 times'),
    ('harmonize', {'feather': True}, 'has feather True; expected int'),
    ('harmonize', {'stage': 'anonymize'}, r'anonymization: embed\.kernel is missing'),
    ('anonymize', {'image_size': 48}, 'A paints 32, 64, 128, 256, 512 px, not 48'),
  ],
)
def test_a_config_that_does_not_fit_its_checkpoint_is_refused(
  trained, tmp_path, stage, changes, message
):
  run = _copy(trained, stage, tmp_path / 'run', **changes)
  with pytest.raises(InferenceError, match=message) as caught:
    export.export([run], tmp_path / 'weights')
  assert '\n' not in str(caught.value)
  assert [path.name for path in tmp_path.iterdir()] == ['run']


def test_a_run_without_a_config_or_a_whole_checkpoint_is_refused(trained, tmp_path):
  run = tmp_path / 'run'
  with pytest.raises(InferenceError, match=r'run holds no run: config\.json is missing; give'):
    export.export([run], tmp_path / 'weights')
  run.mkdir()
  for text, message in (('{', 'cannot be read .JSONDec'), ('[]', 'holds no fields')):
    (run / 'config.json').write_text(text)
    with pytest.raises(InferenceError, match=message):
      export.export([run], tmp_path / 'weights')
  shutil.copy(trained['segment'][0] / 'config.json', run)
  with pytest.raises(InferenceError, match='checkpoints is missing; train first'):
    export.export([run], tmp_path / 'weights')
  (run / 'checkpoints').mkdir()
  with pytest.raises(InferenceError, match='no complete checkpoint; train first'):
    export.export([run], tmp_path / 'weights')


# Where Orbax fails it leaves a coroutine of a closed loop behind, which complains when collected.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_can_be_taken(trained, tmp_path):
  run = tmp_path / 'run'
  shutil.copytree(trained['segment'][0], run)
  newest = run / 'checkpoints' / '2'
  (newest / 'state' / 'manifest.ocdbt').unlink()
  with pytest.raises(InferenceError, match=r'checkpoints/2 is damaged \(.*remove this folder to'):
    export.export([run], tmp_path / 'weights')
  gc.collect()  # here, not in another test
  (newest / 'state' / '_METADATA').unlink()
  with pytest.raises(InferenceError, match=r'_METADATA is missing'):
    export.export([run], tmp_path / 'weights')
  shutil.rmtree(newest)
  export.export([run], tmp_path / 'weights')
  assert weights.load_weights(tmp_path / 'weights').segmentation.entry.training.steps == 1


def test_mixtures_are_read_as_the_config_reads_them(trained, tmp_path):
  for number, name in enumerate(('a', 'b,c d:e', 'e:0.5:1')):
    (tmp_path / name).mkdir()
    text = (
      f'celeba:{tmp_path}/a:0.5:0.8, fasseg::{number + 1}:1,face_folder:{tmp_path / name}:3:1.6'
    )
    run = _copy(trained, 'segment', tmp_path / f'run{number}', mixture=text)
    [(_, source)] = runs.read_run(run, None)
    wanted = [DataSet(part.dataset, part.crop, part.weight) for part in parse_mixture(text)]
    assert list(source.training.data) == wanted


def test_the_terms_are_those_of_all_the_data_that_a_network_has_learnt_from(trained, tmp_path):
  mixture = 'celeba::0.5:0.8,face_folder::0.2:1.6,fasseg::0.3:1,celeba::1:1'
  run = _copy(trained, 'segment', tmp_path / 'run', mixture=mixture)
  [(_, source)] = runs.read_run(run, None)
  assert source.licence == (
    'CelebA: non-commercial research only; face_folder: that of your own pictures; '
    'FASSEG: no licence stated'
  )
  [(_, source)] = runs.read_run(run, 'utkface')
  assert 'UTKFace: non-commercial research only' in source.licence
  assert source.training.data[1] == DataSet('utkface', 1.6, 0.2)
  earlier = _copy(trained, 'identity', tmp_path / 'earlier', dataset='celeba', crop=0.8)
  later = _copy(trained, 'anonymize', tmp_path / 'later', identity_from=str(earlier))
  for _, source in runs.read_run(later, None):
    assert source.training.data[1] == DataSet('celeba', 0.8)
    assert source.licence.endswith('; CelebA: non-commercial research only')
  shutil.rmtree(earlier)
  for _, source in runs.read_run(later, None):
    assert source.licence.endswith(runs.UNKNOWN_START)
  with pytest.raises(InferenceError, match="no run was trained on a face_folder that could be 'ut"):
    export.export([later], tmp_path / 'weights', face_folder='utkface')


def test_every_data_set_has_terms_and_the_command_offers_what_the_code_knows(capsys):
  named = {*DATASETS, 'clip_folder'}
  assert named == set(runs.LICENCES) - set(runs.KNOWN_FOLDERS)
  with pytest.raises(SystemExit):
    cli.main(['weights', 'export', '--help'])
  told = capsys.readouterr().out
  assert '{' + ','.join(runs.KNOWN_FOLDERS) + '}' in told
  assert '{' + ','.join(export.DTYPES) + '}' in told
  with pytest.raises(ValueError, match="dtype='int8' and face_folder=None; choose of"):
    export.export([], '/nowhere', dtype='int8')


def test_the_commands_print_a_line_a_network_and_refuse_in_one(trained, tmp_path, capsys):
  folder = tmp_path / 'weights'
  given = [f'--workdir={trained[stage][0]}' for stage in ('segment', 'identity')]
  assert cli.main(['weights', 'export', *given, '-o', str(folder), '--dtype=float32']) == 0
  told = capsys.readouterr().out
  assert cli.main(['weights', 'verify', str(folder)]) == 0
  assert capsys.readouterr().out == told
  first, second = told.splitlines()
  size = (folder / 'segmentation.safetensors').stat().st_size
  assert first.startswith('segmentation.safetensors: SegmentationNet, 32 px, 6080 parameters, floa')
  assert f'float32, {size} bytes, sha256 ' in first
  assert second.startswith('identity.safetensors: IdentityNet, 64 px, ')
  raw = bytearray((folder / 'identity.safetensors').read_bytes())
  raw[-3] ^= 4
  (folder / 'identity.safetensors').write_bytes(raw)
  assert cli.main(['weights', 'verify', str(folder)]) == 1
  captured = capsys.readouterr()
  assert captured.out == ''
  assert len(captured.err.strip().splitlines()) == 1
  assert captured.err.startswith(f'anon-jax: {folder}/identity.safetensors has SHA-256')


@pytest.mark.parametrize(('identity_size', 'side'), [(32, 32), (0, 64)])
def test_i_beside_an_a_of_more_pixels_is_shown_crops_of_its_own_size(tmp_path, identity_size, side):
  values = {'preset': 'tiny', 'image_size': 64, 'face_share': 0.8, 'crop': 0.8}
  config = runs.RunConfig(tmp_path / 'config.json', values | {'identity_size': identity_size})
  for build in (runs._build, runs._build_body):
    assert build('identity', config, {}, 5)[1].image_size == side
