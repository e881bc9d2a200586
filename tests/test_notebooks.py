"""The notebooks: without outputs in the repository, and every cell of each runs."""

import json
import os
import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'notebooks'
PATHS = sorted(FOLDER.glob('*.ipynb'))
# Smaller than what the notebooks have; and how many figures each shows.
SETTINGS = {
  'anonymize_photo': ({'DRAWS': 1}, 8),
  'identity_space': ({'CONTROLS': 8, 'DRAWS': 8, 'STEPS': 3, 'PEOPLE': 4, 'PICTURES': 2}, 10),
  'inspect_harmonizer': ({'FACES': 1, 'SIGMAS': (0.07,)}, 9),
  'read_results': ({'PEOPLE': 4, 'PICTURES': 2}, 7),
  'train_on_your_faces': (
    {'DRAWN': 24, 'IMAGE_SIZE': 32, 'PRESET': 'tiny', 'STEPS': 4, 'BATCH_SIZE': 8},
    5,
  ),
}


def _cells(path, kind='code'):
  notebook = nbformat.read(path, as_version=4)
  return [cell for cell in notebook.cells if cell.cell_type == kind]


def _tagged(path, tag):
  return [cell for cell in _cells(path) if tag in cell.metadata.get('tags', [])]


def test_there_are_five_notebooks_each_with_settings_and_a_row_in_the_table():
  names = {path.stem for path in PATHS}
  assert names == set(SETTINGS)
  listed = re.findall(r'^\| \[(\w+)\.ipynb\]', (FOLDER / 'README.md').read_text(), re.MULTILINE)
  assert set(listed) == names


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_has_no_outputs(path):
  raw = json.loads(path.read_text())
  nbformat.validate(raw)
  assert (raw['nbformat'], raw['nbformat_minor'] >= 5) == (4, True)
  ids = [cell['id'] for cell in raw['cells']]
  assert len(set(ids)) == len(ids)
  for cell in raw['cells']:
    assert 'attachments' not in cell, 'a picture in a text cell'
    if cell['cell_type'] == 'code':
      assert (cell['outputs'], cell['execution_count']) == ([], None), 'strip the outputs'


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_first_cells_install_what_is_missing_and_hold_the_settings(path):
  first, second = _cells(path)[:2]
  assert [first] == _tagged(path, 'setup')
  assert 'pip install' in first.source
  assert [second] == _tagged(path, 'parameters')
  assigned = set(re.findall(r'^(\w+) = ', second.source, re.MULTILINE))
  assert set(SETTINGS[path.stem][0]) <= assigned


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_first_cell_says_so_where_there_is_nothing_to_install(path, tmp_path, monkeypatch):
  code = re.sub(r'%pip.*', 'raise AssertionError', _cells(path)[0].source)
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  monkeypatch.delenv('ANON_JAX_SOURCE', raising=False)
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')
  with pytest.raises(SystemExit, match='Set ANON_JAX_SOURCE'):
    exec(code, {})
  (tmp_path / 'setup.cfg').write_text('')
  with pytest.raises(AssertionError):
    exec(code, {})


@pytest.fixture(scope='module')
def compiled(tmp_path_factory) -> pathlib.Path:
  """Where the notebooks find each other's compiled programs."""
  return tmp_path_factory.mktemp('compiled')


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path, compiled, tmp_path):
  notebook = nbformat.read(path, as_version=4)
  settings, figures = SETTINGS[path.stem]
  for cell in notebook.cells:
    if 'parameters' in cell.metadata.get('tags', []):
      cell.source += ''.join(f'\n{name} = {value!r}' for name, value in settings.items())
  (tmp_path / 'results').symlink_to(FOLDER / 'results')
  env = {
    **os.environ,
    'PYTHONPATH': str(ROOT),
    'XLA_FLAGS': '--xla_backend_optimization_level=0',
    'JAX_COMPILATION_CACHE_DIR': str(compiled),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.2',
  }
  client = nbclient.NotebookClient(
    notebook, timeout=900, resources={'metadata': {'path': str(tmp_path)}}
  )
  client.execute(env=env)
  outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
  shown = [output for output in outputs if 'image/png' in output.get('data', {})]
  assert len(shown) >= figures
  assert not [output for output in outputs if output.output_type == 'error']


def test_the_attacks_on_the_page_of_security_are_those_of_the_results():
  rows = json.loads((FOLDER / 'results' / 'attacks.json').read_text())['rows']
  page = (ROOT / 'docs' / 'security.md').read_text()
  written = re.findall(r'^\| (T[0-5]): .*(\.\d{3}) \[(\.\d{3}), (\.\d{3})\]', page, re.MULTILINE)
  assert [attack for attack, *_ in written] == ['T0', 'T1', 'T2', 'T3', 'T5']
  for attack, *numbers in written:
    of_it = [row for row in rows if row['attack'] == attack]
    (row,) = [r for r in of_it if re.match('outputs.* in originals', r['title'])]
    assert numbers == [f'{row["recall"][name]:.3f}'[1:] for name in ('mean', 'low', 'high')]
