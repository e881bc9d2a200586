"""Configs: checked once, at the start, then dissolved into plain arguments; no module holds one."""

from anon_jax.config.checking import check, defaults, differences, tiny, unknown_field
from anon_jax.config.field import ConfigError
from anon_jax.config.stages import EVALUATIONS

__all__ = [
  'EVALUATIONS',
  'ConfigError',
  'check',
  'defaults',
  'differences',
  'tiny',
  'unknown_field',
]
