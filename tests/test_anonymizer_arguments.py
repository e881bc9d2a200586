"""Arguments of the Python interface that cannot be used: one line says why, and what to do."""

import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import anon_jax
from anon_jax.inference import anonymizer, detection
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.nets.frozen import WeightsError

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOX = (35.0, 35.0, 85.0, 85.0)
POINTS = ((51.5, 54.9), (68.5, 54.9), (60.0, 63.0), (52.0, 71.9), (68.0, 71.9))
PICTURE = np.zeros((110, 120, 3), np.uint8)
MASK = np.zeros((110, 120), bool)


class Fake:
  """Stands in for a synthesizer that is never asked to paint."""

  size, identities, threshold = 32, 20, 0.5


def _refused(match, call, *arguments, error=InferenceError, **more):
  with pytest.raises(error, match=match) as caught:
    call(*arguments, **more)
  assert '\n' not in str(caught.value)
  assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
  ('more', 'match'),
  [
    ({'method': 'mosaic'}, "method 'mosaic' is not known; choose one of synthesize, fill"),
    ({'method': 'fill', 'block': 1}, 'block=1, kernel=17; give a block of 2'),
    ({'method': 'fill', 'kernel': 8}, 'block=16, kernel=8; .* odd kernel'),
    ({'method': 'fill', 'kernel': 1}, 'block=16, kernel=1; .* of 3 or more'),
    ({'identity': '20'}, 'names 20, and these weights have control identities 0 to 19'),
    ({'identity': 'anna'}, "identity 'anna' is no control identity"),
  ],
)
def test_options_that_cannot_be_used_are_refused(more, match):
  _refused(match, Anonymizer, None, Fake(), **more)


def test_synthesis_without_networks_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(anonymizer, 'SHIPPED', tmp_path)
  _refused("'synthesize' needs trained weights; name their folder", Anonymizer)
  _refused('give a folder that `anon-jax weights export` wrote', Anonymizer.from_pretrained, None)


def test_a_folder_without_weights_is_refused(tmp_path):
  folder = tmp_path / 'none'
  _refused(str(folder), Anonymizer.from_pretrained, folder, error=WeightsError)


@pytest.mark.parametrize('more', [{'method': 'mosaic'}, {'method': 'fill', 'block': 0}])
def test_options_are_checked_before_anything_is_loaded(more, monkeypatch):
  monkeypatch.setattr(detection, 'load_detector', lambda **_: pytest.fail('was loaded'))
  _refused('give a block|is not known', Anonymizer.from_pretrained, None, **more)


def test_covering_methods_read_no_folder():
  made = Anonymizer.from_pretrained(None, detector=lambda image: [Face(BOX)], method='fill')
  assert made.detect(PICTURE) == [Face(BOX)]
  assert (made.anonymize(PICTURE).image[35:85, 35:85] == 127).all()


@pytest.mark.parametrize(
  ('picture', 'match'),
  [
    (PICTURE.tolist(), 'the picture is a list; give uint8 RGB'),
    (None, 'the picture is a NoneType;'),
    (PICTURE.astype(np.float32), r'the picture is float32\[110, 120, 3\]; give uint8 RGB'),
    (PICTURE[..., 0], r'the picture is uint8\[110, 120\];'),
    (np.zeros((110, 120, 4), np.uint8), r'the picture is uint8\[110, 120, 4\];'),
    (PICTURE[:0], r'the picture is uint8\[0, 120, 3\];'),
  ],
)
def test_what_is_no_picture_is_refused(picture, match):
  anonymizer = Anonymizer(lambda image: [], method='fill')
  _refused(match, anonymizer.anonymize, picture)
  _refused(match, anonymizer.detect, picture)
  _refused(match, anonymizer.anonymize_many, [Request(PICTURE, []), Request(picture, [])])


@pytest.mark.parametrize(
  ('arguments', 'match'),
  [
    ((None, [POINTS]), 'landmarks and masks belong to boxes'),
    ((None, None, [MASK]), 'landmarks and masks belong to boxes'),
    (([BOX], []), '1 boxes need as many landmarks and masks, or none'),
    (([BOX], [POINTS], [MASK, MASK]), '1 boxes need as many landmarks'),
    (([BOX[:3]],), r'a box cannot be \(35.0, 35.0, 85.0\); give left, top, right, bottom'),
    ((BOX,), 'a box cannot be 35.0; give left'),
    (([['a'] * 4],), r"a box cannot be \['a', 'a', 'a', 'a'\]; give left"),
    (([(35, 35, 35, 85)],), 'encloses nothing'),
    (([(35, math.nan, 75, 85)],), 'encloses nothing'),
    (([(0, 0, 1e200, 1e200)],), 'lies far from any picture'),
    (([BOX], [POINTS[:4]]), r'landmarks cannot be \(\(51.5, .*; give five points'),
    (([BOX], [5]), 'landmarks cannot be 5; give five points'),
    (([BOX], None, [MASK.astype(np.uint8)]), r'a mask is uint8\[110, 120\]; give bool\[110, 120\]'),
    (([BOX], None, [MASK.T]), r'a mask is bool\[120, 110\]; give bool\[110, 120\]'),
    (([BOX], None, [MASK.tolist()]), r'a mask is a list; give bool\[110, 120\]'),
  ],
)
def test_boxes_landmarks_and_masks_of_another_form_are_refused(arguments, match):
  _refused(match, Anonymizer(None, Fake()).anonymize, PICTURE, *arguments)


def test_masks_of_some_faces_only_are_refused():
  request = Request(PICTURE, [Face(BOX), Face(BOX)], [MASK])
  _refused('2 faces come with 1 masks', Anonymizer(None, Fake()).anonymize_many, [request])


def test_without_a_detector_boxes_are_needed():
  _refused('no detector; give the boxes', Anonymizer(method='fill').anonymize, PICTURE)


def test_boxes_landmarks_and_masks_may_be_arrays():
  anonymizer, mask = Anonymizer(method='fill'), MASK.copy()
  mask[0, 0] = True
  found = anonymizer.anonymize(
    PICTURE, np.array([BOX, BOX]), np.array([POINTS, POINTS]), np.stack([mask, mask])
  )
  assert found.faces[1].face == Face(BOX, 1.0, POINTS)
  assert (found.image[0, 0] == 127).all()
  assert anonymizer.anonymize(PICTURE, []).faces == ()


@pytest.mark.parametrize('module', ['anonymizer', 'ladder', 'covering', 'controls'])
def test_importing_it_imports_nothing_that_only_training_needs(module):
  code = (
    f'import sys, anon_jax.inference.{module}; '
    'bad = {"tensorflow", "tensorflow_datasets", "clu", "grain", "orbax", "onnxruntime"}; '
    'bad &= set(sys.modules); sys.exit(str(sorted(bad)) if bad else 0)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
  assert done.returncode == 0, done.stderr


def test_the_package_hands_out_the_anonymizer_on_demand():
  assert anon_jax.Anonymizer is Anonymizer
  with pytest.raises(AttributeError, match="has no attribute 'Anonymiser'"):
    _ = anon_jax.Anonymiser
