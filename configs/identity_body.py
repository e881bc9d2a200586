"""IdentityNet on whole bodies, one picture a person: two crops of it are one identity (paper 3.3).

What it learns is mostly clothes and colours; docs/method.md says what that is good for.
"""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('identity')
  config.dataset = 'ccp'
  config.image_size = 256  # x 128
  config.crop = 0.8
  config.crop_jitter = 0.2
  config.batch_size = 48
  config.identities_per_batch = 24
  config.images_per_identity = 2
  config.min_images = 1
  config.repeat_images = True
  config.adam_b1 = 0.9
  config.num_train_steps = 2000
  config.decay_steps = 2000
  config.eval_examples = 0
  return config


def get_test_config():
  return fields.tiny(get_config())
