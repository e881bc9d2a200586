"""A person segmenter of the user's: what it is shown, and what is not believed."""

import types

import numpy as np
import pytest

from anon_jax.inference import person_segmenter
from anon_jax.inference.person_segmenter import PersonSegmenter, SegmenterError


class _Session:
  """Behaves as onnxruntime's session: says where red is."""

  def __init__(self, shape=(1, 3, 8, 4), answer=None, inputs=1):
    self.shape, self.answer, self.inputs, self.seen = shape, answer, inputs, None

  def get_inputs(self):
    return [types.SimpleNamespace(name='picture', shape=list(self.shape))] * self.inputs

  def run(self, outputs, feed):
    assert outputs is None
    self.seen = feed['picture']
    red = self.seen[:, 0] if self.shape[1] == 3 else self.seen[..., 0]
    return [red[:, None] if self.answer is None else self.answer(red)]


def _picture():
  """A picture of 16 x 8 pixels whose left half is red."""
  picture = np.zeros((16, 8, 3), np.uint8)
  picture[:, :4, 0] = 255
  return picture


@pytest.mark.parametrize('shape', [(1, 3, 8, 4), (1, 8, 4, 3), ('n', 3, 8, 4)])
def test_a_picture_is_shown_whole_in_0_to_1(shape):
  session = _Session(shape)
  found = PersonSegmenter(session)(_picture())
  assert session.seen.dtype == np.float32
  assert session.seen.shape[1:] == tuple(shape[1:])
  assert (session.seen.min(), session.seen.max()) == (0, 1)
  assert found.shape == (16, 8)
  assert found[:, :3].all()
  assert not found[:, 6:].any()


def test_a_pixel_that_may_be_a_persons_is_one():
  assert PersonSegmenter(_Session(answer=lambda red: 0 * red + 0.11))(_picture()).all()
  assert not PersonSegmenter(_Session(answer=lambda red: 0 * red + 0.09))(_picture()).any()


def test_of_two_channels_the_second_is_the_persons():
  for axis in (1, -1):
    session = _Session(answer=lambda red, axis=axis: np.stack([1 - red, red], axis))
    found = PersonSegmenter(session)(_picture())
    assert found[:, :3].all()
    assert not found[:, 6:].any()


@pytest.mark.parametrize(
  ('answer', 'phrase'),
  [
    (lambda red: red * np.nan, 'no probabilities; export it with its last sigmoid'),
    (lambda red: red * 7 - 3, 'no probabilities'),
    (lambda red: red[:, :4], 'returned shape'),
  ],
)
def test_other_numbers_are_no_mask(answer, phrase):
  with pytest.raises(SegmenterError, match=phrase):
    PersonSegmenter(_Session(answer=answer))(_picture())


def test_a_segmenter_that_fails_says_so_in_one_line():
  def fail(red):
    raise RuntimeError('out of\nmemory')

  with pytest.raises(SegmenterError, match='the person segmenter failed: out of memory'):
    PersonSegmenter(_Session(answer=fail))(_picture())


@pytest.mark.parametrize('shape', [(1, 4, 8, 4), (3, 8, 8), (1, 3, 8, 9999)])
def test_networks_of_another_input_are_refused(shape):
  with pytest.raises(SegmenterError, match='person segmenter'):
    PersonSegmenter(_Session(shape))


def test_a_file_that_is_no_network_is_refused_by_name(tmp_path):
  pytest.importorskip('onnxruntime')
  path = tmp_path / 'x.onnx'
  path.write_bytes(b'no network')
  with pytest.raises(SegmenterError, match=r'x\.onnx is no ONNX network that runs here'):
    person_segmenter.load(path)
  with pytest.raises(SegmenterError, match='cannot be opened'):
    person_segmenter.load(tmp_path / 'missing.onnx')


def test_a_published_network_finds_a_person(real_data):
  path = real_data / 'weights' / 'prisma_nchw.onnx'
  if not path.exists():
    pytest.skip('the real data has no prisma_nchw.onnx')
  from PIL import Image

  network = person_segmenter.load(path)
  names = sorted((real_data / 'lfw' / 'lfw-deepfunneled').glob('*/*.jpg'))[:3]
  for name in names:
    found = network(np.asarray(Image.open(name).convert('RGB')))
    assert found[100:150, 100:150].mean() > 0.9  # the face is in the middle of the picture
    assert found.mean() < 0.9
