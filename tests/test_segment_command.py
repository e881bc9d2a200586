"""`anon-jax segment`: maps for a folder of pictures, resumed, and every kind of bad input."""

import json

import grain
import jax
import numpy as np
import pytest
from PIL import Image

from anon_jax import checkpoints, cli
from anon_jax.data import pictures, semantic
from anon_jax.inference import segmenting
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.segmenting import Segmenter, load_segmenter, segment_folder
from anon_jax.nets.segmentation import WIDTHS, SegmentationNet
from anon_jax.steps.segment import SegmentOptions, make_segment_stage

CONFIG = {
  'stage': 'segment',
  'preset': 'tiny',
  'image_size': 16,
  'segmenter_lr': 1e-3,
  'decay_steps': 5,
  'dataset': 'fasseg',
  'crop': 0.8,
  'seed': 3,
  'batch_size': 8,
}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The workdir of a run that has been saved before its first step."""
  workdir = tmp_path_factory.mktemp('run')
  (workdir / 'config.json').write_text(json.dumps(CONFIG))
  stage = make_segment_stage(SegmentationNet(WIDTHS['tiny']), SegmentOptions(16, decay_steps=5))
  state = jax.jit(stage.init)(jax.random.key(3))
  saved = checkpoints.Checkpoints(workdir / 'checkpoints', 1)
  saved.save(4, state, iter(grain.MapDataset.range(3).to_iter_dataset()))
  saved.close()
  return workdir


@pytest.fixture
def faces(tmp_path):
  """Five pictures of several shapes; one of them turned by its EXIF orientation."""
  folder = tmp_path / 'faces'
  folder.mkdir()
  rng = np.random.default_rng(0)
  for name, size in {'a': (20, 20), 'b': (30, 20), 'c': (20, 30), 'd': (16, 16)}.items():
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(folder / f'{name}.png')
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.fromarray(rng.integers(0, 256, (10, 24, 3), np.uint8)).save(folder / 'e.jpg', exif=exif)
  return folder


def _by_brightness(size=8):
  """An S that finds skin where a picture is bright and hair elsewhere."""

  def logits(images):
    scores = np.zeros((*images.shape[:3], semantic.NUM_CLASSES), np.float32)
    scores[..., 1] = images.mean(-1) - 127.5
    scores[..., 6] = -scores[..., 1]
    return scores

  return Segmenter(logits, size, 7, 'abc')


def test_the_command_writes_a_map_of_each_pictures_upright_size(run, faces, tmp_path, capsys):
  masks = tmp_path / 'masks'
  arguments = ['segment', str(faces), '-o', str(masks), '--workdir', str(run), '--batch-size', '2']
  assert cli.main(arguments) == 0
  assert '5 maps written by step 4, 0 were there already' in capsys.readouterr().out
  for path in faces.iterdir():
    picture, _ = pictures.read_picture(path)
    semantic_map = pictures.read_map(masks / f'{path.stem}.png')
    assert semantic_map.shape == picture.size[::-1]
    semantic.check_map(semantic_map, path.name)
  before = {path: path.stat().st_mtime_ns for path in masks.iterdir()}
  (masks / 'c.png').unlink()
  assert cli.main(arguments) == 0
  assert '1 maps written by step 4, 4 were there already' in capsys.readouterr().out
  changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
  assert changed == {'c.png'}


def test_the_loaded_network_has_the_saved_average(run):
  segmenter = load_segmenter(run)
  images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
  stage = make_segment_stage(SegmentationNet(WIDTHS['tiny']), SegmentOptions(16))
  state = jax.jit(stage.init)(jax.random.key(3))
  net = SegmentationNet(WIDTHS['tiny'])
  expected = jax.jit(net.apply)({'params': state.ema['segmenter']}, images / np.float32(127.5) - 1)
  np.testing.assert_allclose(segmenter.logits(images), expected, atol=1e-4)
  assert (segmenter.size, segmenter.step) == (16, 4)


@pytest.mark.parametrize('size', [(40, 20), (20, 40), (40, 40)])
def test_maps_lie_where_the_picture_says(tmp_path, size):
  folder = tmp_path / 'faces'
  folder.mkdir()
  width, height = size
  pixels = np.zeros((height, width, 3), np.uint8)
  pixels[: height // 2, width // 2 :] = 255  # the upper right quarter is bright
  Image.fromarray(pixels).save(folder / 'x.png')
  segment_folder(_by_brightness(40), folder, tmp_path / 'masks', 3)
  semantic_map = pictures.read_map(tmp_path / 'masks' / 'x.png')
  np.testing.assert_array_equal(semantic_map, np.where(pixels[..., 0] > 0, 1, 6))


def test_scores_are_interpolated_not_classes(tmp_path):
  (tmp_path / 'faces').mkdir()
  # Scores of the two input pixels: skin 100 and -50. Along 40 pixels the zero lies at two thirds
  # of the way between their centres, 10 + 20 x 2 / 3 = 23.3, not in the middle at 20.
  ramp = np.array([[[227.5], [77.5]]] * 2).repeat(3, 2).astype(np.uint8)
  Image.fromarray(ramp).resize((40, 40), Image.Resampling.NEAREST).save(
    tmp_path / 'faces' / 'x.png'
  )
  segment_folder(_by_brightness(2), tmp_path / 'faces', tmp_path / 'masks')
  semantic_map = pictures.read_map(tmp_path / 'masks' / 'x.png')
  assert (semantic_map[20] == 1).sum() in (23, 24)


def test_a_broken_picture_is_named_and_the_rest_goes_on(run, faces, tmp_path, capsys):
  broken = faces / 'b.png'
  broken.write_bytes(broken.read_bytes()[:200])
  masks = tmp_path / 'masks'
  code = cli.main(['segment', str(faces), '-o', str(masks), '--workdir', str(run)])
  captured = capsys.readouterr()
  assert code == 1
  assert f'{broken} cannot be decoded' in captured.err
  assert '4 maps written by step 4, 0 were there already, 1 pictures could not' in captured.out
  assert sorted(path.name for path in masks.glob('*.png')) == ['a.png', 'c.png', 'd.png', 'e.png']


def test_a_write_that_fails_leaves_no_part_of_a_map(faces, tmp_path, monkeypatch):
  def fail(path, content):
    if path.name == 'c.png':
      raise OSError(28, 'No space left on device', str(path))
    path.write_bytes(content)

  monkeypatch.setattr(segmenting, 'write_whole', fail)
  masks = tmp_path / 'masks'
  with pytest.raises(OSError, match='No space left'):
    segment_folder(_by_brightness(), faces, masks, 2)
  assert sorted(path.name for path in masks.glob('*.png')) == ['a.png', 'b.png']


def test_maps_of_two_networks_are_not_mixed(faces, tmp_path):
  masks = tmp_path / 'masks'
  segment_folder(_by_brightness(), faces, masks)
  other = Segmenter(_by_brightness().logits, 8, 9, 'def')
  with pytest.raises(InferenceError, match=r'another network .step 7; this one is at step 9'):
    segment_folder(other, faces, masks)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'stage': 'harmonize'}, "a run of stage 'harmonize'; give one of stage 'segment'"),
    ({'preset': 'small'}, 'by config.json; was one of them replaced?'),
    (None, 'config.json is missing'),
  ],
)
def test_a_run_that_cannot_be_used_is_refused_in_one_line(
  run, faces, tmp_path, capsys, change, message
):
  workdir = tmp_path / 'run'
  workdir.mkdir()
  (workdir / 'checkpoints').symlink_to(run / 'checkpoints')
  if change is not None:
    (workdir / 'config.json').write_text(json.dumps(CONFIG | change))
  code = cli.main(['segment', str(faces), '-o', str(tmp_path / 'm'), '--workdir', str(workdir)])
  lines = capsys.readouterr().err.strip().splitlines()
  assert (code, len(lines)) == (1, 1)
  assert message in lines[0]


def test_a_run_without_checkpoints_is_refused(tmp_path):
  (tmp_path / 'config.json').write_text(json.dumps(CONFIG))
  with pytest.raises(InferenceError, match='checkpoints is missing; train first'):
    load_segmenter(tmp_path)
  (tmp_path / 'checkpoints').mkdir()
  with pytest.raises(InferenceError, match='no complete checkpoint; train first'):
    load_segmenter(tmp_path)


def test_a_folder_that_is_not_there_and_a_batch_of_nought_are_refused(faces, tmp_path):
  with pytest.raises(InferenceError, match='nowhere is not a folder'):
    segment_folder(_by_brightness(), tmp_path / 'nowhere', tmp_path / 'masks')
  with pytest.raises(InferenceError, match='batch_size=0; give 1 or more'):
    segment_folder(_by_brightness(), faces, tmp_path / 'masks', 0)
