"""results.json, results.md and pictures of an evaluation."""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.telemetry import write_whole


def write(workdir: pathlib.Path, result: Mapping[str, Any], lines: Sequence[str]) -> None:
  """Writes results.json and results.md whole."""
  text = json.dumps(_plain(result), indent=2, allow_nan=False) + '\n'
  write_whole(workdir / 'results.json', text.encode())
  write_whole(workdir / 'results.md', ('\n'.join(lines) + '\n').encode())


def _plain(value: Any) -> Any:
  """Returns what JSON can hold: no number is None there, as in a mean over nothing."""
  if isinstance(value, Mapping):
    return {str(name): _plain(each) for name, each in value.items()}
  if isinstance(value, (list, tuple)):
    return [_plain(each) for each in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
  """Returns a Markdown table."""
  return [f'| {" | ".join(row)} |' for row in (head, ['---'] * len(head), *rows)]


def shown(value: float | None, digits: int = 3) -> str:
  """Returns a number, or a dash where there is none."""
  return '-' if value is None or not math.isfinite(value) else f'{value:.{digits}f}'


def interval(value: Mapping[str, float], digits: int = 3) -> str:
  """Returns a mean with its 95 % interval in brackets."""
  if not math.isfinite(value['mean']):
    return '-'
  low, high = shown(value['low'], digits), shown(value['high'], digits)
  return f'{shown(value["mean"], digits)} [{low}, {high}]'


def judged_head(result: Mapping[str, Any]) -> list[str]:
  """Returns the heads of the columns of the detector that is not the pipeline's, if there was one.

  Args:
    result: with `judge`, its title, or ''.
  """
  return [f'{result["judge"]}, same place', 'any face'] if result['judge'] else []


def judged_cells(row: Mapping[str, Any]) -> list[str]:
  """Returns the cells under `judged_head` of a row, whose `judged` is a rate, or None."""
  found = row['judged']
  return [interval(found['same_place']), interval(found['any'])] if found else []


def judged_line(result: Mapping[str, Any]) -> str:
  """Says who else judged, how many pictures count, or why nobody did."""
  if not result['judge']:
    return f'No other detector: {result.get("judge_missing", "none was given.")}'
  counted = next(iter(result['rows'].values()))['judged']['pictures']
  return (
    f'{result["judge"]} is no part of it: of the {counted} pictures in whose original it finds a '
    'face itself.'
  )
