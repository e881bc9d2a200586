"""Super-resolution H on CelebAMask-HQ: 128 px in, 512 px out (paper 4.2, Table 4)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize')
  config.dataset = 'celeba_mask_hq'
  config.image_size = 512
  config.upscale = 4
  config.feather = 8
  config.batch_size = 8
  config.eval_batch_size = 8
  return config


def get_test_config():
  return fields.tiny(get_config())
