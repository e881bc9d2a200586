"""docs/commands.md is what the parsers say, all of it."""

import argparse
import pathlib
import subprocess
import sys

from anon_jax import cli, command_reference

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_the_page_of_commands_is_up_to_date():
  page = (ROOT / 'docs' / 'commands.md').read_text()
  assert page == command_reference.reference(), (
    'write it anew: python -m anon_jax.command_reference > docs/commands.md'
  )


def _parsers(parser):
  yield parser
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction):
      for child in action.choices.values():
        yield from _parsers(child)


def test_every_command_has_a_section_and_every_flag_a_row_in_it():
  sections = command_reference.reference().split('\n## ')[1:]
  by_title = {section.partition('\n')[0]: section for section in sections}
  parsers = list(_parsers(cli.parser()))
  assert len(parsers) > 5
  for parser in parsers:
    section = by_title[parser.prog]
    for action in parser._actions:
      for name in action.option_strings:
        assert f'`{name}' in section or name in ('-h', '--help'), (parser.prog, name)
  flags = by_title['python -m anon_jax.main']
  for name in ('config', 'workdir', 'mode', 'coordinator', 'num_processes', 'process_id'):
    assert f'| `--{name}`' in flags


def test_the_module_of_the_command_can_be_run():
  command = [sys.executable, '-m', 'anon_jax.cli', '--version']
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
  assert done.stdout.startswith('anon-jax ')  # and does not end well without having done anything


def test_a_parser_becomes_a_usage_line_and_a_table():
  parser = argparse.ArgumentParser(prog='p', description='Does <this>.', epilog='Ends.')
  commands = parser.add_subparsers(metavar='COMMAND')
  child = commands.add_parser('c', help='copies')
  child.add_argument('inputs', nargs='+', metavar='IN', help='what')
  child.add_argument('-o', '--output', required=True, metavar='OUT', help='a|b of %(prog)s')
  child.add_argument('--kind', choices=('x', 'y'), default='x', help='which')
  child.add_argument('--all', action='store_true', help='100 %% of it')
  assert list(command_reference.sections(parser)) == [
    *('## p', '', 'Does \\<this\\>.', '', '```', 'p COMMAND', '```', '', 'Ends.', ''),
    *('## p c', '', 'Copies.', '', '```', 'p c --output OUT [OPTIONS] IN...', '```', ''),
    *('| argument | default | meaning |', '|---|---|---|'),
    '| `IN...` |  | what |',
    '| `-o OUT`, `--output OUT` | required | a\\|b of p c |',
    '| `--kind KIND` | `x` | which; one of `x`, `y` |',
    '| `--all` |  | 100 % of it |',
    '',
  ]
