"""S, A and H in a row: from crops of faces to crops of the faces of people who do not exist.

What they are shown of a crop, and what they are not, is in `painting`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from anon_jax import compiling, proxy
from anon_jax.data import hair
from anon_jax.inference import painting
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import FACE_SHARE
from anon_jax.inference.painting import Networks
from anon_jax.inference.weights import Weights
from anon_jax.proxy import to_signed

# A batch is filled up to one of these: a program is compiled for each, and kept on disk.
BUCKETS = (1, 4, 16)
_NEEDED = ('segmentation', 'anonymization', 'harmonization', 'identity')
_AT_ONCE = ('segmentation', 'single_stage', 'identity')


@dataclasses.dataclass(frozen=True, eq=False)
class Synthesized:
  """New faces for n crops.

  Attributes:
    painted: uint8 [n, s, s, 3]; the new face inside the mask, fading into the appearance condition
      at its rim and beyond. Nothing in it is a pixel of the original.
    mask: bool [n, s, s], where it replaces the original: the foreground and what shows some of it.
    foreground: float32 [n], share of the crop that S calls foreground, before growing.
    similarity: float32 [n], cosine of I's embeddings of the original and the new face, in [-1, 1].
    shown: uint8 [n, size, size, 3], the crops with their new faces: what an H for clips is shown
      with the next frame.
  """

  painted: np.ndarray
  mask: np.ndarray
  foreground: np.ndarray
  similarity: np.ndarray
  shown: np.ndarray


class Synthesizer:
  """Paints new faces; its programs are compiled once for each size of batch.

  Args:
    weights: with S and I, and with A and H or the ablation's one network for both tasks.

  Raises:
    InferenceError: a network is missing, or it is not clear which ones are to paint.
  """

  def __init__(self, weights: Weights):
    self._networks = chosen(weights)
    blender = self._networks[painting.blender_of(self._networks)]
    painter = self._networks.get('anonymization', blender)
    # once, not with each batch
    self._params = jax.device_put({name: net.params for name, net in self._networks.items()})
    self.size = blender.input.image_size
    self.identities: int = painter.module.identities
    self.threshold: float = self._networks['identity'].input.threshold
    known = getattr(painter.input, 'hair', '')
    self._hair = hair.decode(known) if known else None
    self.recurrent: bool = getattr(blender.module, 'recurrent', False)
    self.output_size: int = self.size * getattr(blender.module, 'upscale', 1)
    self._segment = compiling.jit(functools.partial(painting.semantic_maps, self._networks))
    self._paint = compiling.jit(functools.partial(painting.paint, self._networks))
    sigma = blender.input.condition_sigma
    self._blur = compiling.jit(lambda crops: proxy.appearance_condition(to_signed(crops), sigma))

  def maps(self, crops: np.ndarray) -> np.ndarray:
    """Finds semantic maps: uint8 crops [n, size, size, 3] -> uint8 [n, size, size]."""
    return in_buckets(lambda rows: self._segment(self._params, rows), crops)

  def suited(self, semantic_map: np.ndarray) -> np.ndarray | None:
    """Finds the control identities that suit a picture's hair.

    Args:
      semantic_map: uint8 [size, size].

    Returns:
      Their places, int64 [n]; None where nobody measured their hair.
    """
    return None if self._hair is None else hair.suited(self._hair, semantic_map)

  def conditions(self, crops: np.ndarray) -> np.ndarray:
    """Blurs uint8 crops [n, size, size, 3] to appearance conditions, float32 in [-1, 1]."""
    return in_buckets(self._blur, crops)

  def paint(
    self,
    crops: np.ndarray,
    maps: np.ndarray,
    controls: np.ndarray,
    *,
    replaced: np.ndarray,
    conditions: np.ndarray | None = None,
    previous: Sequence[np.ndarray | None] = (),
  ) -> Synthesized:
    """Paints a new face into each crop.

    Args:
      crops: uint8 [n, size, size, 3].
      maps: uint8 [n, size, size], semantic maps.
      controls: float32 [n, identities], mixtures of control identities.
      replaced: bool [n, size, size], all pixels that show some of the foreground (`crops.shows`):
        nothing of them is looked at. The foreground itself always belongs to them.
      conditions: float32 [n, size, size, 3] in [-1, 1]; None takes those of the crops.
      previous: for each crop what was `shown` of the same face a frame before, None where nothing
        was; () for none at all. An H that is not recurrent does not look at them.
    """
    if conditions is None:
      conditions = self.conditions(crops)
    inputs = [crops, maps, replaced, controls, conditions]
    if self.recurrent:
      frames = list(previous) or [None] * len(crops)
      inputs.append(np.stack([np.zeros_like(crops[0]) if f is None else f for f in frames]))
      inputs.append(np.array([f is not None for f in frames], np.float32))
    outputs = in_buckets(lambda *rows: self._paint(self._params, *rows), *inputs)
    return Synthesized(**outputs)


def in_buckets(run: Any, *arrays: np.ndarray) -> Any:
  """Runs a compiled function over rows, in portions of one of the buckets' sizes.

  Args:
    run: takes as many arrays, and returns arrays with a row for each row.
    arrays: [n, ...] each.
  """
  count, parts = len(arrays[0]), []
  for start, size in portions(count):
    rows = [array[start : start + size] for array in arrays]
    lack = size - len(rows[0])
    filled = [np.pad(r, [(0, lack)] + [(0, 0)] * (r.ndim - 1), mode='edge') for r in rows]
    result = jax.device_get(run(*filled))
    parts.append(jax.tree.map(functools.partial(_first, len(rows[0])), result))
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def chosen(weights: Weights) -> Networks:
  """Returns the networks that synthesis runs, by name.

  Raises:
    InferenceError: a network is missing or was trained on other crops than are cut, or it is not
      clear which ones are to paint.
  """
  two_steps = [n for n in ('anonymization', 'harmonization') if getattr(weights, n) is not None]
  if weights.single_stage is not None and two_steps:
    raise InferenceError(
      f'the weights have single_stage beside {" and ".join(two_steps)}, and either could paint; '
      'export single_stage into a folder of its own, with S and I.'
    )
  needed = _NEEDED if weights.single_stage is None else _AT_ONCE
  missing = [name for name in needed if getattr(weights, name) is None]
  if missing:
    raise InferenceError(
      f'the weights have no {" and no ".join(missing)}; synthesis needs S, A, H and I: add it by '
      '`anon-jax weights export`, or choose another --method.'
    )
  networks = {name: getattr(weights, name) for name in needed}
  _require_views(networks)
  return networks


def _require_views(networks: Networks) -> None:
  for name, net in networks.items():
    share = net.input.face_share
    closer = name in ('anonymization', 'identity')
    if share != FACE_SHARE and not (closer and share > FACE_SHARE):
      raise InferenceError(
        f'{name} was trained on crops of which the face box has {share:g}; synthesis cuts '
        f'{FACE_SHARE:g}{", or less for this network" if closer else ""}: export one that was.'
      )


def portions(count: int) -> Sequence[tuple[int, int]]:
  """Divides rows among buckets: (first row, bucket's size); none is filled to half or less."""
  found, start = [], 0
  while start < count:
    left = count - start
    size = max(bucket for bucket in BUCKETS if bucket < 2 * left)
    found.append((start, size))
    start += size
  return found


def _first(count: int, rows: np.ndarray) -> np.ndarray:
  return rows[:count]
