"""Table 1: whose networks stand in its rows, distances of sets, and the whole on drawn pictures."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_protocols import _embedder, _Squares
from test_weights_folder import NETS, _params

from anon_jax import config as configs
from anon_jax import protocols
from anon_jax.config.field import ConfigError
from anon_jax.inference import detection, export
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.records import DataSet, Training
from anon_jax.inference.runs import Source
from anon_jax.nets.frozen import WeightsError
from anon_jax.protocols import ablation, ablation_report, distances, networks, running, systems
from anon_jax.protocols.distances import Distances
from anon_jax.protocols.networks import Taken

COLOURS = ((220, 60, 60), (60, 220, 60), (60, 60, 220))
STAGES = {'segmentation': 'segment', 'anonymization': 'anonymize', 'identity': 'identity'}
STAGES |= {'harmonization': 'harmonize', 'single_stage': 'single_stage'}
TWO = ('segmentation', 'anonymization', 'harmonization', 'identity')


class MeanColours:
  """Features of crops that can be worked out by hand."""

  frechet, kernel, dimensions = 'Frechet distance, colours', 'kernel distance, colours', 3

  def features(self, params, images):
    return params * jnp.mean(images, axis=(1, 2))


def _write(folder, *names, steps=7, **stages):
  """Exports random networks under stages of one's choice."""
  sources = {}
  for name in names:
    module, shown = NETS[name]
    training = Training((STAGES | stages)[name], steps, 'tiny', (DataSet('fasseg', 1.0),), 3, 24)
    sources[name] = Source(pathlib.Path('run'), module, _params(name), shown, training, 'none')
  export.write_folder(folder, sources, 'float16')
  return folder


@pytest.fixture
def joint(tmp_path):
  both = {'anonymization': 'joint', 'harmonization': 'joint', 'identity': 'joint'}
  return _write(tmp_path / 'joint', *both, **both)


@pytest.fixture
def single(tmp_path):
  return _write(tmp_path / 'single', 'single_stage', 'identity', identity='single_stage')


def test_rows_stand_in_the_papers_order_and_further_ones_after_them(joint, single):
  found = ablation.variants(f'mine={joint}, joint={joint},single_stage={single}')
  assert [system.name for system in found] == ['single_stage', 'joint', 'two_step', 'mine']
  assert found[0].networks == Taken(single, ('single_stage',))
  assert found[1].networks == Taken(joint, ('anonymization', 'harmonization'))
  assert found[2].networks is None  # those of the evaluation
  assert [system.title for system in found[1:]] == [
    '2) without proxy training',
    '3) two-step framework',
    'mine',
  ]
  assert list(ablation.missing(found)) == []
  assert list(ablation.missing(ablation.variants(''))) == ['single_stage', 'joint']
  rows = ablation.rows(found, ())
  assert (rows[0].name, rows[-1].name, len(rows)) == ('original', 'fill', 6)


def test_a_row_of_the_paper_is_only_for_networks_that_were_trained_so(joint, single, tmp_path):
  two = _write(tmp_path / 'two', *TWO)
  for text, message in (
    (
      f'joint={two}',
      "harmonization of 'joint' in .*two was trained by stage 'harmonize', not by j",
    ),
    (f'two_step={joint}', "by stage 'joint', not by harmonize or harmonize_video; give another"),
    (f'single_stage={joint}', "by stage 'joint', not by single_stage"),
    (f'fill={joint}', "the name 'fill' is taken"),
    (f'a={joint},a={joint}', "the name 'a' is taken"),
    (f'{joint}', 'is not of the form name=folder, with a name such as joint'),
  ):
    with pytest.raises(ValueError, match=message):
      ablation.variants(text)
  with pytest.raises(WeightsError, match='holds no trained networks'):
    ablation.variants(f'joint={tmp_path}')
  with pytest.raises(ValueError, match="the name 'joint' is taken"):
    ablation.rows(ablation.variants(''), systems.others(f'joint={tmp_path}'))


@pytest.mark.parametrize(
  'names', [('identity',), ('anonymization',), ('single_stage', 'harmonization')]
)
def test_a_folder_whose_painters_are_not_clear_is_refused(names, tmp_path):
  folder = _write(tmp_path / 'odd', *names)
  with pytest.raises(ValueError, match=r'odd holds .*; give a folder of anonymization and harm'):
    networks.painters_in(folder)


def test_only_what_paints_is_taken_from_a_variants_folder(joint, single, tmp_path):
  own = _write(tmp_path / 'own', *TWO)
  found = Taken(joint, ('anonymization', 'harmonization')).over(str(own))
  assert found.single_stage is None
  stages = {name: getattr(found, name).entry.training.stage for name in TWO}
  changed = {'anonymization': 'joint', 'harmonization': 'joint'}
  assert stages == {name: STAGES[name] for name in TWO} | changed
  found = Taken(single, ('single_stage',)).over(str(own))
  assert found.anonymization is found.harmonization is None
  assert found.single_stage.entry.training.stage == 'single_stage'
  assert found.identity.entry.training.stage == 'identity'
  found = Taken(own, ('anonymization', 'harmonization')).over(str(_write(single, 'segmentation')))
  assert found.single_stage is None and found.anonymization is not None


def _features(count, seed, shift=0.0):
  return np.random.default_rng(seed).normal(shift, 1, (count, 4)).astype(np.float32)


def test_distances_of_sets_to_themselves_are_nothing_and_shifted_ones_are_far():
  sets = Distances(MeanColours(), np.float32(1))
  real = _features(60, 0)
  same, far = sets.compare(real, real), sets.compare(real, _features(60, 1, 3.0))
  assert same['frechet']['value'] == pytest.approx(0, abs=1e-9)
  assert same['frechet']['high'] == pytest.approx(0, abs=1e-6)
  assert same['kernel']['value'] <= 0  # unbiased: pairs of a picture with itself do not count
  assert far['frechet']['low'] > 20 and far['kernel']['value'] > 1
  low, value, high = (far['frechet'][name] for name in ('low', 'value', 'high'))
  assert low < value < high
  assert far['kernel']['subset_size'] == 30 and far['kernel']['subset_std'] > 0


def test_intervals_leave_out_people_as_wholes():
  sets = Distances(MeanColours(), np.float32(1))
  people = np.repeat(np.arange(20), 6)
  own = np.repeat(_features(20, 2), 6, axis=0)  # all pictures of a person are alike
  other = np.repeat(_features(20, 3, 0.5), 6, axis=0)
  wholes = sets.compare(own, other, people.tolist())['frechet']
  single = sets.compare(own, other)['frechet']
  assert wholes['value'] == single['value']
  assert wholes['error'] > 1.5 * single['error']
  shuffled = np.random.default_rng(0).permutation(len(people))
  again = sets.compare(own[shuffled], other[shuffled], people[shuffled].tolist())
  assert again['frechet']['error'] == pytest.approx(wholes['error'])
  one = sets.compare(own, other, [7] * len(people))['frechet']
  assert np.isnan(one['error']) and distances.cells(
    {'frechet': one, 'kernel': {'value': 0.0, 'subset_std': 0.0}}
  )[0].endswith('[-, -]')


def test_features_do_not_depend_on_the_batch():
  crops = list(np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8))
  one, many = (Distances(MeanColours(), np.float32(2), batch).features(crops) for batch in (1, 4))
  np.testing.assert_allclose(one, many, atol=1e-6)
  np.testing.assert_allclose(one, 2 * (np.mean(crops, (1, 2)) / 127.5 - 1), atol=1e-5)
  assert Distances(MeanColours(), np.float32(1)).features([]).shape == (0, 3)


@pytest.fixture
def data(tmp_path):
  """CelebA's layout: three people of training and three of test, two pictures each."""
  folder, identity, partition = tmp_path / 'celeba', [], []
  (folder / 'images').mkdir(parents=True)
  for number in range(12):
    person, name = number // 2, f'{number + 1:06d}.jpg'
    pixels = np.full((64, 64, 3), 90, np.uint8)
    pixels[16:48, 14 + 2 * (number % 2) : 48] = COLOURS[person % 3]
    Image.fromarray(pixels).save(folder / 'images' / name, quality=95)
    identity.append(f'{name} {person}\n')
    partition.append(f'{name} {2 * (person // 3)}\n')
  (folder / 'identity_CelebA.txt').write_text(''.join(identity))
  (folder / 'list_eval_partition.txt').write_text(''.join(partition))
  return folder


class _Filling(Anonymizer):
  """Fills, and counts the pictures by the networks that it stands for."""

  def __init__(self, count):
    super().__init__(method='fill')
    self._count = count

  def anonymize_many(self, requests):
    self._count.append(len(requests))
    return super().anonymize_many(requests)


@pytest.fixture
def painted(monkeypatch):
  """No network is run: who paints, fills; what was asked for is counted by system."""
  made: dict[str, list[int]] = {}
  found = _Squares()
  monkeypatch.setattr(detection, 'load_detector', lambda **_: found)
  monkeypatch.setattr(
    systems.System,
    'anonymizer',
    lambda self, weights, key: _Filling(made.setdefault(self.name, [])),
  )
  monkeypatch.setattr(running, 'load_embedder', lambda *_: _embedder())
  monkeypatch.setattr(running, 'load_or_say', lambda *_: ((MeanColours(), np.float32(1)), ''))
  return made


def _run(data, workdir, own, **fields):
  config = configs.defaults('evaluate_ablation')
  config.update({'manual_dir': str(data), 'weights_from': str(own), 'diversity_pictures': 1})
  config.update({'diversity_outputs': 2, 'weights_dir': str(data), **fields})
  protocols.run(configs.check(config), workdir)
  return json.loads((workdir / 'results.json').read_text())


def test_table_1_is_measured_and_goes_on_where_only_one_rows_networks_changed(
  data,
  joint,
  single,
  painted,
  tmp_path,
):
  own = _write(tmp_path / 'own', *TWO)
  given = {'variants': f'joint={joint},single_stage={single}'}
  result = _run(data, tmp_path / 'w', own, **given)
  assert list(result['rows']) == ['original', 'single_stage', 'joint', 'two_step', 'fill']
  assert (result['people'], result['pictures'], result['missing']) == (3, 6, {})
  assert result['rows']['original']['frechet']['value'] == pytest.approx(0, abs=1e-6)
  assert result['rows']['joint']['kernel']['value'] > 0
  assert result['rows']['joint']['detection']['0.5']['same_place']['mean'] == 0
  assert set(result['diversity']) == {'single_stage', 'joint', 'two_step'}
  assert result['diversity']['joint']['filled'] == 2
  assert result['trained']['single_stage'] == {
    'single_stage': {'stage': 'single_stage', 'steps': 7}
  }
  text = (tmp_path / 'w' / 'results.md').read_text()
  assert '| 2) without proxy training | 3.15 | 88.6 | .992 |' in text
  assert '3) two-step framework: anonymization after 7 steps of stage anonymize' in text
  assert (tmp_path / 'w' / 'sheet.png').is_file()
  # the pictures, and the one that is painted again
  assert painted == {n: [6, 2] for n in ('single_stage', 'joint', 'two_step')} | {'fill': [6]}
  both = {'anonymization': 'joint', 'harmonization': 'joint'}
  _write(joint, *both, steps=9, **both)
  again = _run(data, tmp_path / 'w', own, **given)
  assert painted['joint'] == [6, 2, 6, 2]
  assert (painted['single_stage'], painted['fill']) == ([6, 2, 2], [6])
  assert again['joint'] != result['joint']
  assert again['single_stage'] == result['single_stage']
  assert again['rows']['fill'] == result['rows']['fill']


def test_rows_without_networks_say_so_and_keep_the_papers_figures(
  data,
  painted,
  tmp_path,
):
  own = _write(tmp_path / 'own', *TWO)
  result = _run(data, tmp_path / 'w', own, diversity_pictures=0)
  assert list(result['rows']) == ['original', 'two_step', 'fill']
  text = (tmp_path / 'w' / 'results.md').read_text()
  assert '| 1) without decoupling | 3.05 | 33.4 | .993 | - | - |' in text
  assert '1) without decoupling: no networks were given; name their folder by --config.va' in text
  assert 'Distinct nearest people:' not in text


def test_variants_that_cannot_be_used_are_named_before_anything_is_made(data, painted, tmp_path):
  own = _write(tmp_path / 'own', *TWO)
  with pytest.raises(ConfigError, match=r"config\.variants='joint=.*' is not a folder"):
    _run(data, tmp_path / 'w', own, variants='joint=/nowhere')
  with pytest.raises(ConfigError, match='own2 holds identity; give a folder of anonymization'):
    _run(data, tmp_path / 'w', _write(tmp_path / 'own2', 'identity'))
  assert painted == {}


def test_the_papers_rows_are_those_that_it_prints():
  assert list(ablation_report.PAPER) == list(ablation.CONFIGURATIONS)
