"""AnonymizationNet on CelebA crops of 128 px as the paper trains it: eq. 1 and 3, nothing else."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('anonymize')
  config.dataset = 'celeba'
  return config


def get_test_config():
  return fields.tiny(get_config())
