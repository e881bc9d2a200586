"""The pictures of an evaluation by pose: whose they are, how far heads are turned, where faces are.

AFLW2000-3D is the paper's. FASSEG's multi-pose part stands in for it, under its own name, where
that cannot be had: heads from profile to profile in a laboratory, labelled by hand.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.data import pictures, prepare
from anon_jax.data.errors import DatasetError
from anon_jax.data.fasseg_names import yaw_of
from anon_jax.evaluation import landmark_success

DATASETS = ('fasseg', 'aflw2000')
_FEW = 3  # angles that a title lists one by one


class Posed(NamedTuple):
  """Pictures of one head each.

  Attributes:
    folder: of the pictures.
    names: of the pictures.
    people: int [n], who is shown; a number below 0 for each whom nobody knows.
    yaws: float64 [n], degrees; 0 looks ahead.
    seen: bool [n], the person is one that S was trained on, or watched with.
    truth: float64 [n, 3, 2], where eyes, nose and mouth are.
    items: of the data set's builder, where it has labels of pixels; else empty.
  """

  folder: pathlib.Path
  names: tuple[str, ...]
  people: np.ndarray
  yaws: np.ndarray
  seen: np.ndarray
  truth: np.ndarray
  items: tuple[Any, ...] = ()

  def drawn(self, count: int, seed: int) -> 'Posed':
    """Returns some of the pictures, drawn by the seed; 0 keeps all."""
    if not count or count >= len(self.names):
      return self
    places = np.sort(np.random.default_rng(seed).permutation(len(self.names))[:count])
    return Posed(
      self.folder,
      tuple(self.names[place] for place in places),
      self.people[places],
      self.yaws[places],
      self.seen[places],
      self.truth[places],
      tuple(self.items[place] for place in places) if self.items else (),
    )


def load(dataset: str, folder: pathlib.Path, seen: bool) -> Posed:
  """Reads which pictures there are.

  Args:
    dataset: of `DATASETS`.
    folder: of its raw files.
    seen: take FASSEG's training persons too.

  Raises:
    DatasetError: missing or broken data.
  """
  return _fasseg(folder, seen) if dataset == 'fasseg' else _aflw2000(folder)


def _fasseg(folder: pathlib.Path, seen: bool) -> Posed:
  splits = prepare.builder_class('fasseg').list_items(folder)
  chosen = [
    (item, split != 'test')
    for split in ('test', 'train', 'validation')[: 3 if seen else 1]
    for item in splits.get(split, ())
    if yaw_of(item.name) is not None
  ]
  if not chosen:
    raise DatasetError(
      f'{folder} has no picture whose name tells a yaw (v3_pPP_sS_yaw+YY) in its part '
      "'test'; the frontal part V2 alone says nothing of poses."
    )
  chosen.sort(key=lambda one: one[0].name)
  items = [item for item, _ in chosen]
  return Posed(
    items[0].picture.parent,
    tuple(item.picture.name for item in items),
    np.array([item.identity for item in items]),
    np.array([yaw_of(item.name) for item in items], np.float64),
    np.array([whether for _, whether in chosen]),
    np.stack([_labelled(item.masks[0]) for item in items]),
    tuple(items),
  )


def _labelled(mask: pathlib.Path) -> np.ndarray:
  parts = landmark_success.parts_of_map(pictures.read_map(mask))
  if not landmark_success.face_sizes(parts[None])[0] > 0:
    raise DatasetError(f'{mask} labels no eyes or no mouth; nothing says where the face is.')
  return parts


def _aflw2000(folder: pathlib.Path) -> Posed:
  builder = prepare.builder_class('aflw2000')
  from anon_jax.data import aflw2000  # it needs SciPy, which FASSEG does without

  names, yaws, truth, parent = [], [], [], folder
  for face in builder.list_items(folder)['test']:
    pose = aflw2000.read_pose(face.pose)
    if np.abs(pose.angles).max() > aflw2000.LARGEST_ANGLE:
      continue
    parent = face.picture.parent
    names.append(face.picture.name)
    yaws.append(float(pose.angles[0]))
    truth.append(landmark_success.parts_of_68(pose.landmarks))
  if not names:
    raise DatasetError(f'{folder} holds no face within {aflw2000.LARGEST_ANGLE:g} degrees.')
  return Posed(
    parent,
    tuple(names),
    -1 - np.arange(len(names)),
    np.array(yaws),
    np.zeros(len(names), bool),
    np.stack(truth),
  )


def bins(yaws: np.ndarray, edges: Sequence[float]) -> dict[str, np.ndarray]:
  """Sorts pictures by how far heads are turned: both sides together, and each by itself.

  Args:
    yaws: float [n], degrees.
    edges: where bins of the size of yaw begin, rising; a head at an edge belongs above it.

  Returns:
    Places of the pictures by title, none of them empty: 'all', then for each size such as '±30'
    its sides '-30' and '+30' where both are there. A title lists its angles if they are few.
  """
  found = {'all': np.arange(len(yaws))}
  number = np.searchsorted(np.asarray(edges), np.abs(yaws), 'right')
  limits = (0.0, *edges, 180.0)
  for each in range(len(edges) + 1):
    size = f'{limits[each]:g} to {limits[each + 1]:g}'
    inside = number == each
    sides = {
      sign: np.flatnonzero(inside & side)
      for sign, side in (('-', yaws < 0), ('+', yaws > 0), ('', yaws == 0))
    }
    there = [sign for sign, places in sides.items() if len(places)]
    if not there:
      continue
    angles = sorted({abs(float(yaw)) for yaw in yaws[inside]})
    title = ', '.join(f'{angle:g}' for angle in angles) if len(angles) <= _FEW else size
    both = {'-', '+'} <= set(there)
    found[('±' if both else (there[0] if len(there) == 1 else '')) + title] = np.flatnonzero(inside)
    if both:
      for sign in ('-', '+'):
        mine = sorted({abs(float(yaws[place])) for place in sides[sign]})
        own = ', '.join(f'{angle:g}' for angle in mine) if len(mine) <= _FEW else size
        found[sign + own] = sides[sign]
  return found
