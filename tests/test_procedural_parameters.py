"""Parameters of procedural pictures: how they are drawn and what they refuse."""

import dataclasses

import numpy as np
import pytest

from anon_jax.data.procedural import (
  OCCLUDERS,
  Background,
  Expression,
  FaceParameters,
  Light,
  Occluder,
  sample_parameters,
)


def test_parameters_do_not_depend_on_what_was_drawn_before():
  forwards = [sample_parameters(5, k) for k in range(20)]
  backwards = [sample_parameters(5, k) for k in reversed(range(20))]
  assert forwards == backwards[::-1]
  assert len(set(forwards)) == 20
  assert sample_parameters(6, 0) != forwards[0]


def test_sampled_pictures_cover_people_turns_and_occluders():
  drawn = [sample_parameters(1, k, identities=10) for k in range(1500)]
  assert {p.identity for p in drawn} == set(range(10))
  assert {p.occluder.kind for p in drawn} == set(OCCLUDERS)
  assert 0.75 < np.mean([p.occluder.kind == 'none' for p in drawn]) < 0.83
  yaw = np.array([p.yaw for p in drawn])
  assert abs(yaw.mean()) < 1.5
  assert 13 < yaw.std() < 17
  assert np.abs(yaw).max() <= 45


def test_the_default_is_a_neutral_frontal_face():
  face = FaceParameters(3)
  assert (face.yaw, face.pitch, face.roll) == (0, 0, 0)
  assert face.occluder.kind == 'none'
  assert face.expression == Expression(0, 0, 0, 1, (0, 0))


def test_parameters_cannot_be_changed_but_can_be_replaced_and_compared():
  face = FaceParameters(3)
  with pytest.raises(dataclasses.FrozenInstanceError):
    face.yaw = 3.0  # type: ignore[misc]
  turned = dataclasses.replace(face, yaw=3.0)
  assert turned != face
  assert hash(turned) == hash(FaceParameters(3, yaw=3.0))
  with pytest.raises(ValueError, match='yaw=99'):
    dataclasses.replace(face, yaw=99)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((-1, 0), 'seed=-1 is negative'),
    ((0, -2), 'index=-2 is negative'),
    ((0, 0, 0), 'identities=0 leaves nobody to draw'),
  ],
)
def test_parameters_are_not_drawn_from_wrong_numbers(arguments, message):
  with pytest.raises(ValueError, match=message):
    sample_parameters(*arguments)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: FaceParameters(-1), 'identity=-1 is negative'),
    (lambda: FaceParameters(0, yaw=61), 'yaw=61 is out of range: give a number from -60 to 60'),
    (lambda: FaceParameters(0, pitch=-36), 'pitch=-36 is out of range'),
    (lambda: FaceParameters(0, roll=float('nan')), 'roll=nan is out of range'),
    (lambda: Expression(mouth_open=1.1), 'mouth_open=1.1 is out of range'),
    (lambda: Expression(gaze=(0.0, 2.0)), 'gaze y=2.0 is out of range'),
    (lambda: Light(intensity=-0.1), 'intensity=-0.1 is out of range'),
    (lambda: Occluder('scarf'), "Unknown occluder 'scarf'; choose one of"),
    (lambda: Occluder('hand', scale=3.0), 'occluder scale=3.0 is out of range'),
    (lambda: Background(texture=2.0), 'texture=2.0 is out of range'),
    (lambda: Background(texture_seed=-1), 'texture_seed=-1 is negative'),
  ],
)
def test_parameters_out_of_range_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
