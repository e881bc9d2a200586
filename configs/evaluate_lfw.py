"""Table 3: verification on LFW, the second picture of each pair anonymized (paper 4.2)."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_lfw')


def get_test_config():
  return fields.tiny(get_config())
