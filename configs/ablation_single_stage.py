"""Ablation 1 on CelebA at 128 px: one network paints and blends (paper 4.1, Table 1, row 1)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('single_stage')
  config.dataset = 'celeba'
  return config


def get_test_config():
  return fields.tiny(get_config())
