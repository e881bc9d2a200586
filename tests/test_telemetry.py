"""metrics.jsonl, sample grids, TensorBoard."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from anon_jax import telemetry
from anon_jax.telemetry import Telemetry


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_grid_has_a_row_an_example_and_a_titled_column_a_name():
  dark, light = np.full((2, 8, 8, 3), -1.0), np.full((2, 8, 8, 3), 1.0)
  sheet = np.asarray(telemetry.grid({'input': dark, 'output': light}, gap=2))
  assert sheet.shape == (14 + 8 + 2 + 8, 8 + 2 + 8, 3)
  assert (sheet[14:22, :8] == 0).all()
  assert (sheet[24:, :8] == 0).all()
  assert (sheet[14:, 8:] == 255).all()
  assert (sheet[:14] < 128).any()


def test_values_of_a_grid_are_rounded_and_clipped():
  values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 5, 1)
  picture = np.broadcast_to(values, (1, 5, 5, 3))
  row = np.asarray(telemetry.grid({'x': picture}))[14, :, 0]
  np.testing.assert_array_equal(row, [0, 0, 128, 255, 255])


def test_scalars_are_lines_with_their_step_and_null_for_what_is_not_finite(tmp_path):
  writer = Telemetry(tmp_path, 0, 3)
  writer.scalars(1, {'loss': 0.5, 'bad': float('nan')})
  writer.scalars(2, {'loss': np.float32(0.25)})
  writer.close()
  assert _lines(tmp_path / 'metrics.jsonl') == [
    {'step': 1, 'loss': 0.5, 'bad': None},
    {'step': 2, 'loss': 0.25},
  ]


def test_resuming_drops_the_lines_that_will_be_written_again_and_a_torn_one(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_text('{"step": 1}\n{"step": 4, "a": 1}\n{"step": 5}\n{"step": 6, "a"')
  Telemetry(tmp_path, 4, 9).close()
  assert _lines(path) == [{'step': 1}, {'step': 4, 'a': 1}]


def test_pictures_are_png_named_by_step_and_nothing_half_written_stays(tmp_path):
  writer = Telemetry(tmp_path, 0, 3)
  path = writer.pictures(7, {'input': np.zeros((1, 4, 4, 3))})
  writer.close()
  assert path == tmp_path / 'samples' / '00000007.png'
  with Image.open(path) as image:
    assert image.size == (4, 18)
  assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_other_hosts_write_nothing(tmp_path):
  writer = Telemetry(tmp_path, 0, 3, active=False)
  writer.scalars(1, {'loss': 0.5})
  writer.pictures(1, {'input': np.zeros((1, 4, 4, 3))})
  writer.note('hello')
  writer.close()
  assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
  event_accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
  writer = Telemetry(tmp_path, 0, 3)
  writer.scalars(1, {'loss': 0.5})
  writer.pictures(1, {'input': np.zeros((1, 4, 4, 3))})
  writer.close()
  events = event_accumulator.EventAccumulator(str(tmp_path), size_guidance={'tensors': 0})
  events.Reload()
  assert {'loss', 'samples'} <= set(events.Tags()['tensors'])


def test_without_tensorflow_one_line_says_that_tensorboard_is_off(tmp_path):
  code = f"""
import importlib.abc, pathlib, sys
class Hide(importlib.abc.MetaPathFinder):
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] == 'tensorflow':
      raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Hide())
from anon_jax.telemetry import Telemetry
writer = Telemetry(pathlib.Path({str(tmp_path)!r}), 0, 3)
writer.scalars(1, {{'loss': 0.5}})
writer.close()
"""
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert 'TensorBoard is off (tensorflow is not installed; pip install' in done.stderr
  assert 'Traceback' not in done.stderr
  assert _lines(tmp_path / 'metrics.jsonl') == [{'step': 1, 'loss': 0.5}]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'results.json'
  telemetry.write_whole(path, b'first')
  with pytest.raises(TypeError):
    telemetry.write_whole(path, 'not bytes')  # type: ignore[arg-type]
  assert path.read_bytes() == b'first'
