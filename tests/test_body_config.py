"""Configs of bodies: which data sets which stages take, and which fields go with them."""

import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax import experiment
from anon_jax.config import bodies
from anon_jax.config.every_stage import BODY_DATASETS, DATASETS
from anon_jax.config.stages import STAGES
from anon_jax.data.body_view import BodyView
from anon_jax.data.errors import DatasetError
from anon_jax.data.pipeline import View
from anon_jax.data.procedural import ProceduralBodies
from anon_jax.experiment import identities, sources

BODY_STAGES = {'identity', 'anonymize', 'harmonize'}


def _changed(stage, **values):
  config = configs.defaults(stage)
  config.update({'dataset': 'procedural_bodies'} | values)
  return config


@pytest.mark.parametrize('stage', STAGES)
def test_the_stages_of_the_method_take_bodies_and_the_others_refuse_them(stage):
  if stage in BODY_STAGES:
    configs.check(_changed(stage))
  else:
    with pytest.raises(configs.ConfigError, match=r"config\.dataset='procedural_bodies' cannot be"):
      configs.check(_changed(stage))


def test_every_data_set_has_one_shape_of_pictures():
  for names, aspect in ((DATASETS, 1), (BODY_DATASETS, 2), (bodies.BODIES, 2)):
    assert {bodies.aspect_of({'dataset': name}) for name in names} == {aspect}


@pytest.mark.parametrize(
  ('stage', 'changes', 'message'),
  [
    ('harmonize', {'image_size': 80}, r'image_size=80 makes pictures of bodies 40 px wide, .* 32'),
    ('identity', {'image_size': 48}, r'makes pictures of bodies 24 px wide'),
    (
      'harmonize',
      {'image_size': 64, 'upscale': 4},
      r'gives inputs of 8 px in width, which must be a multiple of 16',
    ),
    ('anonymize', {'image_size': 96}, r'image_size=96 cannot be painted by A'),
    ('anonymize', {'image_size': 32}, r'is too small .* at 2 scales; use at least 64'),
    ('anonymize', {'coarse_map': True}, r'coarse_map=True is for faces, and .* set it to False'),
    (
      'anonymize',
      {'dataset': 'celeba', 'joint_sigma': 0.02},
      r"joint_sigma=0\.02 is for bodies, and dataset='celeba' shows none; set it to 0\.0",
    ),
    ('anonymize', {'dataset': 'celeba', 'parts_share': 0.5}, r'parts_share=0\.5 is for bodies'),
    ('harmonize', {'manual_dir': '/x'}, r'not used by dataset=procedural_bodies; .* body_folder'),
    ('harmonize', {'dataset': 'ccp', 'manual_dir': '/x'}, r'is not a folder; .* files of ccp'),
    ('harmonize', {'image_size': 1056}, r'more than procedural_bodies can draw'),
  ],
)
def test_a_field_that_bodies_cannot_have_is_named_with_the_way_out(stage, changes, message):
  with pytest.raises(configs.ConfigError, match=message):
    configs.check(_changed(stage, **changes))


def test_bodies_are_cut_by_a_body_view_and_faces_by_a_view():
  config = _changed('anonymize', image_size=64, crop=0.8, crop_jitter=0.1, parts_share=0.5)
  assert sources.make_view(config) == BodyView(64, 0.8, 0.1, True, parts=0.5)
  assert sources.make_view(configs.defaults('anonymize')) == View(128, 1.0, 0.05, True)


def test_joints_that_nobody_has_are_refused_before_anything_is_trained():
  class Unknown(ProceduralBodies):
    def has_joints(self):
      return np.zeros(len(self), bool)

  config = _changed('anonymize', joint_sigma=0.02)
  sources.require_joints(config, ProceduralBodies(2, 32))
  with pytest.raises(DatasetError, match=r'none of the 2 persons .* has any; .* joint_sigma to 0'):
    sources.require_joints(config, Unknown(2, 32))
  sources.require_joints(_changed('anonymize'), Unknown(2, 32))


def test_parts_are_told_in_the_share_of_pictures_that_is_asked_for():
  example = ProceduralBodies(1, 32)[0]
  seen = example['image'], example['map'], example['joints']
  for share, least, most in ((0.0, 0, 0), (0.5, 25, 75), (1.0, 100, 100)):
    view = BodyView(32, 1.0, parts=share)
    told = sum(
      view.random(*seen, np.random.default_rng(seed))['map'].max() > 1 for seed in range(100)
    )
    assert least <= told <= most
    assert (view.fixed(*seen)['map'].max() > 1) == (share > 0)


def test_one_picture_of_everybody_makes_batches_of_two_crops_each_and_pairs_of_mirror_images():
  config = configs.tiny(_changed('identity', repeat_images=True))
  config.update({'min_images': 1, 'crop': 0.8, 'crop_jitter': 0.2})
  alone = ProceduralBodies(6, 32, identities=6)
  batch = next(iter(identities.train_batches(config, alone)))
  np.testing.assert_array_equal(batch['identity'][::2], batch['identity'][1::2])
  assert len(set(batch['identity'].tolist())) == 4
  assert (batch['image'][0] != batch['image'][1]).any()
  assert len(identities.with_pairs(alone)) == 12
  pairs = ProceduralBodies(6, 32, identities=3)
  assert identities.with_pairs(pairs) is pairs
  config.repeat_images = False
  with pytest.raises(DatasetError, match=r'min_images=2 to leave .* out, or repeat_images'):
    identities.train_batches(config, alone)


def test_a_folder_of_paths_is_made_absolute_for_bodies_too(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = _changed('harmonize', dataset='ccp', manual_dir='ccp', perceptual_weight=0.0)
  assert experiment.resolve(config).manual_dir == str(tmp_path / 'ccp')
