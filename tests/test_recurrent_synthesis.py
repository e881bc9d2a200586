"""An H for clips in the pipeline: each frame of a track goes on from what was shown before it."""

import numpy as np

from anon_jax.data import semantic
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Cast, Request
from anon_jax.inference.faces import Face
from anon_jax.inference.inputs import HarmonizationInput, IdentityInput, Input, PaintingInput
from anon_jax.inference.synthesis import Synthesized, Synthesizer
from anon_jax.inference.weights import Network, Weights, nested, shapes_of
from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet

SIZE, IDENTITIES = 32, 6


class Fake:
  """A recurrent synthesizer that counts what it painted in the crops that it shows."""

  size, identities, threshold, recurrent = SIZE, IDENTITIES, 0.5, True

  def __init__(self, similarities=()):
    self.similarities, self.batches, self.painted = list(similarities), [], 0

  def maps(self, crops):
    return np.ones((len(crops), SIZE, SIZE), np.uint8)

  def suited(self, semantic_map):
    return None

  def conditions(self, crops):
    return np.zeros(crops.shape, np.float32)

  def paint(self, crops, maps, controls, *, replaced, conditions, previous):
    self.batches.append([None if frame is None else int(frame[0, 0, 0]) for frame in previous])
    numbers = np.arange(self.painted, self.painted + len(crops), dtype=np.uint8)
    self.painted += len(crops)
    shown = np.broadcast_to(numbers[:, None, None, None], crops.shape)
    similarity = [self.similarities.pop(0) if self.similarities else 0.0 for _ in crops]
    share = np.ones(len(crops), np.float32)
    return Synthesized(shown, replaced, share, np.array(similarity, np.float32), shown)


def _frames(*names, cast):
  """Requests for one face each of a name, or of two names."""
  picture, boxes = np.zeros((100, 200, 3), np.uint8), ((10, 20, 60, 80), (120, 20, 170, 80))
  return [
    Request(
      picture,
      [Face(box, 0.9, None) for box, _ in zip(boxes, of, strict=False)],
      names=tuple(of),
      cast=cast,
    )
    for of in names
  ]


def test_frames_of_a_track_are_painted_in_turn_and_those_of_different_tracks_together():
  fake, cast = Fake(), Cast()
  anonymizer = Anonymizer(None, fake)
  anonymizer.anonymize_many(_frames('ab', 'ab', 'a', 'ac', cast=cast))
  # frame 0: a is 0 and b is 1; then each goes on from its own last one; c is new, and in a's turn 0
  assert fake.batches == [[None, None, None], [0, 1], [3], [5]]
  # in the next batch of frames they go on
  anonymizer.anonymize_many(_frames('bca', cast=cast))
  assert fake.batches[4:] == [[4, 2]]


def test_a_face_that_was_filled_or_redrawn_is_nothing_to_go_on_from():
  # 0.18, 0.32, 0.44 and 0.54 are the means over the first five frames: the last is above 0.5
  fake, cast = Fake([0.0, *[0.9] * 4, 0.0, 0.0, *[0.9] * 3, *[0.9] * 4]), Cast()
  found = Anonymizer(None, fake).anonymize_many(_frames(*'a' * 12, cast=cast))
  # frame 4 is drawn twice; frame 9 four times, in vain, and frame 10 has to take yet another one
  actions = ['filled' if place == 9 else 'synthesized' for place in range(12)]
  assert [[f.action for f in picture.faces] for picture in found] == [[a] for a in actions]
  drawn_again = [[None]] * 3
  wanted = [[None], [0], [1], [2], [3], [None], [5], [6], [7], [8], [9]]
  assert fake.batches == [*wanted, *drawn_again, [None], [None], [15]]


def test_a_picture_has_no_frame_before_it():
  fake = Fake()
  request = Request(np.zeros((100, 100, 3), np.uint8), [Face((20, 20, 70, 80), 0.9, None)])
  Anonymizer(None, fake).anonymize_many([request, request])
  assert fake.batches == [[None, None]]


def _synthesizer():
  nets = {
    'segmentation': (SegmentationNet((8, 12)), Input(16)),
    'anonymization': (
      AnonymizationNet(IDENTITIES, widths_for('tiny', 32), HIDDEN['tiny']),
      PaintingInput(32),
    ),
    'harmonization': (HarmonizationNet(WIDTHS['tiny'], recurrent=True), HarmonizationInput(SIZE)),
    'identity': (IdentityNet((8, 16)), IdentityInput(16)),
  }
  rng, found = np.random.default_rng(0), {}
  for name, (module, shown) in nets.items():
    shapes = shapes_of(module, shown.image_size)
    flat = {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}
    found[name] = Network(module, nested(flat), shown, None)
  return Synthesizer(Weights(**found))


def test_h_sees_the_frame_before_and_what_was_shown_is_the_picture_with_its_new_face():
  synthesizer, rng = _synthesizer(), np.random.default_rng(1)
  assert synthesizer.recurrent
  crop, one, two = rng.integers(0, 256, (3, 1, SIZE, SIZE, 3), np.uint8)
  maps = np.zeros((1, SIZE, SIZE), np.uint8)
  maps[:, 8:24, 8:24] = semantic.FOREGROUND[0]
  controls = np.full((1, IDENTITIES), 1 / IDENTITIES, np.float32)

  def paint(*previous):
    return synthesizer.paint(crop, maps, controls, replaced=maps > 0, previous=previous)

  alone = paint()
  np.testing.assert_array_equal(alone.painted, paint(None).painted)
  after = [paint(frame[0]).painted for frame in (one, two)]
  assert (after[0] != alone.painted).any()
  assert (after[0] != after[1]).any()
  wanted = np.where(maps[..., None] > 0, alone.painted, crop)
  np.testing.assert_array_equal(alone.shown, wanted)
