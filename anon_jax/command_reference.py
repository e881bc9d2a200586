"""docs/commands.md, written from the parsers: `python -m anon_jax.command_reference`."""

import argparse
import re
from collections.abc import Iterator, Sequence

from absl import flags

from anon_jax import cli, main

_HEAD = """# Commands

Written by `python -m anon_jax.command_reference > docs/commands.md` from the parsers themselves;
do not edit by hand. Every command prints the same for `--help`.
"""
_TRAINING = """## python -m anon_jax.main

Trains and evaluates ([training.md](training.md)). Any field of the config is set by
`--config.FIELD=VALUE`; [configs.md](configs.md) lists them.
"""


def reference() -> str:
  """Returns the Markdown page: a section for each command, and one for `anon_jax.main`."""
  parts = [_HEAD, *sections(cli.parser()), _TRAINING, *_table(_training_rows())]
  return '\n'.join(parts) + '\n'


def sections(parser: argparse.ArgumentParser, said: str = '') -> Iterator[str]:
  """Yields the lines about a parser, then those about its subcommands.

  Args:
    parser: of a command; its name is its `prog`.
    said: what the parser above says of it.
  """
  yield f'## {parser.prog}'
  yield ''
  text = parser.description or (f'{said[:1].upper()}{said[1:]}.' if said else '')
  if text:
    yield from (_plain(text), '')
  below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
  own = [a for a in parser._actions if a not in below and not isinstance(a, argparse._HelpAction)]
  positional = [action for action in own if not action.option_strings]
  options = [action for action in own if action.option_strings]
  usage = ' '.join(
    [
      parser.prog,
      *(_given(action) for action in options if action.required),
      *(['[OPTIONS]'] if any(not action.required for action in options) else []),
      *(_placeholder(action) for action in positional),
      *(str(action.metavar) for action in below),
    ]
  )
  yield from ('```', usage, '```', '')
  rows = [_row(action, parser.prog) for action in positional + options]
  if rows:
    yield from (*_table(rows), '')
  if parser.epilog:
    yield from (_plain(parser.epilog), '')
  for action in below:
    helps = {choice.dest: choice.help or '' for choice in action._choices_actions}
    for name, child in action.choices.items():
      yield from sections(child, helps.get(name, ''))


def _table(rows: Sequence[tuple[str, str, str]]) -> list[str]:
  head = ('argument', 'default', 'meaning')
  return [_line(head), '|' + '---|' * len(head), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
  return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def _row(action: argparse.Action, prog: str) -> tuple[str, str, str]:
  names = [f'{name} {_value(action)}'.strip() for name in action.option_strings]
  shown = ', '.join(f'`{name}`' for name in names or [_placeholder(action)])
  default = '' if action.default in (None, False, [], argparse.SUPPRESS) else f'`{action.default}`'
  said = [_plain(action.help % {**vars(action), 'prog': prog})] if action.help else []
  if action.choices:
    said.append(f'one of {", ".join(f"`{choice}`" for choice in action.choices)}')
  if action.required and action.option_strings:
    default = 'required'
  return shown, default, '; '.join(said)


def _given(action: argparse.Action) -> str:
  """Returns how an option is written: the longest of its names, and its value."""
  return f'{max(action.option_strings, key=len)} {_value(action)}'.strip()


def _value(action: argparse.Action) -> str:
  """Returns the placeholder of an option's value; '' for one that takes none."""
  if action.nargs == 0:
    return ''
  if isinstance(action.metavar, str):
    return action.metavar
  return action.dest.upper()


def _placeholder(action: argparse.Action) -> str:
  name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
  return {'+': f'{name}...', '*': f'[{name}...]', '?': f'[{name}]'}.get(str(action.nargs), name)


def _plain(text: str) -> str:
  """Returns a parser's text for Markdown: one line, no markup by accident, pages linked."""
  text = ' '.join(text.split())
  for sign in '\\<>*':
    text = text.replace(sign, f'\\{sign}')
  return re.sub(r'\bdocs/(\w+\.md)', r'[\1](\1)', text)


def _training_rows() -> list[tuple[str, str, str]]:
  """Returns a row for each flag that `main` defines."""
  rows = []
  for flag in flags.FLAGS.flags_by_module_dict()[main.__name__]:
    choices = getattr(flag.parser, 'enum_values', None)
    text = flag.help.removeprefix(f'<{"|".join(choices)}>: ') if choices else flag.help
    said = _plain(text) + (f' One of {", ".join(f"`{c}`" for c in choices)}.' if choices else '')
    default = '' if flag.default in (None, '') else f'`{flag.default}`'
    rows.append((f'`--{flag.name}`', default, said))
  return rows


if __name__ == '__main__':
  print(reference(), end='')
