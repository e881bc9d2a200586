"""The ablations' networks in the pipeline: they paint there what they were trained to paint."""

import functools

import jax
import numpy as np
import pytest
from test_ablation_steps import SIDE, _stage

from anon_jax.data import semantic
from anon_jax.inference import crops
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import HarmonizationInput, IdentityInput, Input, PaintingInput
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.inference.weights import Network, Weights, nested, shapes_of
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.nets.single_stage import SingleStageNet

FEATHER = 2  # what both stages have by default


@functools.cache
def _averages(stage):
  """Random parameters of all that the stage averages, without compiling how it begins."""
  rng = np.random.default_rng(2)
  shapes = jax.eval_shape(_stage(stage).init, jax.random.key(0)).ema
  return jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)


@functools.cache
def _others():
  """S and I of random parameters."""
  rng, found = np.random.default_rng(0), {}
  nets = {
    'segmentation': (SegmentationNet((4, 6)), Input(16)),
    'identity': (IdentityNet((4, 6)), IdentityInput(16)),
  }
  for name, (module, shown) in nets.items():
    shapes = shapes_of(module, shown.image_size)
    flat = {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}
    found[name] = Network(module, nested(flat), shown, None)
  return found


@functools.cache
def _painters(stage):
  """The networks of a stage as an export names them."""
  averages = _averages(stage)
  count = averages['generator']['embed']['kernel'].shape[0]
  given = (count, widths_for('tiny', SIDE), HIDDEN['tiny'])
  blended = HarmonizationInput(SIDE, feather=FEATHER)
  if stage == 'single_stage':
    return {stage: Network(SingleStageNet(*given), averages['generator'], blended, None)}
  harmonizer = HarmonizationNet(WIDTHS['tiny'])
  return {
    'anonymization': Network(
      AnonymizationNet(*given), averages['generator'], PaintingInput(SIDE), None
    ),
    'harmonization': Network(harmonizer, averages['harmonizer'], blended, None),
  }


def _map():
  y, x = np.mgrid[:SIDE, :SIDE] + 0.5
  found = np.where(np.hypot(x - SIDE / 2, y - SIDE / 2) < 0.4 * SIDE, 1, 0)
  found[SIDE // 2 - 3 : SIDE // 2, 10:22] = semantic.CLASSES.index('eyes')
  return found.astype(np.uint8)


@functools.cache
def _synthesizer(stage):
  return Synthesizer(Weights(**_others(), **_painters(stage)))


def _paint(stage, image, control, conditions=None):
  given = {'replaced': _map()[None] > 0, 'conditions': conditions}
  return _synthesizer(stage).paint(image[None], _map()[None], control, **given).painted[0]


@pytest.mark.parametrize('stage', ['single_stage', 'joint'])
def test_the_pipeline_paints_what_training_painted(stage):
  rng = np.random.default_rng(1)
  image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
  control = np.eye(_synthesizer(stage).identities, dtype=np.float32)[:1]
  found = _paint(stage, image, control)
  batch = {'image': image[None], 'map': _map()[None]}
  signed = jax.jit(_stage(stage).paint)(_averages(stage), batch, control)[0]
  wanted = np.asarray(signed) * 127.5 + 127.5
  # beside the rim, where the pipeline fades into the background and training into the condition
  inside = ~crops.grown(_map() == 0, 2 * FEATHER + 1)
  assert inside.sum() > 100
  assert np.abs(found - wanted)[inside].max() <= 1
  # while the condition, a blur of the face, is read
  other = np.where(inside[..., None], 255 - image, image)
  assert (_paint(stage, other, control) != found).any()


def test_no_pixel_of_the_foreground_gets_past_the_one_network():
  rng = np.random.default_rng(1)
  image, noise = rng.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
  control = np.eye(_synthesizer('single_stage').identities, dtype=np.float32)[:1]
  hidden, blank = _map() > 0, np.zeros((1, SIDE, SIDE, 3), np.float32)
  found = _paint('single_stage', image, control, blank)
  other = _paint('single_stage', np.where(hidden[..., None], noise, image), control, blank)
  np.testing.assert_array_equal(found, other)
  beside = _paint('single_stage', np.where(hidden[..., None], image, noise), control, blank)
  assert (beside != found)[hidden].any()  # while the background is read


@pytest.mark.parametrize('both', [('anonymization',), ('anonymization', 'harmonization')])
def test_two_ways_to_paint_in_one_folder_are_refused(both):
  more = {name: _painters('joint')[name] for name in both}
  with pytest.raises(InferenceError, match=r'have single_stage beside anonymization.*of its own'):
    Synthesizer(Weights(**_others(), **_painters('single_stage'), **more))


def test_the_one_network_for_both_tasks_needs_s_and_i():
  with pytest.raises(InferenceError, match='have no segmentation and no identity;'):
    Synthesizer(Weights(**_painters('single_stage')))
