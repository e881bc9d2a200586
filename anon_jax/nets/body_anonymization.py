"""AnonymizationNet for whole bodies: twice as high as wide, with joints beside the map (4.2)."""

from typing import ClassVar

import jax

from anon_jax.data import body_classes
from anon_jax.nets.anonymization import (
  FIRST_SIDE,
  AnonymizationNet,
  Modulations,
)

ASPECT = 2  # height over width, that of `body_crops`


class BodyAnonymizationNet(AnonymizationNet):
  """A for bodies: from a first feature map of 4 x 2 to pictures that are twice as high as wide.

  Maps hold the classes of `body_classes`. `coarse` is of faces: leave it off.

  Attributes:
    joints: heatmaps that are read beside the map as `conditions`; 0 for none.
  """

  FIRST: ClassVar[tuple[int, int]] = (FIRST_SIDE, FIRST_SIDE // ASPECT)

  classes: int = len(body_classes.CLASSES)
  joints: int = 0

  def modulations(self, maps: jax.Array, conditions: jax.Array | None = None) -> Modulations:
    """Computes all that the blocks take from maps and heatmaps; no identity is needed.

    Args:
      maps: integer classes of bodies [b, h, w].
      conditions: heatmaps of joints [b, h, w, joints] in [0, 1], zeros where a joint is unknown;
        None for a network without joints.

    Raises:
      ValueError: maps or heatmaps of another form or number.
    """
    given = 0 if conditions is None else conditions.shape[-1]
    if given != self.joints:
      raise ValueError(
        f'This network reads heatmaps of {self.joints} joints beside the map, and {given} are '
        'given; unknown joints are maps of zeros.'
      )
    return super().modulations(maps, conditions)
