"""One step of the segment stage, its augmentation, resumption, and eight devices against one."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from PIL import Image

from anon_jax import config as configs
from anon_jax import experiment, optim, parallel, train
from anon_jax.data import semantic
from anon_jax.data.errors import DatasetError
from anon_jax.experiment import segment
from anon_jax.losses.segmentation import MERGED, allowed_classes, cross_entropy
from anon_jax.nets.segmentation import WIDTHS, SegmentationNet
from anon_jax.proxy import to_signed
from anon_jax.steps import augmentation
from anon_jax.steps.segment import SegmentOptions, make_segment_stage

SIDE = 16
PLAIN = {'colour': 0.0, 'occluded': 0.0}
BOTH = np.stack([allowed_classes({}), allowed_classes(MERGED['fasseg'])])


def _stage(allowed=None, **options):
  return make_segment_stage(
    SegmentationNet(WIDTHS['tiny']), SegmentOptions(SIDE, **options), allowed
  )


def _batch(seed=0, size=8):
  rng = np.random.default_rng(seed)
  maps = rng.integers(0, 8, (size, 4, 4), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
  maps[:, :2] = semantic.IGNORE
  return {
    'image': semantic.PALETTE[maps],  # what is to be found is written in colours
    'map': maps,
    'identity': np.zeros(size, np.int32),
    'index': np.arange(size, dtype=np.int32),
    'origin': np.zeros(size, np.int32),
  }


@pytest.fixture(scope='module')
def stage():
  return _stage()


@pytest.fixture(scope='module')
def state(stage):
  return jax.jit(stage.init)(jax.random.key(0))


def test_a_step_updates_the_network_and_its_average_and_counts(stage, state):
  new, metrics = jax.jit(stage.step)(state, _batch())
  assert int(new.step) == 1
  net = new.nets['segmenter']
  assert bool((net.params['logits']['kernel'] != state.ema['segmenter']['logits']['kernel']).any())
  expected = optim.update_average(state.ema['segmenter'], net.params, jnp.array(0), 0.999)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.ema['segmenter'], expected
  )
  assert set(metrics) == {'s_loss', 's_accuracy', 's_grad_norm'}
  assert {(m.shape, m.dtype.name) for m in metrics.values()} == {((), 'float32')}


def test_without_augmentation_the_loss_is_the_cross_entropy_by_each_data_sets_own_table(state):
  stage = _stage(BOTH, parts_weight=3.0, **PLAIN)
  batch = _batch() | {'origin': np.array([0, 1] * 4, np.int32)}
  net = SegmentationNet(WIDTHS['tiny'])

  @jax.jit
  def expected(params):
    logits = net.apply({'params': params}, to_signed(batch['image']))
    weights = np.array([1, 1, 3, 3, 3, 3, 1, 1], np.float32)
    return cross_entropy(logits, batch['map'], BOTH[[0, 1] * 4], weights)

  _, metrics = jax.jit(stage.step)(state, batch)
  assert float(metrics['s_loss']) == pytest.approx(
    float(expected(state.nets['segmenter'].params)), rel=1e-5
  )
  _, own = jax.jit(stage.step)(state, _batch())
  assert float(metrics['s_loss']) < float(own['s_loss'])  # labels that admit more cost less


def test_accuracy_counts_labelled_pixels_and_what_a_label_may_stand_for(state):
  class Neck(SegmentationNet):
    @nn.compact
    def __call__(self, images):
      bias = self.param('bias', lambda _: jnp.eye(8)[7])
      return jnp.broadcast_to(bias, (*images.shape[:3], 8))

  stage = make_segment_stage(Neck(), SegmentOptions(SIDE, **PLAIN), BOTH)
  start = jax.jit(stage.init)(jax.random.key(0))
  maps = np.full((8, SIDE, SIDE), 1, np.uint8)  # skin
  maps[:, :8] = semantic.IGNORE
  batch = _batch() | {'map': maps, 'origin': np.array([1, 1, 0, 0, 0, 0, 0, 0], np.int32)}
  _, metrics = jax.jit(stage.step)(start, batch)
  assert float(metrics['s_accuracy']) == pytest.approx(2 / 8)


def test_a_few_steps_teach_the_colours_of_the_classes(stage, state):
  stage = _stage(learning_rate=1e-2, **PLAIN)
  step, batch = jax.jit(stage.step), _batch()
  first = None
  for _ in range(40):
    state, metrics = step(state, batch)
    first = first or float(metrics['s_loss'])
  assert float(metrics['s_loss']) < 0.5 * first


def test_the_rate_falls_by_a_cosine_to_a_hundredth(state):
  steady, falling = _stage(**PLAIN), _stage(decay_steps=2, **PLAIN)
  after = jax.jit(falling.init)(jax.random.key(0))
  kernel = ('logits', 'kernel')
  moves = {}
  for name, stage, start in (('steady', steady, state), ('falling', falling, after)):
    for _ in range(3):
      before = start.nets['segmenter'].params[kernel[0]][kernel[1]]
      # the same parameters each time, so that only the rate differs
      start, _ = jax.jit(stage.step)(start, _batch())
      moves.setdefault(name, []).append(
        float(jnp.abs(start.nets['segmenter'].params[kernel[0]][kernel[1]] - before).max())
      )
  assert moves['falling'][0] == pytest.approx(moves['steady'][0], rel=1e-4)
  assert moves['falling'][2] < 0.03 * moves['steady'][2]


def test_predictions_show_picture_label_and_prediction_in_the_palettes_colours(stage, state):
  shown = jax.jit(stage.predict)(state, _batch())
  np.testing.assert_allclose(shown['picture'], to_signed(jnp.asarray(_batch()['image'])))
  np.testing.assert_allclose(shown['label'], shown['picture'], atol=1e-6)
  assert shown['classes'].dtype == jnp.uint8
  colours = np.round((np.asarray(shown['prediction']) + 1) * 127.5).astype(np.uint8)
  np.testing.assert_array_equal(colours, semantic.PALETTE[np.asarray(shown['classes'])])
  assert set(stage.columns) <= set(shown)


def test_augmentation_of_strength_nought_changes_nothing():
  images, maps = to_signed(jnp.asarray(_batch()['image'])), jnp.asarray(_batch()['map'])
  changed, labels = jax.jit(augmentation.augment, static_argnums=(3, 4))(
    jax.random.key(0), images, maps, 0.0, 0.0
  )
  np.testing.assert_allclose(changed, images, atol=1e-6)
  np.testing.assert_array_equal(labels, maps)


def test_an_object_makes_what_it_covers_background_and_leaves_the_rest_alone():
  images = jnp.full((8, 32, 32, 3), 0.5)
  maps = jnp.full((8, 32, 32), 3, jnp.uint8).at[:, :, :4].set(semantic.IGNORE)
  covered, labels = jax.jit(augmentation.cover)(jax.random.key(1), images, maps, 1.0)
  changed = np.asarray((covered != 0.5).any(-1))
  labelled = np.asarray(maps) != semantic.IGNORE
  np.testing.assert_array_equal(np.asarray(labels)[changed & labelled], 0)
  np.testing.assert_array_equal(np.asarray(labels)[~changed & labelled], 3)
  np.testing.assert_array_equal(np.asarray(labels)[~labelled], semantic.IGNORE)
  share = changed.mean(axis=(1, 2))
  assert (share > 0).sum() >= 7
  assert share.max() < 0.5
  assert len(set(share.tolist())) > 4  # each its own
  assert labels.dtype == jnp.uint8


def test_colours_change_picture_by_picture_and_stay_in_range():
  images = jnp.broadcast_to(jnp.array([0.4, -0.2, 0.1]), (64, 4, 4, 3))
  changed = np.asarray(jax.jit(augmentation.change_colours)(jax.random.key(2), images, 0.6))
  assert np.abs(changed).max() <= 1
  assert len(np.unique(changed[:, 0, 0, 0])) > 40
  np.testing.assert_array_equal(changed, changed[:, :1, :1].repeat(4, 1).repeat(4, 2))
  grey = np.ptp(changed[:, 0, 0], axis=-1) < 1e-6
  assert 0.1 < grey.mean() < 0.5


def test_blur_keeps_the_mean_and_softens_a_share_of_the_pictures():
  point = jnp.zeros((64, 17, 17, 3)).at[:, 8, 8].set(1.0)
  blurred = np.asarray(jax.jit(augmentation.blur_some)(jax.random.key(3), point, 0.5))
  np.testing.assert_allclose(blurred.sum(axis=(1, 2)), 1, rtol=1e-5)
  sharp = blurred[:, 8, 8, 0] > 0.9999
  assert 0.25 < sharp.mean() < 0.75
  assert np.ptp(blurred[~sharp, 8, 8, 0]) > 0.1
  np.testing.assert_allclose(blurred, blurred.transpose(0, 2, 1, 3), atol=1e-6)


def _fasseg(folder, *names):
  """A raw FASSEG folder of 40 x 40 heads."""
  (folder / 'images').mkdir(parents=True)
  (folder / 'labels').mkdir()
  labels = np.full((40, 40), 1, np.uint8)
  labels[15, 15:25], labels[25, 18:22] = 3, 5
  for name in names:
    Image.new('RGB', (40, 40), 'grey').save(folder / 'images' / f'{name}.png')
    Image.fromarray(labels).save(folder / 'labels' / f'{name}.png')
  lines = [f'{name} {"test" if "test" in name or "p08" in name else "train"}' for name in names]
  (folder / 'split.txt').write_text('\n'.join(lines) + '\n')
  return folder


def test_each_data_set_is_measured_on_its_own_split_and_fasseg_by_yaw(tmp_path):
  test_names = ('v2_test_01', 'v3_p08_s1_yaw+00', 'v3_p08_s1_yaw-60')
  whole = _fasseg(tmp_path / 'whole', 'v2_train_01', 'v3_p01_s1_yaw+15', *test_names)
  part = _fasseg(tmp_path / 'part', 'v2_train_01')  # nobody to be tested
  config = configs.defaults('segment')
  config.update({'image_size': 16, 'eval_split': 'test', 'data_dir': str(tmp_path / 'prepared')})
  config.mixture = f'fasseg:{part}:1:1,fasseg:{whole}:1:1'
  checked = configs.check(config)
  train_parts, held_out = segment.open_parts(checked, segment.parts_of(checked))
  assert [len(part) for part in train_parts] == [1, 2]
  assert [(part.title, len(part.source)) for part in held_out] == [('fasseg 2', 3)]
  assert sorted(held_out[0].groups) == ['frontal (V2)', 'yaw 00', 'yaw 60']
  np.testing.assert_array_equal(held_out[0].allowed, BOTH[1])
  assert {int(held_out[0].source[i]['origin']) for i in range(3)} == {1}
  config.mixture = f'fasseg:{part}:1:1'
  checked = configs.check(config)
  with pytest.raises(DatasetError, match="none of the data sets has a split 'test'"):
    segment.open_parts(checked, segment.parts_of(checked))


def _arrays(state):
  return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


def test_a_run_that_was_stopped_and_resumed_ends_bit_for_bit_as_the_unbroken_one(tmp_path):
  config = configs.defaults('segment')
  config.mixture = 'procedural_faces::2:1,procedural_faces::1:1.25'
  config.update({'preset': 'tiny', 'procedural_faces': 12, 'image_size': 16, 'batch_size': 8})
  config.update({'eval_batch_size': 8, 'eval_examples': 8, 'sample_examples': 4})
  checked = configs.check(experiment.resolve(config), 8)
  mesh = parallel.make_mesh()
  built = experiment.build(checked, tmp_path, mesh)  # once: what is compiled for it is kept

  def run(name, steps):
    where = train.Run(tmp_path / name, train.Plan(steps, 1, 1), 8, checked.seed, 3)
    return train.train(where, built.stage, built.dataset, built.samples, built.evaluate, mesh)

  unbroken = run('unbroken', 3)
  run('broken', 1)
  resumed = run('broken', 3)
  jax.tree.map(np.testing.assert_array_equal, _arrays(unbroken.state), _arrays(resumed.state))
  text = (tmp_path / 'results.md').read_text()
  assert '## procedural_faces 1' in text
  assert '## procedural_faces 2' in text
  assert len(list((tmp_path / 'broken' / 'samples').iterdir())) == 2


def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5():
  results, stage = {}, _stage(learning_rate=1e-4)
  for devices in (1, 8):
    mesh = parallel.make_mesh(devices)
    start = state = train.new_state(stage, 0, mesh)
    start = jax.device_get(start.nets['segmenter'].params)
    batches = [parallel.put_batch(_batch(i), mesh) for i in range(20)]
    compiled = parallel.compile_step(stage.step, state, batches[0], mesh, time.monotonic)
    for batch in batches:
      state, _ = compiled.run(state, batch)
    results[devices] = jax.device_get(state.nets['segmenter'].params)
  difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), results[1], results[8])
  assert max(jax.tree.leaves(difference)) <= 1e-5
  assert optax.tree.norm(jax.tree.map(lambda a, b: a - b, results[8], start)) > 1e-3
