"""Attacks that the paper did not make, on CelebA's test people: T0 to T6."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_attacks')


def get_test_config():
  return fields.tiny(get_config())
