"""The section of results.md that `make bench` writes, from the figures in bench.json."""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from speed.entries import ENTRIES

BEGIN = '<!-- make bench: begin -->'
END = '<!-- make bench: end -->'


def write_section(path: pathlib.Path, found: Mapping[str, Any]) -> None:
  """Replaces what is between the two marker lines of a file, or adds both at its end.

  Raises:
    ValueError: one of the lines is there without the other.
  """
  text = path.read_text() if path.exists() else ''
  if (BEGIN in text) != (END in text):
    raise ValueError(f'{path} has one of the lines {BEGIN!r} and {END!r} without the other.')
  if BEGIN not in text:
    text = f'{text.rstrip()}\n\n{BEGIN}\n{END}\n'.lstrip()
  before, rest = text.split(BEGIN)
  path.write_text(f'{before}{BEGIN}\n\n{section_of(found)}\n{END}{rest.partition(END)[2]}')


def section_of(found: Mapping[str, Any]) -> str:
  """Returns the section's text."""
  entries = {n: found['entries'][n] for n in ENTRIES if n in found.get('entries', {})}
  timed = {name: entry for name, entry in entries.items() if 'runs' in entry}
  parts = [_head(found)]
  if timed:
    parts += [_speed(timed), failures(timed), _shares(timed)]
  if entries:
    parts.append(_memory(entries))
  if found.get('data'):
    parts.append(_data(found['data'], timed))
  if found.get('scaling'):
    parts.append(_scaling(found['scaling']))
  return '\n'.join(part for part in parts if part)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a Markdown table."""
  lines = [columns, ['---'] * len(columns), *rows]
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def ratio(others: Sequence[float], ours: Sequence[float]) -> str:
  """Returns the median of the turns' ratios and their quartiles; above 1 ours is faster."""
  ratios = [other / own for other, own in zip(others, ours, strict=True)]
  if len(ratios) < 2:
    return f'{ratios[0]:.2f}'
  low, middle, high = statistics.quantiles(ratios, n=4, method='inclusive')
  return f'**{middle:.2f}** [{low:.2f}, {high:.2f}]'


def _head(found: Mapping[str, Any]) -> str:
  machine = found['machine']
  loads = sorted(
    value
    for entry in found.get('entries', {}).values()
    for name, value in entry.items()
    if name in ('load', 'load_after')
  )
  seen = f' {loads[0]:g} to {loads[-1]:g}' if loads else ': nothing measured'
  gpu = '' if machine['gpu'] else ' **On a GPU: not run**, there was none.'
  cores = machine['cores']
  return (
    f'{machine["cpu"]}, {cores} cores, {machine["platform"]}, jax {machine["jax"]}, '
    f'torch {machine["torch"]}, {machine["dtype"]}. Load (1 minute) while this was measured{seen}; '
    f'a machine with nothing else to do shows {cores} or less.{gpu}\n'
  )


def _speed(timed: Mapping[str, Any]) -> str:
  rows = []
  for entry in timed.values():
    runs = entry['runs']
    ours = runs['jit']
    row = [_name(entry), str(len(ours['seconds'])), _seconds(ours['seconds'])]
    for variant in ('eager', 'compiled'):
      if variant not in runs:
        row += ['-', '-', '-']
        continue
      theirs = runs[variant]
      row += [_seconds(theirs['seconds']), ratio(theirs['seconds'], ours['seconds'])]
      row.append(ratio(theirs['cpu_seconds'], ours['cpu_seconds']))
    rows.append(row)
  columns = ['step', 'turns', 'JAX, s']
  for name in ('eager', 'torch.compile'):
    columns += [f'{name}, s', f'{name} / JAX', 'the same in processor time']
  return (
    '### Steps against PyTorch\n\nMedians; ratios are of each turn, with their quartiles, and '
    'above 1 JAX is the faster. Processor time is what all threads of a side used: other work on '
    'the machine changes it little.\n\n' + table(columns, rows)
  )


def failures(timed: Mapping[str, Any]) -> str:
  """Says what torch.compile could not do."""
  lines = [
    f'- torch.compile, {_name(entry)}: {entry["compiled"]["failed"]}.'
    for entry in timed.values()
    if 'failed' in entry['compiled']
  ]
  return '\n'.join(lines) + '\n' if lines else ''


def _shares(timed: Mapping[str, Any]) -> str:
  rows = []
  for entry in timed.values():
    rates = {side: statistics.median(values) for side, values in entry['matrix_gflops'].items()}
    best = max(rates.values())
    reached = entry['gflop'] / statistics.median(entry['runs']['jit']['seconds'])
    rows.append(
      [
        _name(entry),
        f'{entry["gflop"]:.1f}',
        f'{reached:.1f}',
        f'{rates["jax"]:.0f}, {rates["torch"]:.0f}',
        f'{100 * reached / best:.0f} %',
      ]
    )
  side = next(iter(timed.values()))['matrix_side']
  columns = ['step', 'GFLOP by XLA', 'GFLOP/s', 'matrix rate, JAX, PyTorch', 'share of the higher']
  return (
    "### Share of the device's matrix rate\n\nXLA's count for the step before optimization, "
    f'against a product of two matrices of {side} x {side} timed in the same turns.\n\n'
    + table(columns, rows)
  )


def _memory(entries: Mapping[str, Any]) -> str:
  rows = []
  for entry in entries.values():
    memory, peak = entry['memory'], entry.get('peak_mib', {})
    seconds = entry.get('compiled', {}).get('compile_seconds')
    rows.append(
      [
        _name(entry),
        f'{sum(entry["counts"].values()) / 1e6:.2f}',
        f'{memory["temp"]:.0f} + {memory["argument"]:.0f} + '
        f'{memory["output"] - memory["alias"]:.0f}',
        f'{peak["jax"]:.0f}, {peak["torch"]:.0f}' if peak else 'not run',
        f'{entry["compile_seconds"]:.1f}',
        f'{seconds:.1f}' if seconds else '-',
      ]
    )
  columns = ['step', 'parameters, M (all networks)', 'XLA: temporary + arguments + outputs, MiB']
  columns += ['peak of the process, JAX, eager PyTorch, MiB', 'compiled in, s', 'torch.compile, s']
  return (
    '### Memory and compilation\n\nThe process holds its libraries too, and what compilation left. '
    'Outputs are those that do not take the place of donated arguments.\n\n' + table(columns, rows)
  )


def _data(rows: Sequence[Mapping[str, Any]], timed: Mapping[str, Any]) -> str:
  lines = []
  for row in rows:
    entry = timed.get(row['entry'])
    title = _name(entry) if entry else row['entry']
    if 'failed' in row:
      lines.append([title, row['dataset'], row['failed'], '-', '-'])
      continue
    needed = cores = '-'
    if entry:
      wanted = entry['changes']['batch_size'] / statistics.median(entry['runs']['jit']['seconds'])
      needed, cores = f'{wanted:.1f}', f'{wanted / row["examples_per_core"]:.3f}'
    lines.append([title, row['dataset'], f'{row["examples_per_core"]:.0f}', needed, cores])
  columns = ['step', 'data', 'examples/s a core', 'the step takes, examples/s', 'cores needed']
  return '### The input pipeline alone\n\nExamples for each second of processor time.\n\n' + table(
    columns, lines
  )


def _scaling(rows: Sequence[Mapping[str, Any]]) -> str:
  lines = [
    [
      str(row['devices']),
      f'{1000 * row["seconds"]:.1f}',
      f'{1000 * row["single_seconds"]:.1f}',
      f'{row["ratio"]:.2f}',
      f'{row["off"]:.1e}',
    ]
    for row in rows
  ]
  columns = ['devices', 'step, ms', 'the same batch on one device, ms', 'ratio', 'difference']
  return (
    '### Weak scaling over virtual devices\n\nI `tiny`, 32 px, 4 examples a device. All devices '
    'share the same cores: this shows what division costs, and by what share the loss or the norm '
    'of the gradient differs in the third step; no speed-up.\n\n' + table(columns, lines)
  )


def _name(entry: Mapping[str, Any]) -> str:
  changes = entry['changes']
  return f'{entry["title"]}, {changes["image_size"]} px x {changes["batch_size"]}'


def _seconds(values: Sequence[float]) -> str:
  return f'{statistics.median(values):.3g}'
