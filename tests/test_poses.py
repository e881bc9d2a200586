"""Faces by pose: which pictures, sorted how, and what is measured of each bin."""

import json

import numpy as np
import pytest
from PIL import Image
from test_aflw2000 import add
from test_fasseg import head, layout
from test_protocols import LANDMARKS, _embedder, _face, _picture, squares  # noqa: F401

from anon_jax import config as configs
from anon_jax import main
from anon_jax.config.evaluations import read_edges
from anon_jax.config.field import ConfigError
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import landmark_success
from anon_jax.inference.segmenting import Segmenter
from anon_jax.protocols.detectors import Judge
from anon_jax.protocols.poses import evaluate, maps, pictures, report, strips
from anon_jax.protocols.systems import FILL, ORIGINAL, System


def _head():
  """Labels with a nose: eyes about (40, 40.5), nose (40, 50), mouth (40, 60.5)."""
  labels = head()
  labels[48:52, 38:42] = 4
  return labels


@pytest.fixture
def fasseg(tmp_path):
  names = ('v3_p01_s1_yaw-75 train', 'v3_p07_s1_yaw+15 train', 'v2_test_01 test')
  names += tuple(f'v3_p08_s1_yaw{yaw} test' for yaw in ('-30', '+00', '+30', '+90'))
  return layout(tmp_path / 'fasseg', names, _head())


def test_only_test_persons_of_the_multi_pose_part_are_taken_unless_others_are_asked_for(fasseg):
  found = pictures.load('fasseg', fasseg, seen=False)
  assert found.names == tuple(f'v3_p08_s1_yaw{yaw}.png' for yaw in ('+00', '+30', '+90', '-30'))
  assert found.yaws.tolist() == [0, 30, 90, -30]
  assert found.people.tolist() == [8] * 4 and not found.seen.any()
  np.testing.assert_array_equal(found.truth[0], [[40, 40.5], [40, 50], [40, 60.5]])
  every = pictures.load('fasseg', fasseg, seen=True)
  assert dict(zip(every.people.tolist(), every.seen.tolist(), strict=True)) == {
    1: True,
    7: True,
    8: False,
  }


def test_pictures_are_drawn_by_the_seed_and_stay_together(fasseg):
  every = pictures.load('fasseg', fasseg, seen=True)
  few = every.drawn(3, 0)
  assert few.names == every.drawn(3, 0).names != every.drawn(3, 1).names
  assert [item.picture.name for item in few.items] == list(few.names)
  for name, yaw in zip(few.names, few.yaws, strict=True):
    assert f'yaw{int(yaw):+03d}' in name
  assert every.drawn(0, 0) is every.drawn(9, 0) is every


def test_labels_without_a_mouth_and_a_folder_without_poses_are_named(fasseg, tmp_path):
  labels = _head()
  labels[labels == 5] = 1
  Image.fromarray(labels).save(fasseg / 'labels' / 'v3_p08_s1_yaw+00.png')
  with pytest.raises(DatasetError, match=r'yaw\+00\.png labels no eyes or no mouth'):
    pictures.load('fasseg', fasseg, seen=False)
  frontal = layout(tmp_path / 'frontal', ('v2_test_01 test',))
  with pytest.raises(DatasetError, match='no picture whose name tells a yaw'):
    pictures.load('fasseg', frontal, seen=False)


def test_aflw2000_gives_angles_and_points_and_everybody_is_a_person_of_her_own(tmp_path):
  points = np.zeros((3, 68), np.float32)
  points[:2, 36:48], points[:2, 30], points[:2, 48:] = [[20], [10]], (20, 16), [[20], [20]]
  add(tmp_path, 2, yaw=-71.5, pt3d_68=points)
  add(tmp_path, 4, yaw=30, pt3d_68=points)
  add(tmp_path, 8, yaw=120, pt3d_68=points)
  found = pictures.load('aflw2000', tmp_path, seen=False)
  assert found.names == ('image00002.jpg', 'image00004.jpg')
  np.testing.assert_allclose(found.yaws, [-71.5, 30], rtol=1e-6)
  assert found.people.tolist() == [-1, -2] and found.items == ()
  np.testing.assert_array_equal(found.truth[0], [[20, 10], [20, 16], [20, 20]])
  for path in tmp_path.glob('image0000[24].*'):
    path.unlink()
  with pytest.raises(DatasetError, match='holds no face within 99 degrees'):
    pictures.load('aflw2000', tmp_path, seen=False)


def test_bins_hold_both_sides_and_each_by_itself():
  yaws = np.array([0, -30, 30, 29, 90, -15, 14])
  found = pictures.bins(yaws, (15, 45, 75))
  assert {title: places.tolist() for title, places in found.items()} == {
    'all': list(range(7)),
    '0, 14': [0, 6],
    '±15, 29, 30': [1, 2, 3, 5],
    '-15, 30': [1, 5],
    '+29, 30': [2, 3],
    '+90': [4],
  }
  assert list(pictures.bins(np.arange(0, 12, 3.0), (45,))) == ['all', '0 to 45']
  assert list(pictures.bins(yaws, ())) == ['all', '±0 to 180', '-15, 30', '+0 to 180']


@pytest.mark.parametrize('text', ['15, 10', '0, 15', '180', 'a', '15, nan'])
def test_edges_that_do_not_rise_are_refused(text):
  with pytest.raises(ConfigError, match='give rising degrees above 0, such as 15, 45, 75'):
    read_edges(text)
  assert read_edges(' 15,45.5 ') == (15, 45.5)


def _posed(tmp_path):
  """Squares of two people; the truth of the third picture lies elsewhere."""
  names = tuple(f'{number}.png' for number in range(4))
  for name, colour in zip(names, [(220, 60, 60)] * 2 + [(60, 220, 60)] * 2, strict=True):
    _picture(tmp_path / 'data' / name, colour)
  truth = landmark_success.parts_of_five(np.array([_face(32, 32).landmarks] * 4))
  truth[2] += 10
  seen, yaws = np.array([0, 0, 0, 1], bool), np.array([-30.0, 30, 0, 90])
  return pictures.Posed(tmp_path / 'data', names, np.array([1, 1, 2, 2]), yaws, seen, truth)


def _measured(tmp_path, judge=None):
  """A system that moves the first picture's square by six pixels and hides the second's."""
  posed = _posed(tmp_path)
  for name, x in zip(posed.names, (38, 32, 32, 32), strict=True):
    _picture(tmp_path / 'theirs' / name, (200, 200, 20), x=x)
  Image.new('RGB', (64, 64), 'grey').save(tmp_path / 'theirs' / posed.names[1])
  theirs = System('theirs', 'theirs', folder=tmp_path / 'theirs')
  rows = (ORIGINAL, theirs, FILL)
  return evaluate.evaluate(
    posed, tmp_path / 'work', _embedder(), (15, 45, 75), rows=rows, judge=judge
  )


def test_success_needs_the_face_and_its_points_and_people_seen_stand_apart(squares, tmp_path):  # noqa: F811
  result, _ = _measured(tmp_path)
  test = result['parts']['test']
  assert (test['pictures'], test['people']) == (3, 2)
  assert list(test['bins']) == ['all', '0', '±30', '-30', '+30']
  assert list(result['parts']['seen']['bins']) == ['all', '+90']
  row = {title: each['rows'] for title, each in test['bins'].items()}
  clear, theirs, filled = (row['all'][name] for name in ('original', 'theirs', 'fill'))
  assert clear['detection']['0.5']['pictures'] == 3
  assert clear['landmarks']['success']['mean'] == pytest.approx(2 / 3)  # the truth is elsewhere
  assert clear['kept']['success']['mean'] == 1
  # found in two of three places, of which one moved by 6 pixels of a face of 31.2: .192
  assert theirs['detection']['0.5']['same_place']['mean'] == pytest.approx(2 / 3)
  assert theirs['kept']['success']['mean'] == pytest.approx(1 / 3)
  height = 2.87 * (LANDMARKS[3][1] - LANDMARKS[0][1]) * 32
  assert row['-30']['theirs']['kept']['error']['mean'] == pytest.approx(6 / height)
  assert row['-30']['theirs']['landmarks']['success']['mean'] == 0
  assert row['+30']['theirs']['detection']['0.5']['any']['mean'] == 0
  assert filled['landmarks']['success']['mean'] == filled['detection']['0.05']['any']['mean'] == 0
  assert np.isnan(filled['kept']['error']['mean'])
  assert test['bins']['all']['found']['mean'] == 1 and test['bins']['all']['sure'] == 3
  assert clear['judged'] is None


def test_the_report_names_what_stands_in_and_the_papers_figures(squares, tmp_path):  # noqa: F811
  def find(pixels):
    """Finds red squares only."""
    return [_face(32, 32, score=0.3)] if pixels[32, 32, 0] > 210 else []

  result, _ = _measured(tmp_path, Judge('red', 'whoever likes red', find, 0.1))
  judged = result['parts']['test']['bins']['all']['rows']['theirs']['judged']
  assert (judged['pictures'], judged['same_place']['mean']) == (2, 0)
  for dataset, said in (('fasseg', 'stands in for AFLW2000-3D'), ('aflw2000', 'as in the paper')):
    told = {**result, 'dataset': dataset, 'judge_missing': '', 'maps': {}}
    text = '\n'.join(report.lines(told, {'seed': '0'}))
    assert said in text and '90.99 %, CIAGAN (paper only) 72.58 %' in text
    assert '| all (2) | 1.000 [0.207, 1.000] | 0.000' in text
    assert 'not to be quoted' in text
  told['judge'], told['judge_missing'] = '', 'none was asked for.'
  assert 'No other detector: none was asked for.' in '\n'.join(report.lines(told, {}))


def _segmenter(size=46):
  """Says hair above the middle and skin below, whatever it sees."""

  def logits(rows):
    scores = np.zeros((*rows.shape[:3], 8), np.float32)
    scores[:, : size // 2, :, 6] = scores[:, size // 2 :, :, 1] = 1
    return scores

  return Segmenter(logits, size, 1, 'f')


def test_s_is_measured_by_pose_on_the_crops_of_the_labels(fasseg):
  posed = pictures.load('fasseg', fasseg, seen=False)
  places = pictures.bins(posed.yaws, (15, 45, 75))
  found = maps.by_bins(_segmenter(), 'fasseg', posed, {'test': places})['test']
  assert (found['pictures'], found['units']) == (4, 1)
  assert list(found['groups']) == ['0', '±30', '-30', '+30', '+90']
  # all heads are alike, and nothing is called eyes, nose or mouth
  assert found['iou']['eyes']['mean'] == found['groups']['+90']['iou']['mouth']['mean'] == 0
  skin = found['iou']['skin']['mean']
  assert 0.3 < skin < 0.6 and found['groups']['±30']['iou']['skin']['mean'] == pytest.approx(skin)


def test_a_strip_has_a_row_for_every_pose(squares, tmp_path):  # noqa: F811
  _, study = _measured(tmp_path)
  strips.draw(tmp_path / 's.png', study, _posed(tmp_path), np.arange(4), _segmenter(32), 0)
  with Image.open(tmp_path / 's.png') as picture:
    width, height = picture.size
    colours = picture.convert('RGB').getcolors(1 << 20)
  assert height == 14 + 4 * 162 - 2 and width > 4 * 162
  # the map's hair and skin are there
  assert {(104, 52, 130), (238, 190, 160)} <= {colour for _, colour in colours}


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'edges': '45, 15'}, r"config\.edges='45, 15' cannot be used; give rising degrees"),
    ({'dataset': 'lfw'}, r"config\.dataset='lfw' cannot be used; give one of"),
    ({'seen': True, 'dataset': 'aflw2000'}, r'no network was trained on aflw2000; give --config'),
  ],
)
def test_fields_that_cannot_be_used_are_named(fields, message, tmp_path):
  config = configs.defaults('evaluate_poses')
  config.update({'manual_dir': str(tmp_path), **fields})
  with pytest.raises(ConfigError, match=message):
    main.run(config, tmp_path / 'w', 'evaluate')


def test_the_whole_evaluation_runs_by_its_command_on_real_heads(real_data, tmp_path):
  config = configs.tiny(configs.defaults('evaluate_poses'))
  config.update({'manual_dir': str(real_data / 'fasseg'), 'pictures': 2, 'seed': 1})
  config.weights_dir = str(real_data / 'weights')
  assert main.run(config, tmp_path / 'w', 'evaluate') == 0
  result = json.loads((tmp_path / 'w' / 'results.json').read_text())
  test = result['parts']['test']
  assert (test['pictures'], list(result['parts'])) == (2, ['test'])
  rows = test['bins']['all']['rows']
  assert list(rows) == ['original', 'pixelate_16', 'blur_17', 'method', 'fill']
  assert rows['original']['landmarks']['success']['mean'] == 1
  assert rows['fill']['detection']['0.5']['any']['mean'] == 0
  assert rows['method']['painted']['mean'] == 1
  assert result['maps']['test']['mean_iou']['mean'] > 0.5
  assert 'stands in for AFLW2000-3D' in (tmp_path / 'w' / 'results.md').read_text()
  assert {'strip_test.png', 'pairs.png', 'worst.png'} <= {
    p.name for p in (tmp_path / 'w').iterdir()
  }
