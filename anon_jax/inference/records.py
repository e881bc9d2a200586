"""What a folder of trained networks says about each of them: the records of its model.json."""

import dataclasses
import re
from typing import Any, NamedTuple

from flax import linen as nn

from anon_jax.data import body_classes, hair, joints, semantic
from anon_jax.inference.inputs import (
  BodyHarmonizationInput,
  BodyIdentityInput,
  BodyInput,
  BodyPaintingInput,
  HarmonizationInput,
  IdentityInput,
  Input,
  PaintingInput,
  require,
)
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.nets.single_stage import SingleStageNet

DTYPES = ('float16', 'float32')
# Far above any network of the project, and low enough that its shapes can be worked out at once.
_MOST_CHANNELS, _MOST_IDENTITIES, _MOST_LEVELS = 4096, 2**17, 12


@dataclasses.dataclass(frozen=True)
class DataSet:
  """One data set of a training.

  Attributes:
    dataset: its name.
    crop: side of the central square that was used, as a share of the stored picture.
    weight: how often its examples were drawn, beside the others' weights.
  """

  dataset: str
  crop: float
  weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Training:
  """Where parameters come from.

  Attributes:
    stage: of the run.
    steps: updates that they have had.
    preset: name of the widths.
    data: the data sets.
    seed: of the run.
    batch_size: examples a step.
  """

  stage: str
  steps: int
  preset: str
  data: tuple[DataSet, ...]
  seed: int
  batch_size: int


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
  """One network of the folder.

  Attributes:
    file: its safetensors file.
    sha256: of that file, 64 lower-case hexadecimal digits.
    bytes: size of that file.
    dtype: of every tensor in it, 'float16' or 'float32'.
    parameters: numbers in it.
    architecture: the Flax module, without parameters.
    input: what it is shown.
    training: where its parameters come from.
    data_licence: terms of the pictures that it was trained on.
  """

  file: str
  sha256: str
  bytes: int
  dtype: str
  parameters: int
  architecture: nn.Module
  input: Input | BodyInput
  training: Training
  data_licence: str

  def __post_init__(self) -> None:
    require(self.dtype in DTYPES, 'dtype', self.dtype)
    require(re.fullmatch('[0-9a-f]{64}', self.sha256) is not None, 'sha256', self.sha256)
    _require_plausible(self.architecture, self.input)


class Kind(NamedTuple):
  """What stands under one name: its module's class and its input's."""

  module: type[nn.Module]
  input: type[Input | BodyInput]


KINDS = {
  'segmentation': Kind(SegmentationNet, Input),
  'anonymization': Kind(AnonymizationNet, PaintingInput),
  'harmonization': Kind(HarmonizationNet, HarmonizationInput),
  'identity': Kind(IdentityNet, IdentityInput),
  'single_stage': Kind(SingleStageNet, HarmonizationInput),
}


# The same of bodies, under the same names.
BODY_KINDS = {
  'anonymization': Kind(BodyAnonymizationNet, BodyPaintingInput),
  'harmonization': Kind(HarmonizationNet, BodyHarmonizationInput),
  'identity': Kind(IdentityNet, BodyIdentityInput),
}


def file_of(name: str) -> str:
  """Returns the file of a network, a key of `KINDS`."""
  return f'{name}.safetensors'


def fields_of(kind: type) -> list[tuple[str, Any]]:
  """Lists names and types of what a record holds, or of what a network is built from."""
  # parent and name are Flax's; how a network computes is up to whoever loads it
  left_out = ('parent', 'name', 'dtype', 'remat') if issubclass(kind, nn.Module) else ()
  fields = dataclasses.fields(kind)  # type: ignore[arg-type]
  return [(field.name, field.type) for field in fields if field.name not in left_out]


def _require_plausible(net: nn.Module, given: Input | BodyInput) -> None:
  for name, _ in fields_of(type(net)):
    value = getattr(net, name)
    numbers = value if isinstance(value, tuple) else (int(value),)
    may_be_0 = name in ('spectral', 'coarse', 'bilinear', 'recurrent', 'joints')
    least, most = 0 if may_be_0 else 1, _MOST_CHANNELS
    if name == 'identities':
      most = _MOST_IDENTITIES
    elif name == 'classes':
      of_bodies = isinstance(net, BodyAnonymizationNet)
      least = most = len(body_classes.CLASSES if of_bodies else semantic.CLASSES)
    fine = len(numbers) <= _MOST_LEVELS and all(least <= number <= most for number in numbers)
    require(fine, f'architecture.{name}', value)
  if isinstance(net, HarmonizationNet):
    require(net.upscale in (1, 2, 4, 8), 'architecture.upscale', net.upscale)
  if isinstance(net, BodyAnonymizationNet):
    require(not net.coarse, 'architecture.coarse', net.coarse)
    shown_joints = joints.NUM_JOINTS if getattr(given, 'joint_sigma', 0) else 0
    require(net.joints == shown_joints, 'architecture.joints', net.joints)
  if isinstance(given, PaintingInput) and given.hair:
    require(hair.count(given.hair) == net.identities, 'input.hair', given.hair)
  image_size = given.image_size
  if isinstance(net, AnonymizationNet) and image_size != 4 << (len(net.widths) - 1):
    raise ValueError(
      f'input.image_size is {image_size}, and a network of {len(net.widths)} widths paints '
      f'{4 << (len(net.widths) - 1)}'
    )
