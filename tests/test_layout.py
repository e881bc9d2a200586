"""The tree's own rules: imports flow one way, files and functions stay small."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'anon_jax'
# From the bottom up; a module imports from its own layer or from layers before it.
ORDER = (
  ('config', 'compiling', 'durable'),
  ('data',),
  ('proxy',),
  ('nets',),
  ('losses',),
  ('parallel', 'processes'),
  ('state',),
  ('optim',),
  ('steps',),
  ('checkpoints', 'telemetry'),
  ('workdir',),
  ('train',),
  ('evaluation',),
  ('inference',),
  ('serving',),
  ('experiment',),
  ('protocols',),
  ('main', 'cli'),
  ('command_reference',),
)
RANK = {name: rank for rank, layer in enumerate(ORDER) for name in layer}
FILES = sorted(PACKAGE.rglob('*.py'))
INFERENCE = (
  *('segmenting', 'detection', 'reading', 'writing', 'listing', 'weights', 'export'),
  *('clip_command', 'clip_cutting', 'clip_writing'),
  *('anonymizer', 'files', 'tracking', 'smoothing', 'scenes', 'association'),
  *('body_anonymizer', 'body_painting', 'body_setup', 'mask_sources', 'person_segmenter'),
  *('portable.command', 'portable.conversion', 'portable.folder'),
  *('video_reading', 'video_writing', 'video_decoding', 'video_encoding'),
  *('live', 'live_command', 'camera', 'camera_decoding', 'sources', 'replacing', 'video_streaming'),
)
SERVING = ('command', 'server', 'engine', 'work', 'clips', 'pictures')


def _layer(path: pathlib.Path) -> str:
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def _imports(path: pathlib.Path) -> list[str]:
  """Lists the anon_jax layers that a file imports, at the top or inside functions."""
  layers = []
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      parts = node.module.split('.')
      if parts == ['anon_jax']:
        layers += [alias.name for alias in node.names]
      elif parts[0] == 'anon_jax':
        layers.append(parts[1])
    elif isinstance(node, ast.Import):
      names = [alias.name.split('.') for alias in node.names]
      layers += [name[1] for name in names if name[0] == 'anon_jax' and len(name) > 1]
  return [layer for layer in layers if layer in RANK]


def test_every_module_has_a_place_in_the_order_of_layers():
  unplaced = {_layer(path) for path in FILES} - set(RANK) - {'__init__'}
  assert not unplaced


def test_imports_flow_one_way():
  backward = [
    f'{path.relative_to(ROOT)} imports {layer}'
    for path in FILES
    if _layer(path) in RANK
    for layer in _imports(path)
    if RANK[layer] > RANK[_layer(path)]
  ]
  assert not backward


def test_the_check_of_imports_sees_imports():
  assert {'checkpoints', 'parallel', 'state', 'telemetry'} <= set(
    _imports(PACKAGE / 'train' / 'loop.py')
  )


def test_no_file_is_longer_than_300_lines_and_no_function_than_80():
  long = []
  for path in FILES:
    text = path.read_text()
    if text.count('\n') > 300:
      long.append(str(path.relative_to(ROOT)))
    for node in ast.walk(ast.parse(text)):
      if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 80:
        long.append(f'{path.relative_to(ROOT)}: {node.name}')
  assert not long


def test_no_file_name_says_nothing():
  assert not [p for p in FILES if p.stem in ('utils', 'util', 'helpers', 'common', 'misc')]


def test_every_public_definition_has_a_docstring():
  bare = []
  for path in FILES:
    for node in ast.parse(path.read_text()).body:
      if (
        isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith('_')
        and not ast.get_docstring(node)
      ):
        bare.append(f'{path.relative_to(ROOT)}: {node.name}')
  assert not bare


@pytest.mark.parametrize(
  'module',
  [
    'anon_jax',
    'anon_jax.cli',
    'anon_jax.nets.harmonization',
    *(f'anon_jax.inference.{name}' for name in INFERENCE),
    *(f'anon_jax.serving.{name}' for name in SERVING),
  ],
)
def test_inference_imports_neither_tensorflow_nor_tfds_nor_clu(module):
  code = (
    f'import sys, {module}; '
    'bad = {"tensorflow", "tensorflow_datasets", "clu", "grain", "orbax"} & set(sys.modules); '
    'sys.exit(str(sorted(bad)) if bad else 0)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
  assert done.returncode == 0, done.stderr


def test_the_package_imports_none_of_the_libraries_that_it_is_compared_with():
  foreign = {'torch', 'torchvision', 'cleanfid', 'pytorch_fid', 'lpips', 'skimage'}
  for path in FILES:
    for node in ast.walk(ast.parse(path.read_text())):
      names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
      if isinstance(node, ast.ImportFrom):
        names.append(node.module or '')
      assert not foreign & {name.split('.')[0] for name in names}, path
