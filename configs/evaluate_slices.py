"""Is everybody served alike? The networks by what file names say of people, as in UTKFace."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_slices')


def get_test_config():
  return fields.tiny(get_config())
