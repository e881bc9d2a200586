"""Eight virtual devices, strict ranks, and the real data set folder for every test."""

import os

# Level 0 compiles the tiny networks of the tests several times faster; what they compute is the
# same program.
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_force_host_platform_device_count=8',
    '--xla_backend_optimization_level=0',
  ]
).strip()
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import pathlib
import shutil
import tempfile

import jax
import pytest
from PIL import Image

jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_debug_key_reuse', True)


def pytest_configure(config):
  """Keeps compiled programs for other tests of this process: compiling takes most of the time.

  Each process has a folder of its own, since half-written programs could be read from a shared one.
  """
  config.programs = tempfile.mkdtemp(prefix='anon_jax_programs_')
  jax.config.update('jax_compilation_cache_dir', config.programs)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def pytest_unconfigure(config):
  shutil.rmtree(config.programs, ignore_errors=True)


@pytest.fixture(scope='session')
def real_data() -> pathlib.Path:
  """The folder of real pictures named by ANON_JAX_DATA; tests that need it are skipped without."""
  folder = os.environ.get('ANON_JAX_DATA', '')
  if not folder:
    pytest.skip('ANON_JAX_DATA is not set: it names the folder that holds the real pictures')
  path = pathlib.Path(folder).resolve()
  if not path.is_dir():
    pytest.fail(f'ANON_JAX_DATA={folder!r} is not a folder')
  return path


@pytest.fixture(scope='module')
def reader():
  """The child process that reads pictures."""
  from anon_jax.inference import reading

  with reading.Reader() as opened:
    yield opened


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> pathlib.Path:
  """A picture that can be read."""
  path = tmp_path_factory.mktemp('good') / 'good.png'
  Image.new('RGB', (5, 4), 'teal').save(path)
  return path


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
  """A headless browser; tests that take it are marked by `browsing.needs_chromium`."""
  from browsing import browser

  with browser(tmp_path_factory.mktemp('browser')) as opened:
    yield opened
