"""IdentityNet by Proxy-NCA on CelebA crops of 128 px (paper 3.3), the start of its fine-tuning."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('identity')
  config.dataset = 'celeba'
  config.batch_size = 64
  config.identities_per_batch = 16
  config.images_per_identity = 4
  config.adam_b1 = 0.9
  config.num_train_steps = 20_000
  config.decay_steps = 20_000
  config.eval_examples = 0
  return config


def get_test_config():
  return fields.tiny(get_config())
