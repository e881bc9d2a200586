"""Scene cuts: found between takes; not in fades, flashes, pans and shakes."""

import numpy as np
import pytest

from anon_jax.inference import scenes
from anon_jax.inference.errors import InferenceError


def world(seed: int) -> np.ndarray:
  """A smooth picture, float32 [60, 160], four times as wide as a thumbnail sees."""
  rng = np.random.default_rng(seed)
  field = np.pad(rng.normal(0, 1, (60, 160)), 3, mode='wrap')
  for axis in (0, 1):
    kernel = np.ones(5) / 5
    field = np.apply_along_axis(np.convolve, axis, field, kernel, mode='same')
  field = field[3:-3, 3:-3]
  return np.clip(128 + 50 * (field - field.mean()) / field.std(), 0, 255).astype(np.float32)


SHARES = np.linspace(0, 1, 16)
WORLDS = [world(seed) for seed in range(4)]


def view(number: int, x: int = 20, y: int = 20, light: float = 1.0) -> np.ndarray:
  part = WORLDS[number][y : y + scenes.HEIGHT, x : x + scenes.WIDTH]
  return np.clip(light * part, 0, 255).astype(np.uint8)


def beginnings(frames) -> list[int]:
  """The frames that begin a scene."""
  finder, found = scenes.Scenes(), []
  for frame in frames:
    found += finder.push(frame)
  found += finder.flush()
  assert len(found) == len(frames)
  return [index for index, begins in enumerate(found) if begins]


@pytest.mark.parametrize('second', [1, 2, 3])
def test_a_cut_is_found_in_its_frame(second):
  assert beginnings([view(0)] * 10 + [view(second)] * 10) == [10]


def test_scenes_of_four_frames_are_found_each():
  takes = [view(number) for number in (0, 1, 2, 3) for _ in range(4)]
  assert beginnings(takes) == [4, 8, 12]


def test_the_first_and_last_frames_of_a_stream_begin_scenes_only_after_cuts():
  assert beginnings([]) == []
  assert beginnings([view(0)]) == []
  assert beginnings([view(0), view(1)]) == [1]
  assert beginnings([view(0)] * 9 + [view(1)]) == [9]


def test_answers_are_late_by_the_delay():
  finder = scenes.Scenes()
  assert [len(finder.push(view(0))) for _ in range(5)] == [0] * scenes.DELAY + [1, 1]
  assert len(finder.flush()) == scenes.DELAY


@pytest.mark.parametrize('length', [1, 2, 3])
def test_a_flash_of_up_to_three_frames_is_no_cut(length):
  white = np.full((scenes.HEIGHT, scenes.WIDTH), 255, np.uint8)
  assert beginnings([view(0)] * 8 + [white] * length + [view(0)] * 8) == []
  assert beginnings([view(0)] * 8 + [view(0, light=3)] * length + [view(0)] * 8) == []


def test_a_dissolve_is_no_cut():
  a, b = view(0).astype(np.float32), view(1).astype(np.float32)
  assert beginnings([(a + share * (b - a)).astype(np.uint8) for share in SHARES]) == []


def test_a_fade_is_a_cut_at_most_where_it_is_black():
  dark = [view(0, light=1 - share) for share in SHARES]
  # Frames 15 and 16 are black.
  assert set(beginnings(dark + [view(1, light=share) for share in SHARES])) <= {15, 16, 17}


@pytest.mark.parametrize('step', [1, 2, 4])
def test_a_camera_that_pans_is_no_cut(step):
  # Up to an eighth of the picture's width in each frame.
  assert beginnings([view(0, x=step * i) for i in range(25)]) == []


def test_a_camera_that_shakes_is_no_cut():
  rng = np.random.default_rng(0)
  moves = rng.integers(-1, 2, (40, 2)) * (2, 1)
  assert beginnings([view(0, 20 + x, 20 + y, rng.uniform(0.7, 1.2)) for x, y in moves]) == []


def test_noise_in_the_dark_is_no_cut():
  rng = np.random.default_rng(0)
  dark = rng.integers(0, 4, (20, scenes.HEIGHT, scenes.WIDTH)).astype(np.uint8)
  assert beginnings(list(dark)) == []


def test_a_thumbnail_is_grey_and_small_whatever_the_picture():
  for shape in ((1, 1, 3), (480, 854, 3), (2000, 7, 3)):
    small = scenes.thumbnail(np.full(shape, 90, np.uint8))
    assert small.shape == (18, 32) and small.dtype == np.uint8 and (small == 90).all()


def test_what_is_no_thumbnail_is_refused():
  with pytest.raises(InferenceError, match=r'is float64\[18, 32\]; give uint8\[18, 32\]'):
    scenes.Scenes().push(np.zeros((18, 32)))
