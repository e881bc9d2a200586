"""Evaluations by published protocols, and attacks: `python -m anon_jax.main --mode=evaluate`."""

from anon_jax.protocols.running import run

__all__ = ['run']
