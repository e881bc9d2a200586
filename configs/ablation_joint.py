"""Ablation 2 on CelebA at 128 px: A and H trained together (paper 4.1, Table 1, row 2)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('joint')
  config.dataset = 'celeba'
  return config


def get_test_config():
  return fields.tiny(get_config())
