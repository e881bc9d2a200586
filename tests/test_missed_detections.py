"""Real faces whose detections are taken away for up to three frames are covered all the same."""

import random

import numpy as np

from anon_jax.inference import detection, looks, scenes
from anon_jax.inference.track import Tracked
from anon_jax.inference.tracking import TrackedFrame, Tracker
from anon_jax.inference.video_reading import VideoReader

PLACES, FRAMES = 50, 32
CLIPS = ('d10', 'd12', 'd20', 'd3', 'd9', 's18', 's32', 'video')


def _detected(path):
  """Detections, thumbnail and size of the first frames of a clip, as the tracker takes them."""
  find = detection.load_detector().at(looks.GLANCE)
  rows = []
  with VideoReader(path) as reader:
    for frame in reader:
      height, width = frame.pixels.shape[:2]
      rows.append((find(frame.pixels), scenes.thumbnail(frame.pixels), (width, height)))
      if len(rows) == FRAMES:
        break
  return rows


def _follow(rows) -> list[TrackedFrame]:
  tracker, found = Tracker(), []
  for row in rows:
    found += tracker.push(*row)
  return found + tracker.flush()


def _runs(rows):
  """Every row of up to three detections of a track in consecutive frames: (frame, face)."""
  tracks: dict[int, list] = {}
  for frame in _follow(rows):
    for each in frame.faces:
      if each.state == 'detected':
        tracks.setdefault(each.track, []).append((frame.index, each.regions[0]))
  for seen in tracks.values():
    for length in (1, 2, 3):
      for start in range(len(seen) - length + 1 if len(seen) >= 8 else 0):
        run = seen[start : start + length]
        if run[-1][0] - run[0][0] == length - 1:
          yield run


def _exposed(frame: TrackedFrame, box, size) -> bool:
  left, top = np.floor(np.maximum(box[:2], 0)).astype(int)
  right, bottom = np.ceil(np.minimum(box[2:], size)).astype(int)
  covered = np.zeros(size[::-1], bool)
  for tracked in frame.faces:
    assert isinstance(tracked, Tracked)
    covered |= tracked.covered(*size)
  return not covered[top:bottom, left:right].all()


def test_up_to_three_detections_taken_away_at_50_places_expose_no_part_of_their_boxes(real_data):
  rng, exposed, frames = random.Random(0), [], 0
  for number, name in enumerate(CLIPS):
    rows = _detected(real_data / 'video' / f'{name}.mp4')
    runs = list(_runs(rows))
    for _ in range(number, PLACES, len(CLIPS)):
      run = rng.choice(runs)
      gone = {frame: face for frame, face in run}
      left = [
        ([face for face in faces if face is not gone.get(index)], *rest)
        for index, (faces, *rest) in enumerate(rows)
      ]
      found = _follow(left)
      for index, face in run:
        frames += 1
        if _exposed(found[index], face.box, rows[index][2]):
          exposed.append((name, index, face.box))
  assert frames >= PLACES
  assert exposed == []
