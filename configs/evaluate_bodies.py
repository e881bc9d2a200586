"""Whole bodies: are people still found, and can they be linked? Any tool's frames beside covers."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_bodies')


def get_test_config():
  return fields.tiny(get_config())
