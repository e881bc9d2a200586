"""What each trained network is shown: the inputs in the records of a model.json."""

import dataclasses
from typing import Any

from anon_jax.data import body_crops, hair

FACE_SHARE = 0.6
_RANGE = (-1.0, 1.0)
_MOST_PIXELS = 2048


@dataclasses.dataclass(frozen=True)
class _Crop:
  """What every network is shown.

  Attributes:
    image_size: height of a crop, or of its map, in pixels.
  """

  image_size: int

  def __post_init__(self) -> None:
    require(1 <= self.image_size <= _MOST_PIXELS, 'image_size', self.image_size)


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
    require(0.1 <= self.face_share <= 1, 'face_share', self.face_share)
    require(self.value_range == _RANGE, 'value_range', self.value_range)


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
    require(self.width * body_crops.ASPECT == self.image_size, 'width', self.width)
    require(0.1 <= self.person_share <= 1, 'person_share', self.person_share)
    require(self.value_range == _RANGE, 'value_range', self.value_range)


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
    require(0.005 <= self.condition_sigma <= 0.5, 'condition_sigma', self.condition_sigma)
    require(0 <= self.feather <= 32, 'feather', self.feather)


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
    require(-1 <= self.threshold <= 1, 'threshold', self.threshold)


@dataclasses.dataclass(frozen=True)
class PaintingInput(Input):
  """What A is told of a face.

  Attributes:
    hair: where the hair of each control identity is, as `hair.encode` writes it; '' if nobody
      measured it.
  """

  hair: str = ''

  def __post_init__(self) -> None:
    super().__post_init__()
    require(hair.is_code(self.hair), 'hair', self.hair)


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
    require(0 <= self.parts_share <= 1, 'parts_share', self.parts_share)
    require(0 <= self.joint_sigma <= 0.2, 'joint_sigma', self.joint_sigma)


def shown(value: Any) -> str:
  """Returns a value for a message of one line."""
  text = ' '.join(repr(value).split())
  return text if len(text) <= 60 else text[:57] + '...'


def require(fine: bool, name: str, value: Any) -> None:
  """Raises ValueError unless a field's value is in range."""
  if not fine:
    raise ValueError(f'{name} is {shown(value)}, which is out of range')
