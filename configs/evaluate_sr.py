"""Table 4: faces of 128, 256 and 512 px beside originals of that size (paper 4.2)."""

from anon_jax import config as fields


def get_config():
  return fields.defaults('evaluate_sr')


def get_test_config():
  return fields.tiny(get_config())
