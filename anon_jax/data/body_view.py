"""How a stored person becomes a crop of the networks' size; stands in for a `View`."""

import dataclasses

import numpy as np
from PIL import Image

from anon_jax.data import body_classes, body_crops, joints
from anon_jax.data.pipeline import Example


@dataclasses.dataclass(frozen=True)
class BodyView:
  """Cuts crops that are twice as high as wide, with their joints where they are given.

  Attributes:
    height: of the result in pixels; its width is half of it.
    fraction: height of the central rectangle that is used, as a share of the stored picture's.
    jitter: largest change of the rectangle's size, as a share of it; its place changes by up to
      half of that, within the stored picture.
    flip: mirror half of the pictures; left joints become right ones.
    parts: share of the random crops that keep the parts that the data set labels; in the others
      every pixel of a person is `person`, as in data sets without parts. Fixed crops keep them
      unless it is 0.
  """

  height: int
  fraction: float = body_crops.CROP
  jitter: float = 0.0
  flip: bool = False
  parts: float = 1.0

  def fixed(self, image: np.ndarray, body_map: np.ndarray, person_joints: np.ndarray) -> Example:
    """Cuts the central rectangle, as evaluation does."""
    body_map = body_map if self.parts else body_classes.without_parts(body_map)
    return self._cut(image, body_map, person_joints, 1.0, 0.0, 0.0, mirrored=False)

  def random(
    self,
    image: np.ndarray,
    body_map: np.ndarray,
    person_joints: np.ndarray,
    rng: np.random.Generator,
  ) -> Example:
    """Cuts a jittered rectangle and mirrors it now and then, as training does."""
    scale, dx, dy = self.jitter * rng.uniform(-1, 1, 3)
    mirrored = self.flip and rng.random() < 0.5
    if rng.random() >= self.parts:
      body_map = body_classes.without_parts(body_map)
    return self._cut(image, body_map, person_joints, 1 + scale, dx / 2, dy / 2, mirrored=mirrored)

  def _cut(
    self,
    image: np.ndarray,
    body_map: np.ndarray,
    person_joints: np.ndarray,
    scale: float,
    dx: float,
    dy: float,
    *,
    mirrored: bool,
  ) -> Example:
    size = (self.height // body_crops.ASPECT, self.height)
    full_height, full_width = body_map.shape
    # The largest rectangle of the crops' shape that fits, should the picture have another one.
    limit = min(full_height, full_width * body_crops.ASPECT)
    height = min(limit * self.fraction * scale, limit)
    width = height / body_crops.ASPECT
    left = float(np.clip((full_width - width) / 2 + dx * width, 0, full_width - width))
    top = float(np.clip((full_height - height) / 2 + dy * height, 0, full_height - height))
    box = (left, top, left + width, top + height)
    pixels = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box))
    classes = np.asarray(Image.fromarray(body_map).resize(size, Image.Resampling.NEAREST, box))
    cut = joints.moved(person_joints, left, top, size[0] / width, size[1] / height)
    if mirrored:
      pixels, classes, cut = pixels[:, ::-1], classes[:, ::-1], joints.mirrored(cut, size[0])
    return {
      'image': np.ascontiguousarray(pixels),
      'map': np.ascontiguousarray(classes),
      'joints': cut,
    }
