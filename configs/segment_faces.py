"""SegmentationNet on faces of any pose (paper 3.1); name the data sets by config.mixture."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('segment')
  config.dataset = 'celeba_mask_hq'
  config.image_size = 128
  config.adam_b1 = 0.9
  config.crop_jitter = 0.3
  config.num_train_steps = 60_000
  config.decay_steps = 60_000
  config.eval_examples = 0
  return config


def get_test_config():
  return fields.tiny(get_config())
