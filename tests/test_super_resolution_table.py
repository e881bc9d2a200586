"""Table 4: whose faces are large enough, which networks stand where, all of it on drawn ones."""

import json
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_ablation_table import MeanColours, _Filling
from test_protocols import _embedder, _face
from test_weights_folder import _params

from anon_jax import config as configs
from anon_jax import protocols
from anon_jax.config.field import ConfigError
from anon_jax.data import prepare
from anon_jax.data.errors import DatasetError
from anon_jax.data.face_builder import Item
from anon_jax.inference import detection, export
from anon_jax.inference.inputs import HarmonizationInput
from anon_jax.inference.records import DataSet, Training
from anon_jax.inference.runs import Source
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.protocols import networks, running, super_resolution, systems

TRAINING = Training('harmonize', 7, 'tiny', (DataSet('celeba', 1.0),), 3, 24)
LARGE, SMALL = 250, 120  # sides of face boxes, in pixels


class Detail(MeanColours):
  """How much neighbouring pixels differ, which enlarging takes away."""

  def features(self, params, images):
    return params * jnp.abs(jnp.diff(images, axis=1)).mean((1, 2))


def _write(folder, size, upscale=1, name='harmonization'):
  """Exports a random H for crops of `size` px."""
  module = HarmonizationNet((4, 6), upscale)
  shown = HarmonizationInput(size)
  params = _params('harmonization')
  if upscale == 1:  # that of test_weights_folder enlarges once
    params = {key: value for key, value in params.items() if not key.startswith('enlarge')}
  elif upscale == 4:
    params = {**params, 'enlarge1': params['enlarge0']}
  source = Source(pathlib.Path('run'), module, params, shown, TRAINING, 'none')
  export.write_folder(folder, {name: source}, 'float16')
  return folder


@pytest.fixture
def own(tmp_path):
  return _write(tmp_path / 'own', 128)


def test_each_size_has_the_networks_whose_h_gives_it(own, tmp_path):
  large = _write(tmp_path / 'large', 128, 4)
  found, missing = super_resolution.systems_of(str(own), {256: '', 512: str(large)})
  assert list(found) == [128, 512]
  assert found[128].networks is None
  assert found[512].networks == networks.Taken(large, ('harmonization',))
  assert missing == {
    256: 'no networks were given; name their folder by --config.weights_256=FOLDER.'
  }
  small = _write(tmp_path / 'small', 64)
  found, missing = super_resolution.systems_of(str(small), {256: ''})
  assert found == {} and missing[128] == 'H of config.weights_from gives 64, not 128 px.'


def test_networks_of_another_size_than_their_fields_are_refused(own, tmp_path):
  half = _write(tmp_path / 'half', 128, 2)
  with pytest.raises(ValueError, match=r'weights_512=.*half. holds an H that gives 256; give a fo'):
    super_resolution.systems_of(str(own), {512: str(half)})
  for name in ('networks', 'enlarged', 'networks_256'):
    with pytest.raises(ValueError, match=f"the name '{name}' in config.others is taken"):
      super_resolution.require_free([systems.System(name, name)])


def test_pictures_are_drawn_by_the_seed_and_strangers_are_people_of_their_own(monkeypatch):
  items = [Item(f'{n}.jpg', pathlib.Path(f'/d/{n}.jpg'), (), 5 if n < 3 else -1) for n in range(9)]
  builder = types.SimpleNamespace(list_items=lambda folder: {'test': items})
  monkeypatch.setattr(prepare, 'builder_class', lambda dataset: builder)
  every = super_resolution.draw('fasseg', pathlib.Path('/d'), 'test', 0, 0)
  assert every.names == tuple(f'{n}.jpg' for n in range(9))
  assert every.labels[:3].tolist() == [5] * 3 and len(set(every.labels.tolist())) == 7
  few = [super_resolution.draw('fasseg', pathlib.Path('/d'), 'test', 4, s).names for s in (0, 0, 1)]
  assert len(few[0]) == 4 and few[0] == few[1] != few[2]
  with pytest.raises(DatasetError, match="no picture in its part 'validation'"):
    super_resolution.draw('fasseg', pathlib.Path('/d'), 'validation', 4, 0)


@pytest.fixture
def data(tmp_path):
  """CelebA's layout: pictures of 420 px, three with large faces, three with small ones."""
  folder, rng, lists = tmp_path / 'celeba', np.random.default_rng(0), ([], [])
  (folder / 'images').mkdir(parents=True)
  for number in range(6):
    name, side = f'{number + 1:06d}.png', LARGE if number < 3 else SMALL
    grey = rng.integers(60, 120, (420, 420, 1), np.uint8)
    pixels = np.repeat(grey, 3, axis=2)
    inside = slice(210 - side // 2, 210 + side // 2)
    shape = (side // 2 * 2,) * 2
    noise = rng.integers(-30, 30, shape)[..., None]
    pixels[inside, inside] = np.array([180, 80 + 5 * number, 70]) + noise
    Image.fromarray(pixels).save(folder / 'images' / name)
    lists[0].append(f'{name} {number}\n')
    lists[1].append(f'{name} 2\n')
  (folder / 'identity_CelebA.txt').write_text(''.join(lists[0]))
  (folder / 'list_eval_partition.txt').write_text(''.join(lists[1]))
  return folder


class _Boxes:
  """Finds the reddish square, whatever its size."""

  def at(self, look):
    return self

  def __call__(self, picture):
    rows, columns = np.nonzero(np.ptp(picture.astype(int), axis=-1) > 40)
    if not len(rows):
      return []
    return [_face(columns.mean() + 0.5, rows.mean() + 0.5, float(np.ptp(rows) + 1))]


@pytest.fixture
def painted(monkeypatch):
  """Who paints, fills; what was asked for is counted by system."""
  made: dict[str, list[int]] = {}
  monkeypatch.setattr(
    systems.System,
    'anonymizer',
    lambda self, weights, key: _Filling(made.setdefault(self.name, [])),
  )
  monkeypatch.setattr(detection, 'load_detector', lambda **_: _Boxes())
  monkeypatch.setattr(running, 'load_embedder', lambda *_: _embedder())
  monkeypatch.setattr(running, 'load_or_say', lambda *_: ((Detail(), np.float32(1)), ''))
  return made


def _run(data, workdir, own, **fields):
  config = configs.defaults('evaluate_sr')
  config.update({'manual_dir': str(data), 'weights_from': str(own), 'dataset': 'celeba', **fields})
  protocols.run(configs.check(config), workdir)
  return json.loads((workdir / 'results.json').read_text())


def test_only_faces_that_are_large_enough_count_at_a_size(data, own, painted, tmp_path):
  half = _write(tmp_path / 'half', 128, 2)
  result = _run(data, tmp_path / 'w', own, weights_256=str(half))
  counts = {size: each['large_enough'] for size, each in result['sizes'].items()}
  assert counts == {'128': 6, '256': 3, '512': 0}
  assert 256 < result['sides']['largest'] < 512
  assert list(result['sizes']['128']['rows']) == ['original', 'networks']
  rows = ['original', 'networks', 'placed', 'enlarged', 'reduced']
  assert list(result['sizes']['256']['rows']) == rows
  assert result['sizes']['256']['rows']['networks']['actions'] == {'filled': 3}
  assert 'rows' not in result['sizes']['512']
  # the networks of 128 px serve both sizes, those of 256 only the large faces
  assert painted == {'networks_128': [6], 'networks_256': [3]}
  text = (tmp_path / 'w' / 'results.md').read_text()
  assert '3 of 6 faces.' in text and '0 of 6 faces.' in text
  assert 'Fewer than two: nothing is measured (paper: 11.60; CIAGAN + SR 37.98).' in text
  assert '| networks of 256 px | 8.41 |' in text
  sheets = {path.name for path in (tmp_path / 'w').glob('sheet*')}
  assert sheets == {'sheet_128.png', 'sheet_256.png'}
  with Image.open(tmp_path / 'w' / 'sheet_256.png') as sheet:
    assert sheet.size[0] >= 5 * 256  # shown as large as they are measured


def test_what_was_small_lacks_detail_beside_originals_of_the_size(data, own, painted, tmp_path):
  result = _run(data, tmp_path / 'w', own)
  rows = result['sizes']['256']['rows']
  assert rows['original']['frechet']['value'] == pytest.approx(0, abs=1e-9)
  assert rows['reduced']['frechet']['value'] > 1e-4
  # the background around what is put back is the photograph's own
  assert rows['placed']['frechet']['value'] < rows['enlarged']['frechet']['value']
  assert rows['reduced']['title'] == 'originals reduced to 128 px and enlarged again'
  text = (tmp_path / 'w' / 'results.md').read_text()
  assert 'The networks of this size are left out: no networks were given; name their fo' in text
  assert '| networks of 128 px, enlarged bicubically | - |' in text


def test_an_evaluation_of_sizes_goes_on_where_it_was_broken_off(data, own, painted, tmp_path):
  first = _run(data, tmp_path / 'w', own)
  (tmp_path / 'w' / 'networks_128' / '000002.png.png').unlink()
  again = _run(data, tmp_path / 'w', own)
  assert painted == {'networks_128': [6, 1]}
  assert again == first


def test_a_folder_of_another_size_is_named_before_anything_is_made(data, own, painted, tmp_path):
  with pytest.raises(ConfigError, match=r'config\.weights_256=.* holds an H that gives 128; give'):
    _run(data, tmp_path / 'w', own, weights_256=str(own))
  assert painted == {}
