"""docs/configs.md, written from the table of fields: `python -m anon_jax.config.reference`."""

from collections.abc import Iterator, Mapping

from anon_jax.config import evaluations, every_stage
from anon_jax.config.field import Field
from anon_jax.config.stages import EVALUATIONS, STAGES, StageFields

_HEAD = """# Config fields

Written by `python -m anon_jax.config.reference > docs/configs.md`; do not edit by hand.

A config is a file in `configs/`; any field is set on the command line by `--config.FIELD=VALUE`.
It is checked once, before anything is read, and kept as `config.json` in the workdir. A run that
is resumed must have the same config; the fields marked *resumable* may change.
"""


def reference() -> str:
  """Returns the Markdown page: tables of what stages have in common, and of each one's own."""
  parts = [_HEAD, _table('Every training config', every_stage.FIELDS)]
  parts += _own_tables('stage', STAGES, every_stage.FIELDS)
  parts.append(_table('Every evaluation config', evaluations.COMMON))
  parts.append(_table('Every evaluation of faces', evaluations.FACES))
  parts += _own_tables('evaluation', EVALUATIONS, evaluations.COMMON | evaluations.FACES)
  return '\n'.join(parts)


def _own_tables(
  kind: str, stages: Mapping[str, StageFields], shared: Mapping[str, Field]
) -> Iterator[str]:
  for stage, (fields, _, _, extends) in stages.items():
    known = stages[extends].fields if extends else shared
    own = {name: field for name, field in fields.items() if field != known.get(name)}
    more = f'All fields of {kind} `{extends}`, with the same defaults, and:' if extends else ''
    yield _table(f'{kind.capitalize()} `{stage}`', own, more)


def _table(title: str, fields: dict, above: str = '') -> str:
  rows = [f'## {title}', '', *([above, ''] if above else [])]
  rows += ['| field | default | meaning | values | resumable |', '|' + '---|' * 5]
  for name, field in fields.items():
    resumable = 'yes' if field.resumable else ''
    rows.append(f'| `{name}` | `{field.default!r}` | {field.doc} | {field.wanted} | {resumable} |')
  return '\n'.join(rows) + '\n'


if __name__ == '__main__':
  print(reference(), end='')
