"""The config.json of a training run, whose fields are taken by type and never trusted."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from anon_jax.inference.errors import InferenceError


class RunConfig(NamedTuple):
  """The config.json of a run, whose fields are taken by type.

  Attributes:
    path: of the file.
    values: its fields.
  """

  path: pathlib.Path
  values: dict[str, Any]

  @classmethod
  def read(cls, workdir: pathlib.Path) -> 'RunConfig':
    """Reads config.json of a workdir, or raises InferenceError."""
    path = workdir / 'config.json'
    try:
      values = json.loads(path.read_text())
    except FileNotFoundError:
      raise InferenceError(
        f'{workdir} holds no run: config.json is missing; give the workdir of a run.'
      ) from None
    except (OSError, ValueError, RecursionError) as error:
      raise InferenceError(f'{path} cannot be read ({type(error).__name__}).') from None
    if not isinstance(values, dict):
      raise InferenceError(f'{path} holds no fields; give the workdir of a run.')
    return cls(path, values)

  def text(self, name: str, choices: Mapping[str, Any]) -> str:
    """Returns one of a few words."""
    value = self.values.get(name)
    if not isinstance(value, str) or value not in choices:
      raise InferenceError(
        f'{self.path} has {name} {value!r}; it can be exported where that is one of '
        f'{", ".join(choices)}.'
      )
    return value

  def best(self) -> tuple[str, bool] | None:
    """Returns by which scalar a checkpoint is the best, and whether more is better."""
    scalar = self.values.get('best_scalar')
    if not isinstance(scalar, str) or not scalar:
      return None
    return scalar, self.values.get('best_is') == 'highest'

  def whole(self, name: str) -> int:
    """Returns a whole number."""
    return int(self._typed(name, int))

  def number(self, name: str) -> float:
    """Returns a number."""
    return float(self._typed(name, int, float))

  def flag(self, name: str) -> bool:
    """Returns true or false."""
    return bool(self._typed(name, bool))

  def _typed(self, name: str, *types: type) -> Any:
    value = self.values.get(name)
    if type(value) not in types:
      raise InferenceError(
        f'{self.path} has {name} {value!r}; expected {types[-1].__name__}, as a run writes it.'
      )
    return value
