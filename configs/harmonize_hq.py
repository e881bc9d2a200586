"""HarmonizationNet on CelebAMask-HQ at 128 px (paper 3.2; Table 1, column HQ; Table 4, x128)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize')
  config.dataset = 'celeba_mask_hq'
  return config


def get_test_config():
  return fields.tiny(get_config())
