"""HarmonizationNet on whole bodies: the proxy task of faces, on persons (paper 3.2 and 4.2)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize')
  config.dataset = 'ccp'
  config.image_size = 256  # x 128
  config.crop = 0.8
  config.crop_jitter = 0.1
  config.eval_examples = 0
  return config


def get_test_config():
  return fields.tiny(get_config())
