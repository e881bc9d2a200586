"""A folder of trained networks of whole bodies."""

import dataclasses
import pathlib

from anon_jax.inference.inputs import (
  BodyHarmonizationInput,
  BodyIdentityInput,
  BodyInput,
  BodyPaintingInput,
)
from anon_jax.inference.weights import Network, load_networks
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet


@dataclasses.dataclass(frozen=True, eq=False)
class BodyWeights:
  """The networks of a folder; None for those that it does not have."""

  anonymization: Network[BodyAnonymizationNet, BodyPaintingInput] | None = None
  harmonization: Network[HarmonizationNet, BodyHarmonizationInput] | None = None
  identity: Network[IdentityNet, BodyIdentityInput] | None = None


def load_body_weights(folder: str | pathlib.Path) -> BodyWeights:
  """Loads the trained networks of bodies of a folder.

  Args:
    folder: written by `anon-jax weights export` from runs on bodies.

  Raises:
    WeightsError: as `load_weights`; also for a folder of networks of faces.
  """
  found = load_networks(pathlib.Path(folder))
  if not all(isinstance(network.input, BodyInput) for network in found.values()):
    raise WeightsError(
      f'{folder} holds networks of faces, and bodies are asked for; give a folder that was '
      'exported from runs on a data set of bodies.'
    )
  return BodyWeights(**found)
