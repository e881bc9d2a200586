"""The parts of the procedural renderer, against numbers worked by hand."""

import dataclasses
import math

import numpy as np
import pytest

from anon_jax.data.procedural import FaceParameters, Light
from anon_jax.data.procedural.features import landmarks_on_face, mouth_half_width
from anon_jax.data.procedural.looks import HAIR_STYLES, looks_of
from anon_jax.data.procedural.march import ellipsoid, march
from anon_jax.data.procedural.parameters import Expression, generator
from anon_jax.data.procedural.shading import Canvas, gloss, lamp_of, linear, lit, noise_at, tile
from anon_jax.data.procedural.shape import (
  HEAD_X,
  HEAD_Y,
  ZOOM,
  bump,
  edge,
  hill,
  pose_of,
  relief_of,
  smoothstep,
  surface_points,
)


def f32(*values: float) -> np.ndarray:
  return np.array(values, np.float32)


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
  at = (np.arange(count, dtype=np.float32) + 0.5) / count - 0.5
  return np.broadcast_to(at[None], (count, count)), np.broadcast_to(at[:, None], (count, count))


def test_smoothstep_rises_from_0_to_1_in_either_direction():
  np.testing.assert_allclose(smoothstep(2, 4, f32(1, 2, 2.5, 3, 4, 9)), [0, 0, 0.15625, 0.5, 1, 1])
  np.testing.assert_allclose(smoothstep(4, 2, f32(1, 3, 9)), [1, 0.5, 0])


def test_an_edge_is_one_pixel_wide():
  np.testing.assert_allclose(edge(f32(-1, -0.05, 0, 0.025, 0.05, 1), 0.1), [0, 0, 0.5, 0.75, 1, 1])


def test_bells_are_1_in_the_middle():
  assert bump(f32(0.3), f32(0.1), (0.3, 0.1), (0.1, 0.2))[0] == 1
  assert bump(f32(0.4), f32(0.1), (0.3, 0.1), (0.1, 0.2))[0] == pytest.approx(math.exp(-1))
  np.testing.assert_allclose(hill(f32(0, 0.5, 1, 3), 1.0), [1, 0.5625, 0, 0])


def test_a_frontal_pose_leaves_points_where_they_are():
  pose = pose_of(FaceParameters(0), looks_of(0))
  np.testing.assert_allclose(pose.matrix, np.eye(3))
  np.testing.assert_allclose(
    pose.project(np.array([[0.1, -0.2, 0.7]])), [[HEAD_X + 0.1, HEAD_Y - 0.2]]
  )


def test_a_pose_turns_the_nose_right_then_up_and_the_picture_clockwise():
  looks = looks_of(0)
  nose = np.array([0.0, 0.0, 1.0])
  right = pose_of(FaceParameters(0, yaw=30), looks).matrix @ nose
  np.testing.assert_allclose(right, [0.5, 0, math.sqrt(0.75)], atol=1e-12)
  up = pose_of(FaceParameters(0, pitch=30), looks).matrix @ nose
  np.testing.assert_allclose(up, [0, -0.5, math.sqrt(0.75)], atol=1e-12)
  rolled = pose_of(FaceParameters(0, roll=30), looks).project(np.array([[0.2, 0.5 - HEAD_Y, 0]]))
  np.testing.assert_allclose(rolled, [[0.5 + 0.2 * math.sqrt(0.75), 0.6]], atol=1e-12)


def test_a_turn_is_a_rotation():
  matrix = pose_of(FaceParameters(0, yaw=37, pitch=-21), looks_of(0)).matrix
  np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
  assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_sphere_looks_the_same_from_everywhere():
  u, v = grid(9)
  for yaw, pitch in ((0, 0), (40, -20)):
    pose = pose_of(FaceParameters(0, yaw=yaw, pitch=pitch), looks_of(0))
    x, y, z, depth, level, length, direction = ellipsoid(pose, (0.5, 0.5, 0.5), u, v)
    np.testing.assert_allclose(level, (u**2 + v**2) / 0.25, atol=1e-5)
    np.testing.assert_allclose(x**2 + y**2 + z**2, u**2 + v**2, atol=1e-6)
    np.testing.assert_allclose(depth, 0, atol=1e-6)
    assert length == pytest.approx(0.25)
    np.testing.assert_allclose(direction, pose.matrix.T @ [0, 0, 1])


def test_rays_meet_the_surface_where_its_points_project():
  looks = looks_of(3)
  wanted = np.array([[0.0, looks.nose_tip], [-0.09, -0.03], [0.06, 0.16], [0.0, -0.1]])
  points = surface_points(looks, wanted)
  for yaw, pitch in ((0, 0), (15, 0), (-15, 8)):
    pose = pose_of(FaceParameters(3, yaw=yaw, pitch=pitch), looks)
    seen = pose.project(points) - pose.centre
    u, v = seen[:, :1].astype(np.float32), seen[:, 1:].astype(np.float32)
    surface = march(looks, pose, u, v, 1 / 128)
    assert surface.coverage.min() == 1
    # The relief is looked up without interpolation: half a table cell in x, y, and its slope.
    np.testing.assert_allclose(surface.x[:, 0], wanted[:, 0], atol=0.006)
    np.testing.assert_allclose(surface.y[:, 0], wanted[:, 1], atol=0.006)
    np.testing.assert_allclose(surface.z[:, 0], points[:, 2], atol=0.012)


def test_normals_are_unit_and_face_the_viewer():
  looks = looks_of(8)
  u, v = grid(64)
  for yaw in (-45, 0, 20):
    surface = march(looks, pose_of(FaceParameters(8, yaw=yaw), looks), u, v, 1 / 64)
    inside = surface.coverage > 0.99
    assert inside.mean() > 0.15
    length = np.linalg.norm(surface.normal, axis=0)
    np.testing.assert_allclose(length[surface.coverage > 0], 1, atol=1e-3)
    assert np.mean(surface.normal[2][inside] > -0.05) > 0.99
    assert surface.coverage[0].max() == 0


def test_the_nose_stands_out_and_the_eyes_lie_back():
  looks = looks_of(2)
  plain = dataclasses.replace(relief_of(looks), raised=np.zeros_like(relief_of(looks).raised))
  points = landmarks_on_face(looks, FaceParameters(2))
  lifted = surface_points(looks, points)[:, 2]
  rows, columns = np.rint((points[:, ::-1] + [0.45, 0.3]) * 160).astype(int).T
  base = looks.half_depth * np.sqrt(plain.level[rows * plain.shape[1] + columns])
  assert lifted[2] - base[2] > 0.6 * looks.nose_height
  assert np.all(lifted[:2] < base[:2])


def test_smiles_widen_and_opening_narrows_the_mouth():
  looks = looks_of(1)
  half = [
    mouth_half_width(looks, FaceParameters(1, expression=Expression(mouth_open=m, smile=s)))
    for m, s in ((0, 0), (0, 1), (1, 0))
  ]
  np.testing.assert_allclose(np.array(half) / looks.mouth_width, [1, 1.14, 0.88])


def test_looks_are_fixed_by_the_identity_alone():
  looks = looks_of(17)
  looks_of.cache_clear()
  assert looks_of(17) == looks
  assert len({looks_of(k) for k in range(64)}) == 64
  for k in range(64):
    each = looks_of(k)
    assert each.hair_style in HAIR_STYLES
    for colour in (each.skin, each.lips, each.hair, each.iris):
      assert all(0 < c < 1 for c in colour)
    # Parts are in the order of a face, from the crown to the chin.
    heights = [-each.crown, each.hairline, each.brow_y, each.eye_y, each.nose_tip, each.mouth_y]
    assert np.all(np.diff([*heights, each.chin]) > 0)


def test_streams_depend_on_every_number_of_their_key():
  draws = {generator(*key).random() for key in ((1, 2), (2, 1), (1, 2, 0, 1), (1, 3))}
  assert len(draws) == 4
  assert generator(1, 2).random() == generator(1, 2).random()


def test_linear_light_is_the_square_and_finish_undoes_it():
  np.testing.assert_allclose(linear((0.5, 1.0, 0.0)).ravel(), [0.25, 1, 0])
  canvas = Canvas(16)
  canvas.planes[...] = 0.2 / 1.25
  # 0.2 after exposure; shoulder (1 + .16 v) / (1 + .3 v^2); root; times 255.
  level = 255 * math.sqrt(0.2 * 1.032 / 1.012)
  assert np.abs(canvas.finish(0.0, 0).astype(float) - level).max() <= 1
  canvas.planes[...] = 100.0
  assert canvas.finish(0.0, 0).max() <= 255


def test_paint_blends_and_labels_what_it_hides_by_more_than_half():
  canvas = Canvas(16)
  at = (slice(2, 4), slice(5, 6))
  canvas.paint(at, np.array([[0.25], [0.75]], np.float32), linear((1.0, 0.5, 0.0)), 3)
  np.testing.assert_allclose(canvas.planes[:, 2:4, 5], [[0.25, 0.75], [0.0625, 0.1875], [0, 0]])
  assert canvas.classes[2:4, 5].tolist() == [0, 3]
  assert canvas.classes.sum() == 3
  canvas.paint(at, np.ones((2, 1), np.float32), linear((0.0, 0.0, 0.0)))
  assert canvas.classes[3, 5] == 3


def test_a_window_holds_the_box_and_is_never_empty():
  canvas = Canvas(100)
  low, high = 0.5 - 0.2 / ZOOM, 0.5 + 0.1 / ZOOM
  rows, columns = canvas.window(low, high, low, high)
  assert columns == rows
  assert columns.start <= 30
  assert columns.stop >= 60
  assert columns.stop - columns.start <= 34
  for left, right in ((-5, -4), (4, 5)):
    rows, columns = canvas.window(left, right, 0, 1)
    assert columns.stop - columns.start == 1


@pytest.mark.parametrize('kind', ['grain', 'fine', 'soft', 'strands', 'curls'])
def test_noise_tiles_are_normalised_shared_and_wrap(kind):
  noise = tile(kind)
  assert noise.dtype == np.float32
  assert abs(float(noise.mean())) < 1e-3
  assert float(noise.std()) == pytest.approx(1, abs=1e-3)
  assert tile(kind) is noise
  assert not noise.flags.writeable
  if kind != 'grain':
    across = np.abs(noise[:, 0] - noise[:, -1]).mean()
    assert across <= 2 * np.abs(np.diff(noise, axis=1)).mean()
  x = f32(0.1, 0.2)
  np.testing.assert_allclose(noise_at(kind, x, x, 1.0), noise_at(kind, x + 1, x - 1, 1.0), atol=0.8)


def test_the_lamp_stands_where_its_angles_say():
  direction, colour = lamp_of(Light(azimuth=90, elevation=0, intensity=2.0))
  np.testing.assert_allclose(direction, [1, 0, 0], atol=1e-6)
  np.testing.assert_allclose(colour, [2, 2, 2])
  above, _ = lamp_of(Light(azimuth=0, elevation=90))
  np.testing.assert_allclose(above, [0, -1, 0], atol=1e-6)


def test_light_is_full_towards_the_lamp_and_creeps_round_by_softness():
  light = Light(azimuth=90, elevation=0, intensity=1.0, ambient=0.0)
  normal = np.zeros((3, 1, 3), np.float32)
  normal[0, 0] = [1, 0, -1]
  normal[2, 0] = [0, 1, 0]
  got = lit(normal, light, 1.0, (0.5, 0.25, 0.0))
  np.testing.assert_allclose(got[:, 0, 0], [1, 1, 1], atol=1e-6)
  np.testing.assert_allclose(got[:, 0, 1], [1 / 3, 0.2, 0], atol=1e-6)
  np.testing.assert_allclose(got[:, 0, 2], [0, 0, 0], atol=1e-6)
  closed = lit(normal, light, 0.0, (0.5, 0.25, 0.0))
  np.testing.assert_allclose(closed[:, 0, 0], [0.45] * 3, atol=1e-6)


def test_gloss_peaks_half_way_between_lamp_and_viewer():
  light = Light(azimuth=60, elevation=0, intensity=1.0)
  half = math.radians(30)
  normal = np.zeros((3, 1, 2), np.float32)
  normal[0, 0], normal[2, 0] = [math.sin(half), 0], [math.cos(half), 1]
  shine = gloss(normal, light, 2)
  assert shine[0, 0] == pytest.approx(1, abs=1e-5)
  assert shine[0, 1] == pytest.approx(math.cos(half) ** 4, abs=1e-5)
