"""Table 1: quality, diversity and detection of the ablations' networks (paper 4.1)."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_ablation')


def get_test_config():
  return fields.tiny(get_config())
