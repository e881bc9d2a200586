"""The command, run as users run it: training, resuming, evaluating, and every kind of bad input."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from anon_jax.data import prepare
from anon_jax.experiment import sources

ROOT = pathlib.Path(__file__).parents[1]
TINY = (
  '--config.preset=tiny',
  '--config.perceptual_network=none',
  '--config.discriminator_width=8',
  '--config.discriminator_layers=2',
  '--config.image_size=32',
  '--config.batch_size=4',
  '--config.eval_batch_size=4',
  '--config.num_train_steps=4',
  '--config.log_every_steps=1',
  '--config.checkpoint_every_steps=2',
  '--config.sample_examples=2',
)


def _python(*arguments, devices=1):
  flags = f'--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0'
  return subprocess.run(
    [sys.executable, *arguments],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flags},
    timeout=300,
  )


def _run(*arguments, config='configs/quickstart.py', devices=1):
  return _python('-m', 'anon_jax.main', f'--config={config}', *arguments, devices=devices)


def _refused(done, code, *phrases):
  """Asserts one line on stderr, the exit code, and what the line says."""
  lines = done.stderr.strip().splitlines()
  assert done.returncode == code, done.stderr
  assert len(lines) == 1, done.stderr
  assert lines[0].startswith('anon_jax: ')
  for phrase in phrases:
    assert phrase in lines[0]


@pytest.fixture
def faces(tmp_path):
  """A face_folder of ten noisy pictures with masks."""
  folder = tmp_path / 'faces'
  (folder / 'images').mkdir(parents=True)
  (folder / 'masks').mkdir()
  rng = np.random.default_rng(0)
  mask = np.zeros((40, 40), np.uint8)
  mask[8:32, 8:32] = 1
  names = [f'{i:02d}' for i in range(10)]
  for name in names:
    pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / 'images' / f'{name}.jpg')
    Image.fromarray(mask).save(folder / 'masks' / f'{name}.png')
  parts = ['train'] * 7 + ['validation'] * 3
  lines = [f'{name}.jpg {part}' for name, part in zip(names, parts, strict=True)]
  (folder / 'split.txt').write_text('\n'.join(lines) + '\n')
  return folder


def _on(faces, tmp_path, *more):
  return (
    *TINY,
    '--config.dataset=face_folder',
    f'--config.manual_dir={faces}',
    f'--config.data_dir={tmp_path / "prepared"}',
    f'--workdir={tmp_path / "run"}',
    *more,
  )


def test_training_resuming_and_evaluating_work_end_to_end_on_a_folder_of_faces(faces, tmp_path):
  work = tmp_path / 'run'
  first = _run(*_on(faces, tmp_path, '--config.num_train_steps=2'))
  assert first.returncode == 0, first.stderr
  assert 'Done: 2 steps' in first.stdout
  second = _run(*_on(faces, tmp_path))
  assert second.returncode == 0, second.stderr
  assert 'resuming from step 2' in second.stderr
  assert 'Preparing' not in second.stdout  # prepared once
  lines = [json.loads(line) for line in (work / 'metrics.jsonl').read_text().splitlines()]
  assert [line['step'] for line in lines if 'g_loss' in line] == [1, 2, 3, 4]
  assert {'00000002.png', '00000004.png'} == {p.name for p in (work / 'samples').iterdir()}
  results = json.loads((work / 'results.json').read_text())
  assert (results['step'], results['foreground']['count']) == (4, 3)
  (work / 'results.json').unlink()
  third = _run(*_on(faces, tmp_path, '--mode=evaluate'))
  assert third.returncode == 0, third.stderr
  assert json.loads((work / 'results.json').read_text()) == results
  assert '| L1 (share of the range) | lower |' in third.stdout
  other = _run(*_on(faces, tmp_path, '--mode=evaluate', '--config.feather=0'))
  _refused(other, 2, 'another config', 'feather: 2 -> 0', 'Only what is measured may change')
  (faces / 'images' / '00.jpg').unlink()
  (faces / 'masks' / '00.png').unlink()
  (faces / 'split.txt').write_text((faces / 'split.txt').read_text().replace('00.jpg train\n', ''))
  fewer = _run(*_on(faces, tmp_path, '--config.num_train_steps=6'))
  assert fewer.returncode == 2, fewer.stderr
  assert 'was trained on other data (train: 7 pictures' in fewer.stderr
  changed = _run(*_on(faces, tmp_path, '--config.seed=1', '--config.l1_weight=3'))
  _refused(changed, 2, 'another config', 'seed: 0 -> 1', 'l1_weight: 10.0 -> 3.0', '--workdir')


_WITHOUT_TENSORFLOW = """
import importlib.machinery, runpy, sys
find = importlib.machinery.PathFinder.find_spec
def find_others(name, path=None, target=None):
  return None if name in ('tensorflow', 'tensorboard') else find(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(find_others)
sys.argv = ['anon_jax', *sys.argv[1:]]
runpy.run_module('anon_jax.main', run_name='__main__')
"""


def test_prepared_data_can_be_trained_on_without_tensorflow(faces, tmp_path):
  command = ['-c', _WITHOUT_TENSORFLOW, '--config=configs/quickstart.py']
  command += _on(faces, tmp_path, '--config.num_train_steps=1')
  unprepared = _python(*command)
  assert unprepared.returncode == 1, unprepared.stderr
  assert "pip install 'anon-jax[train]'" in unprepared.stderr
  prepare.prepare(
    'face_folder', str(faces), str(tmp_path / 'prepared'), sources.stored_side(32, 1.0)
  )
  done = _python(*command)
  assert done.returncode == 0, done.stderr
  assert done.stderr.count('TensorBoard is off') == 1
  assert (tmp_path / 'run' / 'metrics.jsonl').exists()
  assert list((tmp_path / 'run' / 'samples').glob('*.png'))
  assert not list((tmp_path / 'run').glob('events*'))


def test_the_quickstart_runs_on_eight_devices_without_any_data(tmp_path):
  tiny = [a.replace('=4', '=8') if 'batch_size' in a else a for a in TINY]
  done = _run(*tiny, '--config.procedural_faces=12', f'--workdir={tmp_path}', devices=8)
  assert done.returncode == 0, done.stderr
  assert 'devices: 8' in done.stderr
  assert (tmp_path / 'results.md').exists()


def test_a_missing_data_set_is_refused_with_layout_and_source(tmp_path):
  empty = tmp_path / 'empty'
  empty.mkdir()
  done = _run(
    f'--config.manual_dir={empty}',
    f'--config.data_dir={tmp_path}',
    f'--workdir={tmp_path}/run',
    '--config.perceptual_network=none',
    config='configs/harmonize_hq.py',
  )
  _refused(done, 1, 'CelebA-HQ-img', str(empty), 'https://')
  assert not (tmp_path / 'run').exists()


def test_a_truncated_picture_is_named_and_nothing_prepared_is_left(faces, tmp_path):
  broken = faces / 'images' / '04.jpg'
  broken.write_bytes(broken.read_bytes()[:200])
  done = _run(*_on(faces, tmp_path))
  assert done.returncode == 1, done.stderr
  assert str(broken) in done.stderr.strip().splitlines()[-1]
  assert 'Traceback' not in done.stderr
  assert not list((tmp_path / 'prepared').rglob('dataset_info.json'))
  assert not (tmp_path / 'run').exists()


def test_a_mask_of_another_size_is_named_with_both_sizes(faces, tmp_path):
  Image.new('L', (30, 40)).save(faces / 'masks' / '03.png')
  done = _run(*_on(faces, tmp_path))
  last = done.stderr.strip().splitlines()[-1]
  assert done.returncode == 1, done.stderr
  assert '03.png' in last
  assert '30x40' in last.replace(' ', '')
  assert '40x40' in last.replace(' ', '')


@pytest.mark.parametrize(
  ('arguments', 'phrases'),
  [
    (('--config.bach_size=4',), ('bach_size', "did you mean 'batch_size'?")),
    (('--config.batch_size=many',), ('batch_size', 'many')),
    (('--config.dtype=int8',), ('config.dtype', 'bfloat16')),
    (('--config.batch_size=6',), ('batch_size=6', '4 devices', 'multiple of 4')),
    (('--config.manual_dir=/no/such', '--config.dataset=celeba'), ('/no/such', 'celeba')),
    (('stray',), ('stray', '--name=value')),
    (('--mode=dance',), ('dance', 'train')),
  ],
)
def test_a_config_that_cannot_be_run_is_refused_in_one_line(tmp_path, arguments, phrases):
  done = _run(*arguments, f'--workdir={tmp_path / "run"}', devices=4)
  _refused(done, 2, *phrases)
  assert not (tmp_path / 'run').exists()


def test_a_config_file_that_is_not_there_is_named(tmp_path):
  _refused(_run(f'--workdir={tmp_path}', config='configs/nothing.py'), 2, 'configs/nothing.py')


def test_a_missing_workdir_is_asked_for():
  _refused(_run(), 2, 'workdir')


def test_missing_weights_stop_training_before_the_first_step(tmp_path):
  done = _run(
    '--config.perceptual_network=vgg19',
    f'--config.weights_dir={tmp_path}',
    f'--workdir={tmp_path / "run"}',
  )
  _refused(done, 1, 'vgg19', str(tmp_path), 'anon-jax weights convert', 'perceptual_network')
  assert not (tmp_path / 'run').exists()


def test_masks_without_any_face_are_refused(faces, tmp_path):
  for path in (faces / 'masks').iterdir():
    Image.new('L', (40, 40)).save(path)
  done = _run(*_on(faces, tmp_path))
  assert done.returncode == 1, done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert 'none of the 2 maps looked at' in last
  assert str(faces) in last


@pytest.mark.parametrize(
  ('content', 'phrases'),
  [
    ('def get_config(:', ('SyntaxError',)),
    ('x = 1', ('no function get_config()',)),
    ('import nothing_of_that_name', ('ModuleNotFoundError', 'nothing_of_that_name')),
  ],
)
def test_a_broken_config_file_is_one_line(tmp_path, content, phrases):
  path = tmp_path / 'mine.py'
  path.write_text(content)
  _refused(_run(f'--workdir={tmp_path / "run"}', config=str(path)), 2, 'mine.py', *phrases)


def test_a_config_may_be_given_after_a_space_and_a_workdir_may_not_be_empty(tmp_path):
  done = _python('-m', 'anon_jax.main', '--config', 'configs/quickstart.py', '--workdir=')
  _refused(done, 2, "--workdir='' names no folder")
  gone = _python('-m', 'anon_jax.main', '--config', 'none.py', f'--workdir={tmp_path}')
  _refused(gone, 2, '--config=none.py is not a file')


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
  path = tmp_path / 'file'
  path.touch()
  _refused(_run(*TINY, f'--workdir={path}'), 2, str(path), 'is a file')


def test_ctrl_c_reaches_a_run_with_reading_processes_without_breaking_them(faces, tmp_path):
  arguments = _on(faces, tmp_path, '--config.workers=2', '--config.num_train_steps=100000')
  process = subprocess.Popen(
    [sys.executable, '-m', 'anon_jax.main', '--config=configs/quickstart.py', *arguments],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': '--xla_backend_optimization_level=0'},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  metrics = tmp_path / 'run' / 'metrics.jsonl'
  for _ in range(600):
    if metrics.exists() and metrics.read_text().count('g_loss') > 3:
      break
    time.sleep(0.2)
  os.killpg(process.pid, signal.SIGINT)
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 130, errors
  assert 'SIGINT: saved step' in errors
  assert 'Traceback' not in errors


def test_evaluating_a_workdir_without_checkpoints_is_refused(tmp_path):
  done = _run('--mode=evaluate', f'--workdir={tmp_path / "run"}')
  _refused(done, 2, str(tmp_path / 'run'), 'train first')


def test_a_perceptual_term_with_real_weights_takes_part_in_training(real_data, tmp_path):
  chosen = [a for a in TINY if 'perceptual' not in a]
  done = _run(
    *chosen,
    '--config.perceptual_network=squeezenet',
    '--config.procedural_faces=12',
    f'--config.weights_dir={real_data / "weights"}',
    f'--workdir={tmp_path}',
  )
  assert done.returncode == 0, done.stderr
  lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
  assert all(line['g_perceptual'] > 0 for line in lines if 'g_loss' in line)


def test_flags_of_several_processes_that_do_not_go_together_are_refused(tmp_path):
  done = _run(*TINY, f'--workdir={tmp_path / "run"}', '--num_processes=2')
  _refused(done, 2, '--num_processes and --process_id are given without --coordinator')
  assert not (tmp_path / 'run').exists()
