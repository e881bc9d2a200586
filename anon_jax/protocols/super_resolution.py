"""Table 4: are faces of 256 and 512 px as natural as real ones? (paper 4.2, "Super-resolution")."""

import collections
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from anon_jax.data import prepare
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.inference import crops
from anon_jax.inference.crops import Frame
from anon_jax.inference.inputs import HarmonizationInput
from anon_jax.inference.weights import read_description
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.protocols.celeba import People
from anon_jax.protocols.distances import Distances
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.networks import Taken, folder_of
from anon_jax.protocols.study import Study, hash_of
from anon_jax.protocols.systems import System

BASE = 128
SIZES = (BASE, 256, 512)
_ROWS = 24 * BASE  # pixels of a contact sheet's height

Crop = Callable[[str], np.ndarray]
"""Name of a picture -> its face as a crop, uint8 [s, s, 3]."""


class Row(NamedTuple):
  """One row at one size.

  Attributes:
    name: its key in results.json.
    title: of the row.
    crop: what it shows.
    actions: what became of the main faces, by picture; empty where nothing was painted.
  """

  name: str
  title: str
  crop: Crop
  actions: Mapping[str, str]


def draw(dataset: str, folder: pathlib.Path, split: str, count: int, seed: int) -> People:
  """Draws pictures of a part of a data set.

  Args:
    dataset: a key of `prepare.BUILDERS`.
    folder: of its raw files.
    split: 'validation' or 'test'.
    count: of pictures at most; 0 takes all.
    seed: of the draw.

  Returns:
    The pictures; whose person is not known has one of its own.

  Raises:
    DatasetError: missing or broken data, or no picture in that part.
  """
  items = prepare.builder_class(dataset).list_items(folder).get(split, [])
  if not items:
    raise DatasetError(f'{folder} has no picture in its part {split!r}; choose another split.')
  items = sorted(items, key=lambda item: item.picture.name)
  places = np.random.default_rng(seed).permutation(len(items))[: count or None]
  drawn = [items[place] for place in sorted(places.tolist())]
  labels = [item.identity if item.identity >= 0 else -1 - i for i, item in enumerate(drawn)]
  names = tuple(item.picture.name for item in drawn)
  return People(items[0].picture.parent, names, np.array(labels))


def systems_of(weights: str, given: Mapping[int, str]) -> tuple[dict[int, System], dict[int, str]]:
  """Finds whose networks stand at each size: S, A and I are the same, H is that of the size.

  Args:
    weights: folder of the evaluation's own networks, whose H gives 128 px; '' for the package's.
    given: folder by larger size; '' where there is none.

  Returns:
    Systems by size, and for sizes without one the reason.

  Raises:
    ValueError: a folder whose H gives another size.
    WeightsError: a folder without networks.
  """
  found, missing = {}, {}
  side = _side_of(folder_of(weights))
  if side == BASE:
    found[BASE] = System(f'networks_{BASE}', _title(BASE), 'synthesize')
  else:
    missing[BASE] = f'H of config.weights_from gives {side or "nothing"}, not {BASE} px.'
  for size, text in given.items():
    if not text:
      missing[size] = (
        f'no networks were given; name their folder by --config.weights_{size}=FOLDER.'
      )
      continue
    side, folder = _side_of(folder_of(text)), folder_of(text).absolute()
    if side != size:
      raise ValueError(
        f'config.weights_{size}={text!r} holds an H that gives {side or "nothing"}; give a folder '
        f'with one that gives {size} px (configs/harmonize_sr{size}.py).'
      )
    taken = Taken(folder, ('harmonization',))
    found[size] = System(f'networks_{size}', _title(size), 'synthesize', networks=taken)
  return found, missing


def require_free(more: Sequence[System]) -> None:
  """Raises ValueError where another system has the name of a row."""
  rows = {'networks', 'placed', 'enlarged', 'reduced', *(f'networks_{size}' for size in SIZES)}
  for system in more:
    if system.name in rows:
      raise ValueError(f'the name {system.name!r} in config.others is taken; choose another one.')


def _title(size: int) -> str:
  return f'networks of {size} px'


def _side_of(folder: pathlib.Path) -> int:
  """Returns the side of what a folder's H gives; 0 without one."""
  entry = read_description(folder).get('harmonization')
  if entry is None:
    return 0
  assert isinstance(entry.architecture, HarmonizationNet)
  assert isinstance(entry.input, HarmonizationInput)
  return entry.input.image_size * entry.architecture.upscale


class Sizes:
  """Faces of photographs at several sizes.

  Args:
    people: whose pictures.
    workdir: where pictures and detections are kept.
    embedder: the recogniser, which a study runs.
    weights: folder of the evaluation's own networks.
    chosen: networks by size, of `systems_of`.
    more: further systems, of pictures of the originals' size.
    seed: of the draws of control identities.
  """

  def __init__(
    self,
    people: People,
    workdir: pathlib.Path,
    embedder: Embedder,
    weights: str,
    chosen: Mapping[int, System],
    more: Sequence[System],
    seed: int,
  ):
    self.people = people
    self._study = Study(people.folder, people.names, workdir, embedder, weights, seed)
    self._chosen, self._more, self._seed = chosen, more, seed
    self._actions: dict[str, Mapping[str, str]] = {}
    faces = {name: self._study.face(name) for name in people.names}
    self.frames: dict[str, Frame] = {
      name: crops.frame_of(face) for name, face in faces.items() if face is not None
    }

  def large_enough(self, size: int) -> list[str]:
    """Returns the pictures whose face fills a crop of `size` px without being enlarged."""
    return [name for name, frame in self.frames.items() if frame.side >= size]

  def rows(self, size: int) -> list[Row]:
    """Makes the pictures of all rows at a size; the originals come first."""
    found = [Row('original', 'original', self._cut(self._study.read, size), {})]
    if size in self._chosen:
      found.append(self._made(self._chosen[size], 'networks', size))
    if size > BASE and BASE in self._chosen:
      # what `anon-jax anonymize` gives: the face alone is enlarged
      placed = self._made(self._chosen[BASE], 'placed', size)
      found.append(placed._replace(title=f'{placed.title}, put back into the photograph'))
      small = self._made(self._chosen[BASE], 'enlarged', BASE)
      title = f'{small.title}, enlarged bicubically'
      found.append(small._replace(title=title, crop=_enlarged(small.crop, size)))
    found += [self._made(system, system.name, size) for system in self._more]
    if size > BASE:
      reduced = _enlarged(self._cut(self._study.read, BASE), size)
      found.append(
        Row('reduced', f'originals reduced to {BASE} px and enlarged again', reduced, {})
      )
    return found

  def sheet(self, size: int) -> dict[str, list[np.ndarray]]:
    """Returns crops that nobody has chosen, by the title of their row, as every row shows them."""
    names = self.large_enough(size)
    rng = np.random.default_rng(self._seed)
    drawn = sorted(rng.choice(len(names), min(_ROWS // size, len(names)), replace=False))
    return {row.title: [row.crop(names[place]) for place in drawn] for row in self.rows(size)}

  def _made(self, system: System, name: str, size: int) -> Row:
    if system.name not in self._actions:  # once, for all sizes that it serves
      least = BASE if system.networks is None else size
      self._actions[system.name] = self._study.render(system, self.large_enough(least)).actions
    read = self._study.readers[system.title]
    return Row(name, system.title, self._cut(read, size), self._actions[system.name])

  def _cut(self, read: Callable[[str], np.ndarray], size: int) -> Crop:
    return lambda name: crops.cut(read(name), self.frames[name], size)


def evaluate(sizes: Sizes, network: tuple[FeatureNetwork, Any] | None) -> dict[str, Any]:
  """Measures how far every row is from the originals, at each size.

  Args:
    sizes: the pictures.
    network: whose features are compared, and its parameters; None leaves the distances out.

  Returns:
    `sizes`, by size: `large_enough`, how many faces are; and where two or more are, `rows` by
    name: `title`, `actions`, and both distances as `Distances.compare`, or None. Besides
    `pictures`, `faces`, `sides` (median and largest side of the faces' crops in pixels), and
    `list`, the hash of the names.
  """
  distances = None if network is None else Distances(*network)
  labels = dict(zip(sizes.people.names, sizes.people.labels.tolist(), strict=True))
  sides = [frame.side for frame in sizes.frames.values()] or [0.0]
  found: dict[int, dict[str, Any]] = {}
  for size in SIZES:
    names = sizes.large_enough(size)
    found[size] = {'large_enough': len(names)}
    if len(names) < 2:
      continue
    real: np.ndarray | None = None
    found[size]['rows'] = rows = {}
    for row in sizes.rows(size):
      between: dict[str, Any] = {'frechet': None, 'kernel': None}
      if distances is not None:
        features = distances.features(map(row.crop, names))
        real = features if real is None else real
        between = distances.compare(real, features, [labels[name] for name in names])
      actions = collections.Counter(row.actions[name] for name in names if row.actions)
      rows[row.name] = {'title': row.title, 'actions': dict(actions), **between}
  return {
    'sizes': found,
    'pictures': len(sizes.people.names),
    'faces': len(sizes.frames),
    'sides': {'median': float(np.median(sides)), 'largest': float(np.max(sides))},
    'list': hash_of(sizes.people.names),
  }


def _enlarged(crop: Crop, size: int) -> Crop:
  def enlarge(name: str) -> np.ndarray:
    small = Image.fromarray(crop(name))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))

  return enlarge
