"""docs/onnx_example.py: the exported chain without JAX and without this project."""

import importlib.util
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image
from test_synthesis import _noise
from test_weights_folder import _write as write_weights

from anon_jax import cli
from anon_jax.inference import command

ROOT = pathlib.Path(__file__).resolve().parents[1]
NETWORKS = ('segmentation', 'anonymization', 'harmonization', 'identity')


def _example():
  spec = importlib.util.spec_from_file_location('onnx_example', ROOT / 'docs' / 'onnx_example.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


class _Drawn:
  """Stands for the exported chain: paints 200 into the middle, at the second draw of the first."""

  side, trust = 16, {'draws': 2, 'foreground_at_least': 0.1, 'similarity_at_most': 0.5}

  def __init__(self):
    self.asked = []

  def run(self, crops):
    self.asked.append(len(crops))
    count = len(crops)
    mask = np.zeros((count, 16, 16), bool)
    mask[:, 4:12, 4:12] = True
    again = len(self.asked) == 1
    return {
      'painted': np.full((count, 16, 16, 3), 199.7, np.float32),
      'mask': mask,
      'foreground': np.array([0.3, 0.3, 0.05][:count], np.float32),
      'similarity': np.array([0.9 if again else 0.1, 0.2, 0.1][:count], np.float32),
    }


def test_the_example_draws_again_and_fills_as_the_command_does():
  example, chain = _example(), _Drawn()
  shown, mask = example.Chain.replace(chain, np.zeros((3, 16, 16, 3), np.uint8))
  assert chain.asked == [3, 1]
  assert [int(picture[8, 8, 0]) for picture in shown] == [200, 200, example.GREY]
  assert mask.mean((1, 2)).tolist() == [0.25, 0.25, 1.0]


def test_the_example_fills_where_the_mask_misses_the_middle():
  example = _example()
  mask = np.zeros((16, 16), bool)
  mask[4:12, 4:12] = True
  assert example.covers_middle(mask)
  assert not example.covers_middle(np.roll(mask, 3, axis=1))
  chain = _Drawn()
  chain.run = lambda crops: {
    **_Drawn.run(_Drawn(), crops), 'mask': np.roll([mask], 3, axis=2), 'similarity': np.zeros(1)
  }  # fmt: skip
  shown, _ = example.Chain.replace(chain, np.zeros((1, 16, 16, 3), np.uint8))
  assert (shown == example.GREY).all()


def test_the_example_replaces_every_pixel_that_the_mask_touches():
  example = _example()
  picture = np.zeros((40, 50, 3), np.uint8)
  mask = np.zeros((16, 16), bool)
  mask[4:12, 4:12] = True
  # a square of 20 pixels, half of it left of the picture: a pixel has .8 of one of the crop
  example.lay_over(picture, (-10, 5, 20), np.full((16, 16, 3), 200, np.uint8), mask)
  rows, columns = np.nonzero(picture[..., 0])
  assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 0, 4)
  assert example.square_of((10, 20, 40, 80)) == (-25, 0, 100)


def test_the_example_takes_boxes_of_the_upright_picture_and_refuses_others(tmp_path, monkeypatch):
  example = _example()
  turned = Image.Exif()
  turned[0x112] = 6  # to be turned clockwise
  photo, new = tmp_path / 'photo.jpg', tmp_path / 'new.png'
  Image.new('RGB', (40, 60)).save(photo, exif=turned)  # 60 x 40 when it is looked at
  squares = []
  chain = types.SimpleNamespace(side=16, replace=lambda crops: (crops, crops))
  monkeypatch.setattr(example, 'Chain', lambda models: chain)
  monkeypatch.setattr(example, 'lay_over', lambda picture, *given: squares.append(given[0]))

  def run(*box):
    monkeypatch.setattr('sys.argv', ['', 'models', str(photo), str(new), '--box', *map(str, box)])
    example.main()

  run(45, 10, 57, 22)
  assert squares == [(41, 6, 20)]
  assert np.asarray(Image.open(new)).shape == (40, 60, 3)
  for box in ((57, 10, 45, 22), (45, 22, 57, 10), (70, 10, 80, 22), (-20, 10, -5, 22)):
    with pytest.raises(SystemExit, match='which has 60 x 40 pixels when it is upright'):
      run(*box)


def test_the_example_runs_on_what_the_command_wrote(tmp_path, monkeypatch):
  monkeypatch.setattr(command, 'keep_programs', lambda: None)  # it would change jax for all tests
  source, output = write_weights(tmp_path / 'weights', NETWORKS), tmp_path / 'models'
  assert cli.main(['export', '--format', 'onnx', '--weights', str(source), '-o', str(output)]) == 0
  photo, new = tmp_path / 'photo.png', tmp_path / 'new.png'
  Image.fromarray(_noise(60, 80, 3)).save(photo)
  boxes = ['--box', '20', '20', '40', '44']
  monkeypatch.setattr('sys.argv', ['onnx_example.py', str(output), str(photo), str(new), *boxes])
  _example().main()
  changed = (np.asarray(Image.open(new)) != np.asarray(Image.open(photo))).any(-1)
  assert changed[32, 30]
  assert not changed[:10].any()
  assert not changed[:, 55:].any()


def test_the_example_needs_neither_jax_nor_this_project():
  code = (
    'import runpy, sys; runpy.run_path("docs/onnx_example.py"); '
    'print(sorted({"jax", "flax", "anon_jax"} & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=False
  )
  assert (done.stdout.strip(), done.returncode) == ('[]', 0), done.stderr
