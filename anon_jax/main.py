"""`python -m anon_jax.main --config=configs/NAME.py --workdir=DIR`: trains and evaluates.

Exit codes: 0 done; 1 data or weights cannot be used; 2 usage or config; 3 diverged;
130 and 143 interrupted by SIGINT and SIGTERM after the state was saved.
"""

import json
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from anon_jax import config as configs
from anon_jax import experiment, parallel, train
from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.data.errors import DatasetError
from anon_jax.nets.frozen import WeightsError
from anon_jax.telemetry import write_whole

_CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of checkpoints, metrics and samples.')
_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'evaluate'], 'What to do.')

DATA_ERROR, USAGE_ERROR, DIVERGED = 1, 2, 3


class RunError(ValueError):
  """A run that cannot start as asked; the message is for the user."""


def _require_same_config(workdir: pathlib.Path, given: dict[str, Any]) -> None:
  """Holds the given config against the one that the workdir was started with, if any."""
  path = workdir / 'config.json'
  if path.exists():
    changed = configs.differences(json.loads(path.read_text()), given)
    if changed:
      raise configs.ConfigError(
        f'{workdir} was started with another config ({"; ".join(changed)}); use another --workdir, '
        'or give the saved values. Only run length and cadences may change on resuming.'
      )
  elif (workdir / 'checkpoints').is_dir() and any((workdir / 'checkpoints').iterdir()):
    raise RunError(f'{workdir} holds checkpoints but no config.json; use another --workdir.')


def _save_config(workdir: pathlib.Path, given: dict[str, Any]) -> None:
  """Writes config.json, whole."""
  if jax.process_index() == 0:
    workdir.mkdir(parents=True, exist_ok=True)
    content = json.dumps(given, indent=2, sort_keys=True) + '\n'
    write_whole(workdir / 'config.json', content.encode())


def run(config: Any, workdir: pathlib.Path, mode: str) -> int:
  """Trains or evaluates; returns the exit code."""
  # Unknown fields are named before anything is resolved or read.
  configs.check(config, jax.device_count())
  if mode == 'evaluate':
    config = experiment.without_losses(config)
  checked = configs.check(experiment.resolve(config), jax.device_count())
  mesh = parallel.make_mesh(checked.mesh_data)
  if mode == 'train':
    _require_same_config(workdir, checked.to_dict())
  built = experiment.build(checked, workdir, mesh)
  if mode == 'evaluate':
    return _evaluate(checked, built, workdir, mesh)
  _save_config(workdir, checked.to_dict())
  plan = experiment.make_plan(checked)
  where = train.Run(workdir, plan, checked.batch_size, checked.seed, checked.keep_checkpoints)
  outcome = train.train(where, built.stage, built.dataset, built.samples, built.evaluate, mesh)
  if outcome.interrupted:
    return 128 + outcome.interrupted
  print(
    f'Done: {outcome.step} steps. Metrics: {workdir}/metrics.jsonl; results: '
    f'{workdir}/results.md; pictures: {workdir}/samples'
  )
  return 0


def _evaluate(config: Any, built: experiment.Experiment, workdir: pathlib.Path, mesh: Any) -> int:
  """Measures the newest checkpoint of a workdir."""
  folder = workdir / 'checkpoints'
  if not folder.is_dir():
    raise RunError(f'{workdir} has no checkpoints to evaluate; train first, or give its --workdir.')
  saved = Checkpoints(folder, config.keep_checkpoints)
  try:
    step = saved.latest()
    if step is None:
      raise RunError(f'{folder} holds no complete checkpoint; train first.')
    state = saved.restore(step, train.new_state(built.stage, config.seed, mesh))
  finally:
    saved.close()
  built.evaluate(state, step)
  print((workdir / 'results.md').read_text())
  return 0


def _quiet_tensorflow() -> None:
  """Keeps TensorFlow, which only writes data sets and TensorBoard events, from talking."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')


def _main(argv: Sequence[str]) -> int:
  if len(argv) > 1:
    raise RunError(f'unexpected argument {argv[1]!r}; options are written --name=value.')
  logging.set_verbosity(logging.WARNING)
  _quiet_tensorflow()
  workdir = pathlib.Path(str(_WORKDIR.value)).expanduser().resolve()
  return run(_CONFIG.value, workdir, str(_MODE.value))


def _parse(argv: Sequence[str]) -> list[str]:
  """Parses flags; turns what absl and ml_collections raise into one line."""
  for argument in argv[1:]:
    name, _, path = argument.partition('=')
    if name.lstrip('-') == 'config' and not pathlib.Path(path.partition(':')[0]).is_file():
      _fail(f'--config={path} is not a file; give a config such as configs/quickstart.py.', 2)
  try:
    flags.mark_flags_as_required(['config', 'workdir'])
    left = flags.FLAGS(argv)
    dict(_CONFIG.value)  # a file that could not be loaded raises only when it is used
    return left
  except flags.Error as error:
    _fail(str(error), USAGE_ERROR)
  except (KeyError, AttributeError) as error:  # an override of a field that the config lacks
    found = re.search(r'\w+', str(error).replace('KeyError', ''))
    name = found.group() if found else ''
    _fail(f'--config.{name}: {configs.unknown_field(name)}', USAGE_ERROR)
  except (TypeError, ValueError, ImportError, OSError) as error:
    _fail(f'--config cannot be used: {error}', USAGE_ERROR)
  raise AssertionError('unreachable')


def _fail(message: str, code: int) -> None:
  print('anon_jax: ' + ' '.join(message.split()), file=sys.stderr)
  raise SystemExit(code)


def _guarded(argv: Sequence[str]) -> int:
  try:
    return _main(argv)
  except (configs.ConfigError, RunError) as error:
    _fail(str(error), USAGE_ERROR)
  except (DatasetError, WeightsError, CheckpointError) as error:
    _fail(str(error), DATA_ERROR)
  except train.Diverged as error:
    _fail(str(error), DIVERGED)
  except KeyboardInterrupt:
    _fail('interrupted.', 130)
  raise AssertionError('unreachable')


if __name__ == '__main__':
  app.run(_guarded, flags_parser=_parse)
