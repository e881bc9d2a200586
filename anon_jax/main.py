"""`python -m anon_jax.main --config=configs/NAME.py --workdir=DIR`: trains and evaluates.

Exit codes: 0 done; 1 data, weights or checkpoints cannot be used, or one could not be saved;
2 usage or config; 3 diverged; 4 another process of the run was lost; 130 and 143 interrupted by
SIGINT and SIGTERM after the state was saved.
"""

import contextlib
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from anon_jax import config as configs
from anon_jax import experiment, parallel, processes, train, workdir
from anon_jax.checkpoints import Best, CheckpointError, Checkpoints
from anon_jax.data.errors import DatasetError
from anon_jax.experiment import sources
from anon_jax.inference.errors import InferenceError
from anon_jax.nets.frozen import WeightsError
from anon_jax.processes import ProcessesError

_CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of checkpoints, metrics and samples.')
_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'evaluate'], 'What to do.')

_COORDINATOR = flags.DEFINE_string(
  'coordinator', '', 'HOST:PORT of process 0 of several; auto asks the cluster.'
)
_NUM_PROCESSES = flags.DEFINE_integer('num_processes', 0, 'Processes of this run.')
_PROCESS_ID = flags.DEFINE_integer('process_id', -1, "This process's number, from 0.")

DATA_ERROR, USAGE_ERROR, DIVERGED = 1, 2, 3


class RunError(ValueError):
  """A run that cannot start as asked; the message is for the user."""


def run(config: Any, folder: pathlib.Path, mode: str) -> int:
  """Trains or evaluates; returns the exit code."""
  # Unknown fields are named before anything is resolved or read.
  named = configs.check(config, jax.device_count())
  if named.stage in configs.EVALUATIONS:
    return _evaluate_systems(named, folder, mode)
  if mode == 'evaluate':
    return _evaluate(config, folder)
  checked = configs.check(experiment.resolve(config), jax.device_count())
  workdir.require_same_config(folder, checked.to_dict())
  mesh = parallel.make_mesh(checked.mesh_data, checked.mesh_fsdp)
  built = experiment.build(checked, folder, mesh)
  _require_alike(checked, folder, built)
  with contextlib.ExitStack() as stack:
    if jax.process_index() == 0:
      stack.enter_context(workdir.claimed(folder))
      workdir.require_same_config(folder, checked.to_dict())  # now nobody can change it
      workdir.require_same_data(folder, built.data)
      workdir.write_facts(folder, checked.to_dict(), built.data)
    plan = experiment.make_plan(checked)
    best = Best(checked.best_scalar, checked.best_is == 'highest')
    kept = checked.keep_checkpoints
    where = train.Run(folder, plan, checked.batch_size, checked.seed, kept, best)
    outcome = train.train(where, built.stage, built.dataset, built.samples, built.evaluate, mesh)
  if outcome.interrupted:
    return 128 + outcome.interrupted
  if not processes.is_first():
    return 0
  print(
    f'Done: {outcome.step} steps. Metrics: {folder}/metrics.jsonl; results: '
    f'{folder}/results.md; pictures: {folder}/samples'
  )
  return 0


def _require_alike(checked: Any, folder: pathlib.Path, built: experiment.Experiment) -> None:
  """Compares what the processes of a run are about to do."""
  given = {f'config.{name}': value for name, value in checked.to_dict().items()}
  processes.require_alike({'--workdir': str(folder), **given, 'the data': built.data})
  share = sources.this_shard()
  processes.require_shards(share.host, share.hosts)


def _evaluate(config: Any, folder: pathlib.Path) -> int:
  """Measures the newest checkpoint of a workdir."""
  if not (folder / 'checkpoints').is_dir():
    raise RunError(f'{folder} has no checkpoints to evaluate; train first, or give its --workdir.')
  config = experiment.without_losses(config)
  checked = configs.check(experiment.resolve(config), jax.device_count())
  workdir.require_same_config(folder, checked.to_dict(), measuring=True)
  mesh = parallel.make_mesh(checked.mesh_data, checked.mesh_fsdp)
  built = experiment.build(checked, folder, mesh)
  fresh = train.new_state(built.stage, checked.seed, mesh)
  with Checkpoints(folder / 'checkpoints', checked.keep_checkpoints) as saved:
    state, step = saved.restore_newest(fresh)
  if step is None:
    raise RunError(f'{folder}/checkpoints holds no complete checkpoint; train first.')
  built.evaluate(state, step)
  print((folder / 'results.md').read_text())
  return 0


def _evaluate_systems(config: Any, folder: pathlib.Path, mode: str) -> int:
  """Measures exported networks, and what stands beside them."""
  if mode != 'evaluate':
    raise RunError(f'stage {config.stage!r} trains nothing; give --mode=evaluate.')
  from anon_jax import protocols  # it imports matplotlib, which training does without

  with workdir.claimed(folder):
    workdir.require_same_measurement(folder, config.to_dict())
    protocols.run(config, folder)
  print((folder / 'results.md').read_text())
  return 0


def _quiet_tensorflow() -> None:
  """Keeps TensorFlow, which only writes data sets and TensorBoard events, from talking."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')


def _main(argv: Sequence[str]) -> int:
  if len(argv) > 1:
    raise RunError(f'unexpected argument {argv[1]!r}; options are written --name=value.')
  if not _WORKDIR.value:
    raise RunError("--workdir='' names no folder; give the folder of the run.")
  logging.set_verbosity(logging.WARNING)
  _quiet_tensorflow()
  processes.start(str(_COORDINATOR.value), _NUM_PROCESSES.value, _PROCESS_ID.value)
  folder = pathlib.Path(_WORKDIR.value).expanduser().resolve()
  return run(_CONFIG.value, folder, str(_MODE.value))


def _parse(argv: Sequence[str]) -> list[str]:
  """Parses flags; turns what absl and ml_collections raise into one line."""
  path = _config_path(argv)
  if path is not None and not pathlib.Path(path.partition(':')[0]).is_file():
    _fail(f'--config={path} is not a file; give a config such as configs/quickstart.py.', 2)
  try:
    flags.mark_flags_as_required(['config', 'workdir'])
    left = flags.FLAGS(argv)
    dict(_CONFIG.value)  # a file that could not be loaded raises only when it is used
    return left
  except flags.Error as error:
    _fail(str(error), USAGE_ERROR)
  except (KeyError, AttributeError) as error:  # an override of a field that the config lacks
    if 'get_config' in str(error):
      _fail(f'--config={path} has no function get_config().', USAGE_ERROR)
    found = re.search(r'\w+', str(error).replace('KeyError', ''))
    name = found.group() if found else ''
    _fail(f'--config.{name}: {configs.unknown_field(name)}', USAGE_ERROR)
  except (TypeError, ValueError, ImportError, OSError, SyntaxError, NameError) as error:
    _fail(f'--config={path} cannot be used: {type(error).__name__}: {error}', USAGE_ERROR)


def _config_path(argv: Sequence[str]) -> str | None:
  """Returns what was given as --config, in either of the two ways of writing it."""
  for argument, following in zip(argv[1:], [*argv[2:], ''], strict=True):
    name, equals, path = argument.partition('=')
    if name.lstrip('-') == 'config' and name != 'config':
      return path if equals else following
  return None


def _fail(message: str, code: int) -> NoReturn:
  print('anon_jax: ' + ' '.join(message.split()), file=sys.stderr)
  raise SystemExit(code)


def _guarded(argv: Sequence[str]) -> int:
  try:
    return _main(argv)
  except (configs.ConfigError, workdir.WorkdirError, RunError, ProcessesError) as error:
    _fail(str(error), USAGE_ERROR)
  except (DatasetError, WeightsError, CheckpointError, InferenceError) as error:
    _fail(str(error), DATA_ERROR)
  except (OSError, UnicodeError) as error:  # a full disk, a folder that may not be written
    _fail(f'{type(error).__name__}: {error}', DATA_ERROR)
  except train.Diverged as error:
    _fail(str(error), DIVERGED)
  except KeyboardInterrupt:
    _fail('interrupted.', 130)


if __name__ == '__main__':
  app.run(_guarded, flags_parser=_parse)
