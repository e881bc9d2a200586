"""Configs: checked once, at the start, then dissolved into plain arguments; no module holds one."""

from anon_jax.config.checking import check, defaults, differences, tiny, unknown_field
from anon_jax.config.field import ConfigError

__all__ = ['ConfigError', 'check', 'defaults', 'differences', 'tiny', 'unknown_field']
