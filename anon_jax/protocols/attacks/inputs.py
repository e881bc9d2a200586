"""What A and H are told of the original, each alone: the map, the condition, the background."""

from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.data import semantic
from anon_jax.inference import crops
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.nets.anonymization import coarsened
from anon_jax.protocols.study import Study
from anon_jax.proxy import blur, to_signed

_CELLS = 16  # a side of a map is reduced to
_GREY = 128
_TOGETHER = 16
_BLUR = jax.jit(blur, static_argnums=1)


class Inputs:
  """The inputs of synthesis for the main faces of a study's pictures, uint8 crops and maps.

  Args:
    study: with the pictures.
    synthesizer: whose inputs they are.
  """

  def __init__(self, study: Study, synthesizer: Synthesizer):
    self.faces = np.array([study.face(name) is not None for name in study.names])
    size = synthesizer.size
    self.crops = np.zeros((len(study.names), size, size, 3), np.uint8)
    for place, name in enumerate(study.names):
      face = study.face(name)
      if face is not None:
        self.crops[place] = crops.cut(study.read(name), crops.frame_of(face), size)
    self.maps = np.concatenate([synthesizer.maps(part) for part in _parts(self.crops)])
    conditions = np.concatenate([synthesizer.conditions(part) for part in _parts(self.crops)])
    self.conditions = _levels(conditions)

  def blurred(self, sigma: float) -> np.ndarray:
    """Returns conditions uint8 [n, s, s, 3] of another strength, a share of the side."""
    pixels = sigma * self.crops.shape[1]
    return np.concatenate(
      [_levels(np.asarray(_BLUR(to_signed(part), pixels))) for part in _parts(self.crops)]
    )

  def features(self, look: Callable[[np.ndarray, str], np.ndarray]) -> Mapping[str, np.ndarray]:
    """Returns features float [n, d] by input; NaN for pictures without a face.

    Args:
      look: features of uint8 crops [n, s, s, 3], and a title for the progress bar.
    """
    hidden = np.isin(self.maps, semantic.FOREGROUND)[..., None]
    found = {
      'semantic map': _cells(self.maps),
      'semantic map, coarse': _cells(np.asarray(coarsened(jnp.asarray(self.maps)))),
      'appearance condition': look(self.conditions, 'appearance conditions'),
      'background': look(np.where(hidden, np.uint8(_GREY), self.crops), 'backgrounds'),
      'foreground in the background of nobody': look(
        np.where(hidden, self.crops, np.uint8(_GREY)), 'foregrounds'
      ),
    }
    return {name: np.where(self.faces[:, None], rows, np.nan) for name, rows in found.items()}


def _levels(signed: np.ndarray) -> np.ndarray:
  """Returns what lies in [-1, 1] as uint8."""
  levels: np.ndarray = np.round(signed * 127.5 + 127.5).astype(np.uint8)
  return levels


def _cells(maps: np.ndarray) -> np.ndarray:
  """Returns the share of each class in the cells of [n, s, s] maps, float32 [n, d]."""
  count, side = maps.shape[:2]
  classes = np.arange(semantic.NUM_CLASSES, dtype=maps.dtype)
  step = side // _CELLS
  rows = []
  for part in _parts(maps):
    one_hot = (part[..., None] == classes).astype(np.float32)
    cells = one_hot.reshape(len(part), _CELLS, step, _CELLS, step, len(classes)).mean((2, 4))
    rows.append(cells.reshape(len(part), -1))
  return np.concatenate(rows).reshape(count, -1)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
  for start in range(0, len(rows), _TOGETHER):
    yield rows[start : start + _TOGETHER]
