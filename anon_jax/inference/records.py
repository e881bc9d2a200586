"""What a folder of trained networks says about each of them: the records of its model.json."""

import dataclasses
import re
from typing import Any, NamedTuple

from flax import linen as nn

from anon_jax.data import body_classes, body_crops, joints, semantic
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.body_anonymization import BodyAnonymizationNet
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.nets.single_stage import SingleStageNet

FACE_SHARE = 0.6
DTYPES = ('float16', 'float32')
_RANGE = (-1.0, 1.0)
# Far above any network of the project, and low enough that its shapes can be worked out at once.
_MOST_CHANNELS, _MOST_IDENTITIES, _MOST_LEVELS, _MOST_PIXELS = 4096, 2**17, 12, 2048


@dataclasses.dataclass(frozen=True)
class _Crop:
  """What every network is shown.

  Attributes:
    image_size: height of a crop, or of its map, in pixels.
  """

  image_size: int

  def __post_init__(self) -> None:
    _require(1 <= self.image_size <= _MOST_PIXELS, 'image_size', self.image_size)


@dataclasses.dataclass(frozen=True)
class Input(_Crop):
  """What a network is shown of a face.

  Attributes:
    face_share: height of the face box as a share of the crop's side.
    value_range: of the pictures that go in and come out.
  """

  face_share: float = FACE_SHARE
  value_range: tuple[float, float] = _RANGE

  def __post_init__(self) -> None:
    super().__post_init__()
    _require(0.1 <= self.face_share <= 1, 'face_share', self.face_share)
    _require(self.value_range == _RANGE, 'value_range', self.value_range)


@dataclasses.dataclass(frozen=True)
class BodyInput(_Crop):
  """What a network is shown of a body.

  Attributes:
    width: of a crop, half of its height.
    person_share: of the crop's height that the person's box fills, or of its width if that is what
      it fills.
    value_range: of the pictures that go in and come out.
  """

  width: int
  person_share: float = body_crops.FILL
  value_range: tuple[float, float] = _RANGE

  def __post_init__(self) -> None:
    super().__post_init__()
    _require(self.width * body_crops.ASPECT == self.image_size, 'width', self.width)
    _require(0.1 <= self.person_share <= 1, 'person_share', self.person_share)
    _require(self.value_range == _RANGE, 'value_range', self.value_range)


@dataclasses.dataclass(frozen=True)
class _Blended(_Crop):
  """What H, or the one network for both tasks, is shown, and how its output is composited.

  Attributes:
    condition_sigma: blur of the appearance condition as a share of the height.
    feather: rim inside the foreground over which it fades in, in pixels of the output.
  """

  condition_sigma: float = 0.07
  feather: int = 2

  def __post_init__(self) -> None:
    super().__post_init__()
    _require(0.005 <= self.condition_sigma <= 0.5, 'condition_sigma', self.condition_sigma)
    _require(0 <= self.feather <= 32, 'feather', self.feather)


@dataclasses.dataclass(frozen=True)
class _Judged(_Crop):
  """What I is shown.

  Attributes:
    foreground_only: whether everything but the foreground is set to mid grey.
    threshold: cosine of an original and a painted picture above which another one is drawn. As it
      is exported, one in a thousand pairs of two held-out people lies above; `calibration` replaces
      it by what a share of painted faces exceeds.
  """

  foreground_only: bool = True
  threshold: float = 0.5

  def __post_init__(self) -> None:
    super().__post_init__()
    _require(-1 <= self.threshold <= 1, 'threshold', self.threshold)


@dataclasses.dataclass(frozen=True)
class HarmonizationInput(_Blended, Input):
  """What H, or the one network for both tasks, is shown of a face."""


@dataclasses.dataclass(frozen=True)
class BodyHarmonizationInput(_Blended, BodyInput):
  """What H is shown of a body."""


@dataclasses.dataclass(frozen=True)
class IdentityInput(_Judged, Input):
  """What I is shown of a face."""


@dataclasses.dataclass(frozen=True)
class BodyIdentityInput(_Judged, BodyInput):
  """What I is shown of a body."""


@dataclasses.dataclass(frozen=True)
class BodyPaintingInput(BodyInput):
  """What A is told of a body.

  Attributes:
    parts_share: of the pictures that it learned from whose maps told parts; 0: it knows the class
      `person` alone.
    joint_sigma: spread of a joint in its heatmap as a share of the height; 0 where A sees none.
  """

  parts_share: float = 1.0
  joint_sigma: float = 0.0

  def __post_init__(self) -> None:
    super().__post_init__()
    _require(0 <= self.parts_share <= 1, 'parts_share', self.parts_share)
    _require(0 <= self.joint_sigma <= 0.2, 'joint_sigma', self.joint_sigma)


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
    _require(self.dtype in DTYPES, 'dtype', self.dtype)
    _require(re.fullmatch('[0-9a-f]{64}', self.sha256) is not None, 'sha256', self.sha256)
    _require_plausible(self.architecture, self.input)


class Kind(NamedTuple):
  """What stands under one name: its module's class and its input's."""

  module: type[nn.Module]
  input: type[Input | BodyInput]


KINDS = {
  'segmentation': Kind(SegmentationNet, Input),
  'anonymization': Kind(AnonymizationNet, Input),
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


def shown(value: Any) -> str:
  """Returns a value for a message of one line."""
  text = ' '.join(repr(value).split())
  return text if len(text) <= 60 else text[:57] + '...'


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
    _require(fine, f'architecture.{name}', value)
  if isinstance(net, HarmonizationNet):
    _require(net.upscale in (1, 2, 4, 8), 'architecture.upscale', net.upscale)
  if isinstance(net, BodyAnonymizationNet):
    _require(not net.coarse, 'architecture.coarse', net.coarse)
    shown_joints = joints.NUM_JOINTS if getattr(given, 'joint_sigma', 0) else 0
    _require(net.joints == shown_joints, 'architecture.joints', net.joints)
  image_size = given.image_size
  if isinstance(net, AnonymizationNet) and image_size != 4 << (len(net.widths) - 1):
    raise ValueError(
      f'input.image_size is {image_size}, and a network of {len(net.widths)} widths paints '
      f'{4 << (len(net.widths) - 1)}'
    )


def _require(fine: bool, name: str, value: Any) -> None:
  if not fine:
    raise ValueError(f'{name} is {shown(value)}, which is out of range')
