"""Configs: checked once, at the start, then dissolved into plain arguments; no module holds one."""

from anon_jax.config.checking import ConfigError, check, defaults, differences, tiny, unknown_field

__all__ = ['ConfigError', 'check', 'defaults', 'differences', 'tiny', 'unknown_field']
