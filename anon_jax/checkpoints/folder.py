"""The folder of a run's checkpoints: which are there, which go, which are set aside.

A checkpoint is a folder `STEP`. Whatever else lies there is none: `STEP.part` is being written,
`STEP.removed` is being removed, `STEP.damaged` was found damaged and set aside.
"""

import json
import pathlib
import re
import shutil
from typing import NamedTuple

from anon_jax import durable

_SCORES = 'evaluation.json'
# what a process that was killed leaves; the third is that of versions before manifests
_LEFT_OVER = re.compile(r'\d+\.(part|removed|orbax-checkpoint-tmp)')


class Best(NamedTuple):
  """Which checkpoint is kept for how good it is.

  Attributes:
    scalar: a name that evaluation gives; '' keeps the newest only.
    highest: whether more is better.
  """

  scalar: str = ''
  highest: bool = False


NEWEST_ONLY = Best()


def steps(folder: pathlib.Path) -> list[int]:
  """Lists the steps that were saved, oldest first; a folder that is missing has none."""
  if not folder.is_dir():
    return []
  return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def set_aside(path: pathlib.Path) -> pathlib.Path:
  """Gives a damaged checkpoint a name under which nothing reads it; returns that path."""
  number = 1
  while (
    aside := path.with_name(f'{path.name}.damaged{"" if number == 1 else f"-{number}"}')
  ).exists():
    number += 1
  return path.rename(aside)


def damaged(folder: pathlib.Path) -> list[str]:
  """Lists the names of checkpoints that were set aside."""
  return sorted(path.name for path in folder.glob('*.damaged*')) if folder.is_dir() else []


def remove(path: pathlib.Path) -> None:
  """Removes a checkpoint; one that is killed meanwhile leaves none that looks whole."""
  hidden = path.with_name(f'{path.name}.removed')
  path.rename(hidden)
  shutil.rmtree(hidden)


def clear(folder: pathlib.Path) -> None:
  """Removes what a process that was killed has left half done."""
  for path in folder.iterdir():
    if _LEFT_OVER.match(path.name):
      shutil.rmtree(path)


def write_scores(path: pathlib.Path, scores: dict[str, float]) -> None:
  """Notes in a checkpoint what its evaluation gave."""
  (path / _SCORES).write_text(json.dumps(scores, indent=2, sort_keys=True) + '\n')


def best_step(folder: pathlib.Path, best: Best) -> int | None:
  """Returns the step with the best scalar, the newest of equals; None where none has it."""
  found = [
    (score if best.highest else -score, step)
    for step in steps(folder)
    if (score := _score(folder / str(step), best.scalar)) is not None
  ]
  return max(found)[1] if found else None


def _score(path: pathlib.Path, scalar: str) -> float | None:
  try:
    return float(json.loads((path / _SCORES).read_text())[scalar])
  except (OSError, ValueError, KeyError, TypeError):  # not evaluated, or damaged: not the best
    return None


def forget(folder: pathlib.Path, keep: int, best: Best) -> None:
  """Removes all checkpoints but the newest `keep` and the best."""
  kept = set(steps(folder)[-keep:])
  if best.scalar:
    kept.add(best_step(folder, best) or -1)
  for step in steps(folder):
    if step not in kept:
      remove(folder / str(step))
  durable.settle(folder)
