"""tLP of clips (paper 4.2), and what it does not see: trembling, identity, links over frames."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_video')


def get_test_config():
  return fields.tiny(get_config())
