"""What the docs name exists: files, pictures, configs, fields, targets; and their figures hold."""

import importlib.util
import pathlib
import re

import pytest
from PIL import Image

from anon_jax import processes
from anon_jax.config.stages import EVALUATIONS, STAGES
from anon_jax.data import semantic

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted(path for part in ('', 'docs', 'notebooks') for path in (ROOT / part).glob('*.md'))
FIELDS = {n for stage in (STAGES | EVALUATIONS).values() for n in stage.fields}
LINK = re.compile(r'\]\(([^()\s]+)\)')
CODE = re.compile(r'```.*?```|`[^`\n]+`', re.DOTALL)


def _found(pattern: str, page: pathlib.Path) -> set[str]:
  return set(re.findall(pattern, page.read_text()))


def _anchors(page: pathlib.Path) -> set[str]:
  """Returns the anchors that GitHub gives to the headings of a page."""
  titles = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-') for title in titles}


def _targets(makefile: str) -> set[str]:
  return set(re.findall(r'^([a-z][a-z-]*):', makefile, re.MULTILINE))


def _make_calls(text: str) -> set[str]:
  """Returns the targets of `make TARGET` in code, not in prose."""
  code = ' \n'.join(CODE.findall(text))
  return set(re.findall(r'(?:^|[`\n;&] ?)make ([a-z-]+)', code))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_relative_link_and_picture_is_there(page):
  for link in LINK.findall(page.read_text()):
    if link.startswith(('http://', 'https://')):
      continue
    path, _, anchor = link.partition('#')
    target = (page.parent / path) if path else page
    assert target.exists(), f'{page.name} links to {link}, which is missing'
    if anchor:
      assert anchor in _anchors(target), f'{page.name} links to {link}; no such heading'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_config_and_field_on_a_command_line_exists(page):
  for path in _found(r'--config=(configs/[a-z0-9_]+\.py)', page):
    assert (ROOT / path).is_file(), f'{page.name} names {path}'
  for field in _found(r'--config\.([a-z][a-z0-9_]*)', page):
    assert field in FIELDS, f'{page.name} sets --config.{field}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page):
  missing = _make_calls(page.read_text()) - _targets((ROOT / 'Makefile').read_text())
  assert not missing, f'{page.name} names make {missing}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_script_and_module_on_a_command_line_exists(page):
  for path in _found(r'python (docs/\w+\.py)', page):
    assert (ROOT / path).is_file(), f'{page.name} runs {path}'
  for module in _found(r'python -m (anon_jax[\w.]*)', page):
    assert importlib.util.find_spec(module), f'{page.name} runs {module}'


def test_every_config_is_in_the_table_of_the_readme_and_nothing_else():
  table = _found(r'(?m)^\| \[(\w+\.py)\]\(configs/\w+\.py\)', ROOT / 'README.md')
  assert table == {path.name for path in (ROOT / 'configs').glob('*.py')}


def test_the_finders_of_this_file_find():
  assert _make_calls('Run `make demo`, or\n```sh\nmake test\n```\nand make believe.') == {
    'demo',
    'test',
  }
  assert _targets('help:\n\t@echo\ndemo: install\n$(STAMP): x\n.PHONY: a\n') == {'help', 'demo'}
  assert LINK.findall('a [b](c.md#d) and ![e](f.png)') == ['c.md#d', 'f.png']
  assert {'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'method.md'} <= {p.name for p in PAGES}
  assert 'exit-codes' in _anchors(ROOT / 'README.md')


@pytest.mark.parametrize('page', ['README.md', 'docs/training.md'])
def test_the_exit_codes_in_the_docs_are_those_of_the_command(page):
  main = (ROOT / 'anon_jax' / 'main.py').read_text()
  names = re.search(r'^(\w+), (\w+), (\w+) = (\d), (\d), (\d)$', main, re.MULTILINE)
  assert names is not None
  assert names.groups() == ('DATA_ERROR', 'USAGE_ERROR', 'DIVERGED', '1', '2', '3')
  text = (ROOT / page).read_text()
  for row in ('| 0 | done', '| 1 | data, weights', '| 2 | wrong usage', '| 3 | training diverged'):
    assert row in text
  assert '| 130, 143 | stopped by SIGINT' in text
  assert f'| {processes.LOST} | with several processes: another one' in text


def test_the_fields_that_may_change_on_resuming_are_listed():
  text = (ROOT / 'docs' / 'training.md').read_text()
  listed = re.search(r'On resuming, these fields may change: (.+?)\.\s', text, re.DOTALL)
  assert listed is not None
  resumable = {n for s in STAGES.values() for n, field in s.fields.items() if field.resumable}
  assert set(re.findall(r'`(\w+)`', listed[1])) == resumable


def test_the_table_of_classes_is_that_of_the_code():
  rows = re.findall(r'^\| (\d+) \| (\w+).*?\| (yes)? ?\| (.*) \|$', _data_page(), re.MULTILINE)
  parts = semantic.TABLES['celeba_mask_hq']
  assert [name for _, name, _, _ in rows] == list(semantic.CLASSES)
  assert tuple(int(number) for number, _, yes, _ in rows if yes) == semantic.FOREGROUND
  for number, _, _, cell in rows:
    written = set(re.findall(r'\w+', cell)) & set(parts)
    assert written == {part for part, index in parts.items() if index == int(number)}


def _data_page() -> str:
  """Returns docs/data.md without the row of unlabelled pixels."""
  text = (ROOT / 'docs' / 'data.md').read_text()
  return ''.join(line for line in text.splitlines(True) if not line.startswith('| 255 '))


def test_the_sizes_of_the_networks_in_the_docs_are_counted():
  path = ROOT / 'docs' / 'count_networks.py'
  spec = importlib.util.spec_from_file_location('count_networks', path)
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  assert module.table() in (ROOT / 'docs' / 'method.md').read_text()


def test_the_snippets_of_python_in_the_docs_run():
  snippets = [
    s for page in PAGES for s in re.findall(r'```python\n(.*?)```', page.read_text(), re.S)
  ]
  assert snippets
  for snippet in snippets:
    scope: dict = {}
    exec(compile(snippet, 'docs', 'exec'), scope)
    assert scope['picture'].image.shape == (128, 128, 3)


def test_pictures_in_the_docs_are_small_and_all_shown():
  shown = {link.rpartition('/')[2] for page in PAGES for link in LINK.findall(page.read_text())}
  pictures = sorted((ROOT / 'docs' / 'images').iterdir())
  assert pictures
  for path in pictures:
    assert path.stat().st_size <= 400_000, path.name
    assert path.name in shown, f'{path.name} is on no page'
    with Image.open(path) as picture:
      assert picture.format == 'PNG'
