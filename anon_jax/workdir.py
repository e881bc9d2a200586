"""The folder of a run: who may use it, and with which config and data it may go on."""

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from anon_jax import config as configs
from anon_jax.telemetry import write_whole


class WorkdirError(ValueError):
  """A workdir that cannot be used as asked; the message is for the user."""


@contextlib.contextmanager
def claimed(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps every other training process of this machine out of `workdir`.

  The system drops the claim when the process ends, in whatever way.

  Raises:
    WorkdirError: another process has it, or it is no folder.
  """
  if workdir.exists() and not workdir.is_dir():
    raise WorkdirError(f'--workdir={workdir} is a file; give a folder, which may be a new one.')
  workdir.mkdir(parents=True, exist_ok=True)
  with (workdir / '.lock').open('w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise WorkdirError(
        f'another process trains in {workdir}; wait for it, or use another --workdir.'
      ) from None
    yield


def _saved(path: pathlib.Path) -> dict[str, Any] | None:
  """Reads a JSON object of a workdir; None where there is none."""
  if not path.exists():
    return None
  try:
    content = json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise WorkdirError(f'{path} cannot be read ({error}); use another --workdir.') from error
  if not isinstance(content, dict):
    raise WorkdirError(f'{path} holds no JSON object; use another --workdir.')
  return content


def has_checkpoint(workdir: pathlib.Path) -> bool:
  """Tells whether a run has been saved there, so that it goes on instead of starting."""
  folder = workdir / 'checkpoints'
  return folder.is_dir() and any(path.name.isdecimal() for path in folder.iterdir())


def require_same_config(
  workdir: pathlib.Path, given: Mapping[str, Any], *, measuring: bool = False
) -> None:
  """Holds a config against the one that the workdir's checkpoints were trained with.

  Without a checkpoint there is nothing to go on from, and any config may start.

  Args:
    workdir: folder of the run.
    given: the checked config.
    measuring: the config is for evaluation, where data, devices and losses may differ.

  Raises:
    ConfigError: a field differs that may not.
    WorkdirError: config.json is missing or broken beside checkpoints.
  """
  if not has_checkpoint(workdir):
    return
  saved = _saved(workdir / 'config.json')
  if saved is None:
    raise WorkdirError(f'{workdir} holds checkpoints but no config.json; use another --workdir.')
  changed = configs.differences(saved, given, measuring=measuring)
  if changed:
    rest = 'what is measured' if measuring else 'run length and cadences'
    raise configs.ConfigError(
      f'{workdir} was started with another config ({"; ".join(changed)}); use another --workdir, '
      f'or give the saved values. Only {rest} may change.'
    )


def require_same_measurement(workdir: pathlib.Path, given: Mapping[str, Any]) -> None:
  """Keeps two evaluations, or an evaluation and a run, out of one folder.

  Raises:
    WorkdirError: it holds something else.
  """
  saved = _saved(workdir / 'config.json')
  if has_checkpoint(workdir) or (saved is not None and saved.get('stage') != given['stage']):
    raise WorkdirError(f'{workdir} holds another run or evaluation; use another --workdir.')
  write_facts(workdir, given, {})


def require_same_data(workdir: pathlib.Path, given: Mapping[str, str]) -> None:
  """Holds the prepared data against those that the workdir's checkpoints were trained on.

  Raises:
    WorkdirError: they are others; the iterator in the checkpoint would point to other pictures.
  """
  saved = _saved(workdir / 'data.json')
  if not has_checkpoint(workdir) or saved is None or saved == dict(given):
    return
  changed = [
    f'{name}: {saved.get(name, "(absent)")} -> {given.get(name, "(absent)")}'
    for name in sorted(set(saved) | set(given))
    if saved.get(name) != given.get(name)
  ]
  raise WorkdirError(
    f'{workdir} was trained on other data ({"; ".join(changed)}); put the data back as they were, '
    'or use another --workdir.'
  )


def write_facts(workdir: pathlib.Path, config: Mapping[str, Any], data: Mapping[str, str]) -> None:
  """Writes config.json and data.json, each whole."""
  for name, content in (('config.json', config), ('data.json', data)):
    text = json.dumps(dict(content), indent=2, sort_keys=True) + '\n'
    write_whole(workdir / name, text.encode())
