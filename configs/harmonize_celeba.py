"""HarmonizationNet on CelebA crops of 128 px (paper 3.2; Table 1, column CelebA)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize')
  config.dataset = 'celeba'
  return config


def get_test_config():
  return fields.tiny(get_config())
