"""Table 2: detection, identification and diversity on CelebA's test people (paper 4.2)."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_celeba')


def get_test_config():
  return fields.tiny(get_config())
