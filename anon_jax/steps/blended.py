"""What the ablations' stages take from a picture beside its map, and their final composite."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import proxy
from anon_jax.nets import harmonization
from anon_jax.steps.guided_parts import GuidedOptions


@dataclasses.dataclass(frozen=True)
class BlendedOptions(GuidedOptions):
  """Plain numbers of a stage that paints faces and blends them too.

  Attributes:
    sigma_fraction: blur of the appearance condition as a share of the side.
    feather: rim inside the mask, in pixels, over which what is painted fades in.
  """

  sigma_fraction: float = 0.07
  feather: int = 2


def surroundings(seen: dict[str, Any], o: BlendedOptions) -> dict[str, jax.Array]:
  """Returns what may be seen of pictures whose foreground is replaced.

  Args:
    seen: `image` [b, s, s, 3] and `mask` [b, s, s, 1].
    o: plain numbers.

  Returns:
    `background`: the pictures with a grey foreground; `condition`: the appearance condition; and
    for discriminators `reachable`: the real pictures with the rim that every output has.
  """
  images, mask = seen['image'], seen['mask']
  condition = proxy.appearance_condition(images, o.sigma_fraction)
  return {
    'background': jnp.where(mask > 0, 0.0, images),
    'condition': condition,
    'reachable': harmonization.composite(images, images, condition, mask, o.feather),
  }


def repeated(seen: dict[str, Any], count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns background, condition and mask of one picture or of `count`, for `count` outputs."""
  background, condition, mask = (
    jnp.broadcast_to(seen[name], (count, *seen[name].shape[1:]))
    for name in ('background', 'condition', 'mask')
  )
  return background, condition, mask
