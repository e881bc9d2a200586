"""One step of the identity stage, its data, its measure, and its resumption."""

import json
import pathlib
import time

import jax
import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax import experiment, main, parallel, train
from anon_jax.checkpoints import Checkpoints
from anon_jax.data import alignment
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import crop_recognition
from anon_jax.evaluation import identity as evaluation
from anon_jax.experiment import identities
from anon_jax.nets import recognition
from anon_jax.nets.identity import WIDTHS, IdentityNet
from anon_jax.steps.identity import IdentityOptions, make_identity_stage

SIDE, PEOPLE = 16, 4


def _stage(**options):
  return make_identity_stage(
    IdentityNet(WIDTHS['tiny'], dimensions=8),
    IdentityOptions(**({'image_size': SIDE, 'identities': PEOPLE} | options)),
  )


def _batch(seed=0, size=8):
  """Faces whose colour is their identity, on noise."""
  rng = np.random.default_rng(seed)
  classes = np.arange(size) % PEOPLE
  images = rng.integers(0, 255, (size, SIDE, SIDE, 3), dtype=np.uint8)
  maps = np.zeros((size, SIDE, SIDE), np.uint8)
  maps[:, 4:12, 4:12] = 1
  colours = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]], np.uint8)
  images[maps == 1] = np.repeat(colours[classes], 64, axis=0)
  return {
    'image': images,
    'map': maps,
    'identity': classes.astype(np.int32) + 100,
    'identity_class': classes.astype(np.int32),
    'index': np.arange(size, dtype=np.int32),
  }


@pytest.fixture(scope='module')
def stage():
  return _stage()


@pytest.fixture(scope='module')
def state(stage):
  return jax.jit(stage.init)(jax.random.key(0))


def test_a_step_moves_the_network_its_average_and_the_proxies(stage, state):
  new, metrics = jax.jit(stage.step)(state, _batch())
  assert int(new.step) == 1
  for name in ('identity', 'proxies'):
    moved = jax.tree.map(
      lambda a, b: bool((a != b).any()), new.nets[name].params, state.nets[name].params
    )
    assert any(jax.tree.leaves(moved)), name
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), new.ema, state.ema)
  assert any(jax.tree.leaves(moved))
  assert set(metrics) == {'loss', 'accuracy', 'grad_norm'}
  assert {(m.shape, m.dtype.name) for m in metrics.values()} == {((), 'float32')}


def test_the_averaged_network_sees_one_face_as_the_loss_saw_it_among_the_batch():
  """With no memory in the averages, those of the first step are the first batch's own."""
  stage = _stage(ema_decay=0.0, identity_lr=0.0)
  state, batch = jax.jit(stage.init)(jax.random.key(0)), _batch()
  new, _ = jax.jit(stage.step)(state, batch)
  # at the first step the running average takes nine tenths of what it finds: 1 - 1 / 10
  net = IdentityNet(WIDTHS['tiny'], dimensions=8)
  inputs = jax.jit(stage.predict)(state, batch)['input']
  raw = np.asarray(
    net.apply({'params': state.nets['identity'].params}, inputs, method='project'), np.float64
  )
  centred = (raw - 0.9 * raw.mean(0)) / np.sqrt(0.1 + 0.9 * raw.var(0) + 1e-6)
  wanted = centred / np.linalg.norm(centred, axis=1, keepdims=True)
  alone = [{name: value[n : n + 1] for name, value in batch.items()} for n in range(len(inputs))]
  predict = jax.jit(stage.predict)
  found = np.concatenate([predict(new, one)['embedding'] for one in alone])
  np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_loss_of_equal_embeddings_and_proxies_is_that_of_a_guess(state):
  table = np.ones((PEOPLE, 8), np.float32)
  proxies = state.nets['proxies'].replace(params={'table': table})
  alike = state.replace(nets=state.nets | {'proxies': proxies})
  _, metrics = jax.jit(_stage(label_smoothing=0.0).step)(alike, _batch())
  assert float(metrics['loss']) == pytest.approx(np.log(PEOPLE), rel=1e-5)


def test_a_few_steps_teach_it_four_colours(stage, state):
  step = jax.jit(_stage(identity_lr=5e-3, proxy_lr=5e-3).step)
  for number in range(40):
    state, metrics = step(state, _batch(number))
  assert float(metrics['accuracy']) == 1.0


def test_only_the_foreground_is_seen_unless_the_config_says_otherwise(stage, state):
  one, other = _batch(0), _batch(1)
  assert (one['image'] != other['image']).any()  # the backgrounds
  predict, whole = jax.jit(stage.predict), jax.jit(_stage(foreground_only=False).predict)
  np.testing.assert_array_equal(
    predict(state, one)['embedding'], predict(state, other)['embedding']
  )
  assert (whole(state, one)['embedding'] != whole(state, other)['embedding']).any()


def test_20_steps_on_8_devices_and_on_1_give_the_same_parameters_within_1e_5():
  stage, results = _stage(identity_lr=1e-4, proxy_lr=1e-4), {}
  for devices in (1, 8):
    mesh = parallel.make_mesh(devices)
    state = train.new_state(stage, 0, mesh)
    batches = [parallel.put_batch(_batch(i), mesh) for i in range(20)]
    compiled = parallel.compile_step(stage.step, state, batches[0], mesh, time.monotonic)
    for batch in batches:
      state, _ = compiled.run(state, batch)
    results[devices] = jax.device_get({k: net.params for k, net in state.nets.items()})
  difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), results[1], results[8])
  assert max(jax.tree.leaves(difference)) <= 1e-5


def _config(**values):
  config = configs.tiny(configs.defaults('identity'))
  config.update({'image_size': 32, 'mesh_data': 1, 'weights_dir': '/nowhere'} | values)
  return config


def _params(workdir: pathlib.Path, config):
  checked = configs.check(experiment.resolve(config))
  mesh = parallel.make_mesh(1)
  built = experiment.build(checked, workdir, mesh)
  saved = Checkpoints(workdir / 'checkpoints', 3)
  try:
    state = saved.restore(saved.latest(), train.new_state(built.stage, 0, mesh))
  finally:
    saved.close()
  return jax.device_get((state.nets, state.ema))


def test_a_run_that_was_cut_goes_on_bit_for_bit_and_reports_what_is_missing(tmp_path):
  assert main.run(_config(), tmp_path / 'whole', 'train') == 0
  assert main.run(_config(num_train_steps=2), tmp_path / 'cut', 'train') == 0
  assert main.run(_config(), tmp_path / 'cut', 'train') == 0
  jax.tree.map(
    np.testing.assert_array_equal,
    _params(tmp_path / 'whole', _config()),
    _params(tmp_path / 'cut', _config()),
  )
  report = (tmp_path / 'cut' / 'results.md').read_text()
  assert 'MobileFaceNet was left out: ' in report
  assert '/nowhere' in report
  results = json.loads((tmp_path / 'cut' / 'results.json').read_text())
  assert results['identification']['count'] == 12
  assert 0 <= results['identification']['method']['auc'] <= 1
  assert identities.read_numbers(tmp_path / 'cut') == [0, 1, 2, 3]


def test_a_batch_that_is_not_identities_times_pictures_is_refused():
  with pytest.raises(configs.ConfigError, match=r'batch_size=8 is not identities_per_batch=4 tim'):
    configs.check(_config(images_per_identity=3))


class _Labels:
  """A source of which only the identities are asked."""

  def __init__(self, labels):
    self._labels = np.array(labels)

  def __len__(self):
    return len(self._labels)

  def identity_labels(self):
    return self._labels


def test_an_identity_with_one_picture_where_two_are_needed_is_named_with_the_way_out():
  checked = configs.check(_config(identities_per_batch=2, images_per_identity=4, min_images=1))
  with pytest.raises(DatasetError, match=r'Identity 9 has 1 picture.*min_images=4'):
    identities.train_batches(checked, _Labels([7, 7, 7, 7, 9]))


def test_pictures_without_an_identity_are_counted():
  with pytest.raises(DatasetError, match=r"2 of 3 pictures of the split 'train' have no identity"):
    identities._known(_Labels([-1, 3, -1]), 'train')


def test_a_workdir_with_other_identities_is_refused(tmp_path):
  identities.keep_numbers(tmp_path, np.array([3, 5]))
  identities.keep_numbers(tmp_path, np.array([3, 5]))
  with pytest.raises(DatasetError, match=r'lists 2 identities, and the training split now has 3'):
    identities.keep_numbers(tmp_path, np.array([3, 5, 6]))
  with pytest.raises(DatasetError, match=r'identities\.json cannot be read'):
    identities.read_numbers(tmp_path / 'elsewhere')


def test_faces_are_cut_so_that_usual_landmarks_come_to_lie_near_the_templates():
  """A dot at each landmark of a crop comes out where the best fit has it: near the template's."""
  template = recognition._MOBILEFACENET_TEMPLATE
  side = 256
  places = [(int(x * side) + 0.5, int(y * side) + 0.5) for x, y in crop_recognition.LANDMARKS]
  crops = np.zeros((5, side, side, 3), np.float32)
  for crop, (x, y) in zip(crops, places, strict=True):
    crop[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 1
  cut = np.asarray(crop_recognition.cut_faces(crops, template))[..., 0]
  fit = alignment.fit_similarity(tuple(places), template)
  rows, columns = np.mgrid[: cut.shape[1], : cut.shape[2]] + 0.5
  for dot, place, wanted in zip(cut, places, template.points, strict=True):
    found = np.array([(columns * dot).sum(), (rows * dot).sum()]) / dot.sum()
    assert np.hypot(*(found - fit @ (*place, 1.0))) < 1.0
    assert np.hypot(*(found - wanted)) < 4.0


def test_a_recogniser_without_weights_is_left_out_with_the_reason(tmp_path):
  found, reason = crop_recognition.load_crop_recogniser('mobilefacenet', [tmp_path])
  assert found is None
  assert str(tmp_path) in reason


def test_a_real_recogniser_tells_real_crops_apart(real_data):
  """Two pictures each of two people, at 64 px, cut by usual landmarks."""
  from PIL import Image

  from anon_jax.data.pipeline import View

  recogniser, _ = crop_recognition.load_crop_recogniser('mobilefacenet', [real_data / 'weights'])
  assert recogniser
  folder = real_data / 'celeba'
  pairs = (line.split() for line in (folder / 'identity_CelebA.txt').read_text().splitlines())
  people: dict = {}
  for name, number in pairs:
    people.setdefault(number, []).append(name)
  names = [name for group in list(people.values())[:2] for name in group[:2]]
  crops = []
  for name in names:
    pixels = np.asarray(Image.open(folder / 'images' / name).convert('RGB'))
    crops.append(View(64, 0.8).fixed(pixels, np.zeros(pixels.shape[:2], np.uint8))['image'])
  signed = np.stack(crops).astype(np.float32) / 127.5 - 1
  cosines = np.asarray(recogniser.embed(recogniser.params, signed))
  cosines = cosines @ cosines.T
  assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max()


def test_the_report_shows_both_networks(tmp_path):
  row = {'mean': 0.5, 'low': 0.4, 'high': 0.6}
  rows = {'recall@1': row, 'recall@5': row, 'auc': 0.75, 'eer': 0.25} | {
    'tar@0.01': 0.1,
    'tar@0.001': 0.0,
    'count': 9,
    'genuine': 8,
    'impostor': 7,
  }
  result = {'count': 9, 'identities': 3, 'method': rows, 'reference': rows | {'auc': 0.875}}
  text = evaluation.write_report(tmp_path, 5, result, {'seed': 0}).read_text()
  assert '| verification AUC | 0.7500 | 0.8750 |' in text
  assert '| Recall@1 | 0.5000 [0.4000, 0.6000] | 0.5000 [0.4000, 0.6000] |' in text
  assert evaluation.scalars(result)['eval/recall@1'] == 0.5
