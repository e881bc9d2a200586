"""The exported networks that an evaluation measures: one folder, or one laid over another."""

import dataclasses
import json
import pathlib
from typing import Any, NamedTuple

from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.records import Entry
from anon_jax.inference.weights import DESCRIPTION, Weights, load_weights, read_description

_TWO_STEPS = ('anonymization', 'harmonization')


def folder_of(weights: str) -> pathlib.Path:
  """Returns the folder that a config names; '' names the package's own."""
  return pathlib.Path(weights).expanduser() if weights else SHIPPED


def fingerprint(weights: str) -> str:
  """Returns the seal of a folder of trained networks: it changes with any byte of them.

  Raises:
    WeightsError: there are none, or their description is damaged.
  """
  folder = folder_of(weights)
  read_description(folder)  # it holds the description against its seal
  seal: str = json.loads((folder / DESCRIPTION).read_text())['sha256']
  return seal


class Taken(NamedTuple):
  """Networks of a folder that stand in the place of the evaluation's own.

  Attributes:
    folder: of exported networks.
    names: of those that are taken, keys of `records.KINDS`; all others stay.
  """

  folder: pathlib.Path
  names: tuple[str, ...]

  def over(self, weights: str) -> Weights:
    """Returns the networks of `weights` with these in their places.

    Raises:
      WeightsError: networks that are missing or damaged.
    """
    own = load_weights(self.folder)
    found: dict[str, Any] = {name: getattr(own, name) for name in self.names}
    # one network for both tasks leaves nothing to A and H, and the other way round
    idle = _TWO_STEPS if 'single_stage' in self.names else ('single_stage',)
    return dataclasses.replace(load_weights(folder_of(weights)), **dict.fromkeys(idle), **found)


def painters_in(folder: pathlib.Path) -> tuple[str, ...]:
  """Returns which networks of a folder paint and blend: A and H, or the one that does both.

  Raises:
    ValueError: neither is there, or both are.
    WeightsError: the folder holds no networks.
  """
  held = read_description(folder)
  pair = tuple(name for name in _TWO_STEPS if name in held)
  if ('single_stage' in held) == bool(pair) or (pair and pair != _TWO_STEPS):
    raise ValueError(
      f'{folder} holds {", ".join(held)}; give a folder of anonymization and harmonization, or of '
      'single_stage without these (`anon-jax weights export`).'
    )
  return pair or ('single_stage',)


def trained(folder: pathlib.Path, names: tuple[str, ...]) -> dict[str, Any]:
  """Returns by name the stage and the number of steps that networks of a folder were trained for.

  Raises:
    WeightsError: the folder holds no networks.
  """
  held: dict[str, Entry] = read_description(folder)
  return {
    name: {'stage': held[name].training.stage, 'steps': held[name].training.steps}
    for name in names
    if name in held
  }
