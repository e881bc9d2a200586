"""`anon-jax serve` as a process: it starts, it ends, and it leaves nothing behind."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from running_page import Client, encoded, held
from skimage import data
from test_weights_folder import NETS
from test_weights_folder import _write as write_weights

from anon_jax import cli
from anon_jax.serving import server
from anon_jax.serving.guard import Secrets

ROOT = pathlib.Path(__file__).resolve().parents[1]
# A shell's background jobs, of which the tests may be one, begin with Ctrl-C ignored.
MAIN = (
  'import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); '
  'from anon_jax import cli; sys.exit(cli.main())'
)
ADDRESS = re.compile(r'The page is at http://127\.0\.0\.1:(\d+)/\?key=([\w-]+)\n')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
  """Networks that are compiled in no time."""
  names = [name for name in NETS if name != 'single_stage']
  return write_weights(tmp_path_factory.mktemp('weights') / 'tiny', names)


@pytest.fixture
def serve(tmp_path, tiny):
  """Starts the command; its private folder is below the test's own."""
  started = []

  def start(*arguments):
    if '--weights' not in arguments:
      arguments = (*arguments, '--weights', str(tiny))
    own = {'TMPDIR': str(tmp_path), 'XDG_CACHE_HOME': str(tmp_path / 'cache'), 'XLA_FLAGS': ''}
    environment = os.environ | own | {'PYTHONUNBUFFERED': '1'}
    process = subprocess.Popen(
      [sys.executable, '-c', MAIN, 'serve', *arguments],
      cwd=ROOT,
      env=environment,
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
    )
    started.append(process)
    return process

  yield start
  for process in started:
    process.kill()
    process.communicate()


def _client(process, tmp_path):
  port, key = ADDRESS.fullmatch(process.stdout.readline()).groups()
  (folder,) = tmp_path.glob('anon-jax-serve-*')
  client = Client(int(port), Secrets(key, ''), folder)
  _, _, content = client.ask('GET', f'/?key={key}', x_anon_jax_token=None)
  token = re.search(rb'name="token" content="([\w-]+)"', content)[1].decode()
  client.drawn = Secrets(key, token)
  return client


def _astronaut():
  return encoded(data.astronaut())


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_code_0_and_wipes_what_was_dropped(serve, tmp_path, number):
  process = serve('--port', '0')
  page = _client(process, tmp_path)
  own = page.upload(_astronaut())
  told = page.anonymize(own)
  assert [face['action'] for face in told['faces']] == ['filled']
  assert held(page.folder)
  process.send_signal(number)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 0
  assert errors.endswith('Stopped; nothing that was dropped is left.\n')
  assert not list(tmp_path.glob('anon-jax-*'))


def test_what_a_killed_one_left_is_wiped_by_the_next(serve, tmp_path):
  process = serve()
  page = _client(process, tmp_path)
  page.upload(_astronaut())
  process.kill()
  process.wait()
  assert held(page.folder)
  again = serve()
  assert _client(again, tmp_path).folder != page.folder
  assert not page.folder.exists()


def test_it_listens_on_this_machine_only(serve, tmp_path):
  page = _client(serve(), tmp_path)
  lines = pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]
  listening = {line.split()[1] for line in lines if line.split()[3] == '0A'}
  assert [place for place in listening if place.endswith(f':{page.port:04X}')] == [
    f'0100007F:{page.port:04X}'
  ]
  six = pathlib.Path('/proc/net/tcp6')
  assert not six.exists() or f':{page.port:04X} ' not in six.read_text()


def test_a_port_that_is_taken_is_one_line_and_leaves_nothing(serve, tmp_path):
  with server.listening(0) as own:
    port = own.getsockname()[1]
    process = serve('--port', str(port))
    output, errors = process.communicate(timeout=60)
  assert (process.returncode, output) == (1, '')
  assert errors == (
    f'anon-jax: port {port} of 127.0.0.1 cannot be had (Address already in use); give another '
    '--port, or 0 for any.\n'
  )
  assert not list(tmp_path.glob('anon-jax-*'))


def test_weights_that_cannot_be_used_are_one_line_and_leave_nothing(serve, tmp_path):
  process = serve('--weights', str(tmp_path / 'none'))
  output, errors = process.communicate(timeout=60)
  assert (process.returncode, output, errors.count('\n')) == (1, '', 1)
  assert str(tmp_path / 'none') in errors
  assert not list(tmp_path.glob('anon-jax-*'))


@pytest.mark.parametrize('missing', ['starlette', 'uvicorn', 'h11'])
def test_without_the_extra_it_says_how_to_install_it(missing, monkeypatch, capsys):
  import importlib.util

  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: None if name == missing else find(name)
  )
  assert cli.main(['serve']) == 1
  assert capsys.readouterr().err == (
    'anon-jax: the page needs Starlette and Uvicorn, which are missing: '
    "pip install 'anon-jax[demo]'\n"
  )


@pytest.mark.parametrize(
  'arguments',
  [
    ['--port', '80'], ['--port', '70000'], ['--port', 'x'], ['--port', '-1'], ['--weights', ''],
    ['--detector-threshold', '1'], ['--host', '0.0.0.0'],
  ],
)  # fmt: skip
def test_wrong_usage_is_code_2(arguments, capsys):
  with pytest.raises(SystemExit) as end:
    cli.main(['serve', *arguments])
  assert end.value.code == 2
  assert capsys.readouterr().err


def test_the_command_line_needs_no_web_server_for_anything_else():
  code = (
    'import sys, anon_jax.cli; bad = {"starlette", "uvicorn", "jax"} & set(sys.modules); '
    'sys.exit(str(sorted(bad)) if bad else 0)'
  )
  began = time.monotonic()
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (0, '')
  assert time.monotonic() - began < 60
