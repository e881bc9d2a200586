"""Extreme poses (paper 4.2): are turned faces found, and their landmarks, after as before?"""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_poses')


def get_test_config():
  return fields.tiny(get_config())
