"""What a config field is, and the kinds of values that fields accept."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class ConfigError(ValueError):
  """A config that cannot be run; the message names the field and the way out."""


class Field(NamedTuple):
  """One config field.

  Attributes:
    default: value where a config says nothing; its type is the field's type.
    doc: what it means, with unit or range.
    valid: tells whether a value can be used.
    wanted: what `valid` accepts, in words.
    resumable: whether it may change when a run is resumed.
    measured: whether it may change when a run is evaluated.
  """

  default: Any
  doc: str
  valid: Callable[[Any], bool] = lambda value: True
  wanted: str = 'any value'
  resumable: bool = False
  measured: bool = False


def at_least(least: float) -> dict[str, Any]:
  """Numbers from `least` on."""
  return {
    'valid': lambda value: least <= value < math.inf,
    'wanted': f'a number >= {least}',
  }


def between(low: float, high: float) -> dict[str, Any]:
  """Numbers of a closed range."""
  return {'valid': lambda value: low <= value <= high, 'wanted': f'a number in [{low}, {high}]'}


def one_of(*choices: Any) -> dict[str, Any]:
  """A few values."""
  return {'valid': lambda value: value in choices, 'wanted': f'one of {list(choices)}'}


def multiple_of(factor: int) -> dict[str, Any]:
  """Positive multiples of a whole number."""
  return {
    'valid': lambda value: value > 0 and value % factor == 0,
    'wanted': f'a multiple of {factor}',
  }
