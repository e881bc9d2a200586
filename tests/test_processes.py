"""Several processes of one run, as real processes over loopback (gloo)."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from anon_jax import processes

WORKER = pathlib.Path(__file__).with_name('process_worker.py')
ENVIRONMENT = os.environ | {
  'JAX_PLATFORMS': 'cpu',
  'XLA_FLAGS': '--xla_force_host_platform_device_count=1',
}


def _port():
  with socket.socket() as listening:
    listening.bind(('127.0.0.1', 0))
    return listening.getsockname()[1]


def _start(workdir, steps, count=2, options=((), ())):
  workdir.mkdir(exist_ok=True)
  port = _port() if count > 1 else 0
  return [
    subprocess.Popen(
      [sys.executable, WORKER, workdir, str(port), str(count), str(n), str(steps), *options[n]],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=ENVIRONMENT,
    )
    for n in range(count)
  ]


def _end(started):
  said = [process.communicate(timeout=280) for process in started]
  return [process.returncode for process in started], [err for _, err in said]


def _reached(path, started):
  end = time.monotonic() + 200
  while not path.exists() and time.monotonic() < end:
    assert all(process.poll() is None for process in started)
    time.sleep(0.01)
  return path.exists()


def _final(workdir, index=0):
  found = np.load(workdir / f'final_{index}.npz')
  return [found[name] for name in found.files]


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  folder = tmp_path_factory.mktemp('alone')
  codes, errors = _end(_start(folder, 20, count=1))
  assert codes == [0], errors
  return _final(folder)


@pytest.fixture(scope='module')
def together(tmp_path_factory):
  folder = tmp_path_factory.mktemp('together')
  codes, errors = _end(_start(folder, 20))
  assert codes == [0, 0], errors
  return _final(folder)


def test_two_processes_train_to_the_parameters_of_one(alone, together):
  for one, two in zip(alone, together, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)


def test_sigterm_to_one_of_two_saves_one_step_on_both_and_going_on_changes_nothing(
  tmp_path, together
):
  started = _start(tmp_path, 20, options=[('pause=0.1',)] * 2)
  assert _reached(tmp_path / 'reached_7_1', started)
  begin = time.monotonic()
  started[1].send_signal(signal.SIGTERM)
  codes, errors = _end(started)
  assert codes == [143, 143], errors
  assert time.monotonic() - begin < 30
  newest = max(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
  assert 7 <= newest < 20
  assert f'SIGTERM: saved step {newest}' in errors[0]
  places = {p.name for p in (tmp_path / 'checkpoints' / str(newest) / 'data').iterdir()}
  assert {'process_0-of-2.json', 'process_1-of-2.json'} <= places
  codes, errors = _end(_start(tmp_path, 20))
  assert codes == [0, 0], errors
  for resumed, whole in zip(_final(tmp_path), together, strict=True):
    np.testing.assert_array_equal(resumed, whole)


def test_when_one_is_killed_the_other_ends_with_its_code_and_both_can_go_on(tmp_path, together):
  started = _start(tmp_path, 20, options=[('pause=0.3',)] * 2)
  assert _reached(tmp_path / 'checkpoints' / '5', started)  # on a busy machine after step 8
  begin = time.monotonic()
  started[1].kill()
  codes, errors = _end(started)
  assert codes == [processes.LOST, -signal.SIGKILL], errors
  assert time.monotonic() - begin < 30
  assert 'process 0 of 2 cannot go on, because another one is gone' in errors[0]
  saved = [int(p.name) for p in (tmp_path / 'checkpoints').iterdir() if p.name.isdecimal()]
  codes, errors = _end(_start(tmp_path, 20))
  assert codes == [0, 0], errors
  assert 5 <= max(saved) < 20
  assert f'resuming from step {max(saved)}' in errors[0]
  for resumed, whole in zip(_final(tmp_path), together, strict=True):
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ((('seed=1',), ('seed=2',)), 'disagree on config.seed: 1 in process 0 and 2 in process 1;'),
    ((('shard=0',), ('shard=0',)), 'the data are split as [[0, 2], [0, 2]]'),
  ],
)
def test_processes_that_would_not_train_the_same_are_refused_in_one_line(
  tmp_path, options, message
):
  codes, errors = _end(_start(tmp_path, 20, options=options))
  assert codes == [2, 2], errors
  for said in errors:
    (line,) = [line for line in said.splitlines() if line.startswith('anon_jax: ')]
    assert message in line
  assert not (tmp_path / 'checkpoints').exists()


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (('', 2, -1), r'given without --coordinator; give HOST:PORT'),
    (('', 0, 0), r'given without --coordinator'),
    (('auto', 2, 0), r'--coordinator=auto takes the number of processes from the cluster'),
    (('h:1', 2, 2), r'--num_processes=2 and --process_id=2 name no place'),
    (('h:1', 0, 0), r'--num_processes=0 and --process_id=0 name no place'),
    (('h', 2, 0), r'--coordinator=h is no HOST:PORT'),
  ],
)
def test_flags_that_do_not_go_together_are_refused(given, message):
  with pytest.raises(processes.ProcessesError, match=message):
    processes.start(*given)


def test_one_process_needs_no_start_and_agrees_with_itself():
  processes.start('', 0, -1)
  processes.meet('anywhere')
  processes.require_alike({'seed': 1})
  processes.require_shards(0, 1)
  assert processes.is_first()
  assert (processes.all_say(True), processes.all_say(False)) == (True, False)
  assert processes.gathered({'a': [1]}) == [{'a': [1]}]
  with pytest.raises(processes.ProcessesError, match='the data are split as'):
    processes.require_shards(0, 2)


def test_only_one_process_hears_an_error_as_ever():

  with pytest.raises(jax.errors.JaxRuntimeError), processes.ending_with_the_others():
    raise jax.errors.JaxRuntimeError('out of memory')
