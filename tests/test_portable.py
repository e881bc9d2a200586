"""`anon-jax export`: ONNX models and StableHLO programs that do what the networks do here."""

import hashlib
import importlib.util
import json

import jax
import numpy as np
import onnxruntime
import pytest
from test_synthesis import IDENTITIES, SIZE, _controls, _noise, _weights
from test_weights_folder import _write as write_weights

from anon_jax import cli
from anon_jax.inference import command, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Request, Trust
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.inputs import HarmonizationInput
from anon_jax.inference.portable import formats, parity, programs
from anon_jax.inference.synthesis import Synthesizer, chosen
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.single_stage import SingleStageNet

NETWORKS = ('segmentation', 'anonymization', 'harmonization', 'identity')


@pytest.fixture(autouse=True, scope='module')
def compiled_programs_stay_out_of_the_home():
  patch = pytest.MonkeyPatch()
  patch.setattr(command, 'keep_programs', lambda: None)  # it would change jax for all tests
  yield
  patch.undo()


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  return write_weights(tmp_path_factory.mktemp('source') / 'weights', NETWORKS)


def _export(source, output, form):
  return cli.main(['export', '--format', form, '--weights', str(source), '-o', str(output)])


@pytest.fixture(scope='module', params=['onnx', 'stablehlo'])
def exported(request, source, tmp_path_factory):
  """A folder that the command wrote, and its format."""
  output = tmp_path_factory.mktemp(request.param) / 'deep' / 'models'
  assert _export(source, output, request.param) == 0
  return output, request.param


def _described(output):
  return json.loads((output / 'manifest.json').read_text())


def test_the_folder_holds_the_networks_the_chain_and_what_describes_them(exported):
  output, form = exported
  names = {f'{name}.{form}' for name in (*NETWORKS, 'chain')}
  assert {path.name for path in output.iterdir()} == names | {'manifest.json', 'README.txt'}
  assert [path.name for path in output.parent.iterdir()] == ['models']
  note = (output / 'README.txt').read_text()
  assert f'chain.{form}' in note
  assert all(name in note for name in _described(output)['trust'])


def test_the_manifest_says_what_each_file_is_and_where_it_comes_from(exported, source):
  output, form = exported
  found = _described(output)
  for name, program in found['programs'].items():
    raw = (output / program['file']).read_bytes()
    assert program['sha256'] == hashlib.sha256(raw).hexdigest(), name
    assert program['bytes'] == len(raw)
    assert program['parity']['batches'] == [1, 3]
    assert 0 <= program['parity']['largest_difference'] <= 0.05
  model_json = (source / 'model.json').read_bytes()
  assert found['source']['model_json_sha256'] == hashlib.sha256(model_json).hexdigest()
  assert (found['kind'], found['parameters']) == (form, 'float32')
  assert found['source']['networks']['identity']['dtype'] == 'float16'
  blended = found['source']['networks']['harmonization']['input']
  assert blended['condition_sigma'] == 0.07  # nobody could run H by itself without it
  assert set(found['licences'].values()) == {'FASSEG: no licence stated'}
  assert found['classes'][1] == 'skin'
  assert found['trust'] == {'foreground_at_least': 0.08, 'similarity_at_most': 0.5, 'draws': 4}
  assert found['versions']['jax'] == jax.__version__
  crops = found['programs']['chain']['inputs']['crops']
  assert (crops['dtype'], crops['shape'], crops['range']) == (
    'uint8',
    ['batch', 16, 16, 3],
    [0, 255],
  )
  # H of the source enlarges by two
  assert found['programs']['chain']['outputs']['painted']['shape'] == ['batch', 32, 32, 3]


@pytest.mark.parametrize('size', [1, 3, 8])
def test_every_program_gives_what_jax_gives_for_a_batch_of_any_size(exported, source, size):
  output, form = exported
  loaded = weights.load_weights(source)
  for program in programs.programs(loaded):
    run = formats.FORMATS[form].run((output / f'{program.name}.{form}').read_bytes())
    inputs = parity.drawn(program.inputs, size)
    found = parity.compare(program, chosen(loaded), run, inputs, [size])
    # random parameters grow what rounding leaves; those of the package are held to 1e-3
    assert found.difference <= 1e-2, program.name
    assert found.other_classes <= 1e-3


def test_inputs_and_outputs_of_an_onnx_file_have_the_names_of_the_manifest(source, tmp_path):
  program = programs.programs(weights.load_weights(source))[-1]
  path = tmp_path / 'chain.onnx'
  path.write_bytes(formats.FORMATS['onnx'].write(program))
  session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
  for found, wanted in (
    (session.get_inputs(), program.inputs),
    (session.get_outputs(), program.outputs),
  ):
    kinds = {'uint8': 'tensor(uint8)', 'float32': 'tensor(float)', 'bool': 'tensor(bool)'}
    assert {value.name: (tuple(value.shape), value.type) for value in found} == {
      name: (array.shape, kinds[array.dtype]) for name, array in wanted.items()
    }


@pytest.mark.parametrize('share', [0.6, 0.8])
def test_the_chain_does_to_a_crop_what_the_anonymizer_does_to_a_picture_that_is_one(share):
  networks = chosen(_weights(share=share))
  trust = Trust(similarity=2.0)
  anonymizer = Anonymizer(synthesizer=Synthesizer(_weights(share=share)), trust=trust, identity='2')
  control = np.eye(IDENTITIES, dtype=np.float32)[[2]]
  margin = SIZE * 3 // 16  # the box has 1 / 1.6 of the side
  box = (margin, margin, SIZE - margin, SIZE - margin)
  compared = 0
  for seed in range(4):
    crop = _noise(1, 8, 8, 3, seed=seed).repeat(4, 1).repeat(4, 2)
    # with a cast: the map that random parameters find would miss part of the box
    (done,) = anonymizer.anonymize_many([Request(crop[0], [Face(box)], cast={})])
    if done.faces[0].action != 'synthesized':
      continue
    compared += 1
    found = jax.device_get(programs.anonymized(networks, crop, control))
    assert abs(np.round(found['anonymized'][0]) - done.image).max() <= 1
    assert found['similarity'][0] == pytest.approx(done.faces[0].similarity, abs=1e-4)
    hidden = found['mask'][0]
    np.testing.assert_array_equal(done.image[~hidden], crop[0][~hidden])
    assert 0 < hidden.mean() < 1
  assert compared >= 2


def test_outside_the_mask_a_crop_stays_what_it_was_and_inside_it_shows_what_was_painted():
  crops = _noise(2, SIZE, SIZE, 3, seed=5)
  found = jax.device_get(programs.anonymized(chosen(_weights()), crops, _controls(2)))
  mask = found['mask']
  np.testing.assert_allclose(found['anonymized'][~mask], crops[~mask], atol=1e-4)
  np.testing.assert_allclose(found['anonymized'][mask], found['painted'][mask], atol=1e-4)


def _with(**changed):
  """Returns the tiny weights with other networks of random parameters, or without some."""
  found = dict(vars(_weights()))
  for name, given in changed.items():
    found[name] = None
    if given is not None:
      module, shown = given
      rng = np.random.default_rng(0)
      shapes = weights.shapes_of(module, shown.image_size)
      flat = {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}
      found[name] = weights.Network(module, weights.nested(flat), shown, None)
  return weights.Weights(**found)


CASES = {
  'recurrent': {
    'harmonization': (HarmonizationNet((8, 12), recurrent=True), HarmonizationInput(SIZE))
  },
  'single_stage': {
    'anonymization': None,
    'harmonization': None,
    'single_stage': (SingleStageNet(3, (8, 8, 8, 8), 4), HarmonizationInput(SIZE)),
  },
}


@pytest.mark.parametrize(
  ('case', 'inputs'),
  [
    ('recurrent', ['crops', 'controls', 'previous', 'known']),
    ('single_stage', ['crops', 'controls']),
  ],
)
def test_networks_for_clips_and_the_one_for_both_tasks_are_exported_too(case, inputs):
  loaded = _with(**CASES[case])
  chain = programs.programs(loaded)[-1]
  assert list(chain.inputs) == inputs
  run = formats.FORMATS['onnx'].run(formats.FORMATS['onnx'].write(chain))
  assert parity.check(chain, chosen(loaded), run).difference <= 1e-2


def test_the_frame_before_counts_only_where_it_is_known():
  networks = chosen(_with(**CASES['recurrent']))
  crops, controls = _noise(1, SIZE, SIZE, 3), _controls(1)
  known, unknown = np.ones(1, np.float32), np.zeros(1, np.float32)
  frames = [_noise(1, SIZE, SIZE, 3, seed=seed) for seed in (1, 2)]
  run = jax.jit(lambda *given: programs.anonymized(networks, *given)['painted'])
  first, second = (run(crops, controls, frame, unknown) for frame in frames)
  np.testing.assert_array_equal(first, second)
  assert abs(run(crops, controls, frames[0], known) - first).max() > 1


def test_a_program_that_computes_something_else_is_refused():
  program = programs.programs(_weights())[1]

  def run(inputs):
    return {'faces': np.asarray(program.function(*inputs.values())['faces']) + 0.01}

  with pytest.raises(InferenceError, match=r'exported anonymization differs from JAX by 1\.2\d of'):
    parity.check(program, chosen(_weights()), run)


def test_nothing_is_written_where_a_program_is_refused(source, tmp_path, monkeypatch, capsys):
  def refuse(*_):
    raise InferenceError('refused')

  monkeypatch.setattr(parity, 'check', refuse)
  assert _export(source, tmp_path / 'new', 'stablehlo') == 1
  assert capsys.readouterr().err.endswith('anon-jax: refused\n')
  assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(source, tmp_path, monkeypatch, capsys):
  (tmp_path / 'file').write_text('')
  output = tmp_path / 'file' / 'models'
  monkeypatch.setattr('anon_jax.inference.portable.folder.programs', lambda loaded: [])
  assert _export(source, output, 'onnx') == 1
  assert f'{output} cannot be written (' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['-o', '--weights'])
def test_an_option_whose_variable_was_empty_is_refused(option, tmp_path, capsys):
  given = {'-o': str(tmp_path / 'models'), '--weights': str(tmp_path)} | {option: ''}
  with pytest.raises(SystemExit, match='2'):
    cli.main(['export', '--format', 'onnx', *(each for pair in given.items() for each in pair)])
  assert 'is empty' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_stays_as_it_is(source, tmp_path, capsys):
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'mine').write_text('x')
  (tmp_path / 'file').write_text('x')
  for name, what in (('full', 'holds something already'), ('file', 'is a file')):
    assert _export(source, tmp_path / name, 'onnx') == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert f'{what}; give a new folder' in said
  assert [path.name for path in (tmp_path / 'full').iterdir()] == ['mine']


def test_the_missing_package_is_named_with_what_installs_it(source, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert _export(source, tmp_path / 'new', 'onnx') == 1
  said = capsys.readouterr().err
  assert said.count('\n') == 1
  assert "pip install 'anon-jax[export]'" in said


def test_a_missing_network_is_named(tmp_path, capsys):
  alone = write_weights(tmp_path / 'weights', ('segmentation', 'identity'))
  assert _export(alone, tmp_path / 'new', 'onnx') == 1
  assert 'have no anonymization and no harmonization' in capsys.readouterr().err
