"""Evaluations by protocols: pictures of every system, faces, rows; on drawn pictures and fakes."""

import json
import pathlib
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from anon_jax.data.errors import DatasetError
from anon_jax.data.lfw import Pairs
from anon_jax.inference import detection
from anon_jax.inference.faces import Face
from anon_jax.protocols import (
  celeba,
  celeba_report,
  detectors,
  figures,
  lfw,
  lfw_report,
  outputs,
  report,
  systems,
)
from anon_jax.protocols.celeba import People
from anon_jax.protocols.detectors import Judge
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.faces import FaceFile, face_at, main_face
from anon_jax.protocols.lfw import first_pairs
from anon_jax.protocols.study import Study
from anon_jax.protocols.systems import ORIGINAL, SYSTEMS, System

COVERS = tuple(system for system in SYSTEMS if system.method != 'synthesize')
LANDMARKS = ((-0.17, -0.1), (0.17, -0.1), (0.0, 0.06), (-0.12, 0.24), (0.12, 0.24))


def _face(x, y, side=32.0, score=0.9):
  points = tuple((x + a * side, y + b * side) for a, b in LANDMARKS)
  return Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), score, points)


def _picture(path, colour, x=32, y=32):
  """A grey picture of a coloured square that says who it is."""
  pixels = np.full((64, 64, 3), 90, np.uint8)
  pixels[y - 16 : y + 16, x - 16 : x + 16] = colour
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)
  return path.name


class _Squares:
  """Finds a square that is not grey, and counts the pictures."""

  def __init__(self):
    self.searched = 0

  def at(self, look):
    return self

  def __call__(self, picture):
    self.searched += 1
    coloured = np.ptp(picture.astype(int), axis=-1) > 40
    rows, columns = np.nonzero(coloured)
    if len(rows) < 500:
      return []
    return [_face(columns.mean() + 0.5, rows.mean() + 0.5)]


@pytest.fixture
def squares(monkeypatch):
  found = _Squares()
  monkeypatch.setattr(detection, 'load_detector', lambda **_: found)
  return found


def _embedder(batch=4):
  """Who is who by the mean colour of the face, without what all have in common."""
  from anon_jax.data.alignment import Template

  points = tuple((16 + a * 24, 16 + b * 24) for a, b in LANDMARKS)

  def run(crops):
    means = crops.reshape(len(crops), -1, 3).mean(1) - 90
    return (means / (np.linalg.norm(means, axis=1, keepdims=True) + 1e-9)).astype(np.float32)

  return Embedder('colours', Template(32, 32, points), run, batch, 3, 'f' * 64)


@pytest.fixture
def people(tmp_path):
  """Two pictures of each of three people."""
  colours = {1: (220, 60, 60), 2: (60, 220, 60), 3: (60, 60, 220)}
  names, labels = [], []
  for label, colour in colours.items():
    for number in range(2):
      path = tmp_path / 'data' / f'{label}_{number}.png'
      names.append(_picture(path, np.array(colour) + 10 * number, x=30 + 4 * number))
      labels.append(label)
  return People(tmp_path / 'data', tuple(names), np.array(labels))


@pytest.fixture
def covers(monkeypatch):
  """No networks: the rows of the covering methods."""
  monkeypatch.setattr(celeba, 'SYSTEMS', COVERS)
  monkeypatch.setattr(lfw, 'SYSTEMS', COVERS)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('ciagan', r"'ciagan' is not of the form name=folder"),
    ('CIAGAN=.', 'is not of the form name=folder'),
    ('blur_9=.', r"the name 'blur_9' is taken"),
    ('a=., a=.', r"the name 'a' is taken"),
    ('a=/nowhere', r"'/nowhere' of 'a' is not a folder"),
  ],
)
def test_other_systems_that_cannot_be_read_are_refused(text, message):
  with pytest.raises(ValueError, match=message):
    systems.others(text)


def test_other_systems_are_read_in_their_order(tmp_path):
  (tmp_path / 'x').mkdir()
  found = systems.others(f'b={tmp_path}, a={tmp_path / "x"}')
  assert [(system.name, system.folder) for system in found] == [
    ('b', tmp_path),
    ('a', tmp_path / 'x'),
  ]
  assert systems.others('') == []


def test_the_main_face_is_large_and_near_the_middle():
  large, middle, blind = _face(20, 50, 40), _face(50, 50, 30), Face((0, 0, 99, 99), 0.9)
  # 1600 - 2 * 900 against 900 - 0
  assert main_face([large, middle, blind], 100, 100) is middle
  assert main_face([large, blind], 100, 100) is large
  assert main_face([blind], 100, 100) is None


def test_a_face_is_there_again_where_boxes_overlap_by_half():
  box = (0, 0, 10, 10)
  near, far = Face((0, 0, 10, 8), 0.1), Face((8, 8, 18, 18), 0.9)
  assert face_at([far, near], box) is near
  assert face_at([far], box) is face_at([], box) is None


def test_faces_are_found_once_and_a_line_that_was_broken_off_again(tmp_path):
  path, asked = tmp_path / 'a' / 'faces.jsonl', []

  def find(pixels):
    asked.append(int(pixels))
    return [_face(30, 30), Face((0.0, 0.0, 5.0, 5.0), 0.25)] if pixels else []

  def found(names):
    return FaceFile(path).find(names, int, find, 'finding')

  first = found(['0', '1', '2'])
  assert asked == [0, 1, 2]
  assert found(['2', '1', '0']) == first
  assert asked == [0, 1, 2]
  assert list(found(['2', '1'])) == ['2', '1']
  lines = path.read_text().splitlines()
  path.write_text('\n'.join([*lines[:2], lines[2][:20]]))
  assert found(['0', '1', '2']) == first
  assert asked == [0, 1, 2, 2]


def _study(people, tmp_path, seed=0, workdir='work', batch=4):
  return Study(people.folder, people.names, tmp_path / workdir, _embedder(batch), '', seed)


def test_covered_faces_are_not_found_and_originals_are(people, squares, tmp_path):
  study = _study(people, tmp_path)
  clear = study.render(ORIGINAL)
  assert clear.counts() == {'original': 6}
  assert all(len(found.boxes) == 1 for found in clear.detections)
  np.testing.assert_array_equal(clear.embeddings, clear.in_place)
  filled = study.render(systems.FILL)
  assert filled.counts() == {'filled': 6}
  assert np.isnan(filled.embeddings).all() and np.isnan(filled.landmarks).all()
  assert np.isfinite(filled.in_place).all()
  assert list(study.readers) == ['original', 'solid fill']
  assert study.worst(systems.FILL, 2) == list(people.names[:2])  # all are alike: none is found


def test_an_evaluation_that_was_broken_off_makes_only_what_is_missing(people, squares, tmp_path):
  study = _study(people, tmp_path)
  first = study.render(systems.FILL)
  made = tmp_path / 'work' / 'fill' / f'{people.names[2]}.png'
  times = {path: path.stat().st_mtime_ns for path in made.parent.glob('*.png')}
  made.unlink()
  searched = squares.searched
  again = _study(people, tmp_path).render(systems.FILL)
  assert squares.searched == searched  # all faces are in the files
  assert {path for path, time in times.items() if path.stat().st_mtime_ns != time} == {made}
  np.testing.assert_array_equal(first.in_place, again.in_place)
  # another seed draws other control identities: nothing of before is taken
  _study(people, tmp_path, seed=1).render(systems.FILL)
  assert all(path.stat().st_mtime_ns != time for path, time in times.items())


def test_another_systems_pictures_are_rows_and_must_have_the_originals_size(
  people, squares, tmp_path
):
  folder = tmp_path / 'theirs'
  for name in people.names:
    _picture(folder / f'{pathlib.Path(name).stem}.jpg', (200, 200, 20))
  other = System('theirs', 'theirs', folder=folder)
  rendered = _study(people, tmp_path).render(other)
  assert rendered.counts() == {'given': 6}
  assert np.abs(np.diff(rendered.in_place, axis=0)).max() < 0.1  # all alike
  Image.new('RGB', (60, 64)).save(folder / '1_0.jpg')
  with pytest.raises(
    DatasetError, match=r'1_0\.jpg is \(64, 60, 3\); the original is \(64, 64, 3\)'
  ):
    _study(people, tmp_path).render(other)
  (folder / '1_0.jpg').unlink()
  with pytest.raises(DatasetError, match=r'1_0\.png is missing, and so are the same name'):
    _study(people, tmp_path).render(other)


def test_table_2_has_the_controls_where_they_belong(people, squares, covers, tmp_path):
  result, _ = celeba.evaluate(people, tmp_path / 'work', _embedder())
  rows = result['rows']
  assert list(rows) == ['original', 'pixelate_8', 'pixelate_16', 'blur_9', 'blur_17', 'fill']
  assert (result['people'], result['pictures'], result['without_face']) == (3, 6, [])
  assert rows['original']['found']['without_source']['mean'] == 1
  assert rows['original']['detection']['0.9']['same_place']['mean'] == 1
  assert rows['fill']['found'] == {
    'without_source': {'mean': 0, 'low': 0, 'high': 0},
    'with_source': {'mean': 0, 'low': 0, 'high': 0},
  }
  assert rows['fill']['detection']['0.05']['any']['mean'] == 0
  assert rows['fill']['landmarks']['lost'] == 6
  # pixelization keeps the mean colour, which is all that this recogniser knows
  assert rows['pixelate_16']['in_place']['without_source']['mean'] == 1
  assert rows['original']['frechet'] is None


def test_another_detector_judges_beside_the_pipelines_own(people, squares, covers, tmp_path):
  asked = []

  def find(pixels):
    """Finds nothing in two originals, nor what is not red; every box lies where the square is."""
    asked.append(pixels)
    box = (12.0, 12.0, 52.0, 52.0)
    middle = pixels[32, 32].astype(int)
    return [Face(box, 0.3)] if middle[0] > middle[1] + 40 and middle[0] > middle[2] + 40 else []

  judge = Judge('red', 'whoever likes red', find, 0.1)
  result, _ = celeba.evaluate(people, tmp_path / 'work', _embedder(), judge=judge)
  assert result['judge'] == 'whoever likes red'
  rates = {name: row['judged'] for name, row in result['rows'].items()}
  # of three people, two pictures each, one is red
  assert rates['original']['pictures'] == rates['fill']['pictures'] == 2
  assert rates['original']['same_place']['mean'] == 1
  assert rates['fill']['same_place']['mean'] == rates['fill']['any']['mean'] == 0
  assert rates['blur_9']['same_place']['mean'] == 1
  assert len(asked) == 6 * len(result['rows'])
  celeba.evaluate(people, tmp_path / 'work', _embedder(), judge=judge)
  assert len(asked) == 6 * len(result['rows'])  # they are kept
  text = '\n'.join(celeba_report.lines({**result, 'features': '', 'features_missing': ''}, {}))
  assert 'whoever likes red, same place | any face |' in text
  assert 'of the 2 pictures in whose original it finds' in text


def test_dlib_finds_the_face_of_a_photograph():
  pytest.importorskip('dlib', reason='the extra dlib is not installed')
  judge, missing = detectors.load_or_say('dlib')
  assert (judge.name, missing) == ('dlib', '')
  face = max(judge.find(skimage.data.astronaut()), key=lambda face: face.score)
  # the eyes of the photograph lie about (205, 115) and (250, 115)
  left, top, right, bottom = face.box
  assert left < 200 and right > 255 and top < 110 and bottom > 150
  assert face.score > judge.score
  assert detectors.load_or_say('none') == (None, 'none was asked for.')


def test_without_dlib_its_columns_are_left_out_and_the_reason_is_said(monkeypatch):
  monkeypatch.setitem(sys.modules, 'dlib', None)
  judge, missing = detectors.load_or_say('dlib')
  assert judge is None
  assert 'pip install anon-jax[dlib]' in report.judged_line({'judge': '', 'judge_missing': missing})


def test_results_depend_neither_on_the_batch_nor_on_the_order_of_files(
  people, squares, covers, tmp_path
):
  one, _ = celeba.evaluate(people, tmp_path / 'one', _embedder(batch=1))
  many, _ = celeba.evaluate(people, tmp_path / 'many', _embedder(batch=32))
  assert report._plain(one) == report._plain(many)  # without NaN, which is unlike itself
  order = np.array([3, 1, 5, 0, 4, 2])
  shuffled = People(people.folder, tuple(people.names[i] for i in order), people.labels[order])
  other, _ = celeba.evaluate(shuffled, tmp_path / 'other', _embedder())
  for name, row in one['rows'].items():
    assert other['rows'][name]['found'] == row['found']
    assert other['rows'][name]['detection'] == row['detection']


@pytest.fixture
def pairs(tmp_path):
  """LFW of four people in two folds, each with two pictures."""
  folder, lines = tmp_path / 'lfw' / 'lfw-funneled', ['2\t2']
  for number, name in enumerate(('Ann', 'Bo', 'Cy', 'Di')):
    colour = [(220, 60, 60), (60, 220, 60), (60, 60, 220), (200, 200, 20)][number]
    for picture in (1, 2):
      _picture(folder / name / f'{name}_{picture:04d}.jpg', colour)
  for a, b in (('Ann', 'Bo'), ('Cy', 'Di')):
    lines += [f'{a}\t1\t2', f'{b}\t1\t2', f'{a}\t1\t{b}\t2', f'{b}\t1\t{a}\t2']
  (tmp_path / 'lfw' / 'pairs.txt').write_text('\n'.join(lines) + '\n')
  return tmp_path / 'lfw'


def test_table_3_has_the_controls_where_they_belong(pairs, squares, covers, tmp_path):
  result, scores, study, seconds = lfw.evaluate(pairs, tmp_path / 'work', _embedder())
  assert (result['pairs'], result['folds'], result['pictures']) == (8, 2, 4)
  assert len(seconds) == 4 and len(study.names) == 8
  clear, filled = result['rows']['original'], result['rows']['fill']
  assert clear['found']['own_thresholds']['0.001']['accuracy'] == 1
  assert clear['in_place']['auc'] == 1
  assert clear['found']['same_accepted']['mean'] == 1
  # what is not found is rejected, and cannot be compared
  assert filled['found']['clear_thresholds']['0.001']['tar'] == 0
  assert (filled['found']['auc'], filled['found']['compared']) == (None, 0)
  assert (scores['original'][0] > 0.99).all() and (scores['original'][1] < 0.9).all()
  text = '\n'.join(lfw_report.lines(result, {'recogniser': 'colours'}))
  assert '| original | .986 ± .01 | .965 ± .02 | 1.000 ± 0.000 |' in text
  assert 'CIAGAN (paper only) | .034 ± .02' in text
  report.write(tmp_path, result, [text])
  assert json.loads((tmp_path / 'results.json').read_text())['rows']['fill']['found']['auc'] is None
  figures.roc(tmp_path / 'roc.png', scores)
  figures.histograms(tmp_path / 'h.png', {name: each[0] for name, each in scores.items()}, 'cosine')
  figures.sheet(tmp_path / 's.png', {'a': [study.read(seconds[0])], 'b': [study.read(seconds[1])]})
  figures.pairs(tmp_path / 'p.png', [(study.read(name),) * 2 for name in seconds], 3, 60)
  assert outputs.read(tmp_path / 'p.png').shape == (2 * 62, 3 * 126, 3)
  shapes = [outputs.read(tmp_path / f'{name}.png').shape for name in ('roc', 'h', 's')]
  assert all(min(shape[:2]) > 100 for shape in shapes)


def test_the_first_pairs_of_each_kind_are_taken_in_each_fold():
  same, fold = np.array([1, 1, 0, 0] * 2, bool), np.repeat([0, 1], 4)
  names = tuple('abcdefgh')
  found = first_pairs(Pairs(pathlib.Path(), names, names, same, fold), 1)
  assert found.first == ('a', 'c', 'e', 'g')
  assert first_pairs(Pairs(pathlib.Path(), names, names, same, fold), 0).first == names


def test_a_broken_picture_is_named(tmp_path):
  (tmp_path / 'a.jpg').write_bytes(b'no picture')
  with pytest.raises(DatasetError, match=r'a\.jpg is neither a JPEG nor a PNG'):
    outputs.read(tmp_path / 'a.jpg')


def _celeba(folder, counts):
  """CelebA's layout: number of pictures by (part, person)."""
  (folder / 'images').mkdir(parents=True)
  identity, partition, number = [], [], 0
  for (part, person), count in counts.items():
    for _ in range(count):
      number += 1
      Image.new('RGB', (8, 8)).save(folder / 'images' / f'{number:06d}.jpg')
      identity.append(f'{number:06d}.jpg {person}')
      partition.append(f'{number:06d}.jpg {part}')
  (folder / 'identity_CelebA.txt').write_text('\n'.join(identity) + '\n')
  (folder / 'list_eval_partition.txt').write_text('\n'.join(partition) + '\n')
  return folder


def test_people_are_drawn_by_the_seed_from_one_part_alone(tmp_path):
  folder = _celeba(tmp_path / 'c', {(0, 1): 5, (2, 7): 4, (2, 8): 1, (2, 9): 3})
  found = celeba.draw(folder, 'test', 2, 0, least=2)
  assert found.labels.tolist() == [7, 7, 9, 9]
  assert celeba.draw(folder, 'test', 2, 0, least=2).names == found.names
  assert any(celeba.draw(folder, 'test', 2, seed, least=2).names != found.names for seed in (1, 2))
  assert celeba.draw(folder, 'test', 0, 0).labels.tolist() == [7] * 4 + [8] + [9] * 3
  with pytest.raises(DatasetError, match="nobody with 6 pictures in its part 'train'"):
    celeba.draw(folder, 'train', 0, 0, least=6)
