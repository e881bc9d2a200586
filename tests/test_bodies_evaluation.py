"""Bodies beside their sources: frames and masks, covers, detectors, and the whole evaluation."""

import json
import sys
import types

import jax
import numpy as np
import pytest
from PIL import Image
from test_davis import add

from anon_jax import config as configs
from anon_jax import main
from anon_jax.config.field import ConfigError
from anon_jax.data.errors import DatasetError
from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.inputs import BodyIdentityInput
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.identity import IdentityNet
from anon_jax.protocols.bodies import covers, detectors, evaluate, frames, likeness
from anon_jax.protocols.bodies.detectors import Finder
from anon_jax.protocols.systems import System

BOX = (20, 4, 36, 44)
INSIDE = (slice(4, 44), slice(20, 36))


def _body(path, colour):
  """A grey frame of 60 x 48 with a body of one colour; without a colour it is not there."""
  pixels = np.full((48, 60, 3), 90, np.uint8)
  if colour is not None:
    pixels[INSIDE] = colour
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)


@pytest.fixture
def given(tmp_path):
  """Two sequences of four frames, a red and a blue person; another tool swaps their colours."""
  mask = np.zeros((48, 60), np.uint8)
  mask[INSIDE] = 255
  for sequence, colour, other in (('a', (220, 40, 40), (40, 40, 220)), ('b', (40, 40, 220), None)):
    for number in range(4):
      name = f'{sequence}/{number:05d}.png'
      _body(tmp_path / 'frames' / name, colour)
      _body(tmp_path / 'theirs' / name, other or (220, 40, 40))
      (tmp_path / 'masks' / sequence).mkdir(parents=True, exist_ok=True)
      Image.fromarray(mask).save(tmp_path / 'masks' / name)
  return tmp_path


def _load(given, most=0):
  return frames.load(given / 'frames', str(given / 'masks'), most)


def test_frames_come_in_sequences_with_the_boxes_of_their_masks(given):
  found, boxes = _load(given)
  assert found.names[:5] == (*(f'a/{n:05d}.png' for n in range(4)), 'b/00000.png')
  assert found.people.tolist() == [0] * 4 + [1] * 4 and found.times.tolist() == [0, 1, 2, 3] * 2
  assert set(boxes.values()) == {BOX} and found.sequences == ('a', 'b')
  assert found.blocks(3).tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
  assert found.mask('b/00001.png').sum() == 16 * 40
  assert _load(given, 2)[0].times.tolist() == [0, 1] * 2
  single, _ = frames.load(given / 'frames' / 'a', str(given / 'masks' / 'a'), 0)
  assert single.names[0] == '00000.png' and single.sequences == ('',)


def test_davis_is_read_as_it_is_published(tmp_path):
  add(tmp_path, 'parkour', count=3)
  found, boxes = frames.load(tmp_path, '', 2)
  assert found.names == ('parkour/00000.jpg', 'parkour/00001.jpg')
  assert boxes[found.names[0]] == BOX and found.read(found.names[0]).shape == (48, 60, 3)


def test_frames_in_which_nobody_is_are_left_out_and_missing_masks_named(given):
  Image.new('L', (60, 48)).save(given / 'masks' / 'a' / '00001.png')
  assert _load(given)[0].times.tolist() == [0, 2, 3, 0, 1, 2, 3]
  Image.new('L', (50, 48), 255).save(given / 'masks' / 'a' / '00002.png')
  with pytest.raises(DatasetError, match=r'00002\.png is 50 x 48 but its picture'):
    _load(given)[0].mask('a/00002.png')
  (given / 'masks' / 'b' / '00003.png').unlink()
  with pytest.raises(DatasetError, match=r'masks/b/00003\.png is missing; each frame of'):
    _load(given)
  with pytest.raises(DatasetError, match=r"config\.masks='/nowhere' is not a folder"):
    frames.load(given / 'frames', '/nowhere', 0)
  for number in range(4):
    Image.new('L', (60, 48)).save(given / 'masks' / 'a' / f'{number:05d}.png')
  with pytest.raises(DatasetError, match='shows anybody: all of them are black'):
    frames.load(given / 'frames' / 'a', str(given / 'masks' / 'a'), 0)


@pytest.mark.parametrize(('method', 'size'), [('fill', 0), ('pixelate', 16), ('blur', 17)])
def test_a_cover_keeps_to_the_mask_and_its_rim(method, size):
  pixels = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)
  mask = np.zeros((48, 60), bool)
  mask[INSIDE] = True
  covered = covers.cover(pixels, mask, method, size)
  changed = (covered != pixels).any(-1)
  assert changed[INSIDE].mean() > 0.9
  outside = np.ones((48, 60), bool)
  outside[2:46, 18:38] = False
  assert not changed[outside].any()
  if method == 'fill':
    assert (covered[2:46, 18:38] == 127).all()
  np.testing.assert_array_equal(covers.cover(pixels, mask & False, method, size), pixels)


def test_blocks_and_kernels_grow_with_the_person():
  pixels = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)
  spread = {}
  for height in (55, 440):
    mask = np.zeros((480, 480), bool)
    mask[:height] = True
    inside = np.s_[: height - 8]
    spread[height] = [
      covers.cover(pixels, mask, method, 16)[inside].std() for method in ('pixelate', 'blur')
    ]
  # averages over eight times the side vary an eighth as much
  for small, large in zip(spread[55], spread[440], strict=True):
    assert small / large == pytest.approx(8, rel=0.35)


def test_what_hog_finds_is_made_smaller_as_in_opencvs_sample():
  assert detectors._shrunk((10, 20, 100, 200), 0.5) == Face((20.0, 34.0, 100.0, 194.0), 0.5)


def test_hog_is_loaded_where_opencv_is_and_says_why_not_elsewhere(monkeypatch):
  assert detectors.load_hog('none') == (None, 'none was asked for.')
  monkeypatch.setitem(sys.modules, 'cv2', None)
  assert 'pip install anon-jax[opencv]' in detectors.load_hog('hog')[1]
  without = types.SimpleNamespace(__version__='9.0')
  monkeypatch.setitem(sys.modules, 'cv2', without)
  assert detectors.load_hog('hog')[1].startswith('OpenCV 9.0 has no HOG')


def test_hog_finds_nobody_in_a_wall():
  pytest.importorskip('cv2', reason='the extra opencv is not installed')
  finder, why = detectors.load_hog('hog')
  assert (finder.name, why) == ('hog', '')
  assert finder.find(np.full((200, 200, 3), 90, np.uint8), BOX) == []


def test_a_network_is_asked_about_the_place_and_its_largest_piece_counts():
  pixels = np.zeros((100, 100, 3), np.uint8)
  pixels[20:60, 40:60] = 255  # the person
  pixels[15:20, 70:75] = 255  # somebody small behind
  pixels[90:, :10] = 255  # beyond the square that is seen
  bright = []

  def shares(crop):
    bright.append(crop.mean())
    return crop.mean(-1) / 255

  (found,) = detectors.place(pixels, (40, 20, 60, 60), shares)
  np.testing.assert_allclose(found.box, (40, 20, 60, 60), atol=0.5)
  assert found.score > 0.9 and len(bright) == 1
  assert detectors.place(np.zeros((100, 100, 3), np.uint8), (40, 20, 60, 60), shares) == []


def test_prismanets_file_has_to_be_the_known_one(tmp_path):
  found, why = detectors.load_prismanet('prismanet', [tmp_path])
  assert found is None and 'prisma_nchw.onnx is in none of' in why
  assert detectors.load_prismanet('none', []) == (None, 'none was asked for.')
  (tmp_path / 'prisma_nchw.onnx').write_bytes(b'x')
  with pytest.raises(WeightsError, match='is not the known file; copy it again'):
    detectors.load_prismanet('prismanet', [tmp_path])


def _finder(asked):
  """Finds the box of what is not grey, and counts the frames."""

  def find(pixels, box):
    asked.append(box)
    rows, columns = np.nonzero(np.ptp(pixels.astype(int), axis=-1) > 40)
    if not len(rows):
      return []
    left, top, right, bottom = (
      float(each) for each in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    )
    return [Face((left, top, right, bottom), 0.5)]

  return Finder('colourful', 'whoever likes colours', find)


def test_other_tools_frames_and_covers_stand_beside_the_sources(given):
  found, boxes = _load(given)
  other, asked = System('theirs', 'theirs', folder=given / 'theirs'), []
  arguments = (found, boxes, given / 'work', [other])
  options = {'finders': [_finder(asked)], 'ways': [likeness.COLOURS], 'gap': 2, 'block': 2}
  result, readers = evaluate.evaluate(*arguments, **options)
  rows = result['rows']
  assert list(rows) == [
    'original',
    'pixelate_8',
    'pixelate_16',
    'blur_9',
    'blur_17',
    'theirs',
    'fill',
  ]
  assert list(readers)[-2:] == ['theirs', 'solid fill']
  recalls = {name: row['recall']['colourful'] for name, row in rows.items()}
  assert recalls['original']['all']['mean'] == recalls['theirs']['all']['mean'] == 1
  assert recalls['fill']['found_before']['mean'] == 0 and recalls['fill']['frames'] == 8
  assert recalls['theirs']['sequences']['b']['mean'] == 1
  likes = {name: row['likeness']['colours'] for name, row in rows.items()}
  assert likes['original']['recall']['mean'] == likes['original']['auc']['mean'] == 1
  # the other tool gives everybody the other's colours
  assert likes['theirs']['recall']['mean'] == likes['theirs']['auc']['mean'] == 0
  assert likes['theirs']['own']['mean'] == 0 and likes['theirs']['others']['mean'] == 1
  assert likes['fill']['auc']['mean'] == 0.5 and likes['fill']['chance'] == 0.5
  evaluate.evaluate(*arguments, **options)
  # all is kept but what another tool may have made anew since
  assert len(asked) == 7 * 8 + 8
  (given / 'theirs' / 'b' / '00003.png').unlink()
  with pytest.raises(DatasetError, match=r'b/00003\.png is missing, and so are the same name'):
    evaluate.evaluate(*arguments, **options)


def test_an_identity_network_of_bodies_sees_the_body_alone(monkeypatch):
  module = IdentityNet((8, 16), 4)
  params = module.init(jax.random.key(0), np.zeros((1, 32, 16, 3), np.float32))['params']
  source = types.SimpleNamespace(module=module, params=params, input=BodyIdentityInput(32, 16))
  monkeypatch.setattr(likeness, 'read_run', lambda *_, **__: iter([('identity', source)]))
  way = likeness.load_identity('run', 3)
  pixels = np.full((48, 60, 3), 90, np.uint8)
  pixels[INSIDE] = 200
  mask = np.zeros((48, 60), bool)
  mask[INSIDE] = True
  crop = way.crop(pixels, mask)
  assert crop.shape == (32, 16, 3) and crop[0, 0].tolist() == [0, 0, 0]
  assert crop[16, 8].tolist() == pytest.approx([200 / 127.5 - 1] * 3)
  elsewhere = np.where(mask[..., None], pixels, np.uint8(0))
  rows = way.embed(np.stack([crop, way.crop(elsewhere, mask)] * 2))
  assert rows.shape == (4, 4)
  np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_an_identity_network_of_faces_is_refused():
  with pytest.raises(
    InferenceError, match='holds an I of faces; give one that was trained on bodies'
  ):
    likeness.load_identity(str(SHIPPED), 4)


def _config(**fields):
  config = configs.defaults('evaluate_bodies')
  config.update({'detector': 'none', 'segmenter': 'none', **fields})
  return config


def test_the_whole_evaluation_runs_on_frames_that_are_given(given):
  frames_of = {'manual_dir': str(given / 'frames'), 'masks': str(given / 'masks')}
  config = _config(**frames_of, others=f'swapped={given / "theirs"}', gap=1)
  assert main.run(config, given / 'w', 'evaluate') == 0
  result = json.loads((given / 'w' / 'results.json').read_text())
  assert result['rows']['swapped']['likeness']['colours']['recall']['mean'] == 0
  assert result['sequences'] == {'a': 4, 'b': 4}
  text = (given / 'w' / 'results.md').read_text()
  assert 'frames and masks that were given: 8 frames of 2 sequences' in text
  assert '| swapped (given pictures) |' in text
  assert 'Left out, detector: none was asked for.' in text
  assert (given / 'w' / 'sheet.png').is_file()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({}, "manual_dir='' is not a folder"),
    ({'manual_dir': '.', 'gallery': '/nowhere'}, "gallery='/nowhere' is not a folder; give that"),
    ({'manual_dir': '.', 'others': 'fill=.'}, "the name 'fill' is taken"),
    ({'detector': 'yolo'}, r"config\.detector='yolo' cannot be used; give one of"),
    ({'gap': 0}, r'config\.gap=0 cannot be used; give a number >= 1'),
  ],
)
def test_fields_that_cannot_be_used_are_named(fields, message, tmp_path):
  with pytest.raises(ConfigError, match=message):
    main.run(_config(**fields), tmp_path / 'w', 'evaluate')


def test_people_of_davis_are_found_by_both_detectors(real_data, tmp_path):
  pytest.importorskip('cv2', reason='the extra opencv is not installed')
  config = _config(manual_dir=str(real_data / 'davis'), detector='hog', segmenter='prismanet')
  config.update({'weights_dir': str(real_data / 'weights'), 'frames': 2, 'gap': 1, 'block': 1})
  config.gallery = str(real_data / 'ccp')
  assert main.run(config, tmp_path / 'w', 'evaluate') == 0
  result = json.loads((tmp_path / 'w' / 'results.json').read_text())
  assert list(result['finders']) == ['hog', 'prismanet'] and not result['missing']
  assert result['people'] == 152
  assert result['rows']['original']['likeness']['colours']['auc']['mean'] > 0.9
  found = result['rows']['original']['recall']['prismanet']['sequences']['parkour']
  assert found['mean'] == 1
