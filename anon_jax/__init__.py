"""Replaces faces in photographs and videos by people who do not exist."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from anon_jax.inference.anonymizer import Anonymizer

__all__ = ['Anonymizer', '__version__']
__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
  # On demand: it imports jax, which training configs and the picture decoder must not wait for.
  if name == 'Anonymizer':
    from anon_jax.inference.anonymizer import Anonymizer

    return Anonymizer
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
