"""Checkpoints of a run: training state and data iterator, verified by SHA-256."""

from anon_jax.checkpoints.errors import CheckpointError, DamagedError
from anon_jax.checkpoints.folder import NEWEST_ONLY, Best
from anon_jax.checkpoints.store import Checkpoints, describe

__all__ = ['NEWEST_ONLY', 'Best', 'CheckpointError', 'Checkpoints', 'DamagedError', 'describe']
